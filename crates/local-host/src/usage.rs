//! Counts the resources that one instance of a component uses.

use wasmtime::ResourceLimiter;

/// The memory of one instance. WebAssembly memory never shrinks, so the size at the end is the largest size.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) bytes: usize,
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.bytes += desired.saturating_sub(current);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        _desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

/// The calls by which an instance used variables and key-value stores. `Outbound` counts the HTTP requests.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    pub(crate) variables: u64,
    /// Reads of one key. A call of `exists` also counts as a read.
    pub(crate) key_value_reads: u64,
    /// Sets and deletions of one key.
    pub(crate) key_value_writes: u64,
    /// Lists of all keys.
    pub(crate) key_value_lists: u64,
}
