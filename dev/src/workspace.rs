//! Paths of the workspace.

use std::path::{Path, PathBuf};

/// The root folder of the workspace.
pub fn root() -> PathBuf {
    let dev = Path::new(env!("CARGO_MANIFEST_DIR"));
    dev.parent().unwrap_or(dev).to_owned()
}

/// Cargo's target folder: always `target` in the root folder.
///
/// `cargo dev` ignores `CARGO_TARGET_DIR`, because `spin.toml` names the components under `target/`.
pub fn target() -> PathBuf {
    root().join("target")
}
