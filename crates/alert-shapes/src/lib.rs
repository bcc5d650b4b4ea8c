//! Readers of the payloads that monitoring, CI and chat programs post to a webhook.
//!
//! A *sender* is one of these programs. A *payload* is the body of its request, and the *shape* of a payload
//! is its format. A *reader* is a module that turns the payloads of a shape into *drafts*, and each draft
//! becomes one alert. Only the reader `passed_card` makes no draft, because its payload already contains a
//! card.
//!
//! [`read`] recognises the shape of a payload, and makes alerts from the payload. Each alert has an Adaptive
//! Card of version 1.5 or lower. [`cloud_events_options`] makes the response to the request with which a
//! sender of CloudEvents tests a webhook address. [`github`] and [`grafana`] check the signatures of these
//! two senders.
//!
//! The crate does no I/O. It trusts no sender: an alert has no mention (`<at>`) that would notify a person,
//! and no button that sends data. An alert links only to web addresses (`https:` and `http:`), and its images
//! come only from web addresses. A card never has more than [`MAX_CARD_BYTES`]. If the crate leaves out a
//! part of the payload, such as a button that sends data, the card usually shows the name of this part, or
//! the number of missing parts.
//!
//! | module | what it does |
//! |---|---|
//! | `incoming`, `detect` | read the body, and recognise the shape of the payload |
//! | `alertmanager`, `azure_monitor`, … | the readers, which make drafts |
//! | `draft` | makes a card from a draft, within the size limit |
//! | `passed_card` | makes a sender's own Adaptive Card harmless |
//! | `markdown`, `html`, `mrkdwn`, `link`, `cut` | clean and cut senders' texts and addresses |
#![warn(missing_docs)]

mod alert;
mod alertmanager;
mod azure_monitor;
mod cloud_events;
mod cut;
mod detect;
mod draft;
mod error;
mod event_grid;
mod github_events;
mod html;
mod incoming;
mod json;
mod limits;
mod link;
mod markdown;
mod message_card;
mod mrkdwn;
mod passed_card;
mod plain;
mod shape;
mod signature;
mod slack;
mod time;

use serde_json::Value;

pub use alert::{ShapedAlert, State};
pub use cloud_events::{OptionsResponse, cloud_events_options};
pub use error::ShapeError;
pub use incoming::Incoming;
pub use limits::{MAX_CARD_BYTES, MAX_EVENTS, MAX_KEY_BYTES};
pub use shape::Shape;
pub use signature::{github, grafana};

/// The result of reading a payload.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// The alerts to queue, at least one.
    Alerts(Vec<ShapedAlert>),
    /// The sender only tests the webhook address. The caller must send a response with HTTP status 200 and
    /// this body, and must not queue an alert.
    Handshake {
        /// The body of the response.
        body: Value,
    },
}

/// Reads a payload. `named_shape` is the shape of the payload. If `named_shape` is `None`, the function
/// recognises the shape by the request's headers and by the body.
///
/// # Errors
/// The function fails if the body is not UTF-8, is broken JSON, or has no known shape. The function also
/// fails if a member or a header that the shape needs is missing. A body without a text to show is an error,
/// and so is a batch of more than [`MAX_EVENTS`] events.
pub fn read(incoming: &Incoming<'_>, named_shape: Option<Shape>) -> Result<Reading, ShapeError> {
    let body = incoming.content()?;
    let shape = match named_shape {
        Some(shape) => shape,
        None => detect::shape_of(incoming, &body).ok_or(ShapeError::Unknown)?,
    };
    let drafts = match shape {
        Shape::Plain => vec![plain::read(&body)?],
        Shape::MessageCard => vec![message_card::read(&body)?],
        Shape::AdaptiveCard => return Ok(Reading::Alerts(vec![passed_card::read(&body)?])),
        Shape::Alertmanager | Shape::Grafana => vec![alertmanager::read(&body, shape)?],
        Shape::AzureMonitor => vec![azure_monitor::read(&body)?],
        Shape::Slack => vec![slack::read(&body)?],
        Shape::GitHub => match github_events::read(incoming, &body)? {
            Some(draft) => vec![draft],
            None => return Ok(Reading::Handshake { body: serde_json::json!({"status": "pong"}) }),
        },
        Shape::CloudEvents => cloud_events::read(incoming, &body)?,
        Shape::EventGrid => match event_grid::read(&body)? {
            event_grid::Events::Validation(code) => {
                return Ok(Reading::Handshake { body: serde_json::json!({"validationResponse": code}) });
            }
            event_grid::Events::Drafts(drafts) => drafts,
        },
    };
    drafts.into_iter().map(draft::Draft::finish).collect::<Result<_, _>>().map(Reading::Alerts)
}
