//! Records how far the clock of each server differs from the clock of this machine.
//!
//! The doctor (`cargo dev doctor`) runs parts of the bot's code. This code makes its calls through the traits
//! of [`platform`]. In this file, a *host* is a type that implements these traits, not a server. (The
//! field `Skew::host` is an exception: it names a server.) [`Watch`] is a host. `Watch` passes each HTTP call
//! on to another host, and reads the header `Date` of the response.

use std::cell::RefCell;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use platform::{
    Clock, HttpClient, KeyValue, KeyValueError, Log, Randomness, Settings, SettingsError, Timeouts,
    TransportError,
};
use storage_account::{header, parse_rfc_1123};

use crate::variables::Variables;

/// The difference between the clock of a server and the clock of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Skew {
    /// The server's name in the URL.
    pub(crate) host: String,
    /// The server's time minus this machine's time.
    pub(crate) ahead: TimeDelta,
}

/// A host that passes calls on to the host `inner`. `Watch` reads settings from `variables`, the variables of
/// the deployment. For each server, `Watch` compares the first header `Date` with the clock of this machine.
pub(crate) struct Watch<'a, H> {
    inner: &'a H,
    variables: Option<&'a Variables>,
    skews: RefCell<Vec<Skew>>,
}

impl<'a, H> Watch<'a, H> {
    pub(crate) fn new(inner: &'a H, variables: Option<&'a Variables>) -> Self {
        Self { inner, variables, skews: RefCell::default() }
    }

    /// The differences so far, one for each server that sent a `Date`.
    pub(crate) fn skews(&self) -> Vec<Skew> {
        self.skews.borrow().clone()
    }
}

impl<H: HttpClient + Clock> HttpClient for Watch<'_, H> {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        timeouts: Timeouts,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let response = self.inner.send(request, timeouts).await;
        let date = response.as_ref().ok().and_then(|response| header(response.headers(), "date"));
        if let Some(time) = date.and_then(parse_rfc_1123) {
            let mut skews = self.skews.borrow_mut();
            if !skews.iter().any(|skew| skew.host == host) {
                skews.push(Skew { host, ahead: time - self.inner.now() });
            }
        }
        response
    }
}

impl<H: KeyValue> KeyValue for Watch<'_, H> {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KeyValueError> {
        self.inner.get(key).await
    }

    async fn set(&self, key: &str, value: &[u8]) -> Result<(), KeyValueError> {
        self.inner.set(key, value).await
    }

    async fn delete(&self, key: &str) -> Result<(), KeyValueError> {
        self.inner.delete(key).await
    }
}

impl<H: Clock> Clock for Watch<'_, H> {
    fn now(&self) -> DateTime<Utc> {
        self.inner.now()
    }

    fn monotonic(&self) -> Duration {
        self.inner.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        self.inner.sleep(duration).await;
    }
}

impl<H: Randomness> Randomness for Watch<'_, H> {
    fn fill(&self, buffer: &mut [u8]) {
        self.inner.fill(buffer);
    }
}

impl<H> Settings for Watch<'_, H> {
    fn setting(&self, name: &str) -> Result<String, SettingsError> {
        Ok(self.variables.map(|variables| variables.value(name).to_owned()).unwrap_or_default())
    }
}

impl<H> Log for Watch<'_, H> {
    /// Discards the log line. The doctor's report already says what is wrong.
    fn line(&self, _: &str) {}
}
