//! Checks the files of `deploy/monitoring/`. The checks use no running Prometheus, Grafana or Azure.
//!
//! - `dev/grafana-dashboard.cjs` compares the Grafana dashboard with Grafana's own TypeScript types.
//! - `promtool`, a program of Prometheus, checks the alert rules, the tests of these rules, the
//!   configuration file `prometheus.yml`, and the expressions (queries) of the dashboard. If `promtool` is
//!   not installed, these checks are skipped.
//! - Some tests of this module check that `metrics.prom` has all metrics and labels that the files name.
//!   `metrics.prom`, a file in the folder of the bot's code, is a sample of the bot's response to
//!   `GET /metrics`. A test of the bot compares this sample with a real response.
//! - A test of this module reads the queries for Azure Monitor. The queries name log events, and members of
//!   the events' JSON. The test checks that the components' code has each of these names.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::steps::silent;
use crate::tools::node;
use crate::workspace::{root, target};

const FOLDER: &str = "deploy/monitoring";

/// Compares the dashboard with Grafana's types. The npm packages of `dev/package.json` must be installed.
pub fn check_dashboard() -> anyhow::Result<()> {
    let mut command = node();
    command.arg(root().join("dev/grafana-dashboard.cjs")).arg(root().join(FOLDER).join("dashboard.json"));
    silent(command)
}

/// Checks the rules, their tests, the configuration file `prometheus.yml`, and the expressions of the
/// dashboard. Without `promtool`, this function checks nothing, and returns the reason.
pub fn check_rules() -> anyhow::Result<Option<String>> {
    let promtool = |arguments: &[&str], folder: &Path| {
        let mut command = Command::new("promtool");
        command.args(arguments).current_dir(folder);
        command
    };
    let folder = root().join(FOLDER);
    if promtool(&["--version"], &folder).output().is_err() {
        return Ok(Some(
            "promtool is not installed (Debian and Ubuntu: apt-get install prometheus)".to_owned(),
        ));
    }
    silent(promtool(&["check", "rules", "rules.yml"], &folder))?;
    silent(promtool(&["test", "rules", "rules-test.yml"], &folder))?;
    silent(promtool(&["check", "config", "--syntax-only", "prometheus.yml"], &folder))?;
    let out = target().join("monitoring");
    std::fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    let file = out.join("dashboard-rules.yml");
    std::fs::write(&file, rules_of(&read("dashboard.json")?)?.to_string())
        .with_context(|| format!("cannot write {}", file.display()))?;
    silent(promtool(&["check", "rules", "dashboard-rules.yml"], &out))?;
    Ok(None)
}

/// Makes a recording rule of each expression of the dashboard, because promtool can check rules, and cannot
/// check dashboards. A recording rule stores the result of an expression. The rules are JSON, and promtool
/// reads JSON as YAML.
fn rules_of(dashboard: &str) -> anyhow::Result<Value> {
    let expressions = expressions_of(dashboard)?;
    let rules: Vec<_> = expressions
        .iter()
        .enumerate()
        .map(|(index, expression)| {
            let expression = expression.replace("$__rate_interval", "5m").replace("$job", "proactive-bot");
            json!({"record": format!("dashboard:{index}"), "expr": expression})
        })
        .collect();
    Ok(json!({"groups": [{"name": "dashboard", "rules": rules}]}))
}

fn expressions_of(dashboard: &str) -> anyhow::Result<Vec<String>> {
    let dashboard: Value = serde_json::from_str(dashboard).context("dashboard.json: expected JSON")?;
    let panels = dashboard["panels"].as_array().context("dashboard.json: expected panels")?;
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let expressions: Vec<_> =
        targets.filter_map(|target| target["expr"].as_str().map(str::to_owned)).collect();
    ensure!(!expressions.is_empty(), "dashboard.json: expected expressions, found none");
    Ok(expressions)
}

