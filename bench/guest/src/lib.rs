//! What the components are compared with.
//!
//! By default it does nothing: what every component pays is an instance, the SDK's entry, an empty answer. On the
//! application's own routes it makes the host calls that a request's headers name, and nothing else: the *floor* of an
//! activity and of a run. The bench takes the numbers from the metered application.

#[cfg(target_os = "wasi")]
mod floor;

#[cfg(target_os = "wasi")]
mod door {
    // The macro's bindings need it.
    #![allow(unsafe_code)]

    use spin_sdk::http::{IncomingRequest, ResponseOutparam};

    #[spin_sdk::http_component]
    async fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
        platform::spin::serve(request, response_out, &[], async |host, request| {
            crate::floor::handle(host, request).await.into()
        })
        .await;
    }
}
