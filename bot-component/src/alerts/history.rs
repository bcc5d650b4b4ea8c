//! `GET /api/alerts`: lists alerts with their statuses, the newest first.

use std::time::Duration;

use bot_framework::json::FieldError;
use chrono::{DateTime, Utc};
use http::StatusCode;
use platform::{Deadline, Host, Level, name_of, response};
use serde_json::{Value, json};
use state::Tag;
use state::ledger::{Ledger, Position, Shown, Wanted};
use url::form_urlencoded;

use super::caller::{Caller, Sight};
use super::grant::Scope;
use super::status;
use super::to::A_TAG;
use crate::answered::Answered;
use crate::rejection::{AlertRejection, Rejection};
use crate::settings::{BotSettings, CallerSettings};

const MAX_LIMIT: usize = 100;
const DEFAULT_LIMIT: usize = 20;

/// The longest time for the storage calls. Hosted platforms end a request after 30 s.
const LIST_WITHIN: Duration = Duration::from_secs(20);

/// The number of digits of the check value in a page token. A *page token* is the member `next` of a
/// response. To get the next page of the list, the caller sends the page token as the parameter `after`.
///
/// The check value shows whether the token was changed, or belongs to another list (for example, to the list
/// for another tag). A short check value is enough, because a forged token does no harm: the caller still
/// gets only alerts that the caller is allowed to see.
const CHECK_DIGITS: usize = 8;

const THE_NEXT: &str =
    "the `next` of the previous page, unchanged, with the same API key, status, tag and since";
const A_STATUS: &str = "queued, waiting, delivered, cancelling, cancelled, expired, stopped, paused, untrusted, \
                        tooLarge, dead, dropped, failed, unconfirmed, answered, overdue, replaced or withdrawn";

pub(super) async fn get<H: Host>(host: &H, query: &str, caller: &Caller) -> Result<Answered, Rejection> {
    let sight = caller.sight();
    if sight == Sight::Nothing {
        // No scope of the caller allows the caller to see alerts, so `require` always returns an error here.
        // The error names `Scope::List`, because this scope allows nothing but reading.
        caller.require(Scope::List)?;
    }
    let list = ListQuery::read(query, caller).map_err(AlertRejection::from)?;
    let settings = BotSettings::open(host, CallerSettings::read(host)?).await?;
    let deadline = Deadline::after(host, LIST_WITHIN);
    let ledger = Ledger::new(host, &settings.queue.account, &settings.tables, deadline);
    let wanted = Wanted {
        sender: match sight {
            Sight::All => None,
            Sight::Of(own) => Some(own),
            Sight::Nothing => Some(&caller.key),
        },
        tag: list.tag.as_ref().map(Tag::as_str),
        since: list.since,
        after: list.after.clone(),
        limit: list.limit,
    };
    let now = host.now();
    let is_wanted = |record: &_| {
        status::is_alert(record)
            && list.status.as_ref().is_none_or(|status| record.shown(now).as_str() == status)
    };
    let page = ledger.list(&wanted, is_wanted).await.map_err(AlertRejection::from)?;
    let alerts: Vec<Value> = page.records.iter().map(|record| status::shown(record, now).into()).collect();
    caller.event(host, Level::Info, "alerts.listed", json!({"alerts": alerts.len()}));
    let mut body = json!({"alerts": alerts});
    if let Some(next) = &page.next {
        body["next"] = list.token(next, caller).into();
    }
    Ok(response::json(StatusCode::OK, &body).into())
}

#[derive(Debug)]
struct ListQuery {
    status: Option<String>,
    tag: Option<Tag>,
    since: Option<DateTime<Utc>>,
    limit: usize,
    after: Option<Position>,
}

