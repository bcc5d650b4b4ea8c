//! Compiles components, and links them to the interfaces that this host offers.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};
use wasmtime::{Cache, CacheConfig, Config, Engine, Store};

use crate::bindings::guest::Guest;
use crate::state::{self, State};
use crate::{meter, output};

/// How long a *guest* (an instance of a component) computes before the guest yields its thread to other
/// guests.
const TIME_SLICE: Duration = Duration::from_millis(10);

/// Converts a `wasmtime::Error` into an `anyhow::Error`, with the whole chain of causes. The operator `?`
/// does not convert this error, because `wasmtime::Error` does not implement `std::error::Error`.
pub(crate) fn explain(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("{error:?}")
}

/// Makes the wasmtime store (memory and state) for one new instance of `component`. The instance yields its
/// thread after each [`TIME_SLICE`].
pub(crate) fn store(engine: &Engine, component: &Arc<state::Component>) -> Store<State> {
    let mut store = Store::new(engine, State::new(component));
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    meter::start(&mut store);
    store
}

pub(crate) struct Loader {
    engine: Engine,
    linker: Linker<State>,
    compiled: HashMap<PathBuf, Component>,
}

impl Loader {
    pub(crate) fn new(meter: bool) -> Result<Self> {
        let mut config = Config::new();
        match Cache::new(CacheConfig::new()) {
            Ok(cache) => drop(config.cache(Some(cache))),
            Err(e) => output::error(&format!(
                "cache: no folder for compiled components ({e}); the host compiles them at every start"
            )),
        }
        // An *epoch* is a number in the engine, which the thread below increments after each time slice. Each
        // increment makes the guests yield their threads. Without epochs, a few guests in endless loops would
        // occupy all threads, and Ctrl-C would have no effect.
        config.epoch_interruption(true);
        config.consume_fuel(meter);
        let engine = Engine::new(&config).map_err(explain)?;
        let ticking = engine.weak();
        std::thread::spawn(move || {
            while let Some(engine) = ticking.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TIME_SLICE);
            }
        });
        let linker = linker(&engine).map_err(explain)?;
        Ok(Self { engine, linker, compiled: HashMap::new() })
    }

    /// Compiles the wasm at `source` and links it. If several components have the same file, the loader
    /// compiles this file only once.
    pub(crate) fn load(&mut self, id: &str, source: &Path) -> Result<InstancePre<State>> {
        let component = match self.compiled.get(source) {
            Some(component) => component.clone(),
            None => {
                ensure!(
                    source.is_file(),
                    "component {id:?}: the wasm {} is missing; build it with `cargo dev build`",
                    source.display()
                );
                let component = Component::from_file(&self.engine, source).map_err(|e| {
                    explain(e).context(format!(
                        "{}: expected a wasm component, found something else",
                        source.display()
                    ))
                })?;
                self.compiled.insert(source.to_owned(), component.clone());
                component
            }
        };
        self.linker.instantiate_pre(&component).map_err(|e| {
            explain(e).context(format!(
                "component {id:?} ({}): the wasm imports an interface that this host does not offer",
                source.display()
            ))
        })
    }
}

fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    Guest::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    Ok(linker)
}
