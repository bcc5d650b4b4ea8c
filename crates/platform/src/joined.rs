//! Variables that a component reads together.
//!
//! On Spin each read of a variable is a call of the host, and a component needs some twenty. So the manifest joins those that
//! are always needed together in one variable of the component, by a template:
//!
//! ```toml
//! inbound = "authmode={{ authmode }}\u001fmicrosoftappid={{ microsoftappid }}"
//! ```
//!
//! U+001F, the unit separator, stands in no sensible value; line ends do (a certificate), and so do `;` and `,`.

use std::cell::OnceCell;

use crate::SettingsError;

/// What stands between two variables that are joined.
const SEPARATOR: char = '\u{1f}';

/// A variable of the component that joins several of the application.
#[derive(Debug, Clone, Copy)]
pub struct Joined {
    /// Its name in the manifest.
    pub variable: &'static str,
    /// The names of those that it joins.
    pub names: &'static [&'static str],
}

/// The joined variables that were read so far. Each is read when the first of its names is asked for.
#[derive(Debug)]
pub struct JoinedSettings {
    parts: Vec<(Joined, OnceCell<Result<Values, SettingsError>>)>,
}

/// Names and values.
type Values = Vec<(String, String)>;

impl JoinedSettings {
    /// Nothing is read yet.
    pub fn new(joined: &[Joined]) -> Self {
        Self { parts: joined.iter().map(|joined| (*joined, OnceCell::new())).collect() }
    }

    /// The value of a setting, where `read` reads one variable of the component.
    pub fn setting(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<String, SettingsError>,
    ) -> Result<String, SettingsError> {
        let Some((joined, values)) = self.parts.iter().find(|(joined, _)| joined.names.contains(&name))
        else {
            return read(name);
        };
        let values = values.get_or_init(|| split(joined, &read(joined.variable)?)).as_ref();
        let value = values.map_err(SettingsError::clone)?.iter().find(|(known, _)| known == name);
        let missing = || {
            SettingsError::new(
                name,
                format!("is missing from the component's variable `{}`", joined.variable),
            )
        };
        value.map(|(_, value)| value.clone()).ok_or_else(missing)
    }
}

fn split(joined: &Joined, text: &str) -> Result<Values, SettingsError> {
    let mut values: Values = Vec::new();
    for part in text.split(SEPARATOR).filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some((name, value))
                if joined.names.contains(&name) && !values.iter().any(|(known, _)| known == name) =>
            {
                values.push((name.to_owned(), value.to_owned()));
            }
            // Without its text: it may be part of a secret.
            _ => {
                let problem = "holds something else than one name=value for each name: one of the joined values holds \
                               the character U+001F, or the manifest is not this version's";
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
    fn joined_variables_are_read_once_and_only_when_asked_for() {
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
        assert_eq!(*reads.borrow(), ["first", "d"], "nobody asked for c");
        assert_eq!(settings.setting("c", read), Ok("3".to_owned()));
    }

    #[test]
    fn joined_text_that_is_not_as_expected_is_an_error_without_its_text() {
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
            JoinedSettings::new(&JOINED).setting("a", |name| Err(SettingsError::new(name, "is not there")));
        assert_eq!(broken, Err(SettingsError::new("first", "is not there")));
    }
}
