//! The HTTP entry point of the bot: receives activities of the Bot Framework and API calls by other programs,
//! puts envelopes on the queue, and sends the HTTP responses. An *envelope* is the content of a queue
//! message: an alert, and the address of the alert's conversation.
//!
//! The poller (`trigger-component`) gets the queue messages, and delivers their alerts. This component gets
//! no messages from the queue. If the poller cannot deliver an alert, the poller moves the message to the
//! *poison queue*. The messages in the poison queue are called *dead letters*. This component gets messages
//! from the poison queue only for two kinds of API calls: calls that delete a conversation, and calls that
//! list, replay or drop dead letters.
//!
//! This component sends people only two kinds of chat messages: replies to their activities, and the alerts
//! of trigger activities. A *trigger activity* is an activity with an envelope, which a program sends to the
//! bot. This program can be the poller, if the poller delivers alerts through Direct Line.
//!
//! Sources: <https://github.com/microsoft/Agents/blob/main/specs/activity/protocol-activity.md> specifies the
//! activities. `docs/openapi.yaml` describes the routes for other programs. `docs/errors.md` lists every
//! error.
//!
//! `messages` serves `POST /api/messages`, `ops` serves `/ops`, and `alerts` serves the routes for other
//! programs. The following list names the files for each part of the bot. Some of these files are in other
//! crates.
//!
//! | to change | look in |
//! |---|---|
//! | a route, or its methods | `router.rs`, `alerts/mod.rs` |
//! | the effect of an activity, by its type | `messages.rs` |
//! | the effect of a person's message, and the bot's replies | `turn.rs` |
//! | which incoming messages the bot ignores | `loops.rs` |
//! | how the bot reads the text of an incoming message | `crates/bot-framework`, `message_text/` |
//! | how many replies a conversation gets in a minute | `crates/state`; while the table service fails: `own_count.rs` |
//! | the effect of a command | `commands.rs`; the words: `crates/envelope` |
//! | the webhook address of a conversation | `webhook.rs`, `alerts/hook_of.rs`; its form: `hook_token.rs`, `public_url.rs`; whether an address is valid: `crates/state` |
//! | what is posted to a webhook address | `alerts/hooks/`; the shapes of payloads: `crates/alert-shapes` |
//! | who is allowed to subscribe to a tag (a name to which conversations subscribe) | `subscribing.rs`; the codes that allow a subscription: `tag_code.rs`; tenants: `tag_scope.rs` |
//! | which data of a conversation are stored, and when | `conversation.rs`; the person's time zone: `clock.rs` |
//! | read receipts, reactions and replies | `feedback.rs`; their rows: `crates/state` |
//! | answers to questions: buttons and texts | `pressing/` |
//! | the response to an activity of the type `invoke`, if this activity answers no question | `invoke.rs` |
//! | an alert that arrives as a trigger activity | `trigger_activity.rs` |
//! | who is allowed to call the alert routes, and the scopes (permissions) of an API key | `alerts/admission.rs`, `alerts/keys.rs`, `alerts/named_key.rs`, `alerts/grant.rs` |
//! | the body of `POST /api/alerts` | `alerts/body.rs`, `alerts/activity.rs`; how the alert looks: `alerts/looks.rs`; how the alert recurs: `alerts/series.rs`; questions: `alerts/asking.rs` |
//! | the alerts of an escalation (alerts to further conversations, if no person answers a question) | `alerts/escalating.rs`; the conversations of these alerts, and the encryption keys of the question: `alerts/asks.rs` |
//! | the conversations that the member `to` of an API call names | `alerts/to.rs`; how the bot processes more than 100 conversations, page by page: `alerts/paging.rs` |
//! | how a program subscribes a conversation to a tag, and makes codes for subscriptions | `alerts/tags.rs`, `alerts/codes.rs` |
//! | the effect of an idempotency key | `alerts/identity.rs` |
//! | what a program sees of an alert, and the list of alerts | `alerts/status.rs`, `alerts/history.rs`; the statuses of alerts: `crates/state`, `ledger/shown.rs` |
//! | how an API call deletes a conversation | `alerts/forgetting.rs` |
//! | the bot's status and metrics for operators | `alerts/operating/`: `snapshot.rs` reads both; the problems in the status: `problems.rs` |
//! | how dead letters are listed, replayed and dropped | `alerts/operating/dead/`; the search in the poison queue: `alerts/poison_walk.rs` |
//! | the order of the steps after an API call: recording the alerts, queueing the alerts, sending the response | `alerts/call.rs`; the content of the alerts: `alerts/draft.rs` |
//! | the operator's page | `ops/` |
//! | how a message is put on the queue | `outbox.rs` |
//! | how the bot calls the poller | `kick.rs` |
//! | the HTTP status, the code or the message of a refusal | `rejection/`, then `docs/errors.md` |
//! | a limit of a request | `limits.rs` |

mod alerts;
mod answered;
mod check;
mod clock;
mod commands;
mod conversation;
#[cfg(test)]
mod doubts;
mod feedback;
mod hook_token;
mod invoke;
mod kick;
mod limits;
mod loops;
mod messages;
mod ops;
mod outbox;
mod own_count;
mod pressing;
mod public_url;
mod rejection;
mod request;
mod router;
mod settings;
mod subscribing;
mod tag_code;
mod tag_scope;
#[cfg(test)]
mod testing;
mod trigger_activity;
mod turn;
mod webhook;

pub use check::check_settings;
pub use router::handle;
pub use settings::JOINED;

#[cfg(target_os = "wasi")]
mod entry_point {
    // The macro's bindings contain unsafe code.
    #![allow(unsafe_code)]

    use spin_sdk::http::{IncomingRequest, ResponseOutparam};

    #[spin_sdk::http_component]
    async fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
        platform::spin::serve(request, response_out, &crate::JOINED, async |host, request| {
            crate::handle(host, request).await
        })
        .await;
    }
}
