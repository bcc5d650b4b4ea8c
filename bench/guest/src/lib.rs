//! The guest with which the benchmarks compare the components.
//!
//! By default it does nothing. It then shows the cost that every component has: an instance, the SDK's entry
//! point, an empty answer. On the application's own routes it makes the host calls that a request's headers
//! name, and no others: the *floor* of an activity and of a run. The bench takes the numbers of calls from
//! the metered application. No application contains this guest.

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
