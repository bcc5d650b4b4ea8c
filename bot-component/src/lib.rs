//! The HTTP door: receives Bot Framework activities, puts address envelopes on the queue, acknowledges the user.
//!
//! One module per route; what is not about a route lives in the crates below.
//!
//! | to change | look in |
//! |---|---|
//! | a route, or its methods | `router.rs`, `alerts/mod.rs` |
//! | what becomes of an activity, by its type | `messages.rs` |
//! | what happens to a person's message, and what the bot says | `turn.rs` |
//! | which messages are not answered: of programs, and a group's talk | `loops.rs`; how many are: `crates/state`; what is said to the bot: `crates/bot-framework`, `message_text/` |
//! | what a word of a person does | `commands.rs` (the words: `crates/envelope`) |
//! | who may subscribe to a tag | `subscribing.rs`; the codes: `tag_code.rs`; tenants: `tag_scope.rs` |
//! | what is recorded of a conversation, and when | `conversation.rs` |
//! | what a card's button or another invoke is answered | `invoke.rs` |
//! | an alert that comes as a trigger activity | `trigger_activity.rs` |
//! | who may call these routes, and what a key may do | `alerts/admission.rs`, `alerts/keys.rs`, `alerts/named_key.rs`, `alerts/grant.rs` |
//! | what a call of `POST /api/alerts` may hold | `alerts/body.rs`, `alerts/activity.rs` |
//! | whom `to` means | `alerts/target.rs`; how many at once: `alerts/paging.rs` |
//! | tags of conversations, and codes for tags | `alerts/tags.rs`, `alerts/codes.rs` |
//! | what an idempotency key does | `alerts/identity.rs` |
//! | how a conversation is forgotten by a call | `alerts/forgetting.rs` |
//! | in which order a call is recorded, queued and answered | `alerts/call.rs`; what stands in its alerts: `alerts/draft.rs` |
//! | how a message is put on the queue | `outbox.rs` |
//! | how the poller is called | `kick.rs` |
//! | a status, a code or a text of a refusal | `rejection/` |
//! | how much of something there may be | `limits.rs` |

mod alerts;
mod answered;
mod check;
mod commands;
mod conversation;
mod invoke;
mod kick;
mod limits;
mod loops;
mod messages;
mod outbox;
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

pub use check::check_settings;
pub use router::handle;
pub use settings::JOINED;

#[cfg(target_os = "wasi")]
mod door {
    // The macro's bindings need it.
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
