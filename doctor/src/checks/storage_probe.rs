//! Makes a *probe*: one call to the storage account, which shows whether the credentials permit the call.

use std::time::Duration;

use http::header::{ACCEPT, HeaderName};
use http::{HeaderValue, Method};
use platform::{Clock, Deadline, HttpClient, Randomness, Timeouts};
use serde_json::Value;
use storage_account::{Account, Call, Failure, Sender, Service, denial, header, read_error, word};

const WITHIN: Duration = Duration::from_secs(15);
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    first_byte: Duration::from_secs(6),
    between_bytes: Duration::from_secs(6),
    total: Duration::from_secs(12),
    max_response_bytes: 4 * 1024 * 1024,
};

/// The name of a queue that does not exist. The service checks the rights of a call before it looks for the
/// queue. So a permitted call gets the response 404, and changes nothing.
const NO_SUCH_QUEUE: &str = "cargo-dev-doctor";
/// The name of a table that does not exist, for the same purpose.
const NO_SUCH_TABLE: &str = "cargodevdoctor";

/// The result of a probe: whether the credentials permit the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The credentials permit the call.
    Permitted {
        /// The HTTP status.
        status: u16,
        /// The service's error code, or the empty string.
        code: String,
    },
    /// The credentials are valid, but do not permit the call.
    NoRight,
    /// The account does not accept the credentials, or the settings are not sufficient for a call. The string
    /// explains the reason in this project's own words. The string repeats only the HTTP status and the error
    /// code of the response, because the rest of the response can quote the signature.
    Refused(String),
    /// There is no response.
    Unreachable(String),
}

/// Makes a call, and reads its response.
pub(super) async fn probe<H>(host: &H, account: &Account, service: Service, call: &Call) -> Outcome
where
    H: HttpClient + Clock + Randomness,
{
    let sender = Sender::new(host, account, service, TIMEOUTS, Deadline::after(host, WITHIN));
    let response = match sender.send(call).await {
        Ok(sent) => {
            return Outcome::Permitted { status: sent.response.status().as_u16(), code: String::new() };
        }
        Err(failed) => match failed.failure {
            Failure::Answered(response) => response,
            Failure::Transport(error) => return Outcome::Unreachable(error.to_string()),
            Failure::Unusable(problem) => return Outcome::Refused(problem.to_string()),
        },
    };
    let status = response.status().as_u16();
    let xml = read_error(response.body());
    let json: Value = serde_json::from_slice(response.body()).unwrap_or_default();
    let in_body = json["odata.error"]["code"].as_str().unwrap_or(&xml.code);
    let code = word(header(response.headers(), "x-ms-error-code").unwrap_or(in_body));
    match (status, code) {
        (
            403,
            "AuthorizationPermissionMismatch"
            | "AuthorizationResourceTypeMismatch"
            | "AuthorizationServiceMismatch"
            | "InsufficientAccountPermissions",
        ) => Outcome::NoRight,
        (401 | 403, _) | (400, "InvalidAuthenticationInfo") => {
            let reason = match code {
                "AuthorizationFailure" => {
                    "the account's network rules refuse this address, or the signature is wrong; check the account's page \
                     Networking in Azure, and check storageconnection"
                }
                "KeyBasedAuthenticationNotPermitted" => {
                    "the account permits neither keys nor SAS; set storageconnection to AccountName=<account> alone"
                }
                "AccountIsDisabled" => "the account is disabled; enable it in Azure",
                _ => denial(code, &xml, "the right is missing"),
            };
            Outcome::Refused(format!("{}: {reason}", format!("{status} {code}").trim_end()))
        }
        _ => Outcome::Permitted { status, code: code.to_owned() },
    }
}

/// Makes a call that looks at a message of a queue, and leaves the message visible.
pub(super) fn peek(queue: &str) -> Call {
    Call::new(Method::GET, format!("/{queue}/messages")).query("numofmessages", 1).query("peekonly", true)
}

/// Makes a call that reads at most one entity (one row) of a table.
pub(super) fn look(table: &str) -> Call {
    json(Call::new(Method::GET, format!("/{table}()")).query("$top", 1))
}

/// The calls that need the right with the letter `right`, each with its service. Every call names a queue or
/// table that does not exist.
pub(super) fn calls_with(right: char) -> Vec<(Service, Call)> {
    const MESSAGE: &str = "/messages/00000000-0000-0000-0000-000000000000";
    let queue = |method, path: &str| Call::new(method, format!("/{NO_SUCH_QUEUE}{path}"));
    let entity = |method| {
        let key = "(PartitionKey='doctor',RowKey='doctor')";
        let call = json(Call::new(method, format!("/{NO_SUCH_TABLE}{key}")));
        call.header(HeaderName::from_static("if-match"), HeaderValue::from_static("*"))
    };
    let body = || HeaderValue::from_static("application/json");
    match right {
        'r' => vec![(Service::Queue, peek(NO_SUCH_QUEUE)), (Service::Table, look(NO_SUCH_TABLE))],
        'a' => {
            let message = "<QueueMessage><MessageText>ZG9jdG9y</MessageText></QueueMessage>";
            let xml = HeaderValue::from_static("application/xml");
            let insert = json(Call::new(Method::POST, format!("/{NO_SUCH_TABLE}")));
            let row = r#"{"PartitionKey":"doctor","RowKey":"doctor"}"#;
            vec![
                (Service::Queue, queue(Method::POST, "/messages").body(xml, message)),
                (Service::Table, insert.body(body(), row)),
            ]
        }
        'u' => {
            let update =
                queue(Method::PUT, MESSAGE).query("popreceipt", "AgAAAA==").query("visibilitytimeout", 0);
            vec![(Service::Queue, update), (Service::Table, entity(Method::PATCH).body(body(), "{}"))]
        }
        'd' => {
            let delete = queue(Method::DELETE, MESSAGE).query("popreceipt", "AgAAAA==");
            vec![(Service::Queue, delete), (Service::Table, entity(Method::DELETE))]
        }
        // Only queues have the right `p` (process).
        'p' => {
            let get = queue(Method::GET, "/messages").query("numofmessages", 1).query("visibilitytimeout", 1);
            vec![(Service::Queue, get)]
        }
        _ => Vec::new(),
    }
}

fn json(call: Call) -> Call {
    let version = HeaderValue::from_static("3.0");
    call.header(ACCEPT, HeaderValue::from_static("application/json;odata=nometadata"))
        .header(HeaderName::from_static("dataserviceversion"), version)
}
