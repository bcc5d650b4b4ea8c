//! The handle by which a component uses an open key-value store.

/// A key-value store that a component has opened. `label` is the name of the store in the manifest.
#[derive(Debug)]
#[allow(unreachable_pub)] // It has to be `pub`, because the generated bindings re-export `OpenStore`.
pub struct OpenStore {
    pub(crate) label: String,
}
