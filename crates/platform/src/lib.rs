//! The ports that the protocol crates stand on, and their Spin adapter.
//!
//! A *port* is a small trait for one thing of the outside world: HTTP, key-value, the clock, randomness, settings, the
//! log. Everything above is written against [`Host`], compiles natively, and never names `spin_sdk` or `wasi`; the
//! adapter in `spin` (guest builds only) is the one place that does.
#![warn(missing_docs)]

pub mod answer;
mod bearer;
mod clock;
mod excerpt;
mod http_client;
mod joined;
mod key_value;
mod log;
mod name;
mod random;
mod reply;
mod request_body;
mod secret;
mod settings;
#[cfg(target_os = "wasi")]
pub mod spin;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod transport_error;

pub use bearer::bearer;
pub use clock::{Clock, Deadline};
pub use excerpt::excerpt;
pub use http_client::{HttpClient, Timeouts};
pub use joined::{Joined, JoinedSettings};
pub use key_value::{KeyValue, KeyValueError};
pub use log::{Level, Log};
pub use name::{hex, name_of};
pub use random::Randomness;
pub use reply::Reply;
pub use request_body::{BodyError, RequestBody};
pub use secret::{Secret, SecretHash};
pub use settings::{Settings, SettingsError};
pub use transport_error::{BodyLost, BodyProblem, TransportError};

/// Every port at once: what a component gets from its platform.
pub trait Host: HttpClient + KeyValue + Clock + Randomness + Settings + Log {}

impl<T: HttpClient + KeyValue + Clock + Randomness + Settings + Log> Host for T {}
