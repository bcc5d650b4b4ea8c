//! The API key of the local bot that `cargo dev up` runs. A program sends this key to the alert routes
//! (`/api/alerts` and the other routes for programs).

use std::fmt;

use crate::chosen;

/// The environment variable from which the Spin host reads the value of the Spin variable `alertkey`.
pub(crate) const VARIABLE: &str = "SPIN_VARIABLE_ALERTKEY";

/// The value of the Spin variable `alertkey`: one API key, or two API keys separated by a comma. To replace
/// an API key, a person sets both the old and the new API key until all programs use the new API key.
#[derive(Clone, PartialEq, Eq)]
pub struct AlertKey(String);

impl AlertKey {
    /// Makes an API key of 32 random bytes, for one start of the bot.
    pub fn random() -> anyhow::Result<Self> {
        chosen::random_hex().map(Self)
    }

    /// Chooses the API key for a bot that starts with these Spin variables. If the function returns `None`,
    /// the bot closes its alert routes (returns 404), unless the Spin variable `alertkeys` has API keys.
    ///
    /// The function looks for a value of `alertkey` in `variables`, then in the environment, and then in
    /// `.env`. The first of these three places that sets `alertkey` decides. If the value in this place
    /// contains no key, the function returns `None`.
    ///
    /// If no place sets `alertkey`, the result depends on the Spin variable `authmode`:
    ///
    /// - If `variables` sets `authmode` to `anonymous`, or does not set `authmode`, the bot starts with
    ///   `authmode=anonymous`, and so serves only this machine. The function then makes a random key.
    /// - If `authmode` has another value, other machines can perhaps call the bot. The function then returns
    ///   `None`, and the alert routes stay closed until a person sets a key.
    pub fn for_variables(variables: &[(String, String)]) -> anyhow::Result<Option<Self>> {
        Self::choose(variables, || chosen::from_environment(VARIABLE))
    }

    fn choose(
        variables: &[(String, String)],
        in_environment: impl FnOnce() -> Option<String>,
    ) -> anyhow::Result<Option<Self>> {
        let value = |wanted: &str| variables.iter().rfind(|(name, _)| name == wanted).map(|(_, value)| value);
        match value("alertkey").cloned().or_else(in_environment) {
            Some(value) => Ok(Some(Self(value)).filter(|key| key.bearer().is_some())),
            None if value("authmode").is_some_and(|mode| mode != "anonymous") => Ok(None),
            None => Self::random().map(Some),
        }
    }

    pub(crate) fn new(value: &str) -> Self {
        Self(value.to_owned())
    }

    /// The whole value of the variable.
    pub(crate) fn as_variable(&self) -> &str {
        &self.0
    }

    /// The first API key that is not empty. A program such as `cargo dev send` sends this key in the header
    /// `Authorization`.
    pub(crate) fn bearer(&self) -> Option<&str> {
        self.0.split(',').map(str::trim).find(|key| !key.is_empty())
    }
}

impl fmt::Debug for AlertKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AlertKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(variables: &[(&str, &str)], in_environment: Option<&str>) -> Option<AlertKey> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let variables: Vec<_> = variables.iter().map(owned).collect();
        AlertKey::choose(&variables, || in_environment.map(str::to_owned)).unwrap()
    }

    #[test]
    fn key_set_by_a_person_is_used_and_an_empty_value_means_no_key() {
        for (variables, in_environment, expected) in [
            (&[("alertkey", "mine")][..], Some("other"), Some("mine")),
            (&[("alertkey", "first"), ("alertkey", "last")], None, Some("last")),
            (&[("alertkey", "mine"), ("authmode", "required")], None, Some("mine")),
            (&[("alertkey", " , new")], None, Some("new")),
            (&[("alertkey", "")], Some("other"), None),
            (&[("alertkey", " ,")], None, None),
            (&[("pace", "0")], Some("old, new"), Some("old")),
            (&[("authmode", "required")], None, None),
            (&[("authmode", "required")], Some("mine"), Some("mine")),
        ] {
            let key = choose(variables, in_environment);
            let bearer = key.as_ref().and_then(AlertKey::bearer);
            assert_eq!(bearer, expected, "{variables:?}, in_environment {in_environment:?}");
        }
    }

    #[test]
    fn random_key_differs_each_time_and_is_hidden_by_debug() {
        let (one, other) = (choose(&[], None).unwrap(), choose(&[("authmode", "anonymous")], None).unwrap());
        assert_ne!(one, other);
        assert_eq!(one.bearer().map(str::len), Some(64));
        assert_eq!(format!("{one:?}"), "AlertKey(***)");
    }
}
