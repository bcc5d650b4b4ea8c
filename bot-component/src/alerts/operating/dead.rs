//! The dead letters: `GET /api/dead`, `POST /api/dead/replay`, `DELETE /api/dead/{id}`.

use http::Request;
use platform::{Host, RequestBody};

use super::super::caller::Caller;
use crate::answered::Answered;
use crate::rejection::Rejection;

pub(in super::super) async fn get<H: Host>(
    _host: &H,
    _query: &str,
    _caller: &Caller,
) -> Result<Answered, Rejection> {
    Err(Rejection::NoSuchRoute)
}

pub(in super::super) async fn replay<H: Host>(
    _host: &H,
    _request: Request<impl RequestBody>,
    _caller: &Caller,
) -> Result<Answered, Rejection> {
    Err(Rejection::NoSuchRoute)
}

pub(in super::super) async fn delete<H: Host>(
    _host: &H,
    _id: &str,
    _caller: &Caller,
) -> Result<Answered, Rejection> {
    Err(Rejection::NoSuchRoute)
}
