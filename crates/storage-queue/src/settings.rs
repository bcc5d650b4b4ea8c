//! Reads two variables of the app: the connection string of the storage account, and the name of the queue.

use platform::{Settings, SettingsError};
use storage_account::{Account, Service};

use crate::names::QueueName;

/// The variables `storageconnection` and `queuename`.
#[derive(Debug)]
pub struct QueueSettings {
    /// The storage account.
    pub account: Account,
    /// The queue in the account.
    pub name: QueueName,
}

impl QueueSettings {
    /// Reads both variables. The function fails if it cannot read a variable, if a value is invalid, or if
    /// the connection string gives no URL of the queue service.
    pub fn read(settings: &impl Settings) -> Result<Self, SettingsError> {
        let account = Account::parse(&settings.setting("storageconnection")?)
            .map_err(|error| SettingsError::new("storageconnection", error.to_string()))?;
        account
            .endpoint(Service::Queue)
            .map_err(|error| SettingsError::new("storageconnection", error.to_string()))?;
        let name = QueueName::parse(&settings.setting("queuename")?)
            .map_err(|error| SettingsError::new("queuename", error.to_string()))?;
        Ok(Self { account, name })
    }
}
