//! `--meter`: reports the resources that one instance used, for benchmarks and for tests of recorded figures.

use wasmtime::{ResourceLimiter, Store};

use crate::output;
use crate::state::State;

/// The linear memory of one instance. It never shrinks, so its size at the end is its peak.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    bytes: usize,
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

/// The calls that an instance made to the host.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    pub(crate) variables: u64,
    /// Reads of one key.
    pub(crate) key_value_reads: u64,
    /// Sets and deletions of one key.
    pub(crate) key_value_writes: u64,
    /// Lists of all keys.
    pub(crate) key_value_lists: u64,
}

/// Starts the meter. Call this function before the instance is created.
pub(crate) fn start(store: &mut Store<State>) {
    if store.data().component().settings.meter {
        store.limiter(|state| &mut state.memory);
        // This fails only in an engine without fuel, which has nothing to report.
        _ = store.set_fuel(u64::MAX);
    }
}

/// Prints the report. Call this function after the instance has ended its work.
pub(crate) fn report(store: &Store<State>) {
    let (state, component) = (store.data(), store.data().component());
    if let (true, Ok(left)) = (component.settings.meter, store.get_fuel()) {
        let Calls { variables, key_value_reads, key_value_writes, key_value_lists } = state.calls;
        output::print(&format!(
            r#"Meter {{"component":"{}","fuel":{},"memoryBytes":{},"variables":{variables},"keyValueReads":{key_value_reads},"keyValueWrites":{key_value_writes},"keyValueLists":{key_value_lists},"outboundCalls":{}}}"#,
            component.id,
            u64::MAX - left,
            state.memory.bytes,
            state.outbound_calls(),
        ));
    }
}
