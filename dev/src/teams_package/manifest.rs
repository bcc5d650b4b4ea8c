//! Makes the content of `manifest.json` in the app package.
//!
//! Source: <https://learn.microsoft.com/microsoft-365/extensibility/schema/>.

use std::fmt::Write;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::app::App;
use super::icon::{COLOR, OUTLINE};

/// The version of the schema. Old Teams clients refuse newer versions, and the bot needs no newer version.
const VERSION: &str = "1.19";

/// The commands that Teams suggests: title, description, and whether the bot obeys the command in a group (a
/// team or a group chat). The title is the beginning of the command. The person types the rest, e.g. the tag
/// of `subscribe`.
const COMMANDS: [(&str, &str, bool); 8] = [
    ("help", "Lists what the bot understands", true),
    ("remind me in", "Reminds you later, e.g. remind me in 10 minutes tea", true),
    ("subscribe", "Brings the alerts of a tag into this conversation, e.g. subscribe orders-42", true),
    ("unsubscribe", "Ends the alerts of a tag, e.g. unsubscribe orders-42", true),
    ("stop", "Ends all alerts from others in this chat", false),
    ("start", "Brings the alerts back", false),
    ("quiet", "Makes alerts from others wait during these hours, e.g. quiet 22:00-07:00", false),
    ("webhook", "Shows an address; other programs can post alerts to it", true),
];

/// Makes the manifest of an app. The values of the app must be valid.
pub(super) fn of(app: &App) -> Value {
    let origin = app.origin().unwrap_or_default();
    let page = |page: &Option<String>| page.clone().unwrap_or_else(|| origin.clone());
    let host = origin.trim_start_matches("https://");
    let mut manifest = json!({
        "$schema": format!(
            "https://developer.microsoft.com/en-us/json-schemas/teams/v{VERSION}/MicrosoftTeams.schema.json"
        ),
        "manifestVersion": VERSION,
        "version": app.version,
        "id": app_id(&app.bot_id),
        "developer": {
            "name": app.developer,
            "websiteUrl": page(&app.website),
            "privacyUrl": page(&app.privacy),
            "termsOfUseUrl": page(&app.terms),
        },
        "name": {"short": app.name, "full": app.name},
        "description": {
            "short": "Sends you alerts, and repeats what you write to it",
            "full": "The bot sends alerts of your organization's programs to people, teams and chats. It queues \
                     what you write to it, and sends it back as an alert. Write help to see its commands.",
        },
        "icons": {"color": COLOR, "outline": OUTLINE},
        "accentColor": "#1F4E8C",
        "bots": [{
            "botId": app.bot_id.to_ascii_lowercase(),
            "scopes": app.scopes,
            "isNotificationOnly": false,
            "supportsFiles": false,
            "supportsCalling": false,
            "supportsVideo": false,
            "commandLists": command_lists(&app.scopes),
        }],
        "validDomains": [host],
    });
    if app.read_receipts {
        // This kind of permission does not use `resource`, but Teams refuses the package without `resource`.
        let id = app.bot_id.to_ascii_lowercase();
        manifest["webApplicationInfo"] = json!({"id": id, "resource": format!("api://{id}")});
        let permission = json!({"name": "ChatMessageReadReceipt.Read.Chat", "type": "Application"});
        manifest["authorization"] = json!({"permissions": {"resourceSpecific": [permission]}});
    }
    manifest
}

/// Makes a list of commands for personal chats, and a list for groups. The list for groups is shorter,
/// because the bot obeys fewer commands in a group.
fn command_lists(scopes: &[String]) -> Vec<Value> {
    let (personal, groups): (Vec<_>, Vec<_>) = scopes.iter().partition(|scope| *scope == "personal");
    let lists = [(personal, false), (groups, true)].into_iter().filter(|(scopes, _)| !scopes.is_empty());
    lists
        .map(|(scopes, in_group)| {
            let commands = COMMANDS.iter().filter(|(_, _, works_in_group)| *works_in_group || !in_group);
            let command = |(title, description, _): &(&str, &str, bool)| {
                json!({"title": title, "description": description})
            };
            json!({"scopes": scopes, "commands": commands.map(command).collect::<Vec<_>>()})
        })
        .collect()
}

/// The id of the app in Teams: a UUID of version 8 (RFC 9562) that this function computes from the bot's id.
/// All packages of one bot have the same id, so in Teams a new package replaces the old package. The app's id
/// differs from the bot's id, because the bot's id can already be the id of another app in the organization.
fn app_id(bot_id: &str) -> String {
    let mut digest = Sha256::digest(format!("proactive-bot teams app {}", bot_id.to_ascii_lowercase()));
    digest[6] = digest[6] & 0x0f | 0x80;
    digest[8] = digest[8] & 0x3f | 0x80;
    let mut id = String::new();
    for (index, byte) in digest.iter().take(16).enumerate() {
        if [4, 6, 8, 10].contains(&index) {
            id.push('-');
        }
        // Writing to a string does not fail.
        _ = write!(id, "{byte:02x}");
    }
    id
}

#[cfg(test)]
mod tests {
    use super::super::app::is_uuid;
    use super::super::tests::app;
    use super::*;

    #[test]
    fn manifest_has_the_bots_id_scopes_and_host_and_no_permission() {
        let manifest = of(&app());
        let bot = &manifest["bots"][0];
        assert_eq!(bot["botId"], "11111111-2222-3333-4444-555555555555");
        assert_eq!(bot["scopes"], json!(["personal", "team", "groupChat"]));
        assert_eq!(manifest["validDomains"], json!(["bot.example.com"]));
        assert_eq!(manifest["developer"]["privacyUrl"], "https://bot.example.com");
        assert!(manifest.get("authorization").is_none() && manifest.get("webApplicationInfo").is_none());
    }

    #[test]
    fn commands_that_the_bot_refuses_in_groups_are_for_personal_chats_only() {
        let titles = |scopes: &[&str]| -> Vec<Vec<String>> {
            let scopes: Vec<_> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
            let titles = |list: Value| -> Vec<String> {
                let commands = list["commands"].as_array().unwrap();
                commands.iter().map(|command| command["title"].as_str().unwrap().to_owned()).collect()
            };
            command_lists(&scopes).into_iter().map(titles).collect()
        };
        let (personal_commands, group_commands) = (8, 5);
        for (scopes, expected) in [
            (&["personal", "team", "groupChat"][..], &[personal_commands, group_commands][..]),
            (&["personal"], &[personal_commands]),
            (&["team"], &[group_commands]),
        ] {
            let lists = titles(scopes);
            assert_eq!(lists.iter().map(Vec::len).collect::<Vec<_>>(), expected, "{scopes:?}");
        }
        assert!(!titles(&["team"])[0].contains(&"stop".to_owned()));
    }

    #[test]
    fn app_id_is_stable_and_differs_from_the_bots_id() {
        let id = app_id("AAAAAAAA-2222-3333-4444-555555555555");
        assert!(is_uuid(&id), "{id}");
        assert_eq!(id, app_id("aaaaaaaa-2222-3333-4444-555555555555"));
        assert_ne!(id, app_id("aaaaaaab-2222-3333-4444-555555555555"));
        assert_eq!(&id[14..15], "8");
    }

    #[test]
    fn app_with_read_receipts_asks_for_the_permission() {
        let manifest = of(&App { read_receipts: true, ..app() });
        let permission = &manifest["authorization"]["permissions"]["resourceSpecific"][0];
        assert_eq!(permission["name"], "ChatMessageReadReceipt.Read.Chat");
        assert_eq!(manifest["webApplicationInfo"]["id"], app().bot_id.as_str());
    }
}
