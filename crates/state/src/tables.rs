//! The names of the tables.

use platform::{Settings, SettingsError};
use storage_table::TableName;

/// The names of one bot's tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// The conversations.
    pub conversations: TableName,
    /// The record of each alert.
    pub ledger: TableName,
    /// The run lock of each queue, and the data that runs share ([`crate::runs`]).
    pub runs: TableName,
}

impl Tables {
    /// Reads the variable `tableprefix`, with which each table's name begins. The value has 1 to 40 letters
    /// and digits, and begins with a letter. The default is `proactivebot`.
    pub fn read(settings: &impl Settings) -> Result<Self, SettingsError> {
        let prefix = settings.setting("tableprefix")?;
        let prefix = match prefix.trim() {
            "" => "proactivebot",
            prefix => prefix,
        };
        let name = |rest: &str| {
            let problem =
                "expected 1 to 40 letters and digits, with a letter at the beginning, as in a table name";
            let is_short = prefix.len() <= 40;
            is_short
                .then(|| TableName::parse(&[prefix, rest].concat()).ok())
                .flatten()
                .ok_or_else(|| SettingsError::new("tableprefix", problem))
        };
        Ok(Self { conversations: name("conversations")?, ledger: name("ledger")?, runs: name("runs")? })
    }
}

#[cfg(test)]
mod tests {
    use platform::testing::FakeHost;

    use super::*;

    #[test]
    fn table_names_begin_with_tableprefix_and_the_error_for_a_wrong_value_names_tableprefix() {
        let host = FakeHost::with_settings([("tableprefix", " bot7 ")]);
        assert_eq!(Tables::read(&host).unwrap().ledger, TableName::parse("bot7ledger").unwrap());
        let host = FakeHost::default();
        assert_eq!(Tables::read(&host).unwrap().runs, TableName::parse("proactivebotruns").unwrap());
        for wrong in ["7bot", "my-bot", "my_bot", "ü", &"x".repeat(41)] {
            let host = FakeHost::with_settings([("tableprefix", wrong)]);
            assert_eq!(Tables::read(&host).expect_err(wrong).name, "tableprefix");
        }
    }
}
