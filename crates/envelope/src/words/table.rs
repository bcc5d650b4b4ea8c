//! The texts of one language, as a struct with one field for each text.

/// The texts of one language.
///
/// Each text is a field, so a table with a missing text does not compile. In a text, a name in braces is a
/// placeholder, such as `{tag}`. If a text has placeholders, `Words` has a method with the field's name,
/// which replaces the placeholders by values. The comment on the field then lists the placeholders, and the
/// comment on the method says when the bot uses the text. A test checks that a text has the same placeholders
/// in each language.
///
/// Two words are English in each language, because programs recognise the bot's messages by these words. An
/// acknowledgement begins with `Queued:`, and an alert begins with `Alert:`. The person's own text follows.
/// The commands in the texts are also English, because [`Command`](super::Command) understands no other
/// language.
///
/// [`are_own`](super::are_own) recognises the bot's own texts by their first words, so that the bot does not
/// talk to itself. It skips all signs before the first letter or digit of a message. So a new text has to
/// begin with a letter: if it began with a sign, the function would never recognise it. The first words of a
/// new text must be unusual, because the bot ignores a person's message that begins with the same words.
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
    /// Replies to `stop` in a group, where the command does nothing.
    pub not_stopped: &'static str,
    /// `{from}`, `{to}`, `{zone}`
    pub(super) quiet: &'static str,
    /// Replies to `quiet off`.
    pub quiet_ended: &'static str,
    /// Replies to `quiet` in a group, where the command does nothing.
    pub not_quiet: &'static str,
    /// Replies to `quiet` if the bot cannot read the hours.
    pub no_hours: &'static str,
    /// Replies to `help`.
    pub help: &'static str,
    /// Replies to `subscribe` and `unsubscribe` if the word after the command cannot be a tag.
    pub no_tag: &'static str,
    /// Replies to `subscribe` if the conversation already has the most subscriptions that the bot allows.
    pub too_many_tags: &'static str,
    /// `{address}`, `{try}`, `{secret}`
    pub(super) hook: &'static str,
    /// Replies to `webhook` in a group, after the bot has sent the address to the person's own chat.
    pub hook_sent: &'static str,
    /// Replies to `webhook off`.
    pub hook_ended: &'static str,
    /// Replies to `webhook` if the bot cannot make an address.
    pub no_hook_address: &'static str,
    /// Replies to a reminder that is too far ahead.
    pub too_far: &'static str,
    /// Replies to a command whose effect the bot could not store.
    pub not_remembered: &'static str,
    /// Replies to a person's message that the bot could not put on the queue. The queue certainly has no copy
    /// of the message.
    pub queue_unavailable: &'static str,
    /// Replies to a person's message that the bot did not put on the queue, because the ledger failed. If the
    /// channel has sent the same message before, the message is perhaps already on the queue.
    pub ledger_unavailable: &'static str,
    /// Replies to a person's message if the bot does not know whether the message is on the queue.
    pub perhaps_queued: &'static str,
    /// Replies to a reminder if the bot does not know whether the reminder is on the queue.
    pub reminder_perhaps_queued: &'static str,
    /// Replies to a person's message that is too long for the queue.
    pub too_long: &'static str,
    /// Replies to a person's message without text.
    pub nothing_to_queue: &'static str,
    /// Replies if a person has pressed a button of a card, and the press neither answers a question nor sends
    /// a text.
    pub nothing_behind_button: &'static str,
    /// The title of the ready-made button that the member `acknowledge` of an API call adds. The method
    /// `texts` leaves this title out, because the title is not the text of a chat message.
    pub acknowledge: &'static str,
    /// `{text}`
    pub(super) answer_recorded: &'static str,
    /// `{text}`
    pub(super) answered_before: &'static str,
    /// Tells a person that the question has ended, so that the person's answer has no effect.
    pub question_over: &'static str,
    /// Replies to a press of a button that the bot did not make, or that the bot made for another
    /// conversation.
    pub question_unknown: &'static str,
    /// Tells a person that the bot could not store the person's answer.
    pub answer_not_recorded: &'static str,
    /// Greets the people of a conversation after a person has added the bot.
    pub greeting: &'static str,
    /// The units of time, from weeks to seconds. Each unit has a singular and a plural, in the grammatical
    /// case that `{time}` needs in [`Words::reminder_queued`].
    pub(super) units: [(&'static str, &'static str); 5],
    /// The text for zero seconds.
    pub(super) no_time: &'static str,
}
