//! The async runtime behind the blocking functions of this crate. Cases are plain functions, which cannot
//! await.

use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

/// Returns the runtime. It lives as long as the process, and runs the fake servers too.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap())
}
