//! The poller: takes envelopes off the queue and posts the alerts to the Bot Connector.
//!
//! One wasm with two doors on one [`drain`]: the cron trigger's export, and HTTP for hosts that have no cron.

mod courier;
mod custody;
mod delivery;
mod desk;
mod disposition;
pub mod drain;
mod events;
mod held;
mod hold;
mod http_door;
mod lanes;
mod lease;
mod limits;
mod pushing;
mod recent;
mod report;
mod run;
mod run_record;
mod settings;
mod tried;
mod withdrawn;

pub use http_door::handle;
pub use limits::Limits;
pub use report::Report;
pub use settings::JOINED;

#[cfg(target_os = "wasi")]
mod doors {
    // The bindings of both doors need it.
    #![allow(unsafe_code)]

    use platform::spin::SpinHost;
    use spin_sdk::http::{IncomingRequest, ResponseOutparam};

    #[spin_sdk::http_component]
    async fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
        platform::spin::serve(request, response_out, &crate::JOINED, async |host, request| {
            crate::handle(host, request).await
        })
        .await;
    }

    mod cron {
        wit_bindgen::generate!({ path: "../wit", world: "spin-cron" });
        use super::CronDoor;
        export!(CronDoor);
    }

    struct CronDoor;

    impl cron::Guest for CronDoor {
        fn handle_cron_event(_metadata: cron::Metadata) -> Result<(), cron::Error> {
            let host = SpinHost::new(&crate::JOINED);
            // The run has logged what went wrong. The host's log hears of it too, without details.
            platform::spin::run(crate::drain::run(&host, crate::drain::Door::Cron))
                .map(drop)
                .map_err(|_| cron::Error::Other("the run failed; the component's log says why".into()))
        }
    }
}
