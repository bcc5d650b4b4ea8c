//! The stored form of a conversation's address, and how an activity changes the stored address.

use bot_framework::{ChannelAccount, ConversationReference};
use zones::Zone;

/// The kind of an activity: whether the activity is a sign that the person is present. The kind decides which
/// parts of the conversation's record the activity changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// A person sent a message.
    Message,
    /// The bot was installed for a person, or added to a conversation.
    Installed,
    /// Any other activity. Perhaps another person has caused the activity. So the activity does not show that
    /// the conversation's own person is present. The poller also passes this kind when it stores a chat that
    /// it has created.
    Update,
}

/// Returns the stored form of a conversation reference (a conversation's address). The stored form has no
/// activity id. Its person is the result of [`stored_user`], and its locale is the result of
/// [`stored_locale`].
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

/// The person in the stored form; `None` if the user of the reference is the bot itself. The stored form of a
/// group has no person, because the user of the reference is the member who wrote last.
pub(super) fn stored_user(reference: &ConversationReference) -> Option<&ChannelAccount> {
    let is_bot = |id: &str| reference.bot.as_ref().is_some_and(|bot| bot.id == id);
    reference.user.as_ref().filter(|user| !reference.conversation.is_group() && !is_bot(&user.id))
}

/// The locale in the stored form. A group has no locale, because its members can have different locales.
pub(super) fn stored_locale(reference: &ConversationReference) -> Option<&str> {
    reference.locale.as_deref().filter(|_| !reference.conversation.is_group())
}

/// The time zone to store with the address. A group has no zone, because its members can be in different
/// zones.
pub(super) fn stored_zone(reference: &ConversationReference, zone: Option<Zone>) -> Option<Zone> {
    zone.filter(|_| !reference.conversation.is_group())
}

/// The zone to store after an activity: the stored zone `known`, or the activity's zone `incoming`. Only a
/// message changes the zone, because only a message shows in which zone the person is.
///
/// An offset (e.g. `+01:00`) does not replace the name of a zone (e.g. `Europe/Berlin`), because an offset
/// does not show when summer time begins and ends. If one client of the person sends the name, and another
/// client sends the offset, the name stays.
pub(super) fn merged_zone(known: Option<Zone>, incoming: Option<Zone>, sign: Sign) -> Option<Zone> {
    let is_better = |incoming: &Zone| incoming.is_named() || !known.is_some_and(|known| known.is_named());
    incoming.filter(|incoming| sign == Sign::Message && is_better(incoming)).or(known)
}

/// The address to store after an activity: the stored address `known`, updated by the activity's address
/// `incoming`. The method `Fingerprint::covers` predicts whether an activity changes the stored address. So
/// `covers` must follow the same rules as this function.
pub(super) fn merged(
    known: &ConversationReference,
    incoming: &ConversationReference,
    sign: Sign,
) -> ConversationReference {
    let mut after = known.clone();
    after.service_url.clone_from(&incoming.service_url);
    after.service_url_verified = incoming.service_url_verified;
    let is_message = sign == Sign::Message;
    let or = |incoming: &Option<_>, known| incoming.clone().or(known);
    if is_message {
        after.conversation.clone_from(&incoming.conversation);
        after.bot = or(&incoming.bot, after.bot);
        after.locale = incoming.locale.clone().or(after.locale);
    }
    if is_message || after.user.is_none() {
        after.user = or(&incoming.user, after.user);
    }
    after
}
