//! This package has no code: it names the version of the components that `spin.toml` builds.
