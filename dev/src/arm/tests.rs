//! Tests of the template `deploy/azure/azuredeploy.json`, and of the checks in this folder. To test the
//! checks, some tests put a mistake into a copy of the template. A check must find each mistake.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::template::{Deployment, evaluate_template};
use super::{examples, template, types, types_folder};

const QUEUE_ROLE: &str = "974c5e8b-45b9-4653-ba55-5f855dd0fb88";
const TABLE_ROLE: &str = "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3";

fn deployments() -> [(&'static str, Deployment); 2] {
    let template = template().unwrap();
    examples().map(|(name, parameters)| (name, evaluate_template(&template, &parameters).unwrap()))
}

fn of_type<'a>(deployment: &'a Deployment, kind: &str) -> Vec<&'a Value> {
    deployment.resources.iter().filter(|resource| resource["type"] == kind).collect()
}

fn names<'a>(resources: &[&'a Value]) -> Vec<&'a str> {
    resources.iter().map(|resource| resource["name"].as_str().unwrap()).collect()
}

#[test]
fn evaluated_template_equals_the_golden_file() {
    let mut differences = Vec::new();
    for (name, deployment) in deployments() {
        let expected = crate::workspace::root().join(format!("dev/src/arm/golden/{name}.json"));
        let found = serde_json::to_string_pretty(
            &json!({"resources": deployment.resources, "outputs": deployment.outputs}),
        )
        .unwrap()
            + "\n";
        if std::fs::read_to_string(&expected).is_ok_and(|expected| expected == found) {
            continue;
        }
        let written = std::env::temp_dir().join(format!("arm-{name}.json"));
        std::fs::write(&written, found).unwrap();
        differences.push(format!("diff {} {}", expected.display(), written.display()));
    }
    assert!(
        differences.is_empty(),
        "to see the differences, run {differences:?}; if the second file is right, copy it over the first"
    );
}

#[test]
fn every_parameter_and_variable_is_read_in_at_least_one_deployment() {
    let unread = deployments().map(|(_, deployment)| deployment.unread);
    let in_neither: BTreeSet<_> = unread[0].intersection(&unread[1]).collect();
    assert!(in_neither.is_empty(), "{in_neither:?}");
}

#[test]
fn names_have_lengths_and_characters_that_azure_accepts() {
    let is = |text: &str, least: usize, most: usize, extra: &str| {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || extra.contains(c);
        (least..=most).contains(&text.len()) && text.chars().all(allowed)
    };
    for (_, deployment) in deployments() {
        for (kind, least, most, extra) in [
            ("Microsoft.BotService/botServices", 4, 42, "-_"),
            ("Microsoft.Storage/storageAccounts", 3, 24, ""),
            ("Microsoft.Storage/storageAccounts/queueServices/queues", 3, 63, "-"),
            ("Microsoft.Storage/storageAccounts/tableServices/tables", 3, 63, ""),
            ("Microsoft.ManagedIdentity/userAssignedIdentities", 3, 128, "-_"),
            ("Microsoft.Authorization/roleAssignments", 36, 36, "-"),
        ] {
            for name in names(&of_type(&deployment, kind)) {
                let last = name.rsplit('/').next().unwrap();
                assert!(is(last, least, most, extra), "{kind}: {last}");
            }
        }
    }
    // Each parameter that is part of a name has its greatest length. With the suffix `-replies`, a
    // `queueName` of 55 characters makes a queue name of 63 characters.
    let longest = json!({
        "botName": "b".repeat(42), "storageAccountName": "s".repeat(24), "queueName": "q".repeat(55),
        "tablePrefix": "t".repeat(40), "appType": "UserAssignedMSI",
    });
    let deployment = evaluate_template(&template().unwrap(), &longest).unwrap();
    let queues = of_type(&deployment, "Microsoft.Storage/storageAccounts/queueServices/queues");
    let tables = of_type(&deployment, "Microsoft.Storage/storageAccounts/tableServices/tables");
    for name in [names(&queues), names(&tables)].concat() {
        assert!(name.rsplit('/').next().unwrap().len() <= 63, "{name}");
    }
}

