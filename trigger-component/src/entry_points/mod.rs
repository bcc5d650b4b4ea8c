//! The entry points of the poller: the handler of the cron trigger, and the handler of HTTP requests. Both
//! start a *run* (one execution of the poller).

mod http;
#[cfg(target_os = "wasi")]
mod wasi;

pub use http::handle;
