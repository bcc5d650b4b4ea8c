//! The Node.js template (botbuilder v3): `{address: {id, channelId, user, conversation, bot, serviceUrl}, text}`. Version 1
//! is a superset of it.

use bot_framework::ConversationReference;
use bot_framework::json::Fields;

use super::Said;
use crate::DecodeError;

/// Where Teams is in the public cloud, if the message has lost the path of its serviceUrl: the documented default
/// (<https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/send-proactive-messages>).
const TEAMS: &str = "https://smba.trafficmanager.net/teams/";

pub(super) fn read(fields: &mut Fields) -> Result<Said, DecodeError> {
    let mut address = fields.required_object("address")?;
    // "Send without a token": here the host decides on that, not the message.
    address.take("useAuth");
    let mut address = ConversationReference::from_fields(address)?;
    if has_lost_its_path(&address) {
        address.service_url = TEAMS.into();
    }
    Ok(Said { address, text: fields.required_string("text")? })
}

/// botbuilder 3.0 to 3.2 cut every serviceUrl to scheme and host. That of Teams has a path, without which it answers 404.
fn has_lost_its_path(address: &ConversationReference) -> bool {
    let bare = address.service_url.trim_end_matches('/');
    address.channel_id == "msteams" && bare.eq_ignore_ascii_case("https://smba.trafficmanager.net")
}
