//! A key-value store in the hands of a guest.

/// A store that a guest holds open.
#[derive(Debug)]
#[allow(unreachable_pub)] // The generated bindings re-export it.
pub struct OpenStore {
    pub(crate) label: String,
}
