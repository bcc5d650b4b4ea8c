//! Reads several variables with one call to the Spin host.
//!
//! On Spin, each read of a variable is a call to the Spin host, and a component needs more than twenty
//! variables. So a template in the manifest joins several variables of the application into one variable of
//! the component. Each template joins variables that the component needs at the same time. An example of a
//! template:
//!
//! ```toml
//! inbound = "authmode={{ authmode }}\u001fmicrosoftappid={{ microsoftappid }}"
//! ```
//!
//! The separator is U+001F, the unit separator, because no sensible value contains this character. Line ends,
//! `;` and `,` cannot separate variables, because some values contain them (e.g. a certificate contains line
//! ends).

use std::cell::OnceCell;

use crate::SettingsError;

/// The character between two joined variables.
const SEPARATOR: char = '\u{1f}';

/// A variable of the component that joins several variables of the application.
#[derive(Debug, Clone, Copy)]
pub struct Joined {
    /// The name of the component's variable in the manifest.
    pub variable: &'static str,
    /// The names of the application's variables that the component's variable joins.
    pub names: &'static [&'static str],
}

impl Joined {
    fn index(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| *known == name)
    }
}

/// The joined variables, with the values that have been read so far. [`JoinedSettings::setting`] reads a
/// joined variable when a caller first asks for one of the variables in it.
#[derive(Debug)]
pub struct JoinedSettings {
    parts: Vec<(Joined, OnceCell<Result<Values, SettingsError>>)>,
}

/// The values in one joined variable, in the order of [`Joined::names`]. A value is `None` if its name is
/// missing in the joined text.
type Values = Vec<Option<String>>;

impl JoinedSettings {
    /// Stores the list of joined variables. Reads no variable yet.
    pub fn new(joined: &[Joined]) -> Self {
        Self { parts: joined.iter().map(|joined| (*joined, OnceCell::new())).collect() }
    }

    /// Returns the value of the application's variable `name`. `read` reads one variable of the component.
    ///
    /// If a joined variable contains `name`, this function calls `read` with the name of the joined variable.
    /// The function keeps the result (all values, or the error), and uses this result in later calls. If no
    /// joined variable contains `name`, this function calls `read` with `name`.
    pub fn setting(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<String, SettingsError>,
    ) -> Result<String, SettingsError> {
        let found =
            self.parts.iter().find_map(|(joined, values)| Some((joined, values, joined.index(name)?)));
        let Some((joined, values, index)) = found else { return read(name) };
        let values = values.get_or_init(|| split(joined, &read(joined.variable)?)).as_ref();
        let value = values.map_err(SettingsError::clone)?.get(index).cloned().flatten();
        let missing = || {
            SettingsError::new(
                name,
                format!(
                    "missing in the component's variable `{}`; add it to the template in the manifest",
                    joined.variable
                ),
            )
        };
        value.ok_or_else(missing)
    }
}

fn split(joined: &Joined, text: &str) -> Result<Values, SettingsError> {
    let mut values: Values = vec![None; joined.names.len()];
    for part in text.split(SEPARATOR).filter(|part| !part.is_empty()) {
        let named = part.split_once('=').and_then(|(name, value)| Some((joined.index(name)?, value)));
        match named.and_then(|(index, value)| Some((values.get_mut(index)?, value))) {
            Some((known @ None, value)) => *known = Some(value.to_owned()),
            // The error does not repeat the text, because the text can be a part of a secret.
            _ => {
                let problem = "expected each name once as name=value, separated by U+001F; use the manifest of \
                               this version of the bot, and set no value that contains U+001F";
                return Err(SettingsError::new(joined.variable, problem));
            }
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const JOINED: [Joined; 2] =
        [Joined { variable: "first", names: &["a", "b"] }, Joined { variable: "second", names: &["c"] }];

    #[test]
    fn joined_variable_is_read_once_and_only_when_a_joined_name_is_needed() {
        let reads = RefCell::new(Vec::new());
        let read = |name: &str| {
            reads.borrow_mut().push(name.to_owned());
            Ok(match name {
                "first" => "a=1=\n;,\u{1f}b=".to_owned(),
                "second" => "\u{1f}c=3\u{1f}".to_owned(),
                other => format!("{other} alone"),
            })
        };
        let settings = JoinedSettings::new(&JOINED);
        for (name, value) in [("b", ""), ("a", "1=\n;,"), ("d", "d alone"), ("a", "1=\n;,")] {
            assert_eq!(settings.setting(name, read), Ok(value.to_owned()), "{name}");
        }
        assert_eq!(*reads.borrow(), ["first", "d"], "no name of `second` was needed");
        assert_eq!(settings.setting("c", read), Ok("3".to_owned()));
    }

    #[test]
    fn joined_variable_with_unexpected_text_is_an_error_that_does_not_repeat_the_text() {
        for (text, name) in [
            ("", "a"),
            ("a=1", "b"),
            ("a=1\u{1f}a=2\u{1f}b=3", "first"),
            ("a=1\u{1f}hunter2\u{1f}b=2", "first"),
            ("a=1\u{1f}b=hunter2\u{1f}rest", "first"),
            ("a=1\u{1f}b=2\u{1f}z=hunter2", "first"),
        ] {
            let settings = JoinedSettings::new(&JOINED);
            let asked = if name == "first" { "a" } else { name };
            let error = settings.setting(asked, |_| Ok(text.to_owned())).expect_err(text);
            assert!(error.name == name && !error.to_string().contains("hunter2"), "{text:?}: {error}");
        }
        let broken =
            JoinedSettings::new(&JOINED).setting("a", |name| Err(SettingsError::new(name, "not mapped")));
        assert_eq!(broken, Err(SettingsError::new("first", "not mapped")));
    }
}
