//! Compares names that occur in several places: in the resources of one bot, in the Spin manifest, in
//! `secret.example.yaml` and in `make-secret.sh`.

use std::collections::BTreeSet;

use serde_json::Value;
use toml::Table;

use super::resource::{Resource, list, text};

/// The variables that the bot needs to run. `make-secret.sh` requires the same variables.
const NEEDED: [&str; 3] = ["microsoftappid", "storageconnection", "pollkey"];
/// The keys of the bot's Secret that have a different value for each bot. In `secret.example.yaml`, only
/// these keys are allowed to have another value than the default in the manifest.
const OWN_VALUES: [&str; 5] =
    ["microsoftappid", "microsoftapptenantid", "microsoftapppassword", "storageconnection", "pollkey"];
/// The time limit of one call by `poll.sh` to [`POLL_ROUTE`] (`curl -m`), in seconds.
const LONGEST_POLL: u64 = 40;
const PORT: u16 = 80;
/// The route of the poller. `poll.sh` calls this route to start the poller.
const POLL_ROUTE: &str = "/internal/poll";

/// The files with which [`check`] compares the resources.
#[derive(Debug)]
pub(super) struct Context {
    /// The Spin manifest, `deploy/spin.http.toml`.
    pub(super) manifest: Table,
    /// The Secret of the bot in `secret.example.yaml`.
    pub(super) example: Resource,
    /// The Secret of KEDA in the same file. KEDA is an operator that starts Jobs when there is work.
    pub(super) keda_example: Resource,
    /// The text of `make-secret.sh`.
    pub(super) script: String,
}

/// Checks the resources of one namespace.
pub(super) fn check(context: &Context, resources: &[Resource]) -> Vec<String> {
    let mut findings = Vec::new();
    let apps: Vec<_> = resources.iter().filter(|resource| resource.kind() == "SpinApp").collect();
    let [app] = apps[..] else {
        return vec![format!("resources: expected one SpinApp, found {}; keep one", apps.len())];
    };
    check_app(context, app, resources, &mut findings);
    check_variables(context, app, &mut findings);
    check_example(context, &mut findings);
    for resource in resources {
        check_secret_keys(context, resource, &resource.value, &mut findings);
        check_config_maps(resources, resource, &resource.value, &mut findings);
    }
    check_ingress(context, app, resources, &mut findings);
    check_polls(context, app, resources, &mut findings);
    findings
}

/// Checks the SpinApp, SpinKube's resource for a Spin app: its executor, its replicas, its ServiceAccount,
/// and the paths of its health checks. The admission webhook of SpinKube's operator also checks the executor
/// and the replicas.
fn check_app(context: &Context, app: &Resource, resources: &[Resource], findings: &mut Vec<String>) {
    let executor = text(&app.value, "/spec/executor");
    let fits = |resource: &&Resource| resource.kind() == "SpinAppExecutor" && resource.name() == executor;
    if resources.iter().find(fits).is_none() {
        findings.push(app.finding(&format!("the namespace has no SpinAppExecutor {executor}; add it")));
    }
    let account = text(&app.value, "/spec/serviceAccountName");
    let fits = |resource: &&Resource| resource.kind() == "ServiceAccount" && resource.name() == account;
    if resources.iter().find(fits).is_none_or(|known| known.value["automountServiceAccountToken"] != false) {
        findings.push(app.finding(&format!(
            "the namespace has no ServiceAccount {account:?} with automountServiceAccountToken: false; add it"
        )));
    }
    let has_replicas = app.value["spec"]["replicas"].as_u64().is_some_and(|replicas| replicas > 0);
    if has_replicas == (app.value["spec"]["enableAutoscaling"] == true) {
        findings.push(
            app.finding("spec: expected either replicas or enableAutoscaling, found both or none; keep one"),
        );
    }
    for check in ["readiness", "liveness"] {
        let path = text(&app.value, &format!("/spec/checks/{check}/httpGet/path"));
        // Spin itself serves `/.well-known/spin/health`.
        if !(is_route(context, path) || path == "/.well-known/spin/health") {
            findings.push(app.finding(&format!("{check}: the app has no route {path:?}; correct the path")));
        }
    }
}

