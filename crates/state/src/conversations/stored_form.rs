//! The stored form of a conversation's address, and how an activity changes the stored address.

use bot_framework::{ChannelAccount, ConversationReference};
use zones::Zone;

/// The kind of an activity. The kind decides which parts of the conversation's record the activity is allowed
/// to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// A person sent a message.
    Message,
    /// The bot was installed or added.
    Installed,
    /// Any other activity. Anyone can have caused such an activity, so it does not show that the person is
    /// present.
    Update,
}

/// Returns the stored form of a reference. The stored form has no activity id, only the person that
/// [`stored_user`] returns, and only the locale that [`stored_locale`] returns.
pub(super) fn stored_form(reference: &ConversationReference) -> ConversationReference {
    let mut stored = reference.clone();
    stored.activity_id = None;
    if stored_user(reference).is_none() {
        stored.user = None;
    }
    if stored_locale(reference).is_none() {
        stored.locale = None;
    }
    stored
}

/// The person in the stored form; `None` if the user of the reference is the bot itself. A group also has no
/// person, because the user is only the member who wrote last.
pub(super) fn stored_user(reference: &ConversationReference) -> Option<&ChannelAccount> {
    let is_bot = |id: &str| reference.bot.as_ref().is_some_and(|bot| bot.id == id);
    reference.user.as_ref().filter(|user| !reference.conversation.is_group() && !is_bot(&user.id))
}

/// The locale in the stored form. A group has no locale, because each member has their own.
pub(super) fn stored_locale(reference: &ConversationReference) -> Option<&str> {
    reference.locale.as_deref().filter(|_| !reference.conversation.is_group())
}

/// The time zone in the stored form. A group has no zone, because each member has their own.
pub(super) fn stored_zone(reference: &ConversationReference, zone: Option<Zone>) -> Option<Zone> {
    zone.filter(|_| !reference.conversation.is_group())
}

/// The known zone, updated by the zone of an activity. Only a message changes the zone, because only a
/// message shows in which zone the person is. An offset (e.g. `+01:00`) does not replace the name of a zone,
/// because an offset does not show when summer time begins and ends. A person can use one client that sends
/// the name and another client that sends the offset.
pub(super) fn merged_zone(known: Option<Zone>, heard: Option<Zone>, sign: Sign) -> Option<Zone> {
    let is_better = |heard: &Zone| heard.is_named() || !known.is_some_and(|known| known.is_named());
    heard.filter(|heard| sign == Sign::Message && is_better(heard)).or(known)
}

/// The known address, updated by the address of an activity. `Fingerprint::covers` must follow the same
/// rules.
pub(super) fn merged(
    known: &ConversationReference,
    heard: &ConversationReference,
    sign: Sign,
) -> ConversationReference {
    let mut after = known.clone();
    after.service_url.clone_from(&heard.service_url);
    after.service_url_verified = heard.service_url_verified;
    let is_message = sign == Sign::Message;
    let or = |heard: &Option<_>, known| heard.clone().or(known);
    if is_message {
        after.conversation.clone_from(&heard.conversation);
        after.bot = or(&heard.bot, after.bot);
        after.locale = heard.locale.clone().or(after.locale);
    }
    if is_message || after.user.is_none() {
        after.user = or(&heard.user, after.user);
    }
    after
}
