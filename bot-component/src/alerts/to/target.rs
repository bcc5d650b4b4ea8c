//! A conversation that an API call alerts.

use bot_framework::ConversationReference;
use envelope::{Creation, CreationOf};
use state::ledger::Status;
use state::{Conversation, ConversationKey, Known, Quiet, Tag};
use zones::Zone;

use crate::rejection::HookRejection;
use crate::settings::BotSettings;

/// The Bot Framework's id of Teams. The bot can create conversations only on Teams.
pub(in crate::alerts) const TEAMS: &str = "msteams";

/// A conversation to alert.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::alerts) struct Target {
    pub(in crate::alerts) key: ConversationKey,
    pub(in crate::alerts) address: ConversationReference,
    /// The reason why the conversation gets no alert now. `None` if the conversation gets the alert.
    pub(in crate::alerts) held: Option<Held>,
    /// The first tag in `to` to which the conversation subscribes. `None` if `to` names the conversation
    /// without a tag.
    ///
    /// The field decides what happens if the alert is too large for the conversation. If the field is `None`,
    /// the bot refuses the call. Otherwise, the other conversations still get the alert, because the caller
    /// does not know the subscribers of a tag. But if all conversations of the call fit into one page (at
    /// most 100 conversations), and the alert is too large for each of them, the bot refuses the call.
    pub(in crate::alerts) tag: Option<Tag>,
    /// Tells the poller how to create or find the conversation. `None` if the bot knows the conversation. If
    /// this field is set, `address` and `key` are provisional, because only the poller learns the
    /// conversation's real id.
    pub(in crate::alerts) creation: Option<Creation>,
    /// The path of the element of `to` that names the conversation. `None` if a tag names the conversation.
    pub(in crate::alerts) path: Option<String>,
    /// The person's time zone, if the bot knows the zone.
    pub(in crate::alerts) zone: Option<Zone>,
    /// The person's quiet hours, i.e. the hours in which the person wants no alerts.
    pub(in crate::alerts) quiet: Option<Quiet>,
}

impl Target {
    /// Makes a target of a conversation that the bot knows.
    pub(in crate::alerts) fn known(
        key: ConversationKey,
        conversation: Conversation,
        settings: &BotSettings,
    ) -> Self {
        let Conversation { address, stopped, paused, zone, quiet, .. } = conversation;
        let held = held_by_person(stopped, paused).or(held_by_settings(&address, settings));
        Self { key, address, held, tag: None, creation: None, path: None, zone, quiet }
    }

    /// Makes a target of a conversation that the poller has to create or find.
    pub(in crate::alerts) fn to_create(address: ConversationReference, of: CreationOf) -> Self {
        let (key, creation) = (ConversationKey::of(&address), Some(Creation::new(of)));
        Self { key, address, held: None, tag: None, creation, path: None, zone: None, quiet: None }
    }

    /// Makes a target for an alert that starts a thread in a channel of Teams. The target is the channel,
    /// because the thread does not exist yet. If a program later changes the alert, the target of the change
    /// is also the channel, even if the thread exists by then. `known` is the bot's record of the channel.
    /// `None` means that the bot has no record.
    pub(in crate::alerts) fn thread_in(address: ConversationReference, known: Option<&Known>) -> Self {
        let standing = known.map(|known| known.standing).unwrap_or_default();
        let held = held_by_person(standing.stopped, standing.paused);
        Self { held, ..Self::to_create(address, CreationOf::Thread) }
    }

    /// Returns the address of the channel as JSON, for the record of the alert in the ledger. (The *ledger*
    /// has a record of each alert.) Returns `None` if the alert starts no thread.
    pub(in crate::alerts) fn channel_of_thread(&self) -> Option<String> {
        let creation = self.creation.as_ref().filter(|creation| creation.of == CreationOf::Thread);
        creation.map(|_| self.address.to_json().to_string())
    }

    /// Whether the record of an alert can belong to this target. `conversation` is the conversation key in
    /// the record. If the bot did not know the person when it accepted the alert, the record has the person's
    /// provisional key. Otherwise, the record has the key of the target.
    pub(in crate::alerts) fn is_recorded_as(&self, conversation: &str) -> bool {
        let is_key = |key: ConversationKey| key.as_str() == conversation;
        self.key.as_str() == conversation || provisional_key_of(&self.address).is_some_and(is_key)
    }

    /// Makes a target of a conversation that subscribes to a tag in `to`.
    pub(in crate::alerts) fn subscriber(
        key: ConversationKey,
        conversation: Conversation,
        settings: &BotSettings,
        tag: &Tag,
    ) -> Self {
        Self { tag: Some(tag.clone()), ..Self::known(key, conversation, settings) }
    }
}

/// The reason why a conversation gets no alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::alerts) enum Held {
    /// The person sent `stop`.
    Stopped,
    /// Teams, or another messaging service, reported that it cannot reach the person.
    Paused,
    /// The bot's variables forbid the Connector or the tenant in the conversation's address. The variables
    /// allowed both when the bot stored the conversation. Later, the operator changed `tenants`, `authmode`
    /// or another variable.
    Untrusted,
}

impl Held {
    /// Returns the status that the alert gets in the ledger.
    pub(in crate::alerts) fn status(self) -> Status {
        match self {
            Self::Stopped => Status::Stopped,
            Self::Paused => Status::Paused,
            Self::Untrusted => Status::Untrusted,
        }
    }
}

impl From<Held> for HookRejection {
    fn from(held: Held) -> Self {
        match held {
            Held::Stopped => Self::Stopped,
            Held::Paused => Self::Paused,
            // The program that posts to the webhook address does not learn which tenants and Connectors the
            // bot serves.
            Held::Untrusted => Self::Unknown,
        }
    }
}

/// Returns [`Held::Untrusted`] if the bot's variables do not allow the Connector or the tenant of this
/// address.
pub(in crate::alerts) fn held_by_settings(
    address: &ConversationReference,
    settings: &BotSettings,
) -> Option<Held> {
    let untrusted = settings.trust.check(&address.service_url).is_err() || !settings.tenants.allow(address);
    untrusted.then_some(Held::Untrusted)
}

pub(super) fn held_by_person(stopped: bool, paused: bool) -> Option<Held> {
    if stopped { Some(Held::Stopped) } else { paused.then_some(Held::Paused) }
}

/// Returns the provisional conversation key of a person. The bot records the alerts to the person under this
/// key until the bot knows the person.
fn provisional_key_of(address: &ConversationReference) -> Option<ConversationKey> {
    let placeholder = Creation::placeholder(address.vouched_tenant()?, Creation::person_of(address)?);
    Some(ConversationKey::of_ids(TEAMS, &placeholder))
}