fn check_variables(context: &Context, app: &Resource, findings: &mut Vec<String>) {
    let variables = list(&app.value, "/spec/variables");
    let found: BTreeSet<&str> = variables.iter().map(|variable| text(variable, "/name")).collect();
    let expected: BTreeSet<&str> = declared(context).map(|(name, _)| name).collect();
    if found.len() != variables.len() {
        findings.push(app.finding("variables: a name is listed twice; keep one"));
    }
    for name in expected.symmetric_difference(&found) {
        findings.push(app.finding(&format!(
            "variable {name}: expected in both the SpinApp and deploy/spin.http.toml, found in one; add or delete it"
        )));
    }
    for variable in variables {
        let (name, reference) = (text(variable, "/name"), &variable["valueFrom"]["secretKeyRef"]);
        if reference["key"] != name || reference["name"] != context.example.name() {
            findings.push(app.finding(&format!(
                "variable {name}: expected the key {name} of the Secret {}, found {reference}; correct it",
                context.example.name()
            )));
        }
        if NEEDED.contains(&name) == (reference["optional"] == true) {
            findings.push(app.finding(&format!(
                "variable {name}: expected `optional: true` for every variable except {NEEDED:?}; correct it"
            )));
        }
    }
    if !context.script.contains(&format!("\"{}\"", NEEDED.join(" "))) {
        findings
            .push(format!("make-secret.sh: expected {NEEDED:?} as the needed variables; correct the list"));
    }
    for (secret, format) in [(&context.example, "json"), (&context.keda_example, "keda")] {
        let call = format!("store_secret {} {format}", secret.name());
        if !context.script.contains(&call) {
            findings.push(
                secret.finding(&format!("make-secret.sh: expected the call {call:?}, found none; add it")),
            );
        }
    }
}

/// Checks that the example Secret has a key for each variable of the manifest, and no other key. The value
/// must be the manifest's default, except for the keys in [`OWN_VALUES`].
fn check_example(context: &Context, findings: &mut Vec<String>) {
    let empty = serde_json::Map::new();
    let values = context.example.value["stringData"].as_object().unwrap_or(&empty);
    let known: BTreeSet<&str> = declared(context).map(|(name, _)| name).collect();
    for name in values.keys().filter(|name| !known.contains(name.as_str())) {
        findings.push(context.example.finding(&format!("the bot has no variable {name}; delete the key")));
    }
    for (name, default) in declared(context) {
        match values.get(name) {
            None => findings.push(context.example.finding(&format!("the key {name} is missing; add it"))),
            Some(value) if !OWN_VALUES.contains(&name) && value != default => findings.push(
                context
                    .example
                    .finding(&format!("{name}: expected the default {default:?}, found {value}; correct it")),
            ),
            Some(_) => {}
        }
    }
}

/// Checks every reference in a `secretKeyRef` or `secretTargetRef` of `value`, at any depth. A reference
/// names a Secret and a key. `secret.example.yaml` must have this Secret with this key.
fn check_secret_keys(context: &Context, resource: &Resource, value: &Value, findings: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if name == "secretKeyRef" {
                    check_secret_key(context, resource, member, findings);
                }
                for reference in list(value, "/secretTargetRef").iter().filter(|_| name == "secretTargetRef")
                {
                    check_secret_key(context, resource, reference, findings);
                }
                check_secret_keys(context, resource, member, findings);
            }
        }
        Value::Array(items) => {
            items.iter().for_each(|item| check_secret_keys(context, resource, item, findings));
        }
        _ => {}
    }
}

fn check_secret_key(context: &Context, resource: &Resource, reference: &Value, findings: &mut Vec<String>) {
    let examples = [&context.example, &context.keda_example];
    let has_key = examples.iter().any(|example| {
        example.name() == text(reference, "/name")
            && example.value["stringData"].get(text(reference, "/key")).is_some()
    });
    if !has_key {
        findings.push(
            resource
                .finding(&format!("{reference}: secret.example.yaml has no such Secret or key; correct it")),
        );
    }
}

