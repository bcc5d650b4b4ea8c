//! The one runtime behind the blocking faces of this crate: cases are plain functions.

use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

/// Lives as long as the process; its threads carry the fake servers too.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap())
}