fn read(name: &str) -> anyhow::Result<String> {
    let path = root().join(FOLDER).join(name);
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// Reads `metrics.prom`, the sample of `GET /metrics`. Returns each metric with the names and values of
    /// its labels.
    fn shown_metrics() -> BTreeMap<String, BTreeSet<(String, String)>> {
        let path = root().join("bot-component/src/alerts/operating/metrics.prom");
        let sample = std::fs::read_to_string(path).unwrap();
        let mut shown: BTreeMap<String, BTreeSet<_>> = BTreeMap::new();
        for line in sample.lines().filter(|line| !line.starts_with('#')) {
            let (name, labels) = metrics_in(line).remove(0);
            shown.entry(name).or_default().extend(labels);
        }
        shown
    }

    /// Finds the bot's metrics in a text, each with the labels in the braces after the metric's name.
    fn metrics_in(text: &str) -> Vec<(String, Vec<(String, String)>)> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let found = text.match_indices("proactivebot_").map(|(at, _)| {
            let rest = &text[at..];
            let (name, rest) = rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len()));
            let labels = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
            let labels = labels.map_or(Vec::new(), |(labels, _)| {
                let pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
                let plain = |text: &str| text.trim().trim_matches('"').to_owned();
                pairs.map(|(name, value)| (plain(name), plain(value))).collect()
            });
            (name.to_owned(), labels)
        });
        found.collect()
    }

    /// Finds the unknown metrics and labels in a text: the sample of `GET /metrics` does not have them.
    fn unknown(text: &str) -> Vec<String> {
        let shown = shown_metrics();
        let mut unknown = Vec::new();
        for (name, labels) in metrics_in(text) {
            let Some(known) = shown.get(&name) else {
                unknown.push(name);
                continue;
            };
            // Prometheus adds the labels `job` and `instance`.
            for (label, value) in
                labels.into_iter().filter(|(label, _)| label != "job" && label != "instance")
            {
                if !known.contains(&(label.clone(), value.clone())) {
                    unknown.push(format!("{name}{{{label}={value}}}"));
                }
            }
        }
        unknown
    }

    #[test]
    fn unknown_metrics_and_labels_are_found() {
        for (text, expected) in [
            ("rate(proactivebot_alerts_accepted_total[5m]) > 0", &[][..]),
            (r#"proactivebot_queue_messages{job="x",queue="main"}"#, &[]),
            (r#"proactivebot_queue_messages{queue="min"}"#, &["proactivebot_queue_messages{queue=min}"]),
            (r#"proactivebot_storage_up{queue="main"}"#, &["proactivebot_storage_up{queue=main}"]),
            (
                "proactivebot_alerts_accepted / proactivebot_x",
                &["proactivebot_alerts_accepted", "proactivebot_x"],
            ),
        ] {
            assert_eq!(unknown(text), expected, "{text}");
        }
    }

    #[test]
    fn every_metric_of_the_rules_and_pages_is_in_the_sample() {
        for file in ["rules.yml", "rules-test.yml", "README.md", "azure-monitor.md"] {
            assert_eq!(unknown(&read(file).unwrap()), Vec::<String>::new(), "{file}");
        }
    }

    #[test]
    fn dashboard_has_a_panel_for_each_metric_and_no_unknown_metric() {
        let dashboard = read("dashboard.json").unwrap();
        let expressions = expressions_of(&dashboard).unwrap();
        let query: Value = serde_json::from_str(&dashboard).unwrap();
        let query = query["templating"]["list"][1]["query"]["query"].as_str().unwrap().to_owned();
        let all = [expressions.join("\n"), query].join("\n");
        assert_eq!(unknown(&all), Vec::<String>::new());
        let used: BTreeSet<_> = metrics_in(&all).into_iter().map(|(name, _)| name).collect();
        let needs_no_panel =
            |name: &str| ["_created", "_sum", "_count"].iter().any(|end| name.ends_with(end));
        let unused: Vec<_> = shown_metrics()
            .into_keys()
            .filter(|name| !used.contains(name) && !needs_no_panel(name))
            .collect();
        assert_eq!(unused, Vec::<String>::new(), "expected each metric of the bot in a panel");
    }

    #[test]
    fn panels_have_unique_ids_do_not_overlap_and_use_the_chosen_data_source() {
        let dashboard: Value = serde_json::from_str(&read("dashboard.json").unwrap()).unwrap();
        let panels = dashboard["panels"].as_array().unwrap();
        let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), panels.len(), "expected each id once");
        let mut cells = BTreeSet::new();
        for panel in panels {
            let place = |member: &str| panel["gridPos"][member].as_u64().unwrap();
            for x in place("x")..place("x") + place("w") {
                for y in place("y")..place("y") + place("h") {
                    assert!(x < 24 && cells.insert((x, y)), "{}: overlaps at {x}, {y}", panel["title"]);
                }
            }
            let chosen = json!({"type": "prometheus", "uid": "${datasource}"});
            let sources = panel["targets"].as_array().unwrap().iter().map(|target| &target["datasource"]);
            for source in sources.chain([&panel["datasource"]]) {
                assert_eq!(*source, chosen, "{}", panel["title"]);
            }
        }
        assert_eq!(dashboard.get("id"), None, "an id is valid in one Grafana only");
    }

    #[test]
    fn every_event_and_member_of_the_queries_is_in_the_code() {
        fn collect(folder: &Path, code: &mut String) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    collect(&path, code);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    code.push_str(&std::fs::read_to_string(path).unwrap());
                }
            }
        }
        let mut code = String::new();
        for folder in ["bot-component/src", "trigger-component/src", "crates/platform/src"] {
            collect(&root().join(folder), &mut code);
        }
        // The components' log adds these members to every line.
        for member in ["time", "level", "event"] {
            code.push_str(&format!("\"{member}\""));
        }
        let page = read("azure-monitor.md").unwrap();
        let queries: Vec<_> =
            page.split("```kql\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
        assert!(queries.len() > 5, "expected queries, found {}", queries.len());
        let mut names = BTreeSet::new();
        for query in queries {
            let is_name = |c: char| c.is_ascii_alphanumeric();
            names.extend(query.match_indices("line.").map(|(at, line)| {
                let rest = &query[at + line.len()..];
                rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())].to_owned()
            }));
            let events = query.lines().filter(|line| line.contains("tostring(line.event)"));
            let compared = events.filter(|line| line.starts_with("| where"));
            names.extend(compared.flat_map(|line| line.split('"').skip(1).step_by(2)).map(str::to_owned));
        }
        for name in ["drain", "alert.poisoned", "poisoned", "oldestSeconds"] {
            assert!(names.contains(name), "expected {name} among the names of the queries: {names:?}");
        }
        let unknown: Vec<_> = names.iter().filter(|name| !code.contains(&format!("\"{name}\""))).collect();
        assert_eq!(unknown, Vec::<&String>::new(), "expected each name of the queries in the code");
    }
}
