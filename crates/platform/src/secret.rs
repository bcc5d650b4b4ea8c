//! Secrets that are compared, and never shown.

use std::fmt;

use subtle::ConstantTimeEq;

/// A key or a password. `Debug` masks it, there is no `Display`, and comparing takes the same time wherever two of the
/// same length differ.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The secret in `text`; `None` if that is empty, because nothing is protected by nothing.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        Some(text.into()).filter(|text| !text.is_empty()).map(Self)
    }

    /// Whether `candidate` is this secret.
    pub fn matches(&self, candidate: &str) -> bool {
        self.0.as_bytes().ct_eq(candidate.as_bytes()).into()
    }

    /// The secret itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_matches_itself_only_and_is_never_shown() {
        let secret = Secret::new("hunter2").unwrap();
        for (candidate, expected) in [
            ("hunter2", true),
            ("hunter3", false),
            ("hunter", false),
            ("hunter22", false),
            ("", false),
            ("HUNTER2", false),
        ] {
            assert_eq!(secret.matches(candidate), expected, "{candidate}");
        }
        assert_eq!(format!("{secret:?}"), "Secret(***)");
        assert!(Secret::new("").is_none());
    }
}
