//! The guest (a WebAssembly component) with which the benchmarks compare the bot and the poller.
//!
//! For a request without the header `x-queue`, the guest does nothing. Such a request has only the costs that
//! every component has: an instance, the SDK's entry point, an empty response. For a request with this
//! header, the guest makes the host calls that the headers name, and no others. The benchmark first counts
//! the host calls of the application, and then lets the guest make the same number of calls. The benchmark
//! calls this guest the *floor*, because it shows the lowest possible cost of these calls. No application
//! contains this guest.

#[cfg(target_os = "wasi")]
mod floor;

#[cfg(target_os = "wasi")]
mod entry_point {
    // The macro `http_component` generates unsafe code.
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
