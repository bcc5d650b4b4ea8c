//! Reads the body of `POST /api/dead/replay` and `POST /api/dead/drop`, and the query of `GET /api/dead`.
//!
//! The *outcome* of a dead letter is a word, such as `permanent`. The outcome says why a run (one execution
//! of the poller) moved the message to the poison queue.

use std::collections::BTreeSet;

use bot_framework::json::{FieldError, Fields};
use chrono::{DateTime, Utc};
use platform::excerpt;
use serde_json::Value;
use state::ConversationKey;
use state::runs::{DeadLetter, DeadLetterId};
use url::form_urlencoded;

use super::Named;
use super::letter::Letter;
use crate::alerts::time::take_time;
use crate::limits::MAX_IDS;
use crate::rejection::AlertRejection;

/// The highest number of dead letters on one page of the list.
const MAX_LIMIT: usize = 100;
const DEFAULT_LIMIT: usize = 20;
/// The longest outcome, in characters.
const MAX_OUTCOME_CHARACTERS: usize = 40;

const MEMBERS: &str = "one of the members ids, outcome, since, until and all";
const PARAMETERS: &str = "one of the parameters after, limit, outcome, conversation and text";
const AN_ID: &str = "the id of a dead letter, as GET /api/dead shows it";
const AN_OUTCOME: &str = "the word of an outcome, such as permanent";

/// The dead letters that an API call replays or drops.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// The dead letters with these ids.
    Ids(BTreeSet<Named>),
    /// All dead letters that meet the condition.
    Matching(Match),
}

/// A condition that selects dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Match {
    /// Selects the dead letters with this outcome. `None` selects every outcome.
    outcome: Option<String>,
    /// Selects the messages that a run moved to the poison queue at this time or later.
    since: Option<DateTime<Utc>>,
    /// Selects the messages that a run moved to the poison queue before this time.
    until: Option<DateTime<Utc>>,
}

impl Match {
    pub(super) fn fits(&self, letter: &Letter) -> bool {
        self.fits_values(letter.outcome(), letter.died_at())
    }

    pub(super) fn fits_row(&self, row: &DeadLetter) -> bool {
        self.fits_values(&row.outcome, row.died_at)
    }

    fn fits_values(&self, outcome: &str, died_at: DateTime<Utc>) -> bool {
        self.outcome.as_deref().is_none_or(|wanted| wanted == outcome)
            && self.since.is_none_or(|since| since <= died_at)
            && self.until.is_none_or(|until| died_at < until)
    }
}

fn is_outcome(word: &str) -> bool {
    (1..=MAX_OUTCOME_CHARACTERS).contains(&word.len())
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

impl Selection {
    pub(super) fn read(mut fields: Fields) -> Result<Self, AlertRejection> {
        let ids = read_ids(&mut fields)?;
        let outcome = fields.string("outcome")?;
        let (since, until) = (take_time(&mut fields, "since")?, take_time(&mut fields, "until")?);
        let all = fields.boolean("all")?;
        if let Some(other) = fields.as_object().keys().next() {
            return Err(fields.error(other, MEMBERS).into());
        }
        if outcome.as_deref().is_some_and(|outcome| !is_outcome(outcome)) {
            return Err(fields.error("outcome", AN_OUTCOME).into());
        }
        let has_match = outcome.is_some() || since.is_some() || until.is_some() || all;
        match ids {
            Some(_) if has_match => {
                Err(fields.error("ids", "no member beside `ids`; leave out `ids` or the others").into())
            }
            Some(ids) => Ok(Self::Ids(ids)),
            // Perhaps the caller has forgotten the condition. So without `ids` and `outcome`, the bot replays
            // or drops dead letters only if the caller sends `all`. `since` and `until` alone are not enough.
            None if outcome.is_none() && !all => {
                Err(fields.error("ids", "ids, an outcome, or `all`: true, found none of them").into())
            }
            None if since.zip(until).is_some_and(|(since, until)| until <= since) => {
                Err(fields.error("until", "a time later than `since`").into())
            }
            None => Ok(Self::Matching(Match { outcome, since, until })),
        }
    }
}

fn read_ids(fields: &mut Fields) -> Result<Option<BTreeSet<Named>>, AlertRejection> {
    let ids = match fields.take("ids") {
        None => return Ok(None),
        Some(Value::Array(ids)) if !ids.is_empty() => ids,
        Some(_) => return Err(fields.error("ids", "a list of at least one id").into()),
    };
    if ids.len() > MAX_IDS {
        return Err(AlertRejection::TooManyIds { ids: ids.len() });
    }
    let mut named = BTreeSet::new();
    for (index, id) in ids.iter().enumerate() {
        let id = id.as_str().and_then(Named::parse);
        named.insert(id.ok_or_else(|| fields.error(&format!("ids[{index}]"), AN_ID))?);
    }
    Ok(Some(named))
}

/// The query of `GET /api/dead`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ListQuery {
    pub(super) after: Option<DeadLetterId>,
    pub(super) limit: usize,
    pub(super) outcome: Option<String>,
    pub(super) conversation: Option<ConversationKey>,
    /// Whether the list shows the texts of alerts. The bot reads the texts from the poison queue. So such a
    /// list can also contain messages without a row.
    pub(super) with_texts: bool,
}

