//! Checks `deploy/azure/azuredeploy.json` without Azure. This template of Azure Resource Manager (ARM) makes
//! the bot's resources.
//!
//! `expression.rs` parses the template's expressions. `evaluate.rs` and `template.rs` evaluate the template
//! for two example deployments. In the first, the bot uses a single-tenant app registration. In the second,
//! the bot uses a user-assigned identity. The tests compare each result with the expected result, a file in
//! the folder `golden`.
//!
//! `types.rs` compares the resources of each result with Azure's descriptions of resource types. The project
//! does not contain these descriptions. If the descriptions are missing, the summary of `cargo dev test`
//! lists this comparison as skipped.

mod evaluate;
mod expression;
mod template;
#[cfg(test)]
mod tests;
mod types;

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Map, Value, json};

use crate::workspace::root;

/// The example deployments: for each, the name and the values of the template's parameters.
fn examples() -> [(&'static str, Value); 2] {
    [
        (
            "single-tenant",
            json!({
                "appId": "11111111-1111-1111-1111-111111111111",
                "principalId": "22222222-2222-2222-2222-222222222222",
                "appUrl": "https://bot.example",
                "allowSharedKeyAccess": false,
            }),
        ),
        (
            "user-assigned-identity",
            json!({
                "appType": "UserAssignedMSI",
                "appUrl": "https://bot.example",
                "botName": "contoso-alerts",
                "channels": ["MsTeamsChannel"],
                "federatedIssuer": "https://issuer.example",
                "federatedSubject": "contoso-alerts",
                "sku": "S1",
            }),
        ),
    ]
}

fn template() -> anyhow::Result<Value> {
    let path = root().join("deploy/azure/azuredeploy.json");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("cannot parse {}", path.display()))
}

/// The folder with Azure's descriptions of resource types.
fn types_folder() -> PathBuf {
    root().join("../shared/data/bicep-types")
}

/// The outputs of the template for these values of its parameters. If `parameters` has a parameter that the
/// template does not declare, the error names this parameter.
pub fn outputs(parameters: &Value) -> anyhow::Result<Map<String, Value>> {
    Ok(template::evaluate_template(&template()?, parameters)?.outputs)
}

/// Compares the template's resources with Azure's descriptions of resource types. Fails at the first
/// difference, and returns `None` if there is no difference. If the descriptions are missing, the function
/// compares nothing, and returns the reason.
pub fn check_types() -> anyhow::Result<Option<String>> {
    check_types_in(&types_folder())
}

fn check_types_in(folder: &Path) -> anyhow::Result<Option<String>> {
    if !folder.is_dir() {
        return Ok(Some(format!(
            "resource types, apiVersions and properties are NOT checked, because {} does not exist; put files of \
             https://github.com/Azure/bicep-types-az there",
            folder.display()
        )));
    }
    let template = template()?;
    for (name, parameters) in examples() {
        for resource in
            template::evaluate_template(&template, &parameters).with_context(|| name.to_owned())?.resources
        {
            types::check(folder, &resource)
                .with_context(|| format!("deploy/azure/azuredeploy.json: {name}"))?;
        }
    }
    Ok(None)
}
