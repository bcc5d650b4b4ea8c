//! One entry of the variable `alertkeys`: `name:scopes:sha256(key)[:until]`. A program that has the API key
//! `key` can call the routes of [`super::handle`], with the rights in `scopes`. The entry holds only the hash
//! of the API key.

use chrono::{DateTime, TimeDelta, Utc};
use platform::SecretHash;

use super::grant::Grant;

/// The number of characters of the shortest API key. `cargo dev key` makes keys of 47 characters.
const MIN_KEY_CHARACTERS: usize = 32;

/// The number of characters of the longest API key with an entry in `alertkeys`. If a program sends a longer
/// key, the bot does not hash this key, because such a key has no entry in `alertkeys`.
pub(super) const MAX_KEY_CHARACTERS: usize = 128;

/// The prefix of every API key with an entry in `alertkeys`. People and scanners for secrets recognise an
/// API key by this prefix.
const KEY_PREFIX: &str = "pbk_";

const MAX_NAME_CHARACTERS: usize = 32;

/// The name of the API keys in the variable `alertkey`.
pub(super) const SIMPLE_NAME: &str = "alertkey";

/// Names that no entry is allowed to have. `alertkey` is already the name of the API keys in the variable
/// `alertkey`. An entry with the name `entra` would look like the special entry `entra:roles`. The entry
/// `entra:roles` is not for an API key: it allows calls with tokens of Entra.
const RESERVED_NAMES: [&str; 2] = [SIMPLE_NAME, "entra"];

/// An API key with a name. The bot knows only the hash of the key.
#[derive(Debug, Clone)]
pub(super) struct NamedKey {
    pub(super) name: String,
    pub(super) grant: Grant,
    pub(super) hash: SecretHash,
    /// The bot refuses the key from this time on.
    pub(super) until: Option<DateTime<Utc>>,
}

/// The problem of a wrong entry. Perhaps an operator has put an API key in place of an entry by mistake. An
/// error must not show an API key. So `name` is set only if the bot is sure that the entry begins with a
/// name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EntryProblem {
    pub(super) name: Option<String>,
    pub(super) problem: &'static str,
}

impl NamedKey {
    /// Reads one entry. The function splits the entry only at the first three colons, because `until` can
    /// contain colons.
    pub(super) fn read(entry: &str) -> Result<Self, EntryProblem> {
        let mut parts = entry.splitn(4, ':').map(str::trim);
        let name = parts.next().unwrap_or_default();
        if !is_name(name) {
            let problem = "expected a name of 1 to 32 characters of a-z, 0-9, `-`, `_` and `.` (not alertkey \
                           or entra, and not with pbk_ at the beginning) in name:scopes:sha256[:until]";
            return Err(EntryProblem { name: None, problem });
        }
        let (Some(scopes), Some(hash)) = (parts.next(), parts.next()) else {
            // Perhaps `name` is an API key that an operator has put here by mistake. So the error does not
            // contain `name`.
            let problem = "expected name:scopes:sha256[:until], found fewer parts";
            return Err(EntryProblem { name: None, problem });
        };
        let wrong = |problem| EntryProblem { name: Some(name.to_owned()), problem };
        let grant = Grant::read(scopes).map_err(wrong)?;
        let hash = SecretHash::parse(hash)
            .ok_or_else(|| wrong("expected the SHA-256 of the key as 64 hexadecimal digits"))?;
        let until = parts.next().map(|text| {
            read_end(text)
                .ok_or_else(|| wrong("until: expected a day such as 2027-01-31, or a time of RFC 3339"))
        });
        Ok(Self { name: name.to_owned(), grant, hash, until: until.transpose()? })
    }

    /// Whether the time `until` has passed.
    pub(super) fn has_ended(&self, now: DateTime<Utc>) -> bool {
        self.until.is_some_and(|until| now >= until)
    }
}

/// Whether a text has the length and the prefix of an API key.
pub(super) fn is_key(text: &str) -> bool {
    (MIN_KEY_CHARACTERS..=MAX_KEY_CHARACTERS).contains(&text.len()) && text.starts_with(KEY_PREFIX)
}

fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    (1..=MAX_NAME_CHARACTERS).contains(&text.len())
        && text.bytes().all(fits)
        && !text.starts_with(KEY_PREFIX)
        && !RESERVED_NAMES.contains(&text)
}

/// Reads `until`: a time of RFC 3339, or a day. A day means the end of that day in UTC.
fn read_end(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    let midnight = DateTime::parse_from_rfc3339(&format!("{text}T00:00:00Z")).ok()?;
    midnight.to_utc().checked_add_signed(TimeDelta::days(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7";

    #[test]
    fn until_is_a_day_or_a_time_with_colons() {
        for (until, expected) in [
            ("", None),
            (":2027-01-31", Some("2027-02-01T00:00:00Z")),
            (":2027-01-31T12:30:00Z", Some("2027-01-31T12:30:00Z")),
            (": 2027-01-31T12:30:00+01:00 ", Some("2027-01-31T11:30:00Z")),
        ] {
            let key = NamedKey::read(&format!(" ci : send :{HASH}{until}")).unwrap();
            assert_eq!(key.name, "ci");
            assert_eq!(key.until, expected.map(|text| text.parse().unwrap()), "{until}");
        }
    }

    #[test]
    fn error_names_a_wrong_entry_only_if_the_name_is_certain() {
        for (entry, name, problem) in [
            (String::new(), None, "name"),
            (format!("CI:send:{HASH}"), None, "name"),
            (format!("{}:send:{HASH}", "x".repeat(33)), None, "name"),
            (format!("alertkey:send:{HASH}"), None, "not alertkey"),
            (format!("entra:send:{HASH}"), None, "not alertkey"),
            (format!("{HASH}:send:ci"), None, "name"),
            ("pbk_hunter2".into(), None, "name"),
            // An operator has put an API key without the prefix in place of an entry.
            ("0123456789abcdef0123456789abcdef".into(), None, "fewer parts"),
            (format!("ci:{HASH}"), None, "fewer parts"),
            (format!("ci:{HASH}:send"), Some("ci"), "scopes"),
            ("ci:send:".into(), Some("ci"), "64"),
            ("ci:send:pbk_hunter2-hunter2-hunter2-hunter2".into(), Some("ci"), "64"),
            (format!("ci:send:{HASH}:"), Some("ci"), "until"),
            (format!("ci:send:{HASH}:soon"), Some("ci"), "until"),
            (format!("ci:send:{HASH}:2027-02-30"), Some("ci"), "until"),
            (format!("ci:send:{HASH}:2027-01-31T12:30"), Some("ci"), "until"),
        ] {
            let error = NamedKey::read(&entry).expect_err(&entry);
            assert!(error.name.as_deref() == name && error.problem.contains(problem), "{entry}: {error:?}");
        }
    }

    #[test]
    fn key_has_32_to_128_characters_and_the_prefix() {
        for (key, expected) in [
            (format!("pbk_{}", "x".repeat(28)), true),
            (format!("pbk_{}", "x".repeat(27)), false),
            (format!("pbk_{}", "x".repeat(124)), true),
            (format!("pbk_{}", "x".repeat(125)), false),
            (format!("PBK_{}", "x".repeat(43)), false),
            ("x".repeat(47), false),
        ] {
            assert_eq!(is_key(&key), expected, "{key}");
        }
    }
}
