//! The HTTP door: receives Bot Framework activities, puts address envelopes on the queue, acknowledges the user.
//!
//! One module per route; what is not about a route lives in the crates below.

mod alerts;
mod answered;
mod commands;
mod conversation;
mod kick;
mod messages;
mod outbox;
mod rejection;
mod router;
mod settings;
mod trigger_activity;

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
