//! Codes with which people subscribe to a tag if `subscriptions=closed`. A *tag* is a name to which
//! conversations subscribe. An API call makes a code for a tag, with an expiry time and a *scope*. The scope
//! is the set of conversations in which the code is valid, for example the conversations in one tenant. The
//! bot does not store the code. Until the code expires, every person who has the code is allowed to subscribe
//! conversations in the scope.
//!
//! A code is 15 bytes in base 32. The first 4 bytes are the expiry time in seconds since 1970. The other
//! bytes are the first 11 bytes of an HMAC-SHA256. The HMAC covers the bot's app id, the scope, the tag and
//! the expiry time. So a code reveals only its expiry time, and an attacker needs about 2^88 guesses to find
//! a valid code.

use bot_framework::outbound::tag_code_keys;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use platform::{Host, Settings, SettingsError};
use sha2::Sha256;
use state::Tag;

use crate::settings::BotSettings;
use crate::tag_scope::TagScope;

const END_BYTES: usize = 4;
const MAC_BYTES: usize = 11;
const CODE_BYTES: usize = END_BYTES + MAC_BYTES;

/// Crockford's alphabet (<https://www.crockford.com/base32.html>), which has no letter that looks like a
/// digit.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The number of a code's characters between two dashes.
const GROUP: usize = 6;

/// Makes and checks codes.
#[derive(Debug)]
pub(crate) struct TagCodes {
    app_id: String,
    /// The first key makes new codes. The bot accepts a code that was made with any of the keys.
    keys: Vec<Key>,
}

struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(***)")
    }
}

impl TagCodes {
    pub(crate) fn read(settings: &impl Settings, bot: &BotSettings) -> Result<Self, SettingsError> {
        let keys = tag_code_keys(settings, bot.bot.as_ref())?.into_iter().map(Key).collect();
        let app_id = bot.bot.as_ref().map(|bot| bot.identity.app_id.clone()).unwrap_or_default();
        Ok(Self { app_id, keys })
    }

    /// Makes the code for a tag. Returns `None` if there is no HMAC key, or if 32 bits cannot hold `until` (a
    /// time before 1970 or after February 2106).
    pub(crate) fn issue(&self, scope: &TagScope, tag: &Tag, until: DateTime<Utc>) -> Option<String> {
        let end = u32::try_from(until.timestamp()).ok()?.to_be_bytes();
        let mac = self.mac(self.keys.first()?, scope, tag, end).finalize().into_bytes();
        let mut code = [0; CODE_BYTES];
        code[..END_BYTES].copy_from_slice(&end);
        code[END_BYTES..].copy_from_slice(&mac[..MAC_BYTES]);
        Some(to_text(&code))
    }

    /// Whether a code is valid now, for the tag and for at least one of the scopes. `scopes` are all scopes
    /// to which the person's conversation belongs. The comparison takes the same time for every wrong HMAC,
    /// so an attacker learns nothing from the time.
    pub(crate) fn is_valid(&self, code: &str, scopes: &[TagScope], tag: &Tag, host: &impl Host) -> bool {
        let Some(code) = read(code) else { return false };
        let (end, mac) = code.split_at(END_BYTES);
        let end: [u8; END_BYTES] = end.try_into().unwrap_or_default();
        let keyed = self.keys.iter().flat_map(|key| scopes.iter().map(move |scope| (key, scope)));
        let is_valid = keyed.fold(false, |is_valid, (key, scope)| {
            self.mac(key, scope, tag, end).verify_truncated_left(mac).is_ok() | is_valid
        });
        is_valid && host.now().timestamp() < i64::from(u32::from_be_bytes(end))
    }

