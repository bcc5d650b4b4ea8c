//! `GET /api/alerts/{id}`: the status of one alert.

use platform::Host;

use super::caller::Caller;
use crate::answered::Answered;
use crate::rejection::Rejection;

pub(super) async fn get<H: Host>(
    _host: &H,
    _id: &str,
    _query: &str,
    _caller: &Caller,
) -> Result<Answered, Rejection> {
    Err(Rejection::NoSuchRoute)
}