#[test]
fn deployment_has_the_queues_tables_and_roles_of_the_components() {
    for (_, deployment) in deployments() {
        let last = |kind: &str| -> Vec<String> {
            let names = names(&of_type(&deployment, kind));
            names.into_iter().map(|name| name.rsplit('/').next().unwrap().to_owned()).collect()
        };
        // These names follow from the defaults of the parameters `queueName` and `tablePrefix`.
        let queues = last("Microsoft.Storage/storageAccounts/queueServices/queues");
        assert_eq!(queues, ["bot-queue", "bot-queue-poison", "bot-queue-replies"]);
        let tables = last("Microsoft.Storage/storageAccounts/tableServices/tables");
        assert_eq!(tables, ["proactivebotconversations", "proactivebotledger", "proactivebotruns"]);
        let bot = of_type(&deployment, "Microsoft.BotService/botServices")[0];
        assert_eq!(bot["properties"]["endpoint"], "https://bot.example/api/messages");
        let roles = of_type(&deployment, "Microsoft.Authorization/roleAssignments");
        let roles: Vec<_> =
            roles.iter().map(|role| role["properties"]["roleDefinitionId"].as_str().unwrap()).collect();
        assert!(
            roles[0].ends_with(QUEUE_ROLE) && roles[1].ends_with(TABLE_ROLE) && roles.len() == 2,
            "{roles:?}"
        );
        let account = of_type(&deployment, "Microsoft.Storage/storageAccounts")[0];
        assert_eq!(account["properties"]["minimumTlsVersion"], "TLS1_2");
        assert_eq!(account["properties"]["allowBlobPublicAccess"], false);
    }
}

#[test]
fn role_is_assigned_only_to_a_known_principal() {
    for (parameters, expected) in [
        (json!({"appId": "a"}), None),
        (json!({"appId": "a", "principalId": "p"}), Some("p")),
        (json!({"appType": "UserAssignedMSI", "botName": "bot7"}), Some("<principalId of bot7-identity>")),
    ] {
        let deployment = evaluate_template(&template().unwrap(), &parameters).unwrap();
        let roles = of_type(&deployment, "Microsoft.Authorization/roleAssignments");
        let principals: Vec<_> =
            roles.iter().map(|role| role["properties"]["principalId"].as_str()).collect();
        assert_eq!(principals, expected.map(|name| vec![Some(name); 2]).unwrap_or_default(), "{parameters}");
    }
}

#[test]
fn template_calls_no_function_that_returns_a_secret() {
    // Azure keeps the outputs in the history of deployments, unencrypted. The functions below return keys and
    // signatures, so the template must not call these functions.
    let text =
        std::fs::read_to_string(crate::workspace::root().join("deploy/azure/azuredeploy.json")).unwrap();
    for function in ["listKeys", "listAccountSas", "listServiceSas", "list("] {
        assert!(!text.contains(function), "{function}");
    }
}

/// Returns a copy of the template that has `value` at this JSON pointer.
fn with_mistake(pointer: &str, value: Value) -> Value {
    let mut template = template().unwrap();
    *template.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
    template
}

fn resource(kind: &str) -> usize {
    let template = template().unwrap();
    let resources = template["resources"].as_array().unwrap();
    resources.iter().position(|resource| resource["type"] == kind).unwrap()
}

