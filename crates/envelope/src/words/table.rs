//! The struct that holds the texts of one language.

/// The texts of one language. Each text is a field, so a table with a missing text does not compile.
///
/// In a text, a name in braces is a placeholder, such as `{tag}`. If a text has placeholders, `Words` has a
/// method with the field's name, which replaces the placeholders by values. The comment on the field lists
/// the placeholders. The comment on the method says when the bot uses the text. A test checks that a text has
/// the same placeholders in each language.
///
/// Two words are English in each language, because programs recognise the bot's messages by these words. The
/// reply to a person's message begins with `Queued:`, and an alert begins with `Alert:`. The text of the
/// message or the alert follows. The commands in the texts are also English, because
/// [`Command`](super::Command) understands no other language.
///
/// [`are_own`](super::are_own) recognises the bot's own texts by their first words. The bot ignores these
/// texts when another program sends them back, because two programs that reply to each other never stop. So
/// there are two rules for a new text:
///
/// - The text must begin with a letter. [`are_own`](super::are_own) skips all signs before the first letter
///   or digit of a message, and would never recognise a text that begins with a sign.
/// - The first words must be unusual, because the bot ignores a person's message that begins with the same
///   words.
#[derive(Debug)]
pub struct Words {
    /// The language: the first part of a BCP 47 language tag, in lower case, such as `de`.
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
    /// The reply to `stop`.
    pub stopped: &'static str,
    /// The reply to `start`.
    pub started: &'static str,
    /// The reply to `stop` in a group, where the command does nothing.
    pub not_stopped: &'static str,
    /// `{from}`, `{to}`, `{zone}`
    pub(super) quiet: &'static str,
    /// The reply to `quiet off`.
    pub quiet_ended: &'static str,
    /// The reply to `quiet` in a group, where the command does nothing.
    pub not_quiet: &'static str,
    /// The reply to `quiet` if the bot cannot read the hours.
    pub no_hours: &'static str,
    /// The reply to `help`.
    pub help: &'static str,
    /// The reply to `subscribe` and `unsubscribe` if the word after the command cannot be a tag.
    pub no_tag: &'static str,
    /// The reply to `subscribe` if the conversation already has the maximum number of subscriptions.
    pub too_many_tags: &'static str,
    /// `{address}`, `{try}`, `{secret}`
    pub(super) hook: &'static str,
    /// The reply to `webhook` in a group, after the bot has sent the address to the person's own chat.
    pub hook_sent: &'static str,
    /// The reply to `webhook off`.
    pub hook_ended: &'static str,
    /// The reply to `webhook` if the bot cannot make an address.
    pub no_hook_address: &'static str,
    /// The reply to a reminder that is too far ahead.
    pub too_far: &'static str,
    /// The reply to a command whose effect the bot could not store.
    pub not_remembered: &'static str,
    /// The reply to a person's message that the bot could not put on the queue. The queue certainly has no
    /// copy of the message.
    pub queue_unavailable: &'static str,
    /// The reply to a person's message if the ledger (the table with one record for each alert) or the table
    /// of conversations fails. The bot then does not put the message on the queue. If the channel (such as
    /// Teams) has sent the same message before, the bot perhaps put the message on the queue at that time.
    pub ledger_unavailable: &'static str,
    /// The reply to a person's message if the bot does not know whether the message is on the queue.
    pub perhaps_queued: &'static str,
    /// The reply to a reminder if the bot does not know whether the reminder is on the queue.
    pub reminder_perhaps_queued: &'static str,
    /// The reply to a person's message or answer that is too long for the queue.
    pub too_long: &'static str,
    /// The reply to a person's message without text.
    pub nothing_to_queue: &'static str,
    /// The reply to a press of a card's button that has no effect: the press answers no question, and sends
    /// no text.
    pub nothing_behind_button: &'static str,
    /// The title of the ready-made button of [`Action::acknowledge`](crate::Action::acknowledge). The method
    /// `texts` leaves this title out, because the title is not the text of a chat message.
    pub acknowledge: &'static str,
    /// `{text}`
    pub(super) answer_recorded: &'static str,
    /// `{text}`
    pub(super) answered_before: &'static str,
    /// The reply to an answer that has no effect, because the question has ended.
    pub question_over: &'static str,
    /// The reply to a press of a button if the bot did not make the button, or made the button for another
    /// conversation.
    pub question_unknown: &'static str,
    /// The reply to an answer that the bot could not store.
    pub answer_not_recorded: &'static str,
    /// The greeting in a conversation after a person has added the bot.
    pub greeting: &'static str,
    /// The units of time, from weeks to seconds. Each unit has a singular and a plural, in the grammatical
    /// case that `{time}` needs in [`Words::reminder_queued`].
    pub(super) units: [(&'static str, &'static str); 5],
    /// The text for zero seconds.
    pub(super) no_time: &'static str,
}
