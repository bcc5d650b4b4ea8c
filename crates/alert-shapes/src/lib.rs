//! Readers of the payloads that monitoring, CI and chat programs post to a webhook.
//!
//! [`read`] recognises the sender's shape and makes alerts from it, each with an Adaptive Card 1.5.
//! [`cloud_events_options`] answers the handshake of CloudEvents. [`github`] and [`grafana`] check the
//! signatures of these senders.
//!
//! The crate does no I/O. It trusts no sender: an alert mentions no person, links only to `https:` and
//! `http:`, loads images only from such addresses, and has no button that posts. A card has at most
//! [`MAX_CARD_BYTES`], whatever the payload has. If the crate leaves something out, the card says so.
//!
//! | where | what |
//! |---|---|
//! | `incoming`, `detect` | the body and its shape |
//! | `alertmanager`, `azure_monitor`, … | one reader for each shape; each makes drafts |
//! | `draft` | a draft becomes a card that fits |
//! | `passed_card` | a sender's own Adaptive Card becomes a harmless one |
//! | `markdown`, `html`, `mrkdwn`, `link`, `cut` | the texts and addresses of strangers are cleaned and cut |
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
    /// The alerts to queue. There is at least one.
    Alerts(Vec<ShapedAlert>),
    /// The sender only tests the address: the answer is 200 with this body, and no alert is queued.
    Handshake {
        /// The body of the answer.
        body: Value,
    },
}

/// Reads a payload. Without `source`, the crate recognises the shape by the headers and the members of the
/// body.
///
/// # Errors
/// The body is not UTF-8, is broken JSON, or has no known shape. Or the body lacks a member that its shape
/// needs, or has nothing to show. Or a batch has more than [`MAX_EVENTS`] events.
pub fn read(incoming: &Incoming<'_>, source: Option<Shape>) -> Result<Reading, ShapeError> {
    let body = incoming.content()?;
    let shape = match source {
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
