//! Checks `allowed_outbound_hosts`, a list that the manifest has for each component. The list has to allow
//! each host that the component calls. The variables decide which hosts the components call.

use allowed_hosts::{AllowedHosts, Target};
use bot_framework::{BotIdentity, Cloud};
use platform::Settings;
use storage_account::{Account, Service};
use url::Url;

use crate::manifest::Manifest;
use crate::report::Report;
use crate::variables::Variables;

/// The address of Teams' Connector in the public cloud of Azure.
const TEAMS: &str = "https://smba.trafficmanager.net";
/// The address at which the bot calls the poller if `kick` is `on`.
const POLLER: &str = "http://poller.spin.internal";
const COMPONENTS: [&str; 2] = ["bot", "poller"];

/// An address that a component calls.
struct Need {
    component: &'static str,
    url: String,
    /// Where the address comes from.
    source: &'static str,
}

pub(super) fn check(variables: &Variables, manifest: &Manifest, report: &mut Report) {
    let needs = needs(variables);
    let mut missing: Vec<(&Need, Vec<&str>)> = Vec::new();
    let mut is_broken = false;
    for component in COMPONENTS {
        let Some(entries) = manifest.hosts.get(component) else {
            report.skip(format!("{}: has no component {component}", manifest.name));
            continue;
        };
        let Ok(allowed) = AllowedHosts::parse(entries.iter().map(|entry| variables.fill(entry))) else {
            is_broken = true;
            report.problem(format!(
                "component {component}: an entry of allowed_outbound_hosts is not of the form scheme://host[:port]; \
                 correct it in {}",
                manifest.name
            ));
            continue;
        };
        for need in needs.iter().filter(|need| need.component == component) {
            if target_of(&need.url).is_none_or(|target| allowed.allows(&target)) {
                continue;
            }
            match missing.iter_mut().find(|(other, _)| other.url == need.url) {
                Some((_, components)) => components.push(component),
                None => missing.push((need, vec![component])),
            }
        }
    }
    for (Need { url, source, .. }, components) in &missing {
        let target = target_of(url).map(|target| target.to_string()).unwrap_or_default();
        let remedy = if url == POLLER { " (or set kick=off)" } else { "" };
        report.problem(format!(
            "{target} ({source}) is not in allowed_outbound_hosts of {}; add \"{target}\" in {}{remedy}",
            components.join(" and "),
            manifest.name
        ));
    }
    if missing.is_empty() && !is_broken && !needs.is_empty() {
        report.fine(format!(
            "{} allows all {} calls that these variables require",
            manifest.name,
            needs.len()
        ));
    }
}

fn target_of(url: &str) -> Option<Target> {
    let url = Url::parse(url).ok()?;
    Target::new(url.scheme(), url.host_str()?, url.port()).ok()
}

fn needs(variables: &Variables) -> Vec<Need> {
    let mut needs = Vec::new();
    let mut both = |url: String, source| {
        needs.extend(COMPONENTS.map(|component| Need { component, url: url.clone(), source }));
    };
    if let Ok(account) = Account::parse(variables.value("storageconnection")) {
        for (service, source) in
            [(Service::Queue, "queues of storageconnection"), (Service::Table, "tables of storageconnection")]
        {
            if let Ok(endpoint) = account.endpoint(service) {
                both(endpoint.to_owned(), source);
            }
        }
    }
    if let Ok(identity) = BotIdentity::read(variables) {
        both(identity.login_endpoint, "login host");
        if identity.cloud == Cloud::Public {
            both(TEAMS.to_owned(), "Connector of Teams");
        }
        let metadata = variables.trimmed("openidmetadata");
        let metadata = if metadata.is_empty() { identity.cloud.channel_metadata() } else { metadata };
        needs.push(Need { component: "bot", url: metadata.to_owned(), source: "signing keys" });
    }
    for entry in variables.value("servicehosts").split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let url = if entry.contains("://") { entry.to_owned() } else { format!("https://{entry}") };
        needs.extend(COMPONENTS.map(|component| Need {
            component,
            url: url.clone(),
            source: "servicehosts",
        }));
    }
    for host in variables.value("callbackhosts").split(',').map(str::trim).filter(|host| !host.is_empty()) {
        needs.push(Need { component: "poller", url: format!("https://{host}"), source: "callbackhosts" });
    }
    if variables.choice("kick", &[("on", true), ("off", false)]).unwrap_or_default() {
        needs.push(Need { component: "bot", url: POLLER.to_owned(), source: "kick=on" });
    }
    if variables.trimmed("delivery") == "directline" {
        let endpoint = variables.trimmed("directlineendpoint");
        let url = if endpoint.is_empty() { "https://directline.botframework.com" } else { endpoint };
        needs.push(Need { component: "poller", url: url.to_owned(), source: "delivery=directline" });
    }
    needs
}

#[cfg(test)]
mod tests {
    use dev::workspace::root;

    use super::*;
    use crate::report::Status;

    fn problems(manifest: &str, set: &[(&str, &str)]) -> Vec<String> {
        let manifest = Manifest::read(&root().join(manifest)).unwrap();
        let valid = [
            ("microsoftappid", "11111111-2222-3333-4444-555555555555"),
            ("microsoftapptenantid", "11111111-2222-3333-4444-555555555556"),
            ("storageconnection", "AccountName=contoso;AccountKey=c2VjcmV0"),
        ];
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let variables = Variables::new(valid.iter().chain(set).map(owned).collect(), &manifest);
        let mut report = Report::default();
        check(&variables, &manifest, &mut report);
        report.with(Status::Problem).map(|line| line.text.clone()).collect()
    }

    #[test]
    fn each_host_that_the_manifest_lacks_is_one_problem() {
        const HTTP: &str = "deploy/spin.http.toml";
        assert_eq!(problems(HTTP, &[]), [""; 0]);
        assert_eq!(problems("spin.toml", &[("storageconnection", "UseDevelopmentStorage=true")]), [""; 0]);
        assert_eq!(problems("deploy/spin.http.nokick.toml", &[("kick", "off")]), [""; 0]);
        for (manifest, set, count, expected) in [
            (HTTP, ("storageconnection", "UseDevelopmentStorage=true"), 2, "http://127.0.0.1:10001"),
            (
                HTTP,
                ("storageconnection", "AccountName=contoso;AccountKey=c2VjcmV0;EndpointSuffix=example.com"),
                2,
                "https://contoso.table.example.com",
            ),
            (HTTP, ("loginendpoint", "https://login.example.com"), 1, "https://login.example.com"),
            (HTTP, ("openidmetadata", "https://keys.example.com/x"), 1, "https://keys.example.com"),
            (HTTP, ("servicehosts", "a.example.com"), 1, "https://a.example.com"),
            (HTTP, ("callbackhosts", "ci.example.com"), 1, "https://ci.example.com"),
            ("deploy/spin.http.nokick.toml", ("kick", "on"), 1, "kick=off"),
        ] {
            let found = problems(manifest, &[set]);
            assert_eq!(found.len(), count, "{set:?}: {found:?}");
            assert!(found.iter().any(|text| text.contains(expected)), "{set:?}: {found:?}");
        }
        let direct = [("delivery", "directline"), ("directlineendpoint", "https://direct.example.com")];
        assert_eq!(problems(HTTP, &direct).len(), 1);
    }
}
