//! Reads messages of the Node.js template (botbuilder v3):
//! `{address: {id, channelId, user, conversation, bot, serviceUrl}, text}`. Version 1 is a superset of this
//! shape.

use bot_framework::ConversationReference;
use bot_framework::json::Fields;

use super::content::Content;
use crate::DecodeError;

/// The serviceUrl of Teams in the public cloud
/// (<https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/send-proactive-messages>).
/// This URL replaces a serviceUrl that has lost its path.
const TEAMS: &str = "https://smba.trafficmanager.net/teams/";

pub(super) fn read(fields: &mut Fields) -> Result<Content, DecodeError> {
    let mut address = fields.required_object("address")?;
    // `useAuth` told the old bot whether to send a token. This bot ignores `useAuth`, because this bot sends
    // tokens only to trusted hosts.
    address.take("useAuth");
    let mut address = ConversationReference::from_fields(address)?;
    if has_lost_its_path(&address) {
        address.service_url = TEAMS.into();
    }
    Ok(Content { address, text: fields.required_string("text")? })
}

/// Whether the serviceUrl is the URL of Teams without the path. botbuilder 3.0 to 3.2 cut each serviceUrl to
/// scheme and host. If the path is missing, Teams answers 404.
fn has_lost_its_path(address: &ConversationReference) -> bool {
    let bare = address.service_url.trim_end_matches('/');
    address.channel_id == "msteams" && bare.eq_ignore_ascii_case("https://smba.trafficmanager.net")
}
