//! `DELETE /api/alerts/{id}`.

use address_book::ConversationKey;
use bytes::Bytes;
use envelope::{CANCELLED, EnvelopeId};
use http::{Response, StatusCode};
use platform::{Host, Level, answer};
use serde_json::json;

use super::rejection::AlertRejection;
use crate::rejection::Rejection;

/// Marks an alert as cancelled. Whether it still waits is known to the queue alone, so the answer is the same for one that
/// was sent: it stays sent.
pub(super) async fn delete<H: Host>(host: &H, id: &str) -> Result<Response<Bytes>, Rejection> {
    // Alerts are named as conversations are: by 32 hexadecimal digits.
    if ConversationKey::parse(id).is_none() {
        return Err(AlertRejection::NoSuchAlert.into());
    }
    CANCELLED.set(host, &EnvelopeId::from_text(id).key()).await.map_err(AlertRejection::from)?;
    host.event(Level::Info, "alert.cancelling", json!({"envelope": id}));
    Ok(answer::json(StatusCode::ACCEPTED, &json!({"id": id, "status": "cancelling"})))
}
