//! The guest (a WebAssembly component) with which the benchmarks compare the bot and the poller.
//!
//! For a request with neither `x-queue` nor `prefer` in its headers, the guest makes no host call, and
//! returns an empty response. (A *host call* is a call of a component to the program that runs the
//! component.) Such a request shows the costs that every component has: an instance, the SDK's entry point,
//! an empty response.
//!
//! For a request with the header `x-queue`, the guest makes host calls. Other headers give the number of
//! these calls. The benchmark first counts the host calls of the bot and the poller, and then lets the guest
//! make as many host calls. The benchmark calls this guest the *floor*, because the guest shows the lowest
//! possible cost of these calls. The project's application (`spin.toml` in the root folder) does not contain
//! this guest.

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