#[test]
fn mistake_in_the_template_is_found() {
    let bot = resource("Microsoft.BotService/botServices");
    let roles = resource("Microsoft.Authorization/roleAssignments");
    let parameters = examples()[0].1.clone();
    for (pointer, value, expected) in [
        (format!("/resources/{bot}/name"), json!("[parameters('name')]"), "parameter `name` does not exist"),
        (format!("/resources/{bot}/name"), json!("a/b"), "expected 1 parts, found `a/b`"),
        (format!("/resources/{bot}/dependsOn"), json!(["x"]), "no resource of the template has the id \"x\""),
        (
            format!("/resources/{roles}/name"),
            json!("[guid(reference(variables('identityId'), '2024-11-30').principalId)]"),
            "`reference` reads the state of a resource",
        ),
        (format!("/resources/{roles}/name"), json!("[guid('a')]"), "two resources have the id"),
        ("/parameters/botName/maxLength".into(), json!(20), "has 27 characters"),
        ("/parameters/sku/defaultValue".into(), json!("F9"), "\"F9\" is not an allowed value"),
        ("/parameters/channels/type".into(), json!("string"), "expected string, found ["),
        ("/variables/queues/0".into(), json!("[parameters('queueName']"), "expected `,` or `)`"),
        (
            "/outputs/queuename/value".into(),
            json!("[length(variables('queues'))]"),
            "expected string, found 3",
        ),
    ] {
        let error = evaluate_template(&with_mistake(&pointer, value), &parameters).unwrap_err().to_string();
        assert!(error.contains(expected), "{pointer}: {error}");
    }
    let error = evaluate_template(&template().unwrap(), &json!({"apId": "x"})).unwrap_err().to_string();
    assert!(error.contains("the template does not declare it"), "{error}");
}

#[test]
fn check_without_descriptions_reports_that_nothing_is_checked() {
    let why = super::check_types_in(std::path::Path::new("/no/such/folder")).unwrap().unwrap();
    assert!(why.contains("are NOT checked, because /no/such/folder does not exist; put files of"), "{why}");
}

/// On a machine without Azure's descriptions of resource types, this test checks nothing. The summary of
/// `cargo dev test` then lists the comparison with the descriptions as skipped.
#[test]
fn difference_from_azures_types_is_found() {
    if !types_folder().is_dir() {
        return;
    }
    super::check_types().unwrap();
    let bot = resource("Microsoft.BotService/botServices");
    let teams = resource("Microsoft.BotService/botServices/channels");
    let account = resource("Microsoft.Storage/storageAccounts");
    let (properties, channel) =
        (format!("/resources/{bot}/properties"), format!("/resources/{teams}/properties"));
    for (pointer, value, expected) in [
        (format!("/resources/{bot}/apiVersion"), json!("2022-09-16"), "no file describes this type"),
        // The child resources still depend on an id with the old type.
        (
            format!("/resources/{bot}/type"),
            json!("Microsoft.BotService/bots"),
            "no resource of the template has the id",
        ),
        (format!("/resources/{bot}/kind"), json!("azurebod"), ".kind: expected one of"),
        (format!("/resources/{bot}/sku"), json!({"name": "F9"}), ".sku.name: expected one of"),
        (format!("{properties}/endpoint"), Value::Null, "`endpoint` is missing"),
        (format!("{properties}/msaAppType"), json!("Multi"), ".msaAppType: expected one of"),
        (
            properties.clone(),
            json!({"msaAppTyp": "x", "displayName": "a", "endpoint": "b", "msaAppId": "c"}),
            ".msaAppTyp: the type has no such",
        ),
        (format!("{channel}/channelName"), json!("TeamsChannel"), "channelName cannot be `TeamsChannel`"),
        (format!("{channel}/properties"), json!({"acceptedTerms": true}), "`isEnabled` is missing"),
        (format!("{channel}/properties/isEnabled"), json!("yes"), "expected true or false, found \"yes\""),
        (format!("/resources/{account}/sku/name"), json!("Standard_LSR"), ".sku.name: expected one of"),
        (
            format!("/resources/{account}/sku"),
            json!({"name": "Standard_LRS", "tier": "Standard"}),
            "`tier` can only be read",
        ),
    ] {
        let template = with_mistake(&pointer, value);
        let deployment = evaluate_template(&template, &examples()[0].1);
        let error = match deployment {
            Ok(deployment) => {
                let errors = deployment
                    .resources
                    .iter()
                    .filter_map(|resource| types::check(&types_folder(), resource).err());
                errors.map(|error| error.to_string()).collect::<Vec<_>>().join("\n")
            }
            Err(error) => error.to_string(),
        };
        assert!(error.contains(expected), "{pointer}: {error}");
    }
}
