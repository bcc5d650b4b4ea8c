//! What one instance used: `--meter`, for benchmarks and for tests that hold the components to their figures.

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

/// The calls of the host that an instance made.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    pub(crate) variables: u64,
    /// Of one key.
    pub(crate) key_value_reads: u64,
    /// Of one key: sets and deletions.
    pub(crate) key_value_writes: u64,
    /// Lists of all keys.
    pub(crate) key_value_lists: u64,
}

/// Before the instance is made.
pub(crate) fn start(store: &mut Store<State>) {
    if store.data().component().meter {
        store.limiter(|state| &mut state.memory);
        // Fails only in an engine without fuel, and then there is nothing to report.
        _ = store.set_fuel(u64::MAX);
    }
}

/// After its work is done.
pub(crate) fn report(store: &Store<State>) {
    let (state, component) = (store.data(), store.data().component());
    if let (true, Ok(left)) = (component.meter, store.get_fuel()) {
        let Calls { variables, key_value_reads, key_value_writes, key_value_lists } = state.calls;
        output::say(&format!(
            r#"Meter {{"component":"{}","fuel":{},"memoryBytes":{},"variables":{variables},"keyValueReads":{key_value_reads},"keyValueWrites":{key_value_writes},"keyValueLists":{key_value_lists},"outboundCalls":{}}}"#,
            component.id,
            u64::MAX - left,
            state.memory.bytes,
            state.outbound_calls(),
        ));
    }
}
