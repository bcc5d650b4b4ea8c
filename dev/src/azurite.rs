//! Runs the queue service and the table service of Azurite, the emulator of Azure Storage. Both services
//! listen on loopback, and keep their data in memory.

use std::fmt;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use crate::children::{Output, Running};
use crate::chosen;
use crate::ports;
use crate::tools::{node, node_modules};

/// The name of Azurite's default account.
pub const ACCOUNT: &str = "devstoreaccount1";
/// The account key of [`ACCOUNT`]. Azurite's documentation publishes this key.
pub const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// The environment variable with Azurite's accounts, each as `name:key`. Other users of the machine can read
/// the arguments of a process, but not the environment. So the account key is in the environment.
const ACCOUNTS: &str = "AZURITE_ACCOUNTS";

/// The key of the account [`ACCOUNT`]. `Debug` masks the key.
#[derive(Clone, PartialEq, Eq)]
pub struct StorageKey(String);

impl StorageKey {
    /// The published key [`KEY`], for tests only, because every user of this machine can know the key.
    pub fn well_known() -> Self {
        Self(KEY.to_owned())
    }

    /// Makes an account key of 64 random bytes, for one start of Azurite.
    pub fn random() -> anyhow::Result<Self> {
        // Azurite expects base64. The 128 hexadecimal digits are valid base64, too.
        Ok(Self([chosen::random_hex()?, chosen::random_hex()?].concat()))
    }
}

impl fmt::Debug for StorageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StorageKey(***)")
    }
}

/// The time within which each service must respond after its start.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// The ports of the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AzuritePorts {
    /// The queue service's port.
    pub queue: u16,
    /// The table service's port.
    pub table: u16,
}

impl AzuritePorts {
    /// The ports that the connection string `UseDevelopmentStorage=true` means.
    pub const DEFAULT: Self = Self { queue: 10001, table: 10002 };

    /// Two free ports.
    pub fn free() -> anyhow::Result<Self> {
        Ok(Self { queue: ports::free()?, table: ports::free()? })
    }

    /// The connection string of Azurite on these ports, with this account key.
    pub fn connection_string(self, key: &StorageKey) -> String {
        connection_string_of(&on_loopback(self.queue), &on_loopback(self.table), key)
    }
}

/// A running Azurite, one process for each service. When this value is dropped, both processes end, and their
/// data is lost.
#[derive(Debug)]
pub struct Azurite {
    queue: Running,
    table: Running,
    ports: AzuritePorts,
    key: StorageKey,
}

impl Azurite {
    /// Starts both services with this account key, and waits until both services respond.
    pub fn start(ports: AzuritePorts, key: StorageKey) -> anyhow::Result<Self> {
        // The function starts both services before it waits, because each service needs a second or two.
        let queue = start("queue", ports.queue, &key)?;
        let table = start("table", ports.table, &key)?;
        let mut azurite = Self { queue, table, ports, key };
        wait_for(&mut azurite.queue, ports.queue).context("the queue emulator does not respond")?;
        wait_for(&mut azurite.table, ports.table).context("the table emulator does not respond")?;
        Ok(azurite)
    }

    /// The address of the queue service, `127.0.0.1:<port>`.
    pub fn queue_authority(&self) -> String {
        on_loopback(self.ports.queue)
    }

    /// The address of the table service, `127.0.0.1:<port>`.
    pub fn table_authority(&self) -> String {
        on_loopback(self.ports.table)
    }

    /// If a service has ended by itself, returns a message with the service's name and the last lines of its
    /// output.
    pub fn end_message(&mut self) -> Option<String> {
        self.queue.end_message().or_else(|| self.table.end_message())
    }

    /// The connection string of both services.
    pub fn connection_string(&self) -> String {
        self.ports.connection_string(&self.key)
    }
}

/// The connection string of [`ACCOUNT`] with [`KEY`]. `queue` and `table` are the addresses of the services,
/// each as `host:port`.
pub fn connection_string(queue: &str, table: &str) -> String {
    connection_string_of(queue, table, &StorageKey::well_known())
}

fn connection_string_of(queue: &str, table: &str, StorageKey(key): &StorageKey) -> String {
    format!(
        "AccountName={ACCOUNT};AccountKey={key};QueueEndpoint=http://{queue}/{ACCOUNT};\
         TableEndpoint=http://{table}/{ACCOUNT}"
    )
}

fn on_loopback(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// Starts the service of this name: `queue` or `table`.
fn start(service: &str, port: u16, StorageKey(key): &StorageKey) -> anyhow::Result<Running> {
    let mut command: Command = node();
    command
        .env(ACCOUNTS, format!("{ACCOUNT}:{key}"))
        .arg(node_modules().join(format!("azurite/dist/src/{service}/main.js")))
        .args(["--inMemoryPersistence", "--disableTelemetry", "-s"])
        .args([format!("--{service}Host"), "127.0.0.1".to_owned()])
        .args([format!("--{service}Port"), port.to_string()]);
    Running::start(&format!("Azurite's {service} service"), command, &Output::default())
}

fn wait_for(service: &mut Running, port: u16) -> anyhow::Result<()> {
    service.wait_until(STARTS_WITHIN, |_| ports::answers_http(port).then_some(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_string_names_both_services_and_the_key() {
        let key = StorageKey::random().unwrap();
        let connection = AzuritePorts { queue: 1, table: 2 }.connection_string(&key);
        for part in ["QueueEndpoint=http://127.0.0.1:1/", "TableEndpoint=http://127.0.0.1:2/", &key.0] {
            assert!(connection.contains(part), "{connection}");
        }
    }

    #[test]
    fn random_key_differs_each_time_and_is_hidden_by_debug() {
        let keys = [StorageKey::random().unwrap(), StorageKey::random().unwrap()];
        assert!(keys[0] != keys[1] && keys[0].0.len() == 128, "expected two different keys of 64 bytes");
        assert_eq!(format!("{:?}", keys[0]), "StorageKey(***)");
    }
}
