//! Makes API keys with a name. For each API key, the application's variable `alertkeys` has an entry:
//! `name:scopes:sha256(key)[:until]`.
//!
//! The bot reads the entries (`bot-component/src/alerts/named_key.rs`), and refuses wrong entries. This
//! module checks the parts of an entry, too, so that a person sees a typing error at once.

use std::fmt::Write;

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

const SCOPES: [&str; 6] = ["send", "address", "cancel", "list", "operate", "watch"];

/// The name of the program or person that gets an API key, and the scopes and limits of the key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purpose {
    /// The name of the program or person that has the key.
    pub name: String,
    /// The scopes of the key: the operations that the key allows.
    pub scopes: Vec<String>,
    /// The end of validity: the last day on which the key is valid, e.g. `2027-01-31`, or the time at which
    /// the key becomes invalid, in the form of RFC 3339.
    pub until: Option<String>,
    /// If set, the key works only for conversations of this tenant.
    pub tenant: Option<String>,
    /// If set, the key works only for tags that begin with this text. A tag is a topic to which conversations
    /// subscribe.
    pub tag: Option<String>,
}

/// A new API key. Only the key's owner keeps the key. The bot gets an entry with a hash of the key.
pub struct NamedKey {
    key: String,
    entry: String,
}

impl NamedKey {
    /// Makes a key of 32 random bytes.
    pub fn random(purpose: &Purpose) -> anyhow::Result<Self> {
        let fields = purpose.scopes_and_restrictions()?;
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).context("cannot get random numbers from the operating system")?;
        let key = format!("pbk_{}", URL_SAFE_NO_PAD.encode(bytes));
        let mut hash = String::new();
        for byte in Sha256::digest(&key) {
            write!(hash, "{byte:02x}")?;
        }
        let until = purpose.until.as_ref().map(|until| format!(":{until}")).unwrap_or_default();
        let entry = format!("{}:{fields}:{hash}{until}", purpose.name);
        Ok(Self { key, entry })
    }

    /// The key, for `Authorization: Bearer <key>`.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The entry for `alertkeys`.
    pub fn entry(&self) -> &str {
        &self.entry
    }
}

impl std::fmt::Debug for NamedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NamedKey(***)")
    }
}

impl Purpose {
    /// Checks all values. Returns the second part of the entry: the scopes, the tenant and the prefix of
    /// tags, e.g. `send+tenant=t+tag=orders-`.
    fn scopes_and_restrictions(&self) -> anyhow::Result<String> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        let is_reserved =
            ["alertkey", "entra"].contains(&self.name.as_str()) || self.name.starts_with("pbk_");
        ensure!(
            (1..=32).contains(&self.name.len()) && self.name.bytes().all(fits) && !is_reserved,
            "--name: expected 1 to 32 characters of a-z, 0-9, `-`, `_` and `.`; alertkey, entra and names that begin \
             with pbk_ are reserved"
        );
        ensure!(!self.scopes.is_empty(), "--scopes: expected at least one of {}", SCOPES.join(", "));
        for scope in &self.scopes {
            let is_known = SCOPES.contains(&scope.as_str());
            ensure!(is_known, "--scopes: expected some of {}, found `{scope}`", SCOPES.join(", "));
        }
        let is_restricted = self.tenant.is_some() || self.tag.is_some();
        let has_unrestrictable_scope =
            self.scopes.iter().any(|scope| ["address", "operate", "watch"].contains(&scope.as_str()));
        ensure!(
            !(is_restricted && has_unrestrictable_scope),
            "--scopes: address, operate and watch cannot be restricted by --tenant or --tag; make two keys"
        );
        if let Some(until) = &self.until {
            let is_time = until.get(..10).is_some_and(is_day) && !until.contains([',', ' ']);
            ensure!(is_time, "--until: expected a day such as 2027-01-31, or a time in the form of RFC 3339");
        }
        let mut fields = self.scopes.clone();
        for (name, value) in [("tenant", &self.tenant), ("tag", &self.tag)] {
            let Some(value) = value else { continue };
            ensure!(
                !value.is_empty() && !value.contains([':', '+', ',', '=', ' ']),
                "--{name}: expected some text without `:`, `+`, `,`, `=` and blanks"
            );
            fields.push(format!("{name}={value}"));
        }
        Ok(fields.join("+"))
    }
}

fn is_day(text: &str) -> bool {
    text.bytes().enumerate().all(|(index, byte)| match index {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purpose(change: impl FnOnce(&mut Purpose)) -> Purpose {
        let mut purpose =
            Purpose { name: "ci".into(), scopes: vec!["send".into(), "cancel".into()], ..Purpose::default() };
        change(&mut purpose);
        purpose
    }

    #[test]
    fn random_key_differs_each_time_and_is_in_the_entry_only_as_a_hash() {
        let (one, other) = (purpose(|_| {}), purpose(|_| {}));
        let (one, other) = (NamedKey::random(&one).unwrap(), NamedKey::random(&other).unwrap());
        assert_ne!(one.key(), other.key());
        assert!(
            one.key().starts_with("pbk_") && one.key().len() == 47,
            "expected `pbk_` and 43 characters, which encode 32 bytes"
        );
        let hash = one.entry().strip_prefix("ci:send+cancel:").unwrap();
        assert!(hash.len() == 64 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()), "{hash}");
        assert!(!format!("{one:?}").contains(one.key()));
    }

    #[test]
    fn entry_has_the_end_of_validity_and_the_restrictions() {
        let purpose = purpose(|purpose| {
            purpose.scopes = vec!["send".into()];
            purpose.until = Some("2027-01-31".into());
            purpose.tenant = Some("t".into());
            purpose.tag = Some("orders-".into());
        });
        let entry = NamedKey::random(&purpose).unwrap().entry().to_owned();
        assert!(
            entry.starts_with("ci:send+tenant=t+tag=orders-:") && entry.ends_with(":2027-01-31"),
            "{entry}"
        );
    }

    #[test]
    fn value_that_the_bot_would_refuse_gives_an_error_with_the_option() {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        type Change<'a> = Box<dyn FnOnce(&mut Purpose) + 'a>;
        let rows: Vec<(&str, Change<'_>)> = vec![
            ("--name", Box::new(|purpose| purpose.name = "CI".into())),
            ("--name", Box::new(|purpose| purpose.name = String::new())),
            ("--name", Box::new(|purpose| purpose.name = "alertkey".into())),
            ("--scopes", Box::new(|purpose| purpose.scopes = list(&[]))),
            ("--scopes", Box::new(|purpose| purpose.scopes = list(&["send", "all"]))),
            (
                "--scopes",
                Box::new(|purpose| (purpose.scopes, purpose.tag) = (list(&["operate"]), Some("x".into()))),
            ),
            (
                "--scopes",
                Box::new(|purpose| (purpose.scopes, purpose.tag) = (list(&["watch"]), Some("x".into()))),
            ),
            ("--until", Box::new(|purpose| purpose.until = Some("tomorrow".into()))),
            ("--tenant", Box::new(|purpose| purpose.tenant = Some("a:b".into()))),
            ("--tag", Box::new(|purpose| purpose.tag = Some(String::new()))),
        ];
        for (option, change) in rows {
            let error = NamedKey::random(&purpose(change)).expect_err(option).to_string();
            assert!(error.starts_with(&format!("{option}: ")), "{error}");
        }
    }
}
