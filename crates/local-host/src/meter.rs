//! Reports the resources that one instance of a component used (option `--meter`). The benchmarks read these
//! reports. Some tests compare the reports with the recorded figures in `docs/performance.json`.

use wasmtime::Store;

use crate::output;
use crate::state::State;
use crate::usage::Calls;

/// Starts to count the resources. Call this function before the instance is created.
pub(crate) fn start(store: &mut Store<State>) {
    if store.data().component().settings.meter {
        store.limiter(|state| &mut state.memory);
        // *Fuel* is wasmtime's measure of the executed instructions. `set_fuel` fails only if the engine does
        // not count fuel. Then `report` prints nothing.
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
