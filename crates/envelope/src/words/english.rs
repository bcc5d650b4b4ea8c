//! The bot's texts in English.

use super::Words;

pub(super) static WORDS: Words = Words {
    language: "en",
    queued: "Queued: {text}",
    reminder_queued: "Queued: {text} (in {time})",
    alert: "Alert: {text}",
    changed: "The message above has changed: {text}",
    resolved: "The problem above has ended: {text}",
    subscribed: "Subscribed: alerts about {tag} come here from now on. To end this, write: unsubscribe {tag}",
    subscriptions_closed: "Not done: the people who send alerts about {tag} decide who gets them. Please ask \
        them to add this conversation, or to give you a code. If you have a code, write: subscribe {tag} \
        <code>",
    code_refused: "Not done: this code does not work for {tag} here. It may be too old. Please ask the \
        people who send the alerts for a new code.",
    unsubscribed: "Unsubscribed: alerts about {tag} no longer come here.",
    stopped: "Stopped: I send no alerts here until you write: start. Your own messages and reminders still \
        come.",
    started: "Started: alerts come here again.",
    not_stopped: "Not done: one person cannot stop the alerts of a group. You can remove me from the group, \
        write \"unsubscribe\" and the name of a subscription, or ask the people who send the alerts.",
    quiet: "Quiet hours: no alerts from others come here from {from} to {to} ({zone}), except important ones. \
        The other alerts come afterwards. To end this, write: quiet off",
    quiet_ended: "Quiet hours ended: alerts come here at every hour again. If an alert is already \
        waiting, it still comes only at the end of the quiet hours that you had set.",
    not_quiet: "Not done: one person cannot set quiet hours for a group. You can set them in our own chat.",
    no_hours: "Not done: I cannot read these hours. Please write for example: quiet 22:00-07:00",
    help: "I am a bot that sends alerts. If you write to me, I confirm with \"Queued:\" that I have \
        your message. Then I send it back to you with \"Alert:\" in front. These messages do something \
        else:\n\
        - remind me in 10 minutes tea: I send you \"tea\" in 10 minutes\n\
        - subscribe orders-42: alerts about orders-42 come here\n\
        - unsubscribe orders-42: alerts about orders-42 no longer come here\n\
        - stop: no alerts from others come here (in a group, stop does nothing)\n\
        - quiet 22-7: alerts from others wait in these hours (also 22:30-6:15; quiet off ends this)\n\
        - start: alerts come here again\n\
        - webhook: I show an address; other programs can post alerts to it\n\
        - help: I show this list",
    no_tag: "Not done: the name of a subscription is one word of at most 64 letters, digits and these signs: \
        - _ . : # @ +",
    too_many_tags: "Not done: this conversation has too many subscriptions. Please end one of them first: \
        write \"unsubscribe\" and its name.",
    hook: "Webhook address of this conversation. Everything that a program posts to it comes here. Keep it \
        secret: anyone who has it can post here.\n\n\
        `{address}`\n\n\
        To try it, run:\n\n\
        `{try}`\n\n\
        GitHub and Grafana can sign what they post. The secret for that: `{secret}`\n\n\
        To replace the address, write: `webhook new`. To end it, write: `webhook off`",
    hook_sent: "Webhook address sent: you find it in your own chat with me, because it is a secret.",
    hook_ended: "Webhook address ended: programs can no longer post here. For a new address, write: webhook",
    no_hook_address: "Not done: I do not know the address at which programs can reach me. Please ask the \
        people who run me to look into my log.",
    too_far: "Not accepted: a reminder can be at most a year ahead. Please choose an earlier time.",
    not_remembered: "Not done: I could not save this. Please write it again in a minute.",
    queue_unavailable: "Not accepted: I could not save your message. Please send it again in a minute.",
    ledger_unavailable: "Not accepted this time: I could not save your message. Perhaps the chat service tries \
        again by itself. If no alert comes within five minutes, please send your message again.",
    perhaps_queued: "Perhaps accepted: I do not know whether your message is saved. Please send it again only \
        if no alert comes within five minutes.",
    reminder_perhaps_queued: "Perhaps accepted: I do not know whether your reminder is saved. If you ask for \
        it again, it may come twice.",
    too_long: "Not accepted: your message is too long. Please send a shorter one.",
    nothing_to_queue: "Not accepted: your message has no text. Please send me some text.",
    nothing_behind_button: "Nothing happened: this button has no effect.",
    acknowledge: "Acknowledge",
    answer_recorded: "Your answer is recorded: {text}",
    answered_before: "This was already answered: {text}",
    question_over: "Not recorded: this question has ended, so your answer has no effect.",
    question_unknown: "Not recorded: this button belongs to another conversation or message.",
    answer_not_recorded: "Not recorded: I could not save your answer. Please answer again in a minute.",
    greeting: "Hello. I am a bot that sends alerts. Write me a message, and I send it back to you as an \
        alert. Write help to see what else I can do.",
    units: [
        ("week", "weeks"),
        ("day", "days"),
        ("hour", "hours"),
        ("minute", "minutes"),
        ("second", "seconds"),
    ],
    no_time: "0 seconds",
};
