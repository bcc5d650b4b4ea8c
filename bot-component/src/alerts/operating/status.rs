//! `GET /api/status`: the state of the bot, for a person or a probe.

use platform::Host;

use super::super::caller::Caller;
use crate::answered::Answered;
use crate::rejection::Rejection;

pub(in super::super) async fn get<H: Host>(_host: &H, _caller: &Caller) -> Result<Answered, Rejection> {
    Err(Rejection::NoSuchRoute)
}