impl ListQuery {
    pub(super) fn read(query: &str) -> Result<Self, FieldError> {
        let mut list =
            Self { after: None, limit: DEFAULT_LIMIT, outcome: None, conversation: None, with_texts: false };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let error = |expected| FieldError { path: excerpt(&name).into_owned(), expected };
            match name.as_ref() {
                "after" => {
                    let after = DeadLetterId::parse(&value);
                    list.after = Some(after.ok_or_else(|| error("the `next` of the previous page"))?);
                }
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                    list.limit = limit.ok_or_else(|| error("a number from 1 to 100"))?;
                }
                "outcome" if is_outcome(&value) => list.outcome = Some(value.into_owned()),
                "outcome" => return Err(error(AN_OUTCOME)),
                "conversation" => {
                    let key = ConversationKey::parse(&value);
                    list.conversation = Some(key.ok_or_else(|| error("the key of a conversation"))?);
                }
                "text" => match value.as_ref() {
                    "true" => list.with_texts = true,
                    "false" => list.with_texts = false,
                    _ => return Err(error("true or false")),
                },
                _ => return Err(error(PARAMETERS)),
            }
        }
        Ok(list)
    }

    pub(super) fn has_filter(&self) -> bool {
        self.outcome.is_some() || self.conversation.is_some()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "98204528799999.799a2c63-e5ea-4d21-a5b9-5c1d0d8f6e11";

    fn read(body: &Value) -> Result<Selection, String> {
        let fields = Fields::parse(body.to_string().as_bytes()).unwrap();
        Selection::read(fields).map_err(|error| error.to_string())
    }

    #[test]
    fn selection_names_ids_or_a_condition() {
        let named = |id: &str| Named::parse(id).unwrap();
        let ids = json!({"ids": [ID, "m.799a", ID]});
        assert_eq!(read(&ids), Ok(Selection::Ids([named(ID), named("m.799a")].into())));
        let time = "2026-11-23T22:00:00Z";
        let read_match = read(&json!({"outcome": "permanent", "since": time})).unwrap();
        let expected = Match { outcome: Some("permanent".into()), since: time.parse().ok(), until: None };
        assert_eq!(read_match, Selection::Matching(expected));
        assert_eq!(read(&json!({"all": true})), Ok(Selection::Matching(Match::default())));
        let many: Vec<_> = (0..101).map(|index| format!("m.{index}")).collect();
        for (body, path) in [
            (json!({}), "ids"),
            (json!({"all": false}), "ids"),
            (json!({"since": time}), "ids"),
            (json!({"ids": []}), "ids"),
            (json!({"ids": ID}), "ids"),
            (json!({"ids": many}), "ids"),
            (json!({"ids": [ID, "x"]}), "ids[1]"),
            (json!({"ids": [7]}), "ids[0]"),
            (json!({"ids": ["m."]}), "ids[0]"),
            (json!({"ids": ["m.a/b"]}), "ids[0]"),
            (json!({"ids": [format!("m.{}", "x".repeat(65))]}), "ids[0]"),
            (json!({"ids": [ID], "all": true}), "ids"),
            (json!({"ids": [ID], "outcome": "gone"}), "ids"),
            (json!({"outcome": ""}), "outcome"),
            (json!({"outcome": "a b"}), "outcome"),
            (json!({"outcome": 7}), "outcome"),
            (json!({"all": "yes"}), "all"),
            (json!({"all": true, "since": "soon"}), "since"),
            (json!({"all": true, "since": time, "until": time}), "until"),
            (json!({"all": true, "reason": "x"}), "reason"),
            (json!({"all": true, "after": ID}), "after"),
        ] {
            let error = read(&body).expect_err(&body.to_string());
            assert!(error.starts_with(&format!("{path}: ")), "{body}: {error}");
        }
    }

    #[test]
    fn list_query_is_read_and_the_error_names_a_wrong_parameter() {
        let key = "0123456789abcdef0123456789abcdef";
        let query = format!("after={ID}&limit=7&outcome=permanent&conversation={key}&text=true");
        let list = ListQuery::read(&query).unwrap();
        assert_eq!((list.after.unwrap().as_str(), list.limit, list.with_texts), (ID, 7, true));
        assert_eq!((list.outcome.as_deref(), list.conversation.unwrap().as_str()), (Some("permanent"), key));
        assert_eq!(ListQuery::read("").unwrap().limit, 20);
        for (query, path) in [
            ("after=m.1", "after"),
            (&format!("after=x{ID}"), "after"),
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("outcome=", "outcome"),
            ("outcome=a%27", "outcome"),
            ("conversation=x", "conversation"),
            ("text=yes", "text"),
            ("texts=true", "texts"),
        ] {
            assert_eq!(ListQuery::read(query).expect_err(query).path, path);
        }
    }
}
