//! The entry points that start runs: the cron trigger and HTTP.

mod http;
#[cfg(target_os = "wasi")]
mod wasi;

pub use http::handle;
