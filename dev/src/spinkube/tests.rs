//! Tests of the checks of `deploy/spinkube`, the recipe for Kubernetes. Most tests put a mistake into the
//! resources, and expect that a check finds this mistake.

use serde_json::{Value, json};

use super::resource::Resource;
use super::*;

/// A mistake in a resource: the kind of the resource, a JSON pointer to a value, the wrong value, and a part
/// of the expected finding.
type Mistake = (&'static str, &'static str, Value, &'static str);

fn with_mistake((kind, pointer, value, _): &Mistake) -> Vec<Resource> {
    let mut resources = sources(&root()).unwrap();
    change(&mut resources, kind, pointer, value.clone());
    resources
}

/// Replaces the value at the pointer in every resource of this kind. If `new` is `null`, deletes the value.
fn change(resources: &mut [Resource], kind: &str, pointer: &str, new: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parents = resources.iter_mut().filter(|resource| resource.kind() == kind);
    let mut changed = 0;
    for parent in parents.filter_map(|resource| resource.value.pointer_mut(parent)) {
        changed += 1;
        match parent {
            Value::Object(members) if new.is_null() => drop(members.remove(name)),
            Value::Object(members) => drop(members.insert(name.to_owned(), new.clone())),
            Value::Array(items) if new.is_null() => drop(items.remove(name.parse().unwrap())),
            Value::Array(items) => items[name.parse::<usize>().unwrap()] = new.clone(),
            other => panic!("{pointer}: {other}"),
        }
    }
    assert!(changed > 0, "{kind} {pointer}");
}

fn assert_found(mistake: &Mistake, findings: &[String]) {
    let (kind, pointer, _, expected) = mistake;
    assert!(
        findings.iter().any(|finding| finding.contains(expected)),
        "{kind} {pointer}: expected {expected:?}, found {findings:#?}"
    );
}

#[test]
fn recipe_has_no_findings() {
    let skipped = check(None).unwrap();
    assert!(skipped.len() <= 2, "{skipped:?}");
}

#[test]
fn missing_folder_of_crds_is_reported_with_the_remedy() {
    let why = check_custom_in(Path::new("/no/such/folder"), &[]).unwrap().unwrap_err();
    assert!(why.contains("/no/such/folder: not found; put the CRDs of"), "{why}");
}

#[test]
fn wrong_name_or_setting_in_a_resource_is_found() {
    let context = context(&root()).unwrap();
    let mistakes: [Mistake; 27] = [
        ("SpinApp", "/spec/executor", json!("spin"), "no SpinAppExecutor spin"),
        ("SpinApp", "/spec/enableAutoscaling", json!(true), "either replicas or enableAutoscaling"),
        ("SpinApp", "/spec/checks/readiness/httpGet/path", json!("/health"), "no route"),
        ("SpinApp", "/spec/variables/0/name", json!("appid"), "variable appid"),
        ("SpinApp", "/spec/variables/4", Value::Null, "expected in both"),
        (
            "SpinApp",
            "/spec/variables/1/valueFrom/secretKeyRef/key",
            json!("pollkey"),
            "expected the key storageconnection",
        ),
        ("SpinApp", "/spec/variables/1/valueFrom/secretKeyRef/name", json!("bot"), "no such Secret or key"),
        (
            "SpinApp",
            "/spec/variables/0/valueFrom/secretKeyRef/optional",
            json!(true),
            "variable microsoftappid",
        ),
        (
            "SpinApp",
            "/spec/variables/5/valueFrom/secretKeyRef/optional",
            Value::Null,
            "expected `optional: true`",
        ),
        ("SpinApp", "/metadata/name", json!("bot"), "POLL_URL: expected http://bot/internal/poll"),
        ("SpinApp", "/spec/serviceAccountName", json!("default"), "no ServiceAccount \"default\""),
        (
            "ServiceAccount",
            "/automountServiceAccountToken",
            json!(true),
            "with automountServiceAccountToken: false",
        ),
        ("ConfigMap", "/metadata/name", json!("script"), "no ConfigMap poll"),
        ("CronJob", "/spec/jobTemplate/spec/template/spec/restartPolicy", Value::Null, "restartPolicy"),
        ("CronJob", "/spec/jobTemplate/spec/template/spec/containers/0/image", json!("curl:8"), "digest"),
        (
            "CronJob",
            "/spec/jobTemplate/spec/template/spec/containers/0/env/3/valueFrom/secretKeyRef/key",
            json!("key"),
            "no such Secret or key",
        ),
        ("CronJob", "/spec/jobTemplate/spec/activeDeadlineSeconds", json!(60), "activeDeadlineSeconds"),
        ("CronJob", "/spec/jobTemplate/spec/template/metadata/labels", json!({}), "expected the same"),
        ("ScaledJob", "/spec/jobTargetRef/template/spec/containers/0/env/1/value", json!("55"), "expected 0"),
        ("ScaledJob", "/spec/triggers/0/metadata/queueName", json!("queue"), "expected bot-queue"),
        ("ScaledJob", "/spec/triggers/0/metadata/queueLengthStrategy", json!("all"), "visibleonly"),
        (
            "ScaledJob",
            "/spec/triggers/0/authenticationRef/name",
            json!("auth"),
            "no TriggerAuthentication auth",
        ),
        ("TriggerAuthentication", "/spec/secretTargetRef/0/key", json!("storage"), "no such Secret or key"),
        (
            "TriggerAuthentication",
            "/spec/secretTargetRef/0/name",
            json!("proactive-bot"),
            "no such Secret or key",
        ),
        ("Ingress", "/spec/rules/0/http/paths/0/path", json!("/"), "except /internal/poll"),
        ("Ingress", "/spec/rules/0/http/paths/0/backend/service/port/number", json!(8080), "port 80"),
        ("Ingress", "/spec/tls/0/hosts/0", json!("other.example.com"), "no certificate"),
    ];
    for mistake in &mistakes {
        assert_found(mistake, &references::check(&context, &with_mistake(mistake)));
    }
}

#[test]
fn wrong_example_of_the_secret_is_found() {
    let sources = sources(&root()).unwrap();
    for (key, value, expected) in [
        ("pollkey", Value::Null, "the key pollkey is missing"),
        ("queuename", json!("queue"), "expected the default \"bot-queue\""),
        ("appid", json!(""), "no variable appid"),
    ] {
        let mut context = context(&root()).unwrap();
        change(std::slice::from_mut(&mut context.example), "Secret", &format!("/stringData/{key}"), value);
        let findings = references::check(&context, &sources);
        assert!(findings.iter().any(|finding| finding.contains(expected)), "{key}: {findings:#?}");
    }
    let mut context = context(&root()).unwrap();
    change(std::slice::from_mut(&mut context.keda_example), "Secret", "/metadata/name", json!("keda"));
    let findings = references::check(&context, &sources);
    for expected in ["expected the call \"store_secret keda keda\"", "no such Secret or key"] {
        assert!(findings.iter().any(|finding| finding.contains(expected)), "{expected}: {findings:#?}");
    }
}

#[test]
fn wrong_network_policy_is_found() {
    // Each expected text is a line of the README's table: from, to, port, and whether the connection is open.
    let mistakes: [Mistake; 7] = [
        ("NetworkPolicy", "/spec/policyTypes", json!(["Ingress"]), "| the bot | the internet | 80 | no |"),
        (
            "NetworkPolicy",
            "/spec/ingress/0/ports",
            Value::Null,
            "| the ingress controller | the bot | 443 | no |",
        ),
        (
            "NetworkPolicy",
            "/spec/ingress/0/from/0/podSelector",
            json!({}),
            "| another pod of the namespace | the bot | 80 | no |",
        ),
        (
            "NetworkPolicy",
            "/spec/ingress/0/from/0/namespaceSelector",
            json!({}),
            "| another bot's poll Job | the bot | 80 | no |",
        ),
        (
            "NetworkPolicy",
            "/spec/egress/0/to/0/ipBlock/except",
            json!([]),
            "| the bot | the metadata service | 443 | no |",
        ),
        (
            "NetworkPolicy",
            "/spec/egress/0/to/0/ipBlock/cidr",
            json!("10.0.0.0/8"),
            "| the bot | the internet | 443 | yes |",
        ),
        (
            "NetworkPolicy",
            "/spec/egress/0/to/1/ipBlock/cidr",
            json!("::/0"),
            "| the bot | a private address (IPv6) | 443 | no |",
        ),
    ];
    for mistake in &mistakes {
        assert_found(mistake, &reach::check(&with_mistake(mistake)));
    }
    let mut without_deny = sources(&root()).unwrap();
    without_deny.retain(|resource| resource.name() != "default-deny");
    assert!(
        !reach::check(&without_deny).is_empty(),
        "expected findings if the policy default-deny is missing"
    );
}

#[test]
fn missing_line_in_the_table_of_the_readme_is_found() {
    assert_eq!(missing_lines("").len(), reach::TABLE.len());
}

/// Uses a small CRD, because the CRDs of SpinKube and KEDA are not on every machine.
#[test]
fn value_that_the_schema_of_a_crd_does_not_allow_is_found() {
    let crd = r"
spec:
  group: example.dev
  names: {kind: Thing}
  versions:
  - name: v1
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [size]
            properties:
              size: {type: integer, minimum: 1}
              mode: {type: string, enum: [a, b]}
              names: {type: array, minItems: 1, items: {type: string}}
              limits: {type: object, additionalProperties: {x-kubernetes-int-or-string: true}}
              free: {type: object, x-kubernetes-preserve-unknown-fields: true}
";
    let crd = Resource::parse("crd", crd).unwrap();
    for (spec, expected) in [
        (
            json!({"size": 1, "mode": "a", "names": ["x"], "limits": {"cpu": 1, "memory": "1Mi"}, "free": {"x": 1}}),
            "",
        ),
        (json!({"mode": "a"}), "/spec/size: is missing"),
        (json!({"size": "1"}), "/spec/size: expected integer"),
        (json!({"size": 0}), "expected at least 1"),
        (json!({"size": 1, "mode": "c"}), "expected one of"),
        (json!({"size": 1, "names": []}), "the length 0"),
        (json!({"size": 1, "names": [1]}), "/spec/names/0: expected string"),
        (json!({"size": 1, "limits": {"cpu": []}}), "/spec/limits/cpu"),
        (json!({"size": 1, "replica": 2}), "/spec/replica: the schema has no such property"),
        (json!({"size": null}), "/spec/size: expected integer"),
    ] {
        let thing =
            json!({"apiVersion": "example.dev/v1", "kind": "Thing", "metadata": {"name": "x"}, "spec": spec});
        let findings = check_custom(&crd, &[Resource { place: "thing".to_owned(), value: thing }]);
        assert_eq!(findings.is_empty(), expected.is_empty(), "{spec}: {findings:?}");
        assert!(findings.iter().all(|finding| finding.contains(expected)), "{spec}: {findings:?}");
    }
    for (version, kind, expected) in [
        ("example.dev/v2", "Thing", "no version v2"),
        ("example.dev/v1", "Other", "no CRD defines this kind"),
    ] {
        let value = json!({"apiVersion": version, "kind": kind});
        let findings = check_custom(&crd, &[Resource { place: "thing".to_owned(), value }]);
        assert!(findings[0].contains(expected), "{findings:?}");
    }
}

#[test]
fn wrong_custom_resource_is_found_with_the_published_crds() {
    // If the CRDs are missing, `cargo dev test` lists the check as skipped.
    let Some(crds) = crds(&crd_folder()).unwrap() else { return };
    let mistakes: [Mistake; 6] = [
        ("SpinApp", "/spec/invocationLimit", json!({}), "/spec/invocationLimit"),
        ("SpinApp", "/spec/replicas", json!("2"), "/spec/replicas: expected integer"),
        ("SpinApp", "/spec/image", Value::Null, "/spec/image: is missing"),
        ("SpinAppExecutor", "/spec/deploymentConfig/installCACerts", json!(true), "installCACerts"),
        ("ScaledJob", "/spec/maxReplicas", json!(1), "/spec/maxReplicas"),
        ("TriggerAuthentication", "/spec/secretTargetRef/0/parameter", Value::Null, "parameter: is missing"),
    ];
    for mistake in &mistakes {
        assert_found(mistake, &check_custom(&crds, &with_mistake(mistake)));
    }
}

#[test]
fn key_that_is_set_twice_is_refused() {
    assert!(Resource::parse("x", "kind: A\nkind: B\n").is_err());
}

#[test]
fn every_file_of_base_is_checked_and_listed_in_the_kustomization() {
    let root = root();
    let base = std::fs::read_dir(root.join(FOLDER).join("base")).unwrap();
    let mut files: Vec<String> = base
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter_map(|name| name.strip_suffix(".yaml").map(ToOwned::to_owned))
        .filter(|name| name != "kustomization")
        .collect();
    files.sort();
    let mut checked: Vec<&str> =
        BUILT_IN.iter().chain(&CUSTOM).copied().filter(|name| !name.contains('/')).collect();
    checked.sort_unstable();
    assert_eq!(files, checked);
    let kustomization = read(&root, &format!("{FOLDER}/base/kustomization.yaml")).unwrap();
    for name in checked {
        assert!(kustomization.contains(&format!("  - {name}.yaml\n")), "{name}");
    }
}
