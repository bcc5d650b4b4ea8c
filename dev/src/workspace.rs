//! Where things are.

use std::path::{Path, PathBuf};

/// The workspace's folder.
pub fn root() -> PathBuf {
    let dev = Path::new(env!("CARGO_MANIFEST_DIR"));
    dev.parent().unwrap_or(dev).to_owned()
}

/// Where cargo puts what it builds.
///
/// The guests are always under `target/`, because `spin.toml` names them there; so `CARGO_TARGET_DIR` is not followed.
pub fn target() -> PathBuf {
    root().join("target")
}
