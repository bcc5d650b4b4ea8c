//! The state of one running instance of a component, and the interfaces that the instance can call. These are
//! WASI, outbound HTTP to the hosts in `allowed_outbound_hosts`, and Spin's variables and key-value stores.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::bindings::guest::fermyon::spin::{key_value, variables};
use crate::kv::KeyValue;
use crate::open_store::OpenStore;
use crate::outbound::Outbound;
use crate::output::{GuestOutput, Sink};
use crate::usage::{Calls, Memory};
use crate::variables::check_name;

/// The maximum number of key-value stores that one instance can have open. Spin has the same limit (spin:
/// `DEFAULT_STORE_TABLE_CAPACITY` in crates/factor-key-value).
const MAX_OPEN_STORES: usize = 256;

/// The state that all instances of one component share.
#[derive(Debug)]
pub(crate) struct Component {
    pub(crate) id: Arc<str>,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) stores: Vec<String>,
    pub(crate) key_value: Arc<KeyValue>,
    pub(crate) outbound: Outbound,
    pub(crate) settings: HostSettings,
}

/// The command-line options that apply to every instance of every component.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HostSettings {
    pub(crate) quiet: bool,
    pub(crate) meter: bool,
    /// How long each read of a variable takes. Tests set this time to imitate a slow variable provider.
    pub(crate) variable_delay: Duration,
}

/// The state of one instance.
pub(crate) struct State {
    component: Arc<Component>,
    open_stores: usize,
    outbound: Outbound,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    pub(crate) memory: Memory,
    pub(crate) calls: Calls,
}

impl State {
    pub(crate) fn new(component: &Arc<Component>) -> Self {
        let output = |sink| {
            GuestOutput::new(
                component.id.clone(),
                if component.settings.quiet { Sink::Nowhere } else { sink },
            )
        };
        // The instance gets no files, arguments, environment or sockets. Spin gives an instance files,
        // an environment or sockets only if the manifest declares them.
        let wasi = WasiCtx::builder().stdout(output(Sink::Stdout)).stderr(output(Sink::Stderr)).build();
        Self {
            component: component.clone(),
            open_stores: 0,
            outbound: component.outbound.clone(),
            wasi,
            http: WasiHttpCtx::new(),
            table: ResourceTable::new(),
            memory: Memory::default(),
            calls: Calls::default(),
        }
    }

    pub(crate) fn component(&self) -> &Component {
        &self.component
    }

    /// How many outbound requests the instance has made.
    pub(crate) fn outbound_calls(&self) -> u64 {
        self.outbound.calls()
    }

    fn label(&self, store: &Resource<OpenStore>) -> Result<&str, key_value::Error> {
        self.table.get(store).map(|store| store.label.as_str()).map_err(other)
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.outbound }
    }
}

impl variables::Host for State {
    async fn get(&mut self, name: String) -> Result<String, variables::Error> {
        self.calls.variables += 1;
        tokio::time::sleep(self.component.settings.variable_delay).await;
        check_name(&name).map_err(|why| variables::Error::InvalidName(format!("{name:?}: {why}")))?;
        self.component.variables.get(&name).cloned().ok_or_else(|| {
            variables::Error::Undefined(format!("no variable for {:?}.{name:?}", &*self.component.id))
        })
    }
}

fn other(error: impl std::fmt::Display) -> key_value::Error {
    key_value::Error::Other(error.to_string())
}

impl key_value::Host for State {}

impl key_value::HostStore for State {
    fn open(&mut self, label: String) -> Result<Resource<OpenStore>, key_value::Error> {
        if !self.component.stores.contains(&label) {
            return Err(key_value::Error::AccessDenied);
        }
        if self.open_stores == MAX_OPEN_STORES {
            return Err(key_value::Error::StoreTableFull);
        }
        let store = self.table.push(OpenStore { label }).map_err(other)?;
        self.open_stores += 1;
        Ok(store)
    }

    fn get(&mut self, store: Resource<OpenStore>, key: String) -> Result<Option<Vec<u8>>, key_value::Error> {
        self.calls.key_value_reads += 1;
        self.component.key_value.get(self.label(&store)?, &key).map_err(other)
    }

    fn set(
        &mut self,
        store: Resource<OpenStore>,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), key_value::Error> {
        self.calls.key_value_writes += 1;
        self.component.key_value.set(self.label(&store)?, &key, &value).map_err(other)
    }

    fn delete(&mut self, store: Resource<OpenStore>, key: String) -> Result<(), key_value::Error> {
        self.calls.key_value_writes += 1;
        self.component.key_value.delete(self.label(&store)?, &key).map_err(other)
    }

    fn exists(&mut self, store: Resource<OpenStore>, key: String) -> Result<bool, key_value::Error> {
        self.get(store, key).map(|value| value.is_some())
    }

    fn get_keys(&mut self, store: Resource<OpenStore>) -> Result<Vec<String>, key_value::Error> {
        self.calls.key_value_lists += 1;
        self.component.key_value.keys(self.label(&store)?).map_err(other)
    }

    fn drop(&mut self, store: Resource<OpenStore>) -> wasmtime::Result<()> {
        self.table.delete(store)?;
        self.open_stores -= 1;
        Ok(())
    }
}
