//! `GET /api/alerts`: lists alerts with their statuses.

use platform::Host;

use super::caller::Caller;
use crate::answered::Answered;
use crate::rejection::Rejection;

pub(super) async fn get<H: Host>(_host: &H, _query: &str, _caller: &Caller) -> Result<Answered, Rejection> {
    Err(Rejection::NoSuchRoute)
}
