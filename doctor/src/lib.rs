//! `cargo dev doctor`: looks at everything that has to be right in a deployment, and says line by line what
//! is wrong and what to do.
//!
//! Use [`examine`] with the variables of a deployment, with the address of an application, or with both. The
//! checks use the readers and clients of the bot itself, so they accept exactly what the bot accepts. They
//! write nothing: every probe of the storage account reads, or names a queue or table that does not exist.
//! Only a call of the poll route changes something, because it starts a run, as a scheduler does.
//!
//! No line holds a secret: the texts are the project's own, and [`Report`] removes each secret value.
#![warn(missing_docs)]

mod archive;
mod checks;
mod env_file;
mod local_ports;
mod machine;
mod manifest;
mod report;
mod variables;
mod watch;

pub use checks::{Examination, examine};
pub use env_file::EnvFile;
pub use local_ports::LocalPorts;
pub use machine::{Machine, block_on};
pub use manifest::Manifest;
pub use report::{Line, Report, Status};
pub use variables::Variables;
