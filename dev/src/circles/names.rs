//! The names in a module, and their meanings.

/// The index of a module in `Crate::modules`.
pub(super) type ModuleId = usize;

/// A path as it is written: `["crate", "alerts", "Target"]`.
pub(super) type Segments = Vec<String>;

/// The meaning of a name in a module. One name can have several meanings: a module and a function, for
/// example.
#[derive(Debug)]
pub(super) enum Meaning {
    /// A child module.
    Module(ModuleId),
    /// An item in the module's own code.
    Definition,
    /// A `use` imports the name from this path.
    Import(Segments),
}
