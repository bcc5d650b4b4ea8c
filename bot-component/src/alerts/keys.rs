//! Reads the variables `alertkey` and `alertkeys`. Each API key in `alertkey` has the name `alertkey` and all
//! rights. An entry of `alertkeys` holds the name, the rights and the hash of an API key.

use chrono::{DateTime, Utc};
use platform::{Secret, SecretHash, Settings, SettingsError};

use super::grant::Grant;
use super::named_key::{EntryProblem, MAX_KEY_CHARACTERS, NamedKey, SIMPLE_NAME, is_key};

/// The entry of `alertkeys` for programs that call the alert routes with tokens of Entra instead of API keys.
/// With this entry, the routes are open even if no API key is configured.
const APP_TOKENS: &str = "entra:roles";

const MIN_SIMPLE_CHARACTERS: usize = 16;

/// The highest number of API keys in `alertkeys`. The number is limited, because the bot compares the API key
/// of every call with all API keys in `alertkeys`.
const MAX_ENTRIES: usize = 64;

/// The configured API keys.
#[derive(Debug)]
pub(super) struct AlertKeys {
    /// The API keys in the variable `alertkey`, at most two.
    simple: Vec<Secret>,
    /// The API keys in the variable `alertkeys`.
    named: Vec<NamedKey>,
    /// Whether `alertkeys` has the entry `entra:roles`.
    pub(super) names_app_tokens: bool,
}

