//! Checks whether the app package for Teams names this bot and its address.

use dev::teams_package::MANIFEST;
use serde_json::Value;
use url::Url;

use crate::archive;
use crate::report::Report;
use crate::variables::Variables;

pub(super) fn check(package: &[u8], variables: Option<&Variables>, url: Option<&str>, report: &mut Report) {
    let manifest =
        if package.starts_with(b"PK") { archive::file(package, MANIFEST) } else { Ok(package.to_vec()) };
    let manifest = match manifest {
        Ok(manifest) => manifest,
        Err(error) => {
            report.problem(format!("package: {error}"));
            return;
        }
    };
    let text = manifest.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&manifest);
    let Ok(manifest) = serde_json::from_slice::<Value>(text) else {
        report.problem("manifest.json: not JSON; make the package again with cargo dev teams");
        return;
    };
    let bot = manifest["bots"][0]["botId"].as_str().unwrap_or_default();
    if bot.is_empty() {
        report.problem("manifest.json: has no bots[0].botId; make the package again with cargo dev teams");
        return;
    }
    let app_id = variables.map(|variables| variables.trimmed("microsoftappid")).unwrap_or_default();
    let shown: String = bot.chars().take(36).collect();
    if app_id.is_empty() {
        report.skip(format!(
            "the package is for the bot {shown}; give --env FILE with microsoftappid to compare the two"
        ));
    } else if bot.eq_ignore_ascii_case(app_id) {
        report.fine("the package is for this bot");
    } else {
        report.problem(format!(
            "the package is for another bot: botId is {shown}, microsoftappid is {app_id}; make the package again: cargo dev teams \
             --app-id {app_id}"
        ));
    }
    let other = manifest["webApplicationInfo"]["id"].as_str().filter(|id| !id.eq_ignore_ascii_case(bot));
    if other.is_some() {
        report.warn("manifest.json: webApplicationInfo.id is not botId; permissions then go to another app");
    }
    let host = url.and_then(|url| Url::parse(url).ok()).and_then(|url| url.host_str().map(str::to_owned));
    if let (Some(host), Some(domains)) = (host, manifest["validDomains"].as_array()) {
        let is_named = domains.iter().filter_map(Value::as_str).any(|domain| {
            let name = domain.split(':').next().unwrap_or_default();
            name.eq_ignore_ascii_case(&host)
                || name.strip_prefix('*').is_some_and(|rest| host.ends_with(rest))
        });
        if !domains.is_empty() && !is_named {
            report.warn(format!(
                "manifest.json: validDomains does not name {host}; make the package again with this --url"
            ));
        }
    }
}
