//! The handle of a key-value store that a guest has opened.

/// A store that a guest has opened, by its label.
#[derive(Debug)]
#[allow(unreachable_pub)] // The generated bindings re-export it.
pub struct OpenStore {
    pub(crate) label: String,
}
