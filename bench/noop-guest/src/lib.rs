//! What every component pays before it does anything: an instance, the SDK's entry, an empty answer.

#[cfg(target_os = "wasi")]
mod door {
    // The macro's bindings need it.
    #![allow(unsafe_code)]

    use spin_sdk::http::{Fields, IncomingRequest, OutgoingResponse, ResponseOutparam};

    #[spin_sdk::http_component]
    async fn handle(_request: IncomingRequest, response_out: ResponseOutparam) {
        _ = response_out.set_with_body(OutgoingResponse::new(Fields::new()), Vec::new()).await;
    }
}
