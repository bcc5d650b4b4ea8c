//! This package has no code. Its `Cargo.toml` names the version of the bot's components. The build commands
//! in `spin.toml` build these components.
