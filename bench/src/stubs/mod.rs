//! The stubs of a benchmark. A *stub* is a server on loopback that plays a service, does little, and counts
//! the calls. If a stub gets a call that it does not expect, the stub keeps the call as its *complaint*, and
//! the benchmark fails.

mod connector;
mod queue;
mod stub;
mod table;

use anyhow::bail;
use dev::azurite;
use end_to_end::login::{Login, Proof};
use end_to_end::openid::OpenId;

pub use connector::Connector;
pub use queue::Queue;
pub use table::Table;

/// All stubs.
#[derive(Debug)]
pub struct Stubs {
    /// The storage queue.
    pub queue: Queue,
    /// The table service of the storage account that also has the queue.
    pub table: Table,
    /// The Bot Connector.
    pub connector: Connector,
    /// The issuer of the channel's tokens. This stub checks each request strictly. The checks hardly change
    /// the figures, because the bot calls this issuer only once a day.
    pub open_id: OpenId,
    /// The issuer of the bot's tokens. This stub, too, checks each request strictly. The checks hardly change
    /// the figures, because the bot calls this issuer only once an hour.
    pub login: Login,
}

impl Stubs {
    /// Starts all stubs on free ports.
    pub fn start() -> Self {
        Self {
            queue: Queue::start(),
            table: Table::start(),
            connector: Connector::start(),
            open_id: OpenId::start(),
            login: Login::start(Proof::Secret),
        }
    }

    /// The value of the variable `storageconnection`, with the addresses of the queue stub and the table
    /// stub.
    pub fn connection_string(&self) -> String {
        azurite::connection_string(self.queue.authority(), self.table.authority())
    }

    /// The number of calls to all stubs so far.
    pub fn calls(&self) -> u64 {
        let issuers = self.open_id.fetches() + self.login.requests();
        self.queue.calls() + self.table.calls() + self.connector.calls() + issuers as u64
    }

    /// Fails if a stub got a request that it did not expect.
    pub fn expect_no_complaint(&self) -> anyhow::Result<()> {
        let storage = self.queue.complaint().or_else(|| self.table.complaint());
        match storage.or_else(|| self.connector.complaint()) {
            None => Ok(()),
            Some(complaint) => bail!("a stub got a request that it does not expect: {complaint}"),
        }
    }
}