impl ListQuery {
    fn read(query: &str, caller: &Caller) -> Result<Self, FieldError> {
        let mut list = Self { status: None, tag: None, since: None, limit: DEFAULT_LIMIT, after: None };
        let mut token = None;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let error = |expected| FieldError { path: name.to_string(), expected };
            match name.as_ref() {
                "status" => {
                    let status = Some(value.into_owned()).filter(|word| Shown::is_word(word));
                    list.status = Some(status.ok_or_else(|| error(A_STATUS))?);
                }
                "tag" => list.tag = Some(Tag::parse(&value).ok_or_else(|| error(A_TAG))?),
                "since" => {
                    let since = DateTime::parse_from_rfc3339(&value).ok();
                    let since =
                        since.ok_or_else(|| error("a time of RFC 3339, such as 2027-01-31T12:00:00Z"))?;
                    list.since = Some(since.to_utc());
                }
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                    list.limit = limit.ok_or_else(|| error("a number from 1 to 100"))?;
                }
                "after" => token = Some(value.into_owned()),
                _ => return Err(error("one of the parameters status, tag, since, limit and after")),
            }
        }
        if let Some(token) = token {
            let after = list.position(&token, caller);
            list.after = Some(after.ok_or_else(|| FieldError { path: "after".into(), expected: THE_NEXT })?);
        }
        Ok(list)
    }

    /// Makes the page token for a position in this list.
    fn token(&self, position: &Position, caller: &Caller) -> String {
        let position = position.to_string();
        let check = self.check(&position, caller);
        format!("{position}.{check}")
    }

    fn position(&self, token: &str, caller: &Caller) -> Option<Position> {
        let (position, check) = token.rsplit_once('.')?;
        (self.check(position, caller) == check).then(|| Position::parse(position))?
    }

    fn check(&self, position: &str, caller: &Caller) -> String {
        let since = self.since.map(|since| since.timestamp_millis().to_string());
        let tag = self.tag.as_ref().map(Tag::as_str);
        let parts = [Some(position), Some(&caller.key), self.status.as_deref(), tag, since.as_deref()];
        let mut check = name_of(&parts.map(Option::unwrap_or_default));
        check.truncate(CHECK_DIGITS);
        check
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::grant::Grant;

    fn caller() -> Caller {
        Caller::of_tests(Grant::all())
    }

    #[test]
    fn query_is_read_and_the_error_names_a_wrong_parameter() {
        let query = "status=dead&tag=Orders%2d42&since=2026-11-29T12%3A00%3A00%2B01%3A00&limit=7";
        let list = ListQuery::read(query, &caller()).unwrap();
        assert_eq!((list.status.as_deref(), list.limit), (Some("dead"), 7));
        assert_eq!(list.tag.unwrap().as_str(), "orders-42");
        assert_eq!(list.since.unwrap().to_rfc3339(), "2026-11-29T11:00:00+00:00");
        assert_eq!(ListQuery::read("", &caller()).unwrap().limit, 20);
        for (query, path) in [
            ("status=sent", "status"),
            ("status=", "status"),
            ("tag=a%20b", "tag"),
            ("since=yesterday", "since"),
            ("since=2026-11-29", "since"),
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("after=", "after"),
            ("after=1", "after"),
            ("page=2", "page"),
        ] {
            assert_eq!(ListQuery::read(query, &caller()).expect_err(query).path, path);
        }
    }

    #[test]
    fn page_token_is_refused_if_it_was_changed_or_belongs_to_another_list() {
        let position = Position::parse("8204567890123.0a27e4d0d1a4d1c0.7").unwrap();
        let list = ListQuery::read("tag=orders", &caller()).unwrap();
        let token = list.token(&position, &caller());
        let read = |query: String, caller: &Caller| ListQuery::read(&query, caller);
        let found = read(format!("tag=orders&limit=3&after={token}"), &caller()).unwrap();
        assert_eq!(found.after, Some(position), "the limit can change from page to page");
        for index in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[index] = if changed[index] == b'1' { b'2' } else { b'1' };
            let changed = String::from_utf8(changed).unwrap();
            let error = read(format!("tag=orders&after={changed}"), &caller()).expect_err(&changed);
            assert_eq!(error.path, "after");
        }
        let other = Caller { key: "shop".into(), ..caller() };
        for (query, caller) in [
            (format!("after={token}"), caller()),
            (format!("tag=other&after={token}"), caller()),
            (format!("tag=orders&status=dead&after={token}"), caller()),
            (format!("tag=orders&since=2026-11-29T12:00:00Z&after={token}"), caller()),
            (format!("tag=orders&after={token}"), other),
        ] {
            assert_eq!(read(query.clone(), &caller).expect_err(&query).path, "after");
        }
    }
}
