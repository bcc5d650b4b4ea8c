//! Reads connection strings in every documented form
//! (<https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string>).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::account::{Account, Credential};
use crate::auth::AccountKey;
use crate::error::{ConnectionStringError, wrong};

/// The well-known account of the storage emulator. Its key is public.
const EMULATOR_ACCOUNT: &str = "devstoreaccount1";
const EMULATOR_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Every setting that is allowed in a connection string, in lower case. [`Account::parse`] ignores the
/// settings of the blob and file services.
const KNOWN: [&str; 15] = [
    "usedevelopmentstorage",
    "developmentstorageproxyuri",
    "defaultendpointsprotocol",
    "accountname",
    "accountkey",
    "sharedaccesssignature",
    "endpointsuffix",
    "queueendpoint",
    "queuesecondaryendpoint",
    "blobendpoint",
    "blobsecondaryendpoint",
    "tableendpoint",
    "tablesecondaryendpoint",
    "fileendpoint",
    "filesecondaryendpoint",
];

impl Account {
    /// Reads a connection string.
    pub fn parse(connection_string: &str) -> Result<Self, ConnectionStringError> {
        let settings = split(connection_string)?;
        let get = |name: &str| settings.get(name).copied().filter(|value| !value.is_empty());
        if let Some(value) = get("usedevelopmentstorage") {
            return Self::emulator(value, &settings);
        }
        if get("developmentstorageproxyuri").is_some() {
            return wrong("DevelopmentStorageProxyUri: UseDevelopmentStorage=true is missing; add it");
        }
        let explicit = |setting: &str| {
            get(&setting.to_ascii_lowercase()).map(|url| checked_endpoint(setting, url)).transpose()
        };
        let (explicit_queue, explicit_table) = (explicit("QueueEndpoint")?, explicit("TableEndpoint")?);
        if explicit_queue.is_none() && explicit_table.is_none() && get("accountname").is_none() {
            return wrong("AccountName and QueueEndpoint are missing; add one of them");
        }
        // If QueueEndpoint is set, the account is perhaps in an emulator. In the cloud, an account of the
        // same name can belong to another owner, who must not get the bot's requests. So the code derives the
        // cloud URL of the table service from AccountName only in two cases: QueueEndpoint is missing, or
        // EndpointSuffix shows that the account is in the cloud.
        let derives_table = explicit_queue.is_none() || get("endpointsuffix").is_some();
        let queue_endpoint = match explicit_queue {
            Some(endpoint) => Some(endpoint),
            None => named_endpoint(&get, "queue")?,
        };
        let table_endpoint = match explicit_table {
            Some(endpoint) => Some(endpoint),
            None if derives_table => named_endpoint(&get, "table")?,
            None => None,
        };
        let credential = match (get("accountkey"), get("sharedaccesssignature")) {
            (Some(_), Some(_)) => {
                return wrong("AccountKey and SharedAccessSignature are both set; keep one of them");
            }
            (None, None) => Credential::Entra(None),
            (Some(key), None) => match (get("accountname"), STANDARD.decode(key)) {
                (None, _) => return wrong("AccountKey: AccountName is missing; add it"),
                (_, Err(_)) => return wrong("AccountKey: expected base64; copy the whole key"),
                (Some(account), Ok(key)) => {
                    Credential::SharedKey { account: account.to_owned(), key: AccountKey::new(&key) }
                }
            },
            (None, Some(sas)) => {
                let sas = sas.strip_prefix('?').unwrap_or(sas);
                let plain = sas.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
                if !plain || !sas.split('&').any(|pair| pair.starts_with("sig=")) {
                    return wrong("SharedAccessSignature: expected the query of a SAS URL, with `sig=`");
                }
                Credential::Sas(sas.to_owned())
            }
        };
        Ok(Self { queue_endpoint, table_endpoint, credential })
    }

