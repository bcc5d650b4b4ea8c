//! Paths of the workspace.

use std::path::{Path, PathBuf};

/// The workspace's folder.
pub fn root() -> PathBuf {
    let dev = Path::new(env!("CARGO_MANIFEST_DIR"));
    dev.parent().unwrap_or(dev).to_owned()
}

/// Cargo's target folder.
///
/// `CARGO_TARGET_DIR` is ignored, because `spin.toml` names the components under `target/`.
pub fn target() -> PathBuf {
    root().join("target")
}
