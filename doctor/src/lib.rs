//! `cargo dev doctor`: checks a deployment. The result says, line by line, what is wrong and what to do.
//!
//! Use [`examine`] with the variables of a deployment, the address of an application, and an app package for
//! Teams. Each of these can be missing. The checks read variables and make calls with the bot's own code, so
//! the checks accept exactly the values that the bot accepts. Each call to the storage account only reads, or
//! names a queue or table that does not exist. So these calls change nothing. But the call to the poll route
//! (`/internal/poll`) starts a run of the poller, as a scheduler's call does.
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
