//! This package has no code. Its `Cargo.toml` names the version of the bot's components, which `spin.toml`
//! builds.
