//! Reads a JWK set (RFC 7517), the list of an issuer's signing keys in JSON. The module reads the members
//! that RS256 (RSA with SHA-256) needs. It also reads the Bot Framework's own member `endorsements` (the
//! channels for which a key is allowed to sign) and Entra's own member `issuer`.

use serde_json::{Value, json};

/// The highest number of keys that the bot reads from a set. An issuer has only a few keys.
const MAX_KEYS: usize = 100;

/// The public half of an RSA key with which an issuer signs tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SigningKey {
    pub(super) id: String,
    /// `n` of the JWK, in base64url.
    pub(super) modulus: String,
    /// `e` of the JWK, in base64url.
    pub(super) exponent: String,
    /// The channels for which the key is endorsed, i.e. is allowed to sign. Only the keys of Azure Bot
    /// Service (which issues the tokens of channels) have endorsements. The list is empty if the JWK has no
    /// member `endorsements`, or if the member is an empty list. A key with an empty list still signs for Web
    /// Chat, Direct Line and Direct Line Speech (see `may_sign_for_channel` in the module `inbound`).
    ///
    /// If an entry is not a string, an empty string replaces the entry. The empty string names no channel.
    /// Without this replacement, a list of such entries would become empty, and the key would sign for these
    /// three channels.
    pub(super) endorsements: Vec<String>,
    /// The issuer of the tokens that the key is allowed to sign (Entra only). The text contains `{tenantid}`
    /// if the key is for every tenant.
    pub(super) issuer: Option<String>,
}

/// The keys of one issuer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct KeySet(Vec<SigningKey>);

impl KeySet {
    /// Reads the member `keys` of a set. Skips each entry that is not an RSA key for RS256 signatures, or
    /// that has no `kid`, `n` or `e`.
    pub(super) fn read(set: &Value) -> Self {
        let keys = set["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
        Self(keys.iter().take(MAX_KEYS).filter_map(SigningKey::read).collect())
    }

    /// Writes the member `keys` that [`KeySet::read`] reads.
    pub(super) fn to_json(&self) -> Value {
        self.0.iter().map(SigningKey::to_json).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this set contains every key of `other`, unchanged.
    pub(super) fn has_all_of(&self, other: &Self) -> bool {
        other.0.iter().all(|key| self.0.contains(key))
    }

    /// All keys.
    #[cfg(fuzzing)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &SigningKey> {
        self.0.iter()
    }

    /// Returns the key with this id. If several keys have the id, returns the first of them.
    pub(super) fn find(&self, id: &str) -> Option<&SigningKey> {
        self.0.iter().find(|key| key.id == id)
    }
}

impl SigningKey {
    fn read(jwk: &Value) -> Option<Self> {
        let text = |name: &str| jwk[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let is_unless_absent = |name: &str, expected: &str| jwk[name].is_null() || jwk[name] == expected;
        if jwk["kty"] != "RSA" || !is_unless_absent("use", "sig") || !is_unless_absent("alg", "RS256") {
            return None;
        }
        let endorsements = match &jwk["endorsements"] {
            Value::Null => Vec::new(),
            Value::Array(entries) => {
                entries.iter().map(|entry| entry.as_str().unwrap_or_default().to_owned()).collect()
            }
            // The bot cannot read a value of another type, and perhaps the value restricts the key. So the
            // list gets one entry, an empty string, which names no channel. The key then signs for no
            // channel.
            _ => vec![String::new()],
        };
        Some(Self {
            id: text("kid")?,
            modulus: text("n")?,
            exponent: text("e")?,
            endorsements,
            issuer: text("issuer"),
        })
    }

    fn to_json(&self) -> Value {
        json!({
            "kty": "RSA", "kid": self.id, "n": self.modulus, "e": self.exponent,
            "endorsements": self.endorsements, "issuer": self.issuer,
        })
    }
}
