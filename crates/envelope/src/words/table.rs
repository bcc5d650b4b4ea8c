//! The form of a table: its keys.

/// The texts of one language.
///
/// A key is a field, so no table can leave one out. In a text, a name in braces is a placeholder, and the
/// method with the key's name puts a value in its place. If a key has placeholders, its comment lists only
/// these, because the comment on the method says when the bot uses the text. The tests check that a key has
/// the same placeholders in each language.
///
/// Two words are English in each language, because programs know the bot's messages by them: an
/// acknowledgement begins with `Queued:` and an alert with `Alert:`, and the person's own text follows. The
/// commands in the texts are English too, because [`Command`](super::Command) understands no other language.
///
/// The first words of each text also protect the bot from talking to itself (see
/// [`are_own`](super::are_own)). So each text begins with a letter, and no person begins a message with the
/// same words by chance.
#[derive(Debug)]
pub struct Words {
    /// The language: a primary subtag of BCP 47 in lower case.
    pub(super) language: &'static str,
    /// `{text}`
    pub(super) queued: &'static str,
    /// `{text}`, `{time}`
    pub(super) reminder_queued: &'static str,
    /// `{text}`
    pub(super) alert: &'static str,
    /// `{text}`
    pub(super) changed: &'static str,
    /// `{text}`
    pub(super) resolved: &'static str,
    /// `{tag}`
    pub(super) subscribed: &'static str,
    /// `{tag}`
    pub(super) subscriptions_closed: &'static str,
    /// `{tag}`
    pub(super) code_refused: &'static str,
    /// `{tag}`
    pub(super) unsubscribed: &'static str,
    /// Replies to `stop`.
    pub stopped: &'static str,
    /// Replies to `start`.
    pub started: &'static str,
    /// Replies to `stop` in a group, where it does nothing.
    pub not_stopped: &'static str,
    /// `{from}`, `{to}`, `{zone}`
    pub(super) quiet: &'static str,
    /// Replies to `quiet off`.
    pub quiet_ended: &'static str,
    /// Replies to `quiet` in a group, where it does nothing.
    pub not_quiet: &'static str,
    /// Replies to `quiet` if the bot cannot read the hours.
    pub no_hours: &'static str,
    /// Replies to `help`.
    pub help: &'static str,
    /// Replies to `subscribe` and `unsubscribe` if the word behind them cannot be a tag.
    pub no_tag: &'static str,
    /// Replies to `subscribe` if the conversation has as many subscriptions as it may have.
    pub too_many_tags: &'static str,
    /// `{address}`, `{try}`, `{secret}`
    pub(super) hook: &'static str,
    /// Replies to `webhook` in a group, if the bot sends the address to the person's own chat.
    pub hook_sent: &'static str,
    /// Replies to `webhook off`.
    pub hook_ended: &'static str,
    /// Replies to `webhook` if the bot cannot make an address.
    pub no_hook_address: &'static str,
    /// Replies to a reminder that is too far ahead.
    pub too_far: &'static str,
    /// Replies to a command that the bot could not store.
    pub not_remembered: &'static str,
    /// Replies to a message that the queue did not take. The queue has no copy of it.
    pub queue_unavailable: &'static str,
    /// Replies to a message that the bot did not put on the queue, because the ledger did not answer. An
    /// earlier call of the channel with the same message may have put it there.
    pub ledger_unavailable: &'static str,
    /// Replies to a message if the bot does not know whether the queue took it.
    pub perhaps_queued: &'static str,
    /// Replies to a reminder if the bot does not know whether the queue took it.
    pub reminder_perhaps_queued: &'static str,
    /// Replies to a message that is too long for the queue.
    pub too_long: &'static str,
    /// Replies to a message without text.
    pub nothing_to_queue: &'static str,
    /// Replies to a press of a card's button that neither answers a question nor sends a text.
    pub nothing_behind_button: &'static str,
    /// The title of the button that `acknowledge` adds. It is not the text of a message, so `texts` leaves it
    /// out.
    pub acknowledge: &'static str,
    /// `{text}`
    pub(super) answer_recorded: &'static str,
    /// `{text}`
    pub(super) answered_before: &'static str,
    /// Tells a person who answered that the question has ended.
    pub question_over: &'static str,
    /// Replies to a press of a button that the bot did not make, or made for another conversation.
    pub question_unknown: &'static str,
    /// Tells a person who answered that the bot could not store the answer.
    pub answer_not_recorded: &'static str,
    /// Greets when the bot is added to a conversation.
    pub greeting: &'static str,
    /// One week and several weeks, then days, hours, minutes and seconds. The words have the case that
    /// `{time}` needs in [`Words::reminder_queued`].
    pub(super) units: [(&'static str, &'static str); 5],
    /// No time at all: zero seconds.
    pub(super) no_time: &'static str,
}
