//! The Spin adapter: implements every [port](crate) with spin-sdk 5.2 and WASI 0.2. This module exists only
//! in builds for WebAssembly. The adapter is small, so an adapter for a later SDK is easy to write.

mod inbound;
mod outbound;
mod stream;
mod wait;

use std::cell::OnceCell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use spin_sdk::key_value::Store;

use crate::{
    Clock, Joined, JoinedSettings, KeyValue, KeyValueError, Log, Randomness, Settings, SettingsError,
};

pub use inbound::{SpinBody, serve};

/// The platform of a component that runs on Spin. Each request has its own `SpinHost`, because Spin starts a
/// new instance of the component for each request.
pub struct SpinHost {
    joined: JoinedSettings,
    store: OnceCell<Store>,
    start: OnceCell<Instant>,
}

impl std::fmt::Debug for SpinHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpinHost").finish_non_exhaustive()
    }
}

impl SpinHost {
    /// Makes the platform. `joined` lists the component's joined variables (see [`Joined`]).
    pub fn new(joined: &[Joined]) -> Self {
        Self { joined: JoinedSettings::new(joined), store: OnceCell::new(), start: OnceCell::new() }
    }

    fn store(&self) -> Result<&Store, KeyValueError> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let store = Store::open_default().map_err(key_value_error)?;
        Ok(self.store.get_or_init(|| store))
    }
}

/// Runs a future to its end. The entry point of the cron trigger needs this function. An HTTP entry point
/// does not need this function, because the macro `http_component` runs the future. The future must not call
/// `run`, because spin-executor has only one global list of waiting futures.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    spin_executor::run(future)
}

impl Clock for SpinHost {
    fn now(&self) -> DateTime<Utc> {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        DateTime::from_timestamp(since_epoch.as_secs() as i64, since_epoch.subsec_nanos()).unwrap_or_default()
    }

    fn monotonic(&self) -> Duration {
        self.start.get_or_init(Instant::now).elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        wait::pause(duration).await;
    }
}

impl Randomness for SpinHost {
    fn fill(&self, buffer: &mut [u8]) {
        let bytes = wasi::random::random::get_random_bytes(buffer.len() as u64);
        for (target, byte) in buffer.iter_mut().zip(bytes) {
            *target = byte;
        }
    }
}

impl Settings for SpinHost {
    fn setting(&self, name: &str) -> Result<String, SettingsError> {
        self.joined.setting(name, read_variable)
    }
}

fn read_variable(name: &str) -> Result<String, SettingsError> {
    // The error text of the variable provider can quote a value, so this function uses only the kind of the
    // error.
    spin_sdk::variables::get(name).map_err(|error| {
        use spin_sdk::variables::Error;
        let problem = match error {
            Error::InvalidName(_) => "the name is not valid",
            Error::Undefined(_) => {
                "the manifest does not map the variable to this component; add it to `[component.<id>.variables]`"
            }
            Error::Provider(_) | Error::Other(_) => "the variable provider failed; check its configuration",
        };
        SettingsError::new(name, problem)
    })
}

impl Log for SpinHost {
    fn line(&self, line: &str) {
        println!("{line}");
    }
}

impl KeyValue for SpinHost {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KeyValueError> {
        self.store()?.get(key).map_err(key_value_error)
    }

    async fn set(&self, key: &str, value: &[u8]) -> Result<(), KeyValueError> {
        self.store()?.set(key, value).map_err(key_value_error)
    }

    async fn delete(&self, key: &str) -> Result<(), KeyValueError> {
        self.store()?.delete(key).map_err(key_value_error)
    }
}

fn key_value_error(error: spin_sdk::key_value::Error) -> KeyValueError {
    use spin_sdk::key_value::Error;
    match error {
        Error::NoSuchStore => KeyValueError::NoSuchStore,
        Error::AccessDenied => KeyValueError::AccessDenied,
        Error::StoreTableFull => KeyValueError::TooManyOpen,
        Error::Other(_) => KeyValueError::Failed,
    }
}
