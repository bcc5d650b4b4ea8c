//! The handle of a guest for an open key-value store.

/// A key-value store that a guest has opened. `label` is the name of the store in the manifest.
#[derive(Debug)]
#[allow(unreachable_pub)] // The generated bindings re-export it.
pub struct OpenStore {
    pub(crate) label: String,
}
