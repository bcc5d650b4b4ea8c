//! The names in a module, and their meanings.

/// The index of a module in `Crate::modules`.
pub(super) type ModuleId = usize;

/// The parts of a path in the code: `crate::alerts::Target` is `["crate", "alerts", "Target"]`.
pub(super) type Segments = Vec<String>;

/// The meaning of a name in a module. One name can have several meanings: a module and a function, for
/// example.
#[derive(Debug)]
pub(super) enum Meaning {
    /// A child module.
    Module(ModuleId),
    /// An item in the module's own code.
    Definition,
    /// A name that a `use` imports from this path.
    Import(Segments),
}
