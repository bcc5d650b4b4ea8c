//! Implements the traits that the project's storage clients need: `HttpClient`, `Clock` and `Randomness`.
//! With this implementation, tests can use the storage clients outside WebAssembly.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use doctor::LocalPorts;
use platform::{BodyProblem, Clock, HttpClient, Randomness, Timeouts, TransportError};

use crate::web;

/// The HTTP client, the clock and the random numbers of the machine that runs the tests.
#[derive(Debug, Default)]
pub struct Machine {
    local: LocalPorts,
}

impl HttpClient for Machine {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        timeouts: Timeouts,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let whole = web::exchange(request.map(web::whole)).await?;
        let status = http::StatusCode::from_u16(whole.status).expect("a status that came over HTTP");
        if whole.body.len() > timeouts.max_response_bytes {
            let problem = BodyProblem::TooLong { limit_bytes: timeouts.max_response_bytes };
            return Err(TransportError::body_lost(status, whole.headers, problem));
        }
        let mut response = http::Response::new(whole.body);
        *response.status_mut() = status;
        *response.headers_mut() = whole.headers;
        Ok(response)
    }
}

impl Clock for Machine {
    fn now(&self) -> DateTime<Utc> {
        self.local.now()
    }

    fn monotonic(&self) -> Duration {
        self.local.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

impl Randomness for Machine {
    fn fill(&self, buffer: &mut [u8]) {
        self.local.fill(buffer);
    }
}
