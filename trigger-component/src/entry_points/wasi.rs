//! The two exports of the component: the HTTP handler, and the handler of the cron trigger.
// The generated bindings of both exports contain unsafe code.
#![allow(unsafe_code)]

use platform::Clock;
use platform::spin::SpinHost;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};

use crate::run::{EntryPoint, run};

#[spin_sdk::http_component]
async fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
    platform::spin::serve(request, response_out, &crate::JOINED, async |host, request| {
        super::handle(host, request).await
    })
    .await;
}

mod cron {
    wit_bindgen::generate!({ path: "../wit", world: "spin-cron" });
    use super::CronEntryPoint;
    export!(CronEntryPoint);
}

struct CronEntryPoint;

impl cron::Guest for CronEntryPoint {
    fn handle_cron_event(_metadata: cron::Metadata) -> Result<(), cron::Error> {
        let host = SpinHost::new(&crate::JOINED);
        let called_at = host.monotonic();
        // The Spin host logs the text of this error. The text names no reason, because the run has already
        // logged the reason.
        platform::spin::run(run(&host, EntryPoint::Cron, called_at))
            .map(drop)
            .map_err(|_| cron::Error::Other("run: failed; see the component's log for the reason".into()))
    }
}
