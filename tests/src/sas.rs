//! Makes shared access signatures (SAS) for Azurite's account, in the form that the Azure portal shows.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dev::azurite::{ACCOUNT, KEY};
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::Sha256;

const VERSION: &str = "2021-12-02";
const EXPIRY: &str = "2099-01-01T00:00:00Z";

/// Makes an account SAS for these services (`ss`), resource types (`srt`) and permissions (`sp`).
/// <https://learn.microsoft.com/rest/api/storageservices/create-account-sas> defines the string to sign. The
/// string has one line for each value. Four lines are empty, because this SAS does not set the start time,
/// the addresses, the protocol and the encryption scope.
pub fn account_sas(services: &str, resource_types: &str, permissions: &str) -> String {
    let to_sign =
        format!("{ACCOUNT}\n{permissions}\n{services}\n{resource_types}\n\n{EXPIRY}\n\n\n{VERSION}\n\n");
    let mut mac = Hmac::<Sha256>::new_from_slice(&STANDARD.decode(KEY).unwrap()).unwrap();
    mac.update(to_sign.as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    let [expiry, signature] =
        [EXPIRY, &signature].map(|value| utf8_percent_encode(value, NON_ALPHANUMERIC).to_string());
    format!("sv={VERSION}&ss={services}&srt={resource_types}&sp={permissions}&se={expiry}&sig={signature}")
}

/// Makes the connection string that the Azure portal shows for a SAS. `queue` and `table` are the
/// `address:port` of the two services.
pub fn connection_string(queue: &str, table: &str, sas: &str) -> String {
    format!(
        "QueueEndpoint=http://{queue}/{ACCOUNT};TableEndpoint=http://{table}/{ACCOUNT};SharedAccessSignature={sas}"
    )
}
