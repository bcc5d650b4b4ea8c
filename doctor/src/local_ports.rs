//! The clock and the random numbers of this machine, for two of the ports of [`platform`]. A *port* is a
//! trait for one service, such as the clock, of the platform on which the bot runs.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

/// The clock and the random numbers of this machine, for native programs. The type has no `sleep` and no HTTP
/// client, because these differ between the programs. For example, the doctor's `sleep` blocks the thread,
/// but the `sleep` of the end-to-end tests does not.
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
    /// The current time, for [`platform::Clock::now`].
    pub fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    /// The time since this value was made, for [`platform::Clock::monotonic`].
    pub fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    /// Fills the buffer with random bytes, for [`platform::Randomness::fill`].
    pub fn fill(&self, buffer: &mut [u8]) {
        // The doctor needs random numbers only for ids, for jitter, and for the salts of RSA-PSS signatures.
        // These signatures are secure with any salt. So zeros are good enough if the system has no random
        // numbers.
        if getrandom::fill(buffer).is_err() {
            buffer.fill(0);
        }
    }
}
