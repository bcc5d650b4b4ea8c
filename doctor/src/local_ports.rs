//! The clock and the random numbers of this machine: two of the ports of [`platform`]. A port is a trait for
//! one service of the platform on which the bot runs.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

/// The clock and the random numbers of this machine, for native programs. The type has no `sleep` and no HTTP
/// client, because each program brings its own `sleep` and client.
#[derive(Debug)]
pub struct LocalPorts {
    started: Instant,
}

impl Default for LocalPorts {
    fn default() -> Self {
        Self { started: Instant::now() }
    }
}

impl LocalPorts {
    /// The current time. A program can use it for [`platform::Clock::now`].
    pub fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    /// The time since this value was made. A program can use it for [`platform::Clock::monotonic`].
    pub fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    /// Fills the buffer with random bytes. A program can use it for [`platform::Randomness::fill`].
    pub fn fill(&self, buffer: &mut [u8]) {
        // The doctor needs random numbers only for ids, for jitter, and for the salts of RSA-PSS signatures.
        // These signatures are secure with any salt. So if the system has no random numbers, zeros are good
        // enough.
        if getrandom::fill(buffer).is_err() {
            buffer.fill(0);
        }
    }
}
