//! The *ports*, and the *adapter* that implements the ports for Spin.
//!
//! A *port* is a small trait for one service of the platform on which the components run: HTTP, key-value
//! storage, the clock, randomness, settings, or the log. Code that needs one of these services takes a value
//! that implements the port. Code that needs several services can take a value that implements [`Host`], the
//! trait of all ports. So the code compiles natively, and its tests use the fake platform in `testing`.
//!
//! The adapter is the module `spin`, which exists only in builds for WebAssembly. Outside the adapter, only
//! the entry points of the components (the functions that the platform calls) use `spin_sdk` or `wasi`.
//!
//! This crate contains no protocol of Azure or of the Bot Framework. The adapter sends each HTTP request only
//! once, and follows no redirect.
//!
//! Sources of the adapter: <https://docs.rs/spin-sdk/5.2.0> and, for WASI 0.2,
//! <https://github.com/WebAssembly/WASI>.
#![warn(missing_docs)]

mod bearer;
mod clock;
mod excerpt;
mod http_client;
mod joined;
mod json;
mod key_value;
mod log;
mod name;
mod random;
mod reply;
mod request_body;
pub mod response;
mod secret;
mod settings;
#[cfg(target_os = "wasi")]
pub mod spin;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod trace;
mod transport_error;

pub use bearer::bearer;
pub use clock::{Clock, Deadline};
pub use excerpt::excerpt;
pub use http_client::{HttpClient, Timeouts};
pub use joined::{Joined, JoinedSettings};
pub use json::{json_of, value_of};
pub use key_value::{KeyValue, KeyValueError};
pub use log::{Level, Log};
pub use name::{hex, name_of};
pub use random::Randomness;
pub use reply::Reply;
pub use request_body::{BodyError, RequestBody};
pub use secret::{Secret, SecretHash};
pub use settings::{Settings, SettingsError};
pub use trace::Traceparent;
pub use transport_error::{BodyLost, BodyProblem, TransportError};

/// All ports of the platform in one trait.
pub trait Host: HttpClient + KeyValue + Clock + Randomness + Settings + Log {}

impl<T: HttpClient + KeyValue + Clock + Randomness + Settings + Log> Host for T {}
