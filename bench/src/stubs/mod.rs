//! The stubs of a benchmark. A *stub* is a small server on loopback that the components call in place of a
//! real service. A stub counts the calls that it receives. If the stub of the queue, the tables or the
//! Connector receives an unexpected call, this call becomes the stub's *complaint*, and the benchmark fails.

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
    /// The table service. The tables and the queue belong to the same storage account.
    pub table: Table,
    /// The Bot Connector.
    pub connector: Connector,
    /// The issuer of the tokens with which a channel (such as Teams) calls the bot. This stub checks each
    /// request strictly. The checks hardly change the results of the benchmark, because the bot calls this
    /// issuer only once a day.
    pub open_id: OpenId,
    /// The issuer of the tokens for the Connector. This stub also checks each request strictly. The checks
    /// hardly change the results, because the components request a new token only once an hour.
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

    /// Returns an error if the stub of the queue, the tables or the Connector got an unexpected request.
    pub fn expect_no_complaint(&self) -> anyhow::Result<()> {
        let storage = self.queue.complaint().or_else(|| self.table.complaint());
        match storage.or_else(|| self.connector.complaint()) {
            None => Ok(()),
            Some(complaint) => bail!("a stub got a request that it does not expect: {complaint}"),
        }
    }
}
