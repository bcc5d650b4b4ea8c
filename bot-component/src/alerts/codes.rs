//! `POST /api/tags/{tag}/codes`: makes a code for a tag. Conversations can subscribe to a *tag*, and an alert
//! to the tag goes to all these conversations. A person who knows the code can subscribe a conversation with
//! the command `subscribe <tag> <code>`.

use bot_framework::json::{FieldError, Fields};
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use http::{Request, Response, StatusCode};
use platform::{Host, Level, RequestBody, response};
use serde_json::json;

use super::caller::Caller;
use super::grant::Scope;
use super::time::take_time;
use super::{duration, tags, to};
use crate::limits::{MAX_AHEAD, MAX_BODY_BYTES};
use crate::rejection::{AlertRejection, Rejection};
use crate::request::expect_json;
use crate::settings::{BotSettings, CallerSettings};
use crate::tag_code::TagCodes;
use crate::tag_scope::TagScope;

/// Makes a code. The bot does not store the code, because the bot recognises its own codes by an HMAC.
pub(super) async fn post<H: Host>(
    host: &H,
    request: Request<impl RequestBody>,
    tag: &str,
    caller: &Caller,
) -> Result<Response<Bytes>, Rejection> {
    caller.require(Scope::Operate)?;
    let tag = tags::read(tag)?;
    let settings = BotSettings::read(host, CallerSettings::read(host)?)?;
    let (head, body) = request.into_parts();
    expect_json(&head.headers)?;
    let fields = Fields::of_request(&body.read(MAX_BODY_BYTES).await?).map_err(AlertRejection::from)?;
    let CodeCall { tenant, until } = CodeCall::read(fields, host.now())?;
    let scope = TagScope::named(tenant.as_deref(), "tenant", &settings).map_err(AlertRejection::from)?;
    let code = TagCodes::read(host, &settings)?.issue(&scope, &tag, until);
    let too_late = || FieldError { path: "until".into(), expected: "a time before 2106" };
    let code = code.ok_or_else(|| AlertRejection::from(too_late()))?;
    let until = until.to_rfc3339_opts(SecondsFormat::Secs, true);
    caller.event(host, Level::Info, "tag.code-issued", json!({"tag": tag.as_str(), "until": until}));
    let say = format!("subscribe {} {code}", tag.as_str());
    Ok(response::json(
        StatusCode::OK,
        &json!({"tag": tag.as_str(), "code": code, "until": until, "say": say}),
    ))
}

/// The checked body of an API call that requests a code.
#[derive(Debug, PartialEq)]
struct CodeCall {
    tenant: Option<String>,
    until: DateTime<Utc>,
}

impl CodeCall {
    fn read(mut fields: Fields, now: DateTime<Utc>) -> Result<Self, AlertRejection> {
        let tenant = to::read_tenant(&mut fields)?;
        let until = take_time(&mut fields, "until")?;
        let lasting = match fields.string("for")? {
            None => None,
            Some(text) => {
                Some(duration::parse(&text).ok_or_else(|| fields.error("for", "a duration such as P7D"))?)
            }
        };
        let (name, until) = match (until, lasting) {
            (Some(until), None) => ("until", Some(until)),
            (None, Some(lasting)) => {
                ("for", TimeDelta::from_std(lasting).ok().and_then(|lasting| now.checked_add_signed(lasting)))
            }
            (None, None) => return Err(fields.error("until", "`until` or `for`, found neither").into()),
            (Some(_), Some(_)) => {
                return Err(fields.error("for", "`until` or `for`, found both; leave one out").into());
            }
        };
        let is_near = |until: &DateTime<Utc>| {
            (*until - now).to_std().is_ok_and(|ahead| ahead.as_secs() >= 1 && ahead <= MAX_AHEAD)
        };
        let until = until.filter(is_near);
        let until =
            until.ok_or_else(|| fields.error(name, "a time in the future, at most 366 days ahead"))?;
        match fields.as_object().keys().next() {
            Some(other) => Err(fields.error(other, "one of the members tenant, until and for").into()),
            None => Ok(Self { tenant, until }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn read(body: &Value) -> Result<CodeCall, String> {
        let now = "2026-11-23T22:00:00Z".parse().unwrap();
        let fields = Fields::parse(body.to_string().as_bytes()).unwrap();
        CodeCall::read(fields, now).map_err(|error| error.to_string())
    }

    #[test]
    fn valid_body_sets_the_expiry_of_the_code_and_any_other_body_is_refused() {
        for (body, expected) in [
            (json!({"for": "P7D"}), "2026-11-30T22:00:00Z"),
            (json!({"for": "PT1S"}), "2026-11-23T22:00:01Z"),
            (json!({"for": "P366D", "tenant": "t"}), "2027-11-24T22:00:00Z"),
            (json!({"until": "2026-11-24T00:00:00+01:00"}), "2026-11-23T23:00:00Z"),
        ] {
            let call = read(&body).unwrap();
            assert_eq!(call.until, expected.parse::<DateTime<Utc>>().unwrap(), "{body}");
            assert_eq!(call.tenant.as_deref(), body["tenant"].as_str(), "{body}");
        }
        for (body, path) in [
            (json!({}), "until"),
            (json!({"until": null}), "until"),
            (json!({"until": "soon"}), "until"),
            (json!({"until": "2026-11-23T22:00:00Z"}), "until"),
            (json!({"until": "2026-11-23T21:59:59Z"}), "until"),
            (json!({"until": "9999-12-31T23:59:59Z"}), "until"),
            (json!({"for": "7 days"}), "for"),
            (json!({"for": "PT0S"}), "for"),
            (json!({"for": "P367D"}), "for"),
            (json!({"for": "PT18446744073709551615S"}), "for"),
            (json!({"for": "P7D", "until": "2026-11-24T00:00:00Z"}), "for"),
            (json!({"for": "P7D", "tenant": ""}), "tenant"),
            (json!({"for": "P7D", "tenant": 7}), "tenant"),
            (json!({"for": "P7D", "tag": "x"}), "tag"),
        ] {
            let error = read(&body).expect_err("refused");
            assert!(error.starts_with(&format!("{path}: ")), "{body}: {error}");
        }
    }
}
