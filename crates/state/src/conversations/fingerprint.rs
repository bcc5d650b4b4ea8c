//! The fingerprint of a stored conversation. From the fingerprint, the bot knows without a storage call
//! whether an activity would change the table.

use bot_framework::{ChannelAccount, ConversationReference};
use chrono::{DateTime, Utc};
use platform::name_of;
use serde_json::Value;
use zones::Zone;

use super::stored_form::{Sign, stored_locale, stored_user, stored_zone};

/// The version of the fingerprint's text format. A fingerprint in another format is not read.
const FORM: &str = "2";

/// The fingerprint of a stored conversation: hashes of the parts of the conversation's address, the name of
/// the time zone, and the day of `seenAt` (the time at which the conversation was last active).
///
/// Each part of the address, e.g. the locale, has its own hash, because an activity rarely contains all
/// parts. For example, a message without a locale does not change the locale. With a single hash of the whole
/// address, such a message would not match the fingerprint, and the bot would read the table.
///
/// A *replica* is one of several running instances of the bot. A replica with its own key-value store does
/// not see at once that another replica has changed the conversation. Because of the day in the fingerprint,
/// the replica reads the table for the first message of each day, and sees the change then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// The day of `seenAt`: days since 1970, in UTC.
    day: i64,
    /// The hash of three parts: the Connector's URL, whether the URL was verified, and which table has the
    /// conversation.
    connector: String,
    conversation: String,
    bot: Option<String>,
    locale: Option<String>,
    user: Option<String>,
    /// The name of the time zone, unhashed. The name contains no blank, so [`Fingerprint::read`] can separate
    /// the parts at blanks.
    zone: Option<String>,
}

impl Fingerprint {
    /// Makes the fingerprint of an address and a time zone. The fingerprint has no hash of a part that the
    /// bot does not store, e.g. of the person who wrote in a group. `place` identifies the table. If an
    /// operator moves the bot to another table, a fingerprint of the old table covers no activity. So the bot
    /// writes a record into the new table.
    pub(super) fn of(
        place: &[&str; 2],
        address: &ConversationReference,
        zone: Option<Zone>,
        seen_at: DateTime<Utc>,
    ) -> Self {
        let account = |account: &ChannelAccount| name_of(&[&json_text(&account.to_json())]);
        let verified = if address.service_url_verified { "verified" } else { "" };
        Self {
            day: day(seen_at),
            connector: name_of(&[&address.service_url, verified, place[0], place[1]]),
            conversation: name_of(&[&json_text(&address.conversation.to_json())]),
            bot: address.bot.as_ref().map(account),
            locale: stored_locale(address).map(|locale| name_of(&[locale])),
            user: stored_user(address).map(account),
            zone: stored_zone(address, zone).map(|zone| zone.to_string()),
        }
    }

    /// Whether an activity would leave the table as it is. `incoming` is the fingerprint of the activity's
    /// address. This method follows the rules of `merged` in [`stored_form`](super::stored_form).
    pub(super) fn covers(&self, incoming: &Self, sign: Sign) -> bool {
        let known =
            |known: &Option<String>, incoming: &Option<String>| incoming.is_none() || known == incoming;
        // An offset, e.g. `+01:00`, does not replace the name of a zone, e.g. `Europe/Berlin`.
        let is_name = |zone: &Option<String>| {
            zone.as_ref().is_some_and(|zone| zone.starts_with(|c: char| c.is_ascii_alphabetic()))
        };
        let is_same_address = match sign {
            Sign::Message => {
                self.conversation == incoming.conversation
                    && known(&self.bot, &incoming.bot)
                    && known(&self.locale, &incoming.locale)
                    && known(&self.user, &incoming.user)
                    && (known(&self.zone, &incoming.zone) || is_name(&self.zone) && !is_name(&incoming.zone))
            }
            Sign::Installed | Sign::Update => self.user.is_some() || incoming.user.is_none(),
        };
        is_same_address
            && self.connector == incoming.connector
            && (sign == Sign::Update || self.day == incoming.day)
    }

