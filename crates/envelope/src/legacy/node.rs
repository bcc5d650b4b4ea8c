//! Reads messages of bots that were made with the Node.js template of 2017 (botbuilder v3): `{address: {id,
//! channelId, user, conversation, bot, serviceUrl}, text}`. Messages in this bot's own format (version 1)
//! have the same fields, and more.

use bot_framework::ConversationReference;
use bot_framework::json::Fields;

use super::content::Content;
use crate::DecodeError;

/// The serviceUrl of Teams in the public cloud
/// (<https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/send-proactive-messages>).
/// [`read`] uses this URL if the serviceUrl of Teams has no path.
const TEAMS: &str = "https://smba.trafficmanager.net/teams/";

pub(super) fn read(fields: &mut Fields) -> Result<Content, DecodeError> {
    let mut address = fields.required_object("address")?;
    // `useAuth` told the old bot whether to send its token to the serviceUrl. This bot ignores `useAuth`,
    // because this bot sends tokens only to trusted hosts.
    address.take("useAuth");
    let mut address = ConversationReference::from_fields(address)?;
    if has_lost_its_path(&address) {
        address.service_url = TEAMS.into();
    }
    Ok(Content { address, text: fields.required_string("text")? })
}

/// Whether the serviceUrl is the URL of Teams without the path. botbuilder 3.0 to 3.2 removed the path from
/// each serviceUrl. If the path is missing, Teams responds with 404.
fn has_lost_its_path(address: &ConversationReference) -> bool {
    let bare = address.service_url.trim_end_matches('/');
    address.channel_id == "msteams" && bare.eq_ignore_ascii_case("https://smba.trafficmanager.net")
}
