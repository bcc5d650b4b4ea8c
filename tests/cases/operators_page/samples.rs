//! The status, alerts, dead letters and conversations of the fake bot, for the tests of the operator's page.

use end_to_end::operated::OperatedBot;
use serde_json::{Value, json};

const OUTCOMES: [(&str, &str); 4] = [
    ("permanent", "the Connector answered 400 BadArgument: Unknown attachment type"),
    ("destinationGone", "the Connector answered 404 ConversationNotFound"),
    ("retriesExhausted", "the Connector answered 503 for a day"),
    ("sealBroken", "seal: does not match; the message was changed"),
];

/// Makes an id of 32 hexadecimal digits. The last digits are the number in hexadecimal.
pub(super) fn id(number: usize) -> String {
    format!("{number:032x}")
}

/// Makes a *dead letter* (a message in the poison queue). The number decides the member `outcome`. (The page
/// calls this member *Reason*. The member `reason` is a longer text.) A dead letter with the outcome
/// `sealBroken` cannot be replayed.
pub(super) fn dead_letter(number: usize) -> Value {
    let (outcome, reason) = &OUTCOMES[number % 4];
    let http_status = [400, 404, 503].get(number % 4);
    json!({
        "id": format!("dead-{number}"), "alert": id(number), "outcome": outcome, "reason": reason,
        "status": http_status, "diedAt": "2026-11-29T12:00:00.000Z",
        "enqueuedAt": "2026-11-29T11:00:00.000Z", "ageSeconds": 3600 + number, "conversation": id(number % 7),
        "attempts": number % 5 + 1, "replayable": *outcome != "sealBroken", "text": format!("the text of {number}"),
    })
}

pub(super) fn alert(number: usize) -> Value {
    let status = ["delivered", "waiting", "dead", "expired"][number % 4];
    let reason = (status == "dead").then_some("permanent: the Connector answered 400");
    json!({
        "id": id(number), "status": status, "conversation": id(number % 7), "acceptedAt": "2026-11-29T11:00:00.000Z",
        "changedAt": "2026-11-29T11:00:01.000Z", "keptUntil": "2026-12-08T00:00:00.000Z", "attempts": 1,
        "reason": reason, "sender": "ci", "tag": "orders-42",
    })
}

pub(super) fn target(number: usize, name: &str) -> Value {
    json!({
        "conversation": id(number), "channelId": "msteams", "conversationType": "personal",
        "user": {"id": format!("29:{number}"), "name": name}, "tags": [], "stopped": false, "paused": false,
        "serviceUrlVerified": true, "seenAt": "2026-11-29T11:00:00Z",
    })
}

/// The status of a bot with this many dead letters.
pub(super) fn status(dead: usize) -> Value {
    let problems = match dead {
        0 => json!([]),
        _ => json!([format!(
            "poison queue: holds {dead} dead letters; read their reasons, then replay or drop them"
        )]),
    };
    json!({
        "now": "2026-11-29T12:10:00.000Z", "versions": {"bot": "0.1.0", "commit": "0123456"},
        "queue": {"name": "bot-queue", "messages": 1234, "oldestSeconds": 754}, "dead": {"messages": dead},
        "running": true,
        "lastRun": {
            "id": "run-1", "entryPoint": "cron", "beganAt": "2026-11-29T12:09:00.000Z", "endedAt": "2026-11-29T12:09:20.000Z",
            "received": 32, "delivered": 30,
        },
        "idleAt": "2026-11-29T11:00:00.000Z", "lastSuccessAt": "2026-11-29T12:09:20.000Z",
        "lastDeliveryAt": "2026-11-29T12:09:19.000Z", "token": {"until": "2026-11-29T13:00:00.000Z"}, "clockSkewSeconds": 0.4,
        "hostsOut": ["smba.trafficmanager.net/emea"],
        "pausedConversations": [{"conversation": id(3), "until": "2026-11-30T12:00:00.000Z"}],
        "totals": {
            "since": "2026-11-01T00:00:00.000Z", "accepted": 10400, "delivered": 10000, "dead": {"permanent": dead},
            "cancelled": 3, "expired": 4, "stopped": 5, "dropped": 0, "waits": {"throttled": 12},
        },
        "problems": problems,
    })
}

/// Fills the fake with this many dead letters, with 120 alerts, and with two conversations.
pub(super) fn fill(bot: &OperatedBot, dead: usize) {
    let mut held = bot.hold();
    held.status = status(dead);
    held.dead = (0..dead).map(dead_letter).collect();
    held.alerts = (0..120).map(alert).collect();
    held.targets = vec![target(1, "Grace Hopper"), target(2, "Ada Lovelace")];
}