    fn emulator(value: &str, settings: &BTreeMap<String, &str>) -> Result<Self, ConnectionStringError> {
        if !value.eq_ignore_ascii_case("true") {
            return wrong("UseDevelopmentStorage: expected true; to use no emulator, leave the setting out");
        }
        if settings.keys().any(|name| name != "usedevelopmentstorage" && name != "developmentstorageproxyuri")
        {
            return wrong(
                "UseDevelopmentStorage=true: cannot be combined with other settings than \
                 DevelopmentStorageProxyUri; leave the others out",
            );
        }
        let origin = match settings.get("developmentstorageproxyuri").copied().filter(|uri| !uri.is_empty()) {
            None => "http://127.0.0.1".to_owned(),
            Some(uri) => {
                let uri = checked_endpoint("DevelopmentStorageProxyUri", uri)?;
                let parsed: http::Uri =
                    uri.parse().or_else(|_| wrong("DevelopmentStorageProxyUri: expected a URL"))?;
                // With UseDevelopmentStorage, the ports are always 10001 (queues) and 10002 (tables). So the
                // code ignores a port in the URI.
                format!("{}://{}", parsed.scheme_str().unwrap_or("http"), parsed.host().unwrap_or_default())
            }
        };
        let key = AccountKey::new(&STANDARD.decode(EMULATOR_KEY).unwrap_or_default());
        Ok(Self {
            queue_endpoint: Some(format!("{origin}:10001/{EMULATOR_ACCOUNT}")),
            table_endpoint: Some(format!("{origin}:10002/{EMULATOR_ACCOUNT}")),
            credential: Credential::SharedKey { account: EMULATOR_ACCOUNT.to_owned(), key },
        })
    }
}

/// Returns the URL of a service in the cloud. `None` if AccountName is missing. `get` takes the name of a
/// setting in lower case, and returns the setting's value. `service` is `queue` or `table`.
fn named_endpoint<'s>(
    get: &impl Fn(&str) -> Option<&'s str>,
    service: &str,
) -> Result<Option<String>, ConnectionStringError> {
    let Some(account) = get("accountname") else { return Ok(None) };
    if !account.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        return wrong("AccountName: expected lower-case letters and digits");
    }
    let protocol = get("defaultendpointsprotocol").unwrap_or("https").to_ascii_lowercase();
    if protocol != "https" && protocol != "http" {
        return wrong("DefaultEndpointsProtocol: expected https or http");
    }
    let suffix = get("endpointsuffix").unwrap_or("core.windows.net");
    checked_endpoint("EndpointSuffix", &format!("{protocol}://{account}.{service}.{suffix}")).map(Some)
}

/// Splits the connection string into `Name=Value` pairs, and puts the names in lower case. A name ends at the
/// first `=`. Further `=` are part of the value, because an account key can end in `=`.
fn split(connection_string: &str) -> Result<BTreeMap<String, &str>, ConnectionStringError> {
    let mut settings = BTreeMap::new();
    for (index, segment) in
        connection_string.split(';').map(str::trim).enumerate().filter(|(_, s)| !s.is_empty())
    {
        let known = segment.split_once('=').and_then(|(name, value)| {
            let (written, name) = (name.trim(), name.trim().to_ascii_lowercase());
            KNOWN.contains(&name.as_str()).then(|| (written, name, value.trim()))
        });
        let Some((written, name, value)) = known else {
            // The error does not quote the segment, because the segment can be a pasted account key.
            return wrong(format!("part {}: expected a known setting as Name=Value", index + 1));
        };
        if settings.contains_key(&name) {
            return wrong(format!("{written} is set twice; keep one"));
        }
        settings.insert(name, value);
    }
    if settings.is_empty() {
        wrong("the connection string is empty; for the emulator, set UseDevelopmentStorage=true")
    } else {
        Ok(settings)
    }
}

