//! `POST /api/alerts/from/{source}`: a caller with an API key posts a payload in the format of another
//! program. `{source}` names this format, for example `alertmanager`. The bot makes alerts from the payload.
//! The query names the targets of the alerts.

use alert_shapes::{Incoming, Shape};
use bot_framework::json::{FieldError, Fields};
use http::Request;
use http::header::CONTENT_TYPE;
use platform::{Host, RequestBody, json_of};
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::super::caller::Caller;
use super::super::grant::Scope;
use super::super::paging::Cursor;
use super::super::to;
use super::header_of;
use super::send::{self, Origin};
use crate::answered::Answered;
use crate::limits::MAX_BODY_BYTES;
use crate::rejection::{AlertRejection, HookRejection, Rejection};
use crate::settings::{BotSettings, CallerSettings};

/// If `source` is this word, the bot recognises the shape (the format) of the payload from the headers and
/// the body.
const AUTO: &str = "auto";

pub(in super::super) async fn post<H: Host>(
    host: &H,
    request: Request<impl RequestBody>,
    source: &str,
    caller: &Caller,
) -> Result<Answered, Rejection> {
    let begin = host.monotonic();
    caller.require(Scope::Send)?;
    let shape = shape_of(source).map_err(AlertRejection::from)?;
    let query = request.uri().query().unwrap_or_default();
    let TargetQuery { element, at } = TargetQuery::read(query).map_err(AlertRejection::from)?;
    let to = || to::of_element(Fields::new(element.clone(), ""), "query");
    to().map_err(AlertRejection::from)?;
    let targets = Value::Object(element.clone()).to_string();
    let settings = BotSettings::open(host, CallerSettings::read(host)?).await?;
    let (head, body) = request.into_parts();
    let body = body.read(MAX_BODY_BYTES).await?;
    let header = |name: &str| header_of(&head.headers, name);
    let content_type = header(CONTENT_TYPE.as_str());
    let incoming = Incoming { content_type, header: &header, body: &body, json: json_of };
    let reading = alert_shapes::read(&incoming, shape).map_err(HookRejection::from)?;
    let origin = Origin { caller, targets: &targets, at: at.as_ref() };
    send::send(host, &settings, origin, reading, || to().into_iter().collect(), begin).await
}

/// Returns the shape that `source` names, or `None` for `auto`. `source` is a segment of the path.
fn shape_of(source: &str) -> Result<Option<Shape>, FieldError> {
    const SOURCES: &str = "auto, plain, messagecard, adaptivecard, alertmanager, grafana, azuremonitor, \
                           slack, github, cloudevents or eventgrid";
    match source {
        AUTO => Ok(None),
        name => match Shape::named(name) {
            Some(shape) => Ok(Some(shape)),
            None => Err(FieldError { path: "source".into(), expected: SOURCES }),
        },
    }
}

/// The target and the cursor (the position at which an earlier post stopped) in a query.
#[derive(Debug)]
struct TargetQuery {
    /// The target as a JSON object, in the form that the member `to` of `POST /api/alerts` has. For example,
    /// the query `tag=ops` becomes `{"tag": "ops"}`.
    element: Map<String, Value>,
    /// The cursor: the `next` of the response to an earlier post. If many conversations subscribe to a tag,
    /// one post perhaps reaches only some of these conversations. The caller then repeats the post with
    /// `next`, and the bot alerts the remaining conversations.
    at: Option<Cursor>,
}

impl TargetQuery {
    fn read(query: &str) -> Result<Self, FieldError> {
        let mut element = Map::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if element.insert(name.clone().into_owned(), value.into_owned().into()).is_some() {
                return Err(FieldError { path: name.into_owned(), expected: "this parameter only once" });
            }
        }
        let mut fields = Fields::new(element, "");
        let at = Cursor::take(&mut fields)?;
        Ok(Self { element: fields.rest(), at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_is_a_shape_or_auto() {
        assert_eq!(shape_of("auto"), Ok(None));
        for shape in Shape::ALL {
            assert_eq!(shape_of(shape.name()), Ok(Some(shape)));
            let error = shape_of("Alertmanager").expect_err("the first letter is upper case");
            assert!(error.expected.contains(shape.name()), "{}", shape.name());
        }
    }

    #[test]
    fn query_names_exactly_one_target() {
        let targets_of = |query: &str| {
            let TargetQuery { element, .. } = TargetQuery::read(query)?;
            to::of_element(Fields::new(element, ""), "query").map(drop)
        };
        for query in
            ["tag=ops", "tag=ops&tenant=t", "user=msteams%2F29%3Au", "conversation=625a", "tag=x&next=0."]
        {
            assert!(targets_of(query).is_ok(), "{query}");
        }
        for (query, path) in [
            ("", "query"),
            ("tag=a&user=msteams/b", "query"),
            ("tag=a&tag=b", "tag"),
            ("tag=a%20b", "tag"),
            ("unknown=1", "query"),
            ("tag=a&next=x", "next"),
            ("address=x", "address"),
        ] {
            let error = targets_of(query).expect_err(query).to_string();
            assert!(error.starts_with(&format!("{path}: ")), "{query}: {error}");
        }
    }
}
