//! The guest with which the benchmarks compare the components.
//!
//! For a request without the header `x-queue`, the guest does nothing. It then shows the cost that every
//! component has: an instance, the SDK's entry point, an empty response. For a request with this header, the
//! guest makes the host calls that the headers name, and no others. These calls are the *floor* of an
//! activity or of a run. The bench names as many calls as it has counted in the application. No application
//! contains this guest.

#[cfg(target_os = "wasi")]
mod floor;

#[cfg(target_os = "wasi")]
mod entry_point {
    // The bindings of the macro contain unsafe code.
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
