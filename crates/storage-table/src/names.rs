//! The names of tables and the versions of entities. A name and a version have different types, so no caller
//! can use one in the place of the other.

use std::fmt;

use thiserror::Error;

/// The valid name of a table: 3 to 63 letters and digits, with a letter at the beginning
/// (<https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName(String);

/// The text is not a valid name of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected 3 to 63 letters and digits, with a letter at the beginning; the name `tables` is reserved")]
pub struct InvalidTableName;

impl TableName {
    /// Checks a name.
    pub fn parse(name: &str) -> Result<Self, InvalidTableName> {
        let valid = (3..=63).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && name.starts_with(|first: char| first.is_ascii_alphabetic())
            && !name.eq_ignore_ascii_case("tables");
        if valid { Ok(Self(name.to_owned())) } else { Err(InvalidTableName) }
    }

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The version of an entity, as the service returned it. The client sends the text back unchanged, and never
/// interprets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag(pub(crate) String);

impl ETag {
    /// The version's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for ETag {
    /// Restores a version from the text that [`ETag::as_str`] returned.
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_name_that_breaks_a_documented_rule_is_refused() {
        for (name, valid) in [
            ("abc", true),
            ("Ledger1", true),
            ("ab", false),
            ("", false),
            ("1abc", false),
            ("a-b-c", false),
            ("a_bc", false),
            ("täble", false),
            ("tables", false),
            ("Tables", false),
            ("tables1", true),
            (&"a".repeat(63), true),
            (&"a".repeat(64), false),
        ] {
            assert_eq!(TableName::parse(name).is_ok(), valid, "{name:?}");
        }
    }
}