fn checked_endpoint(setting: &str, endpoint: &str) -> Result<String, ConnectionStringError> {
    let problem = || {
        ConnectionStringError(format!(
            "{setting}: expected an http or https URL without user and query, or a valid part of such a URL"
        ))
    };
    let endpoint = endpoint.trim_end_matches('/');
    let uri: http::Uri = endpoint.parse().map_err(|_| problem())?;
    let authority = uri.authority().ok_or_else(problem)?;
    let valid = matches!(uri.scheme_str(), Some("http" | "https"))
        && !authority.host().is_empty()
        && !authority.as_str().contains('@')
        && uri.query().is_none()
        && !endpoint.contains('#');
    if valid { Ok(endpoint.to_owned()) } else { Err(problem()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "c2VjcmV0LWtleQ==";

    fn endpoint(connection_string: &str) -> Result<String, String> {
        Account::parse(connection_string)
            .map(|account| account.queue_endpoint.unwrap_or_default())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn connection_string_in_each_documented_form_gives_the_queue_endpoint() {
        for (text, expected) in [
            ("UseDevelopmentStorage=true", "http://127.0.0.1:10001/devstoreaccount1"),
            ("usedevelopmentstorage=TRUE;", "http://127.0.0.1:10001/devstoreaccount1"),
            (
                "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://azurite",
                "http://azurite:10001/devstoreaccount1",
            ),
            (
                "DevelopmentStorageProxyUri=https://azurite:99/;UseDevelopmentStorage=true",
                "https://azurite:10001/devstoreaccount1",
            ),
            (
                "DefaultEndpointsProtocol=https;AccountName=contoso;AccountKey=c2VjcmV0LWtleQ==;EndpointSuffix=core.windows.net",
                "https://contoso.queue.core.windows.net",
            ),
            ("AccountName=contoso;AccountKey=c2VjcmV0LWtleQ==", "https://contoso.queue.core.windows.net"),
            (
                " accountname = contoso ; ; ACCOUNTKEY=c2VjcmV0LWtleQ== ;",
                "https://contoso.queue.core.windows.net",
            ),
            (
                "DefaultEndpointsProtocol=http;AccountName=contoso;AccountKey=c2VjcmV0LWtleQ==",
                "http://contoso.queue.core.windows.net",
            ),
            (
                "AccountName=contoso;AccountKey=c2VjcmV0LWtleQ==;EndpointSuffix=core.chinacloudapi.cn",
                "https://contoso.queue.core.chinacloudapi.cn",
            ),
            (
                "AccountName=contoso;SharedAccessSignature=sv=2021-12-02&sig=a%2Bb%3D",
                "https://contoso.queue.core.windows.net",
            ),
            (
                "QueueEndpoint=https://contoso.queue.core.windows.net/;SharedAccessSignature=?sv=1&sig=x",
                "https://contoso.queue.core.windows.net",
            ),
            (
                "AccountName=devstoreaccount1;AccountKey=c2VjcmV0LWtleQ==;QueueEndpoint=http://127.0.0.1:11001/devstoreaccount1/;BlobEndpoint=http://x;TableSecondaryEndpoint=http://y",
                "http://127.0.0.1:11001/devstoreaccount1",
            ),
        ] {
            assert_eq!(endpoint(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn table_endpoint_comes_from_its_setting_or_emulator_or_account_name_and_never_from_another_endpoint() {
        const KEY: &str = "AccountKey=c2VjcmV0LWtleQ==";
        const SAS: &str = "SharedAccessSignature=?ss=qt&sig=x";
        const CLOUD: &str = "https://contoso.table.core.windows.net";
        const EMULATED: &str = "http://127.0.0.1:11002/devstoreaccount1";
        for (text, expected) in [
            ("UseDevelopmentStorage=true".to_owned(), Some("http://127.0.0.1:10002/devstoreaccount1")),
            (
                "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://azurite".to_owned(),
                Some("http://azurite:10002/devstoreaccount1"),
            ),
            (format!("AccountName=contoso;{KEY}"), Some(CLOUD)),
            ("AccountName=contoso".to_owned(), Some(CLOUD)),
            (
                format!("AccountName=contoso;{KEY};EndpointSuffix=core.chinacloudapi.cn"),
                Some("https://contoso.table.core.chinacloudapi.cn"),
            ),
            (format!("AccountName=contoso;{KEY};TableEndpoint={EMULATED}/"), Some(EMULATED)),
            (
                format!(
                    "QueueEndpoint=http://127.0.0.1:11001/devstoreaccount1;TableEndpoint={EMULATED};{SAS}"
                ),
                Some(EMULATED),
            ),
            (format!("QueueEndpoint=https://contoso.queue.core.windows.net;{SAS}"), None),
            (format!("AccountName=contoso;QueueEndpoint=http://127.0.0.1:11001/contoso;{KEY}"), None),
            (
                format!(
                    "AccountName=contoso;QueueEndpoint=https://q.example;{KEY};EndpointSuffix=core.windows.net"
                ),
                Some(CLOUD),
            ),
            (format!("BlobEndpoint=https://b.example;QueueEndpoint=https://q.example;{SAS}"), None),
        ] {
            let account = Account::parse(&text).unwrap();
            assert_eq!(account.table_endpoint.as_deref(), expected, "{text}");
        }
        let table_only = Account::parse(&format!("TableEndpoint={EMULATED};{SAS}")).unwrap();
        assert_eq!(table_only.queue_endpoint, None);
    }

    #[test]
    fn error_of_a_bad_connection_string_names_the_setting_and_never_the_value() {
        for (text, expected) in [
            ("", "the connection string is empty"),
            (" ; ", "the connection string is empty"),
            ("c2VjcmV0LWtleQ==", "part 1: expected a known"),
            ("hunter2", "part 1: expected a known"),
            ("AccountName=contoso;AcountKey=c2VjcmV0LWtleQ==", "part 2: expected a known"),
            ("AccountKey=c2VjcmV0LWtleQ==", "AccountName and QueueEndpoint are missing"),
            ("QueueEndpoint=http://x;AccountKey=c2VjcmV0LWtleQ==", "AccountName is missing"),
            ("AccountName=contoso;AccountKey=hunter2!", "AccountKey: expected base64"),
            ("AccountName=contoso;AccountName=other;AccountKey=c2VjcmV0LWtleQ==", "AccountName is set twice"),
            (
                "AccountName=contoso;AccountKey=c2VjcmV0LWtleQ==;SharedAccessSignature=sig=hunter2",
                "are both set",
            ),
            ("AccountName=contoso;SharedAccessSignature=hunter2", "SharedAccessSignature: expected"),
            ("AccountName=contoso;SharedAccessSignature=sig=hun ter2", "SharedAccessSignature: expected"),
            ("AccountName=con/hunter2;AccountKey=c2VjcmV0LWtleQ==", "AccountName: expected"),
            (
                "DefaultEndpointsProtocol=ftp;AccountName=contoso;AccountKey=c2VjcmV0LWtleQ==",
                "DefaultEndpointsProtocol: expected",
            ),
            (
                "AccountName=contoso;AccountKey=c2VjcmV0LWtleQ==;EndpointSuffix=a b",
                "EndpointSuffix: expected",
            ),
            (
                "QueueEndpoint=http://u:hunter2@x;AccountName=a;AccountKey=c2VjcmV0LWtleQ==",
                "QueueEndpoint: expected",
            ),
            (
                "QueueEndpoint=http://x?sig=hunter2;AccountName=a;AccountKey=c2VjcmV0LWtleQ==",
                "QueueEndpoint: expected",
            ),
            (
                "TableEndpoint=http://x?sig=hunter2;AccountName=a;AccountKey=c2VjcmV0LWtleQ==",
                "TableEndpoint: expected",
            ),
            ("QueueEndpoint=x;AccountName=a;AccountKey=c2VjcmV0LWtleQ==", "QueueEndpoint: expected"),
            ("UseDevelopmentStorage=false", "UseDevelopmentStorage: expected true"),
            ("UseDevelopmentStorage=true;AccountName=a", "cannot be combined with other settings"),
            ("DevelopmentStorageProxyUri=http://x", "UseDevelopmentStorage=true is missing"),
        ] {
            let error = endpoint(text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("hunter2") && !error.contains(KEY), "{text}: {error}");
        }
    }

    #[test]
    fn debug_output_of_an_account_masks_the_account_key_and_the_sas() {
        for text in [
            "AccountName=contoso;AccountKey=c2VjcmV0LWtleQ==",
            "AccountName=contoso;SharedAccessSignature=sv=1&sig=c2VjcmV0LWtleQ==",
        ] {
            let shown = format!("{:?}", Account::parse(text).unwrap());
            assert!(shown.contains("***") && !shown.contains("c2Vj") && !shown.contains("secret"), "{shown}");
        }
    }
}
