//! A fingerprint of a stored conversation. It tells without a call whether the table would learn something new.

use bot_framework::{ChannelAccount, ConversationReference};
use chrono::{DateTime, Utc};
use platform::name_of;

use super::hear::Sign;

/// The form of the text. A fingerprint of another form counts as none.
const FORM: &str = "1";

/// A fingerprint: what stands in the table, part by part, as hashes; and the day of `seenAt`.
///
/// The parts are apart because an activity rarely repeats all of them: an update without a locale changes no locale. With
/// one hash of the whole, every such activity would read the table.
///
/// A replica whose key-value store is its own does not see what others have written since. The day bounds that: the next day's
/// first message reads the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Days since 1970.
    day: i64,
    /// Of the Connector's address, whether it was verified, and of the table.
    connector: String,
    conversation: String,
    bot: Option<String>,
    locale: Option<String>,
    user: Option<String>,
}

impl Fingerprint {
    /// The fingerprint of an address in its stored form, in the table at `place`: another table knows nothing of it.
    pub(super) fn of(place: &[&str; 2], address: &ConversationReference, seen_at: DateTime<Utc>) -> Self {
        let account = |account: &Option<ChannelAccount>| {
            account.as_ref().map(|account| name_of(&[&account.to_json().to_string()]))
        };
        let verified = if address.service_url_verified { "verified" } else { "" };
        Self {
            day: day(seen_at),
            connector: name_of(&[&address.service_url, verified, place[0], place[1]]),
            conversation: name_of(&[&address.conversation.to_json().to_string()]),
            bot: account(&address.bot),
            locale: address.locale.as_ref().map(|locale| name_of(&[locale])),
            user: account(&address.user),
        }
    }

    /// Whether the table would learn nothing new from this sign. It follows the rules of [`merged`](super::hear).
    pub(super) fn covers(&self, heard: &Self, sign: Sign) -> bool {
        let known = |known: &Option<String>, heard: &Option<String>| heard.is_none() || known == heard;
        let is_told = match sign {
            Sign::Message => {
                self.conversation == heard.conversation
                    && known(&self.bot, &heard.bot)
                    && known(&self.locale, &heard.locale)
                    && known(&self.user, &heard.user)
            }
            Sign::Installed | Sign::Update => self.user.is_some() || heard.user.is_none(),
        };
        is_told && self.connector == heard.connector && (sign == Sign::Update || self.day == heard.day)
    }

    /// Reads what [`Fingerprint::to_bytes`] has written.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut words = str::from_utf8(bytes).ok()?.split(' ').map(str::to_owned);
        if words.next()? != FORM {
            return None;
        }
        let day = words.next()?.parse().ok()?;
        let (connector, conversation) = (words.next()?, words.next()?);
        let mut part = || words.next().map(|word| Some(word).filter(|word| word != "-"));
        let (bot, locale, user) = (part()?, part()?, part()?);
        words.next().is_none().then_some(Self { day, connector, conversation, bot, locale, user })
    }

    /// Its text: the form, the day, and each hash; `-` stands for a part that is not there.
    pub fn to_bytes(&self) -> Vec<u8> {
        let or_dash = |part: &Option<String>| part.clone().unwrap_or_else(|| "-".into());
        let Self { day, connector, conversation, .. } = self;
        let [bot, locale, user] = [&self.bot, &self.locale, &self.user].map(or_dash);
        format!("{FORM} {day} {connector} {conversation} {bot} {locale} {user}").into_bytes()
    }
}

/// The day of a time: days since 1970, in UTC.
pub(super) fn day(time: DateTime<Utc>) -> i64 {
    time.timestamp().div_euclid(24 * 60 * 60)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::hear::{merged, stored_form};
    use super::super::testing::with;
    use super::*;

    const PLACE: [&str; 2] = ["http://tables/", "conversations"];

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_471_200 + seconds, 0).unwrap()
    }

    #[test]
    fn a_fingerprint_survives_a_round_trip_and_another_form_counts_as_none() {
        for reference in [
            with(|_| {}),
            with(|json| json["user"] = Value::Null),
            with(|json| (json["bot"], json["locale"], json["user"]) = Default::default()),
        ] {
            let fingerprint = Fingerprint::of(&PLACE, &reference, at(0));
            let bytes = fingerprint.to_bytes();
            assert_eq!(Fingerprint::read(&bytes), Some(fingerprint));
            let text = String::from_utf8(bytes).unwrap();
            for other in [&text[1..], &format!("2{}", &text[1..]), &format!("{text} x"), &text[..40], "", "1"]
            {
                assert_eq!(Fingerprint::read(other.as_bytes()), None, "{other}");
            }
        }
        assert_eq!(Fingerprint::read(b"\xff"), None);
    }

    #[test]
    fn a_fingerprint_covers_a_sign_exactly_if_merging_would_change_nothing() {
        type Change = fn(&mut Value);
        let changes: [Change; 13] = [
            |_| {},
            |json| json["id"] = "8".into(),
            |json| json["serviceUrl"] = "https://smba.trafficmanager.net/emea/".into(),
            |json| json["serviceUrlVerified"] = false.into(),
            |json| json["locale"] = "fr".into(),
            |json| json["locale"] = Value::Null,
            |json| json["user"] = json!({"id": "29:other"}),
            |json| json["user"] = Value::Null,
            |json| json["user"]["name"] = "Ann".into(),
            |json| json["bot"] = Value::Null,
            |json| json["bot"]["name"] = "Bot".into(),
            |json| json["conversation"]["name"] = "x".into(),
            |json| json["conversation"]["conversationType"] = "groupChat".into(),
        ];
        let mut covered = 0;
        for known in changes.map(|change| stored_form(&with(change))) {
            for heard in changes.map(|change| stored_form(&with(change))) {
                for sign in [Sign::Message, Sign::Installed, Sign::Update] {
                    let expected = merged(&known, &heard, sign) == known;
                    let fingerprint = Fingerprint::of(&PLACE, &known, at(0));
                    let covers = |time| fingerprint.covers(&Fingerprint::of(&PLACE, &heard, time), sign);
                    assert_eq!(covers(at(0)), expected, "{sign:?}: {known:?} then {heard:?}");
                    covered += usize::from(expected);
                    // Two hours later, the next day has begun.
                    let is_covered_tomorrow = expected && sign == Sign::Update;
                    assert_eq!(covers(at(7_199)), expected);
                    assert_eq!(
                        covers(at(7_200)),
                        is_covered_tomorrow,
                        "{sign:?}: seenAt is renewed each day"
                    );
                }
            }
        }
        assert!(covered > 50, "{covered}");
    }
}
