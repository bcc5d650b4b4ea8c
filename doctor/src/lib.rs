//! `cargo dev doctor`: checks everything that has to be right in a deployment. The result says, line by line,
//! what is wrong and what to do.
//!
//! Use [`examine`] with the variables of a deployment, with the address of an application, or with both. The
//! checks read variables and make calls with the bot's own code, so they accept exactly what the bot accepts.
//! A probe of the storage account changes nothing: it only reads, or it names a queue or table that does not
//! exist. One call changes something: the call to the poll route starts a run, as a scheduler's call does.
//!
//! No line of the result holds a secret. The lines use this project's own texts, not the texts of servers,
//! and [`Report`] removes the value of each secret variable.
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