    fn mac(&self, Key(key): &Key, scope: &TagScope, tag: &Tag, end: [u8; END_BYTES]) -> Hmac<Sha256> {
        #[allow(clippy::expect_used, reason = "HMAC takes keys of every length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
        let [kind, tenant] = scope.name();
        for part in
            [self.app_id.as_bytes(), kind.as_bytes(), tenant.as_bytes(), tag.as_str().as_bytes(), &end]
        {
            // The length of each part comes before the part. So ("ab", "c") and ("a", "bc") give different
            // HMACs.
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac
    }
}

/// Writes a code as 24 characters, in groups of [`GROUP`] with dashes between the groups.
fn to_text(code: &[u8; CODE_BYTES]) -> String {
    let mut text = String::with_capacity(CODE_BYTES * 2);
    for (index, five) in code.chunks(5).enumerate() {
        let bits = five.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        for digit in 0..8 {
            if (index * 8 + digit) % GROUP == 0 && !text.is_empty() {
                text.push('-');
            }
            let value = bits >> (35 - 5 * digit) & 31;
            text.push(char::from(ALPHABET[usize::try_from(value).unwrap_or_default()]));
        }
    }
    text
}

/// Reads a code that a person typed. Case and dashes do not matter. `o` is read as 0, and `i` and `l` are
/// read as 1.
fn read(text: &str) -> Option<[u8; CODE_BYTES]> {
    let mut code = [0; CODE_BYTES];
    let mut count = 0;
    for byte in text.bytes().filter(|byte| *byte != b'-') {
        let digit = match byte.to_ascii_lowercase() {
            b'o' => b'0',
            b'i' | b'l' => b'1',
            other => other,
        };
        let value = u8::try_from(ALPHABET.iter().position(|known| *known == digit)?).ok()?;
        for bit in 0..5 {
            let at = count * 5 + bit;
            *code.get_mut(at / 8)? |= (value >> (4 - bit) & 1) << (7 - at % 8);
        }
        count += 1;
    }
    (count * 5 == CODE_BYTES * 8).then_some(code)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use platform::Clock;
    use platform::testing::FakeHost;

    use super::*;

    fn codes(app_id: &str, keys: &[u8]) -> TagCodes {
        TagCodes { app_id: app_id.into(), keys: keys.iter().map(|byte| Key([*byte; 32])).collect() }
    }

    fn tag(text: &str) -> Tag {
        Tag::parse(text).unwrap()
    }

    fn tenant(id: &str) -> TagScope {
        TagScope::Tenant(id.into())
    }

    #[test]
    fn code_is_valid_until_it_expires_and_only_for_one_bot_one_tag_and_one_scope() {
        let host = FakeHost::default();
        let until = host.now() + TimeDelta::seconds(60);
        let ours = codes("app", &[1]);
        let code = ours.issue(&tenant("t"), &tag("orders-42"), until).unwrap();
        let is_valid = |codes: &TagCodes, scopes: &[TagScope], text: &str| {
            codes.is_valid(&code, scopes, &tag(text), &host)
        };
        assert!(is_valid(&ours, &[tenant("t")], "orders-42"));
        assert!(is_valid(&ours, &[TagScope::NoTenant, tenant("t")], "ORDERS-42"));
        assert!(
            is_valid(&codes("app", &[2, 1]), &[tenant("t")], "orders-42"),
            "a code of the old key is valid while both keys are set"
        );
        for (codes, scopes, text) in [
            (codes("app", &[1]), vec![tenant("t")], "orders-43"),
            (codes("app", &[1]), vec![tenant("u")], "orders-42"),
            (codes("app", &[1]), vec![TagScope::NoTenant], "orders-42"),
            (codes("app", &[1]), vec![TagScope::Home { own: Some("t".into()) }], "orders-42"),
            (codes("app", &[1]), vec![], "orders-42"),
            (codes("app", &[2]), vec![tenant("t")], "orders-42"),
            (codes("other", &[1]), vec![tenant("t")], "orders-42"),
        ] {
            assert!(!is_valid(&codes, &scopes, text), "{codes:?} {scopes:?} {text}");
        }
        host.elapsed.set(std::time::Duration::from_secs(59));
        assert!(is_valid(&ours, &[tenant("t")], "orders-42"));
        host.elapsed.set(std::time::Duration::from_secs(60));
        assert!(!is_valid(&ours, &[tenant("t")], "orders-42"), "the code has expired");
    }

    #[test]
    fn code_with_any_changed_character_is_refused() {
        let host = FakeHost::default();
        let ours = codes("app", &[1]);
        let scope = TagScope::Home { own: None };
        let code = ours.issue(&scope, &tag("x"), host.now() + TimeDelta::days(7)).unwrap();
        let is_valid = |code: &str| ours.is_valid(code, std::slice::from_ref(&scope), &tag("x"), &host);
        assert!(is_valid(&code) && is_valid(&code.to_uppercase()) && is_valid(&code.replace('-', "")));
        for (at, known) in code.char_indices().filter(|(_, known)| *known != '-') {
            for other in ALPHABET.iter().map(|byte| char::from(*byte)).filter(|other| *other != known) {
                let mut changed = code.clone();
                changed.replace_range(at..=at, &other.to_string());
                assert!(!is_valid(&changed), "{changed}");
            }
        }
        for text in ["", "-", "u", "ü", &code[1..], &format!("{code}0"), &"0".repeat(24), &"z".repeat(100)] {
            assert!(!is_valid(text), "{text}");
        }
    }

    #[test]
    fn code_is_written_in_groups_and_read_with_look_alike_letters() {
        let host = FakeHost::default();
        let code = codes("app", &[1]).issue(&TagScope::NoTenant, &tag("x"), host.now()).unwrap();
        let groups: Vec<_> = code.split('-').map(str::len).collect();
        assert_eq!(groups, [6, 6, 6, 6]);
        let bytes: [u8; CODE_BYTES] = std::array::from_fn(|index| (index * 17) as u8);
        let text = to_text(&bytes);
        assert_eq!(text, "008j4c-t4ank7-f24sna-xwsqfe");
        assert_eq!(read(&text), Some(bytes));
        assert_eq!(read(&text.replace('0', "O").replace('1', "l")), Some(bytes));
        assert_eq!(format!("{:?}", Key([1; 32])), "Key(***)");
    }

    #[test]
    fn code_is_not_made_if_32_bits_cannot_hold_the_expiry_time() {
        for time in ["1969-12-31T23:59:59Z", "2106-02-07T06:28:16Z"] {
            let issued = codes("app", &[1]).issue(&TagScope::NoTenant, &tag("x"), time.parse().unwrap());
            assert_eq!(issued, None, "{time}");
        }
    }
}
