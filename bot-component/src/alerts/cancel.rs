//! `DELETE /api/alerts/{id}`: cancels an alert.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use platform::{Deadline, Host, Level, answer};
use serde_json::json;
use state::ledger::{AlertId, Ledger, Withdrawn};
use state::runs::Withdrawal;

use super::caller::Caller;
use super::grant::Scope;
use crate::rejection::{AlertRejection, Rejection};
use crate::settings::{BotSettings, CallerSettings};

const WITHIN: Duration = Duration::from_secs(20);

/// Takes an alert back, unless something became of it before.
pub(super) async fn delete<H: Host>(
    host: &H,
    id: &str,
    caller: &Caller,
) -> Result<Response<Bytes>, Rejection> {
    // With the scope `operate`, a key may cancel every alert. Other keys may cancel only their own alerts.
    let sender = if caller.grant.allows(Scope::Operate) {
        None
    } else {
        caller.require(Scope::Cancel)?;
        Some(caller.key.as_str())
    };
    let id = AlertId::parse(id).ok_or(AlertRejection::NoSuchAlert)?;
    let settings = BotSettings::open(host, CallerSettings::read(host)?).await?;
    let deadline = Deadline::after(host, WITHIN);
    let (account, tables) = (&settings.queue.account, &settings.tables);
    let ledger = Ledger::new(host, account, tables, deadline);
    match ledger.withdraw(&id, sender).await.map_err(AlertRejection::from)? {
        Withdrawn::Yes => {}
        Withdrawn::TooLate(status) => return Err(AlertRejection::AlertIsOver(status).into()),
        Withdrawn::Unknown => return Err(AlertRejection::NoSuchAlert.into()),
    }
    // A run that has the alert in hand asks for what was withdrawn a short time ago, and not for each alert.
    let withdrawal = Withdrawal::Cancelled(id.as_str().to_owned());
    settings.withdrawals(host, deadline).note(&withdrawal).await.map_err(AlertRejection::from)?;
    caller.event(host, Level::Info, "alert.cancelling", json!({"envelope": id.as_str()}));
    Ok(answer::json(StatusCode::ACCEPTED, &json!({"id": id.as_str(), "status": "cancelling"})))
}
