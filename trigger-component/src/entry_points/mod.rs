//! How runs are started: by the cron trigger, or over HTTP.

mod http;
#[cfg(target_os = "wasi")]
mod wasi;

pub use http::handle;
