//! The async runtime that the blocking functions of this crate use. The functions block, because a case (one
//! end-to-end test) is a plain function, which cannot await.

use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

/// Returns the runtime, which lives as long as the process. The fake servers also run on this runtime.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap())
}