fn check_config_maps(resources: &[Resource], resource: &Resource, value: &Value, findings: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if name == "configMap" {
                    let wanted = text(member, "/name");
                    let fits = |known: &&Resource| known.kind() == "ConfigMap" && known.name() == wanted;
                    if resources.iter().find(fits).is_none() {
                        findings.push(
                            resource.finding(&format!(
                                "configMap: no ConfigMap {wanted} exists; correct the name"
                            )),
                        );
                    }
                }
                check_config_maps(resources, resource, member, findings);
            }
        }
        Value::Array(items) => {
            items.iter().for_each(|item| check_config_maps(resources, resource, item, findings));
        }
        _ => {}
    }
}

/// Checks that the Ingress sends requests to the app's Service. The paths of the Ingress must lead to every
/// route of the app except the poller's route. Each host of the Ingress must have a certificate.
fn check_ingress(context: &Context, app: &Resource, resources: &[Resource], findings: &mut Vec<String>) {
    let Some(ingress) = resources.iter().find(|resource| resource.kind() == "Ingress") else {
        findings.push("resources: expected an Ingress, found none; add it".to_owned());
        return;
    };
    let rules = list(&ingress.value, "/spec/rules");
    let paths: Vec<&Value> = rules.iter().flat_map(|rule| list(rule, "/http/paths")).collect();
    for path in &paths {
        let service = &path["backend"]["service"];
        if text(service, "/name") != app.name() || service["port"]["number"] != PORT {
            findings.push(ingress.finding(&format!(
                "expected the Service {} and port {PORT}, found {service}; correct it",
                app.name()
            )));
        }
    }
    let covers = |route: &str| {
        paths.iter().any(|path| {
            let prefix = text(path, "/path").trim_end_matches('/');
            let rest = route.strip_prefix(prefix);
            rest == Some("")
                || (text(path, "/pathType") == "Prefix" && rest.is_some_and(|rest| rest.starts_with('/')))
        })
    };
    for route in routes(context) {
        if covers(route) == (route == POLL_ROUTE) {
            findings.push(ingress.finding(&format!(
                "{route}: the paths must lead to every route except {POLL_ROUTE}; correct the paths"
            )));
        }
    }
    let hosts = |rule: &Value| {
        list(&ingress.value, "/spec/tls").iter().any(|tls| list(tls, "/hosts").contains(&rule["host"]))
    };
    if !rules.iter().all(hosts) {
        findings.push(ingress.finding("rules: a host has no certificate; add the host to tls"));
    }
}