/// The result of looking up the API key of a call.
#[derive(Debug, Clone, Copy)]
pub(super) enum Holder<'a> {
    /// The variable `alertkey` contains the key.
    Simple,
    /// This entry of `alertkeys` contains the hash of the key.
    Named(&'a NamedKey),
    /// This entry contains the hash of the key. But the key is no longer valid, because the time `until` of
    /// the entry has passed.
    Ended(&'a NamedKey),
    /// This entry contains the hash of the key. But the key is too short, or lacks the prefix `pbk_`.
    Unfit(&'a NamedKey),
    /// No configured key matches.
    Unknown,
}

impl AlertKeys {
    /// Reads the variables. Returns `None` if neither variable has an entry. The alert routes are then
    /// closed.
    pub(super) fn read(settings: &impl Settings) -> Result<Option<Self>, SettingsError> {
        let simple = read_simple(&settings.setting("alertkey")?)?;
        let (named, names_app_tokens) = read_named(&settings.setting("alertkeys")?)?;
        let is_open = !simple.is_empty() || !named.is_empty() || names_app_tokens;
        Ok(is_open.then_some(Self { simple, named, names_app_tokens }))
    }

    /// Returns an error for each variable that the bot cannot use.
    pub(super) fn check(settings: &impl Settings) -> Vec<SettingsError> {
        let simple = settings.setting("alertkey").and_then(|text| read_simple(&text));
        let named = settings.setting("alertkeys").and_then(|text| read_named(&text));
        simple.err().into_iter().chain(named.err()).collect()
    }

    /// Looks up the API key of a call. The bot compares `candidate` with every configured key, even after a
    /// match. So the time until the response does not reveal which key matched. The bot compares a candidate
    /// of more than 128 bytes only with the keys in `alertkey`.
    pub(super) fn holder_of(&self, candidate: &str, now: DateTime<Utc>) -> Holder<'_> {
        let is_simple = self.simple.iter().fold(false, |found, key| key.matches(candidate) | found);
        let mut named = None;
        if !self.named.is_empty() && candidate.len() <= MAX_KEY_CHARACTERS {
            let hash = SecretHash::of(candidate);
            for key in &self.named {
                if key.hash.matches(&hash) {
                    named = Some(key);
                }
            }
        }
        match named {
            _ if is_simple => Holder::Simple,
            None => Holder::Unknown,
            Some(key) if !is_key(candidate) => Holder::Unfit(key),
            Some(key) if key.has_ended(now) => Holder::Ended(key),
            Some(key) => Holder::Named(key),
        }
    }
}

impl<'a> Holder<'a> {
    /// Returns the name and the grant (the rights) of the API key, or `None` if the key is refused.
    pub(super) fn admitted(self) -> Option<(String, Grant)> {
        match self {
            Self::Simple => Some((SIMPLE_NAME.to_owned(), Grant::all())),
            Self::Named(key) => Some((key.name.clone(), key.grant.clone())),
            Self::Ended(_) | Self::Unfit(_) | Self::Unknown => None,
        }
    }

    /// Returns the name of the key and the reason of the refusal, if the key is configured, but the bot
    /// refuses the key. Returns `None` for an accepted key and for an unknown key.
    pub(super) fn refused(self) -> Option<(&'a str, &'static str)> {
        const UNFIT: &str =
            "expected a key of 32 to 128 characters that begins with `pbk_`; make one with `cargo dev key`";
        match self {
            Self::Ended(key) => Some((&key.name, "the API key has expired")),
            Self::Unfit(key) => Some((&key.name, UNFIT)),
            Self::Simple | Self::Named(_) | Self::Unknown => None,
        }
    }
}

fn read_simple(text: &str) -> Result<Vec<Secret>, SettingsError> {
    let keys: Vec<_> = text.split(',').filter_map(|key| Secret::new(key.trim())).collect();
    if keys.len() > 2 {
        return Err(SettingsError::new("alertkey", "expected one key, or two keys separated by a comma"));
    }
    if keys.iter().any(|key| key.expose().chars().count() < MIN_SIMPLE_CHARACTERS) {
        let problem = "expected keys of at least 16 characters; make one with `openssl rand -hex 32`";
        return Err(SettingsError::new("alertkey", problem));
    }
    Ok(keys)
}

/// Reads the API keys in `alertkeys`. The second value is true if `entra:roles` is among the entries.
fn read_named(text: &str) -> Result<(Vec<NamedKey>, bool), SettingsError> {
    let mut keys: Vec<NamedKey> = Vec::new();
    let mut names_app_tokens = false;
    for (number, entry) in (1..).zip(text.split(',').map(str::trim)) {
        if entry.is_empty() {
            continue;
        }
        if entry == APP_TOKENS {
            names_app_tokens = true;
            continue;
        }
        let wrong = |EntryProblem { name, problem }: EntryProblem| {
            let name = name.map(|name| format!(" (`{name}`)")).unwrap_or_default();
            SettingsError::new("alertkeys", format!("entry {number}{name}: {problem}"))
        };
        let key = NamedKey::read(entry).map_err(wrong)?;
        if keys.iter().any(|other| other.hash.matches(&key.hash)) {
            let problem = "the key is in another entry, too; give each entry its own key";
            return Err(wrong(EntryProblem { name: Some(key.name), problem }));
        }
        // Callers with the same name see and cancel the same alerts. So all API keys with the same name must
        // be restricted to the same tenant and the same tags.
        if keys.iter().any(|other| other.name == key.name && !other.grant.is_bound_like(&key.grant)) {
            let problem = "another entry of this name has another tenant= or tag=; rename one entry";
            return Err(wrong(EntryProblem { name: Some(key.name), problem }));
        }
        keys.push(key);
        if keys.len() > MAX_ENTRIES {
            return Err(SettingsError::new("alertkeys", format!("expected at most {MAX_ENTRIES} entries")));
        }
    }
    Ok((keys, names_app_tokens))
}

#[cfg(test)]
mod tests {
    use platform::testing::FakeHost;

    use super::*;

    const OLD: &str = "the-old-key-of-16";
    const NEW: &str = "the-new-key-of-16";
    /// An API key, and its hash. The command `printf %s <key> | sha256sum` made the hash.
    const CI: (&str, &str) = (
        "pbk_0123456789abcdef0123456789abcdef",
        "4344e8cb2e757661e80e17eb183a63ba2e58848f07a1f58f8f8be8764abd9f4c",
    );
    const SHORT: (&str, &str) =
        ("pbk_short", "26960e43c41f27802710caccff29ad3e1e1124a80575f542a8ddd7a1919f6fdc");

    fn keys(alertkey: &str, alertkeys: &str) -> Result<Option<AlertKeys>, String> {
        let host = FakeHost::with_settings([("alertkey", alertkey), ("alertkeys", alertkeys)]);
        AlertKeys::read(&host).map_err(|error| error.to_string())
    }

    fn now() -> DateTime<Utc> {
        "2026-11-29T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn alertkey_is_one_or_two_keys_of_at_least_16_characters() {
        let is_simple_key = |alertkey: &str, candidate: &str| {
            let keys = keys(alertkey, "").unwrap()?;
            Some(matches!(keys.holder_of(candidate, now()), Holder::Simple))
        };
        let both = format!("{OLD}, {NEW}");
        for (alertkey, candidate, expected) in [
            (OLD, OLD, Some(true)),
            (OLD, NEW, Some(false)),
            (OLD, "", Some(false)),
            (both.as_str(), OLD, Some(true)),
            (&both, NEW, Some(true)),
            (&both, &both, Some(false)),
            (&format!("{OLD},"), "", Some(false)),
            ("", "", None),
            (" , ", "", None),
        ] {
            assert_eq!(is_simple_key(alertkey, candidate), expected, "{alertkey:?} {candidate:?}");
        }
        for (wrong, problem) in
            [("hunter1,hunter2,hunter3", "two"), ("hunter2-hunter2", "16"), (&format!("{OLD},hunter2"), "16")]
        {
            let error = keys(wrong, "").expect_err(wrong);
            assert!(error.contains("variable alertkey: ") && error.contains(problem), "{error}");
            assert!(!error.contains("hunter"), "{error}");
        }
    }

    #[test]
    fn named_key_is_accepted_if_it_is_long_enough_and_its_time_has_not_ended() {
        let admitted = |entries: &str, candidate: &str| {
            let keys = keys(OLD, entries).unwrap().unwrap();
            let holder = keys.holder_of(candidate, now());
            let refused = holder.refused().map(|(name, why)| format!("{name}: {why}"));
            (holder.admitted().map(|(name, _)| name), refused)
        };
        let (key, hash) = CI;
        let entry = format!("ci:send:{hash}");
        assert_eq!(admitted(&entry, key), (Some("ci".into()), None));
        assert_eq!(admitted(&format!("{entry}:2026-11-29"), key), (Some("ci".into()), None));
        assert_eq!(
            admitted(&entry, OLD),
            (Some("alertkey".into()), None),
            "a key of `alertkey` is accepted beside named keys"
        );
        assert_eq!(admitted(&entry, hash), (None, None), "the hash is refused as a key");
        assert_eq!(admitted(&entry, &key.to_uppercase()), (None, None));
        for until in ["2026-11-28", "2026-11-29T12:00:00Z"] {
            let (admitted, refused) = admitted(&format!("{entry}:{until}"), key);
            assert_eq!(
                (admitted, refused.as_deref()),
                (None, Some("ci: the API key has expired")),
                "{until}"
            );
        }
        let (key, hash) = SHORT;
        let (admitted, refused) = admitted(&format!("ci:send:{hash}"), key);
        assert!(admitted.is_none() && refused.is_some_and(|why| why.contains("cargo dev key")));
    }

    #[test]
    fn wrong_entry_is_reported_by_number_and_name() {
        let (_, hash) = CI;
        for (entries, expected) in [
            (format!("ci:send:{hash},,nonsense"), "entry 3: expected name:scopes:sha256"),
            (format!("ci:all:{hash}"), "entry 1 (`ci`): expected scopes"),
            (
                format!("ci:send:{hash},other:list:{}", hash.to_uppercase()),
                "entry 2 (`other`): the key is in another entry",
            ),
            (
                format!("ci:send:{hash},ci:send+tenant=t-1:{}", SHORT.1),
                "entry 2 (`ci`): another entry of this name has another tenant= or tag=",
            ),
            ("entra:everybody".into(), "entry 1: expected a name"),
        ] {
            let error = keys("", &entries).expect_err(&entries);
            assert!(error.starts_with("variable alertkeys: ") && error.contains(expected), "{error}");
            assert!(!error.contains(hash), "{error}");
        }
        let many: Vec<_> = (0..65).map(|number| format!("ci:send:{number:064}")).collect();
        assert!(keys("", &many.join(",")).expect_err("too many").contains("64"));
        let two_of_a_name = format!("ci:send:{hash},ci:send:{}", SHORT.1);
        assert!(
            keys("", &two_of_a_name).unwrap().is_some(),
            "two keys can have the same name, so that an operator can replace a key"
        );
    }

    #[test]
    fn entra_roles_opens_the_routes_without_a_key() {
        let keys = keys("", " entra:roles ").unwrap().unwrap();
        assert!(keys.names_app_tokens);
        assert!(keys.holder_of("", now()).admitted().is_none());
    }
}