    /// Parses the text that [`Fingerprint::to_bytes`] returns.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut words = str::from_utf8(bytes).ok()?.split(' ').map(str::to_owned);
        if words.next()? != FORM {
            return None;
        }
        let day = words.next()?.parse().ok()?;
        let (connector, conversation) = (words.next()?, words.next()?);
        let mut part = || words.next().map(|word| Some(word).filter(|word| word != "-"));
        let (bot, locale, user, zone) = (part()?, part()?, part()?, part()?);
        words.next().is_none().then_some(Self { day, connector, conversation, bot, locale, user, zone })
    }

    /// Returns the fingerprint as text: the format, the day, and each part, separated by blanks. `-` stands
    /// for a missing part.
    pub fn to_bytes(&self) -> Vec<u8> {
        let or_dash = |part: &Option<String>| part.clone().unwrap_or_else(|| "-".into());
        let Self { day, connector, conversation, .. } = self;
        let [bot, locale, user, zone] = [&self.bot, &self.locale, &self.user, &self.zone].map(or_dash);
        format!("{FORM} {day} {connector} {conversation} {bot} {locale} {user} {zone}").into_bytes()
    }
}

/// The JSON of a value. `Value::to_string` gives the same text, but takes twice as long.
fn json_text(value: &Value) -> String {
    // Writing JSON with text keys into memory cannot fail.
    serde_json::to_string(value).unwrap_or_default()
}

/// The day that contains a time: days since 1970, in UTC.
pub(super) fn day(time: DateTime<Utc>) -> i64 {
    time.timestamp().div_euclid(24 * 60 * 60)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::stored_form::{merged, stored_form};
    use super::super::testing::with;
    use super::*;

    const PLACE: [&str; 2] = ["http://tables/", "conversations"];

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_471_200 + seconds, 0).unwrap()
    }

    #[test]
    fn fingerprint_survives_a_round_trip_and_another_format_is_not_read() {
        for reference in [
            with(|_| {}),
            with(|json| json["user"] = Value::Null),
            with(|json| (json["bot"], json["locale"], json["user"]) = Default::default()),
        ] {
            let fingerprint = Fingerprint::of(&PLACE, &reference, Zone::parse("Europe/Berlin"), at(0));
            let bytes = fingerprint.to_bytes();
            assert_eq!(Fingerprint::read(&bytes), Some(fingerprint));
            let text = String::from_utf8(bytes).unwrap();
            for other in [&text[1..], &format!("1{}", &text[1..]), &format!("{text} x"), &text[..40], "", "2"]
            {
                assert_eq!(Fingerprint::read(other.as_bytes()), None, "{other}");
            }
        }
        assert_eq!(Fingerprint::read(b"\xff"), None);
    }

    #[test]
    fn fingerprint_covers_an_activity_if_and_only_if_merging_changes_nothing() {
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
            for incoming in changes.map(|change| stored_form(&with(change))) {
                for sign in [Sign::Message, Sign::Installed, Sign::Update] {
                    let expected = merged(&known, &incoming, sign) == known;
                    let fingerprint = Fingerprint::of(&PLACE, &known, None, at(0));
                    let covers =
                        |time| fingerprint.covers(&Fingerprint::of(&PLACE, &incoming, None, time), sign);
                    assert_eq!(covers(at(0)), expected, "{sign:?}: {known:?} then {incoming:?}");
                    covered += usize::from(expected);
                    // `at(0)` is 22:00 UTC, so the next day begins 7200 seconds later.
                    let is_covered_tomorrow = expected && sign == Sign::Update;
                    assert_eq!(covers(at(7_199)), expected);
                    assert_eq!(
                        covers(at(7_200)),
                        is_covered_tomorrow,
                        "{sign:?}: each day's first message renews seenAt"
                    );
                }
            }
        }
        assert!(covered > 50, "{covered}");
    }
}