fn check_polls(context: &Context, app: &Resource, resources: &[Resource], findings: &mut Vec<String>) {
    let mut templates = Vec::new();
    for resource in resources {
        let (job, is_scaled) = match resource.kind() {
            "CronJob" => (resource.value.pointer("/spec/jobTemplate/spec"), false),
            "ScaledJob" => (resource.value.pointer("/spec/jobTargetRef"), true),
            _ => continue,
        };
        let job = job.unwrap_or(&Value::Null);
        let pod = &job["template"]["spec"];
        // Kubernetes refuses a Job without a `restartPolicy`, although the schema does not require a
        // `restartPolicy`.
        if !["Never", "OnFailure"].contains(&text(pod, "/restartPolicy")) {
            findings
                .push(resource.finding("restartPolicy: expected Never or OnFailure, found neither; add one"));
        }
        for container in list(pod, "/containers") {
            if !text(container, "/image").contains("@sha256:") {
                findings.push(resource.finding("image: expected a digest (@sha256:...), found none; add it"));
            }
        }
        let variable = |name: &str| {
            let known = list(pod, "/containers/0/env");
            known.iter().find(|known| known["name"] == name).map_or("", |known| text(known, "/value"))
        };
        let expected = format!("http://{}{POLL_ROUTE}", app.name());
        if variable("POLL_URL") != expected || !is_route(context, POLL_ROUTE) {
            findings.push(
                resource.finding(&format!(
                    "POLL_URL: expected {expected}, found another URL or route; correct it"
                )),
            );
        }
        let seconds = variable("POLL_SECONDS").parse::<u64>().unwrap_or(u64::MAX);
        let limit = job["activeDeadlineSeconds"].as_u64().unwrap_or_default();
        if seconds.saturating_add(LONGEST_POLL) > limit {
            findings.push(resource.finding(
                "activeDeadlineSeconds: expected at least the sum of POLL_SECONDS and 40 s, found less; raise it",
            ));
        }
        if is_scaled && seconds > 0 {
            findings.push(
                resource.finding(
                    "POLL_SECONDS: expected 0, because KEDA starts each poll, found more; set it to 0",
                ),
            );
        }
        templates.push((resource, without_poll_seconds(&job["template"])));
        for trigger in list(&resource.value, "/spec/triggers") {
            check_trigger(context, resource, resources, trigger, findings);
        }
    }
    if templates.is_empty() {
        findings.push("resources: expected a CronJob or a ScaledJob, found none; add one".to_owned());
    }
    for (resource, template) in templates.iter().skip(1) {
        if *template != templates[0].1 {
            findings.push(resource.finding(
                "template: expected the same as in the first job, except for POLL_SECONDS; correct it",
            ));
        }
    }
}

/// Checks one trigger of a ScaledJob. A trigger tells KEDA when to start a Job.
fn check_trigger(
    context: &Context,
    resource: &Resource,
    resources: &[Resource],
    trigger: &Value,
    findings: &mut Vec<String>,
) {
    let authentication = text(trigger, "/authenticationRef/name");
    let fits = |known: &&Resource| known.kind() == "TriggerAuthentication" && known.name() == authentication;
    if resources.iter().find(fits).is_none() {
        findings.push(resource.finding(&format!(
            "authenticationRef: no TriggerAuthentication {authentication} exists; correct the name"
        )));
    }
    let default = declared(context).find(|(name, _)| *name == "queuename").map_or("", |(_, default)| default);
    let queue = text(trigger, "/metadata/queueName");
    // This function checks the queue's name only in a resource from a file, because the folder of a bot can
    // replace the name. When kustomize renders the folder of a bot, each resource gets a namespace. So a
    // resource without a namespace is from a file.
    if resource.namespace().is_empty() && queue != default {
        findings.push(resource.finding(&format!("queueName: expected {default}, found {queue}; correct it")));
    }
    if text(trigger, "/metadata/queueLengthStrategy") != "visibleonly" {
        findings.push(
            resource.finding("queueLengthStrategy: expected visibleonly, found another value; correct it"),
        );
    }
}

fn without_poll_seconds(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(Value::Array(variables)) = template.pointer_mut("/spec/containers/0/env") {
        variables.retain(|variable| variable["name"] != "POLL_SECONDS");
    }
    template
}

/// The variables of the manifest, with their defaults.
fn declared(context: &Context) -> impl Iterator<Item = (&str, &str)> {
    let variables = context.manifest.get("variables").and_then(toml::Value::as_table);
    variables.into_iter().flatten().map(|(name, declaration)| {
        (name.as_str(), declaration.get("default").and_then(toml::Value::as_str).unwrap_or_default())
    })
}

/// The routes of the manifest. If a route ends in `/...` (all paths below), this end is removed.
fn routes(context: &Context) -> impl Iterator<Item = &str> {
    let triggers = context.manifest.get("trigger").and_then(|trigger| trigger.get("http"));
    let triggers = triggers.and_then(toml::Value::as_array).into_iter().flatten();
    triggers.filter_map(|trigger| trigger.get("route")?.as_str()).map(|route| route.trim_end_matches("/..."))
}

fn is_route(context: &Context, path: &str) -> bool {
    routes(context).any(|route| route == path)
}
