//! The errors of the table service. If a caller reacts to several errors in the same way, these errors have
//! the same variant.

use bytes::Bytes;
use http::{HeaderMap, Response};
use platform::{TransportError, value_of};
use storage_account::{
    Account, Failure, Service, Unusable, denial, header, is_busy, is_retryable, read_error,
    retry_after_seconds, word,
};
use thiserror::Error;

/// A failed call to the table service. If a write fails with [`TableError::Transport`], [`TableError::Busy`]
/// or [`TableError::Unreadable`], the result of the write is unknown. The service has perhaps done the write,
/// or will perhaps do the write later.
///
/// Source of the error codes:
/// <https://learn.microsoft.com/rest/api/storageservices/table-service-error-codes>.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TableError {
    /// The service is deleting the table, which takes about a minute.
    #[error("the table is being deleted; try again in a minute")]
    TableBeingDeleted,
    /// The service cannot do the call now, and the client makes no further attempt.
    #[error("the table service is busy ({status} {code}); try again in a moment")]
    Busy {
        /// The HTTP status.
        status: u16,
        /// The service's error code, or the empty string.
        code: String,
        /// The seconds of `Retry-After`.
        retry_after_seconds: Option<u64>,
    },
    /// The service refused the credentials, or the credentials do not allow the call.
    #[error("the storage account does not accept the credentials for tables ({status} {code}): {detail}")]
    NotAuthorized {
        /// The HTTP status.
        status: u16,
        /// The service's error code, or the empty string.
        code: String,
        /// A text that describes the problem and says how to solve it. The text does not quote the service,
        /// because the service's own text can contain the signature.
        detail: Box<str>,
    },
    /// An entity or a transaction is too large. Sending it again fails in the same way.
    #[error("the entity or the transaction is too large for the table service; shorten it")]
    TooLarge,
    /// The service refused the request. The account or a name in the request is wrong, or the bot has a bug.
    #[error("the table service refused the request ({status} {code}); check storageconnection")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The service's error code, or the empty string.
        code: String,
    },
    /// The call got no response, or only a part of a response.
    #[error("the call to the table service failed: {0}")]
    Transport(#[from] TransportError),
    /// The response cannot be read.
    #[error("the table service's response cannot be read: {0}")]
    Unreadable(String),
    /// The request is invalid, because the bot has a bug. The client did not send the request. The text
    /// contains no value of a key or property.
    #[error("the request to the table service is invalid: {0}")]
    Invalid(String),
    /// The variable `storageconnection` cannot be used for tables.
    #[error(transparent)]
    Unusable(#[from] Unusable),
}

/// The detail of [`TableError::NotAuthorized`] if the SAS (shared access signature) does not allow the call.
/// The parameters of a SAS are `ss` (the services), `srt` (the types of resources) and `sp` (the rights).
const SAS_MISMATCH: &str =
    "the SAS in storageconnection lacks rights for tables; make a SAS with ss=qt, srt=co, sp=rdacup";
/// The detail of [`TableError::NotAuthorized`] if the role of the bot's identity does not allow the call.
const ROLE_MISMATCH: &str = "the identity of this app lacks the role Storage Table Data Contributor on the storage \
     account; assign the role, which takes effect after some minutes";

impl TableError {
    /// Whether another attempt can succeed soon.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Busy { .. } => true,
            Self::Transport(error) => is_retryable(error),
            _ => false,
        }
    }

    pub(crate) fn from_failure(failure: Failure, account: &Account) -> Self {
        match failure {
            Failure::Answered(response) => {
                Self::from_response(&response, account.needs_token()).naming_missing_rights(account)
            }
            Failure::Transport(error) => Self::Transport(error),
            Failure::Unusable(problem) => Self::Unusable(problem),
        }
    }

    /// If the error says that the SAS lacks rights, puts the letters that the SAS lacks into the detail. For
    /// example, a SAS for tables needs the letter `t` in `ss`.
    fn naming_missing_rights(mut self, account: &Account) -> Self {
        if let Self::NotAuthorized { detail, .. } = &mut self
            && **detail == *SAS_MISMATCH
        {
            let missing = account.missing_in_sas(Service::Table);
            if !missing.is_empty() {
                let remedy = "make a SAS with ss=qt, srt=co, sp=rdacup";
                *detail = ["the SAS in storageconnection lacks ", &missing, "; ", remedy].concat().into();
            }
        }
        self
    }

    /// Returns the error for a response whose status is not 2xx. If `with_token` is `true` (the account uses
    /// Entra ID), the detail of [`TableError::NotAuthorized`] names the missing role instead of the missing
    /// rights of the SAS.
    pub(crate) fn from_response(response: &Response<Bytes>, with_token: bool) -> Self {
        Self::from_parts(response.status().as_u16(), response.headers(), response.body(), with_token)
    }

    /// Returns the error for a status, headers and a body. The code is in the header `x-ms-error-code`, or in
    /// a body of JSON or XML. Some responses have neither code nor body. For these responses, the HTTP status
    /// alone decides.
    pub(crate) fn from_parts(status: u16, headers: &HeaderMap, body: &[u8], with_token: bool) -> Self {
        let xml = read_error(body);
        let json = value_of(body).unwrap_or_default();
        let in_body = json["odata.error"]["code"].as_str().unwrap_or(&xml.code);
        let code = word(header(headers, "x-ms-error-code").unwrap_or(in_body));
        let code_text = || code.to_owned();
        match (status, code) {
            (409, "TableBeingDeleted") => Self::TableBeingDeleted,
            (413, _) | (400, "PropertyValueTooLarge" | "EntityTooLarge" | "RequestBodyTooLarge") => {
                Self::TooLarge
            }
            (401 | 403, _) | (400, "InvalidAuthenticationInfo") => {
                let mismatch = if with_token { ROLE_MISMATCH } else { SAS_MISMATCH };
                Self::NotAuthorized { status, code: code_text(), detail: denial(code, &xml, mismatch).into() }
            }
            _ if is_busy(status) => {
                Self::Busy { status, code: code_text(), retry_after_seconds: retry_after_seconds(headers) }
            }
            _ => Self::Refused { status, code: code_text() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str) -> TableError {
        TableError::Refused { status, code: code.to_owned() }
    }

    #[test]
    fn error_code_is_read_from_the_header_or_from_a_json_or_xml_body() {
        for (status, code, kind) in [
            (409, "EntityAlreadyExists", "Refused"),
            (409, "TableBeingDeleted", "TableBeingDeleted"),
            (404, "ResourceNotFound", "Refused"),
            (412, "UpdateConditionNotSatisfied", "Refused"),
            (400, "InvalidInput", "Refused"),
            (400, "PropertyValueTooLarge", "TooLarge"),
            (413, "RequestBodyTooLarge", "TooLarge"),
            (415, "AtomFormatNotSupported", "Refused"),
            (403, "AuthenticationFailed", "NotAuthorized"),
            (403, "AuthorizationServiceMismatch", "NotAuthorized"),
            (401, "InvalidAuthenticationInfo", "NotAuthorized"),
            (503, "ServerBusy", "Busy"),
            (500, "OperationTimedOut", "Busy"),
            (400, "", "Refused"),
            (413, "", "TooLarge"),
            (503, "", "Busy"),
        ] {
            let xml = format!("\u{FEFF}<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>");
            let json = serde_json::json!({"odata.error": {"code": code, "message": {"value": "hunter2"}}});
            let response = |header: &str, body: &str| {
                let mut response = Response::new(Bytes::copy_from_slice(body.as_bytes()));
                *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
                if !header.is_empty() {
                    response.headers_mut().insert("x-ms-error-code", header.parse().unwrap());
                }
                TableError::from_response(&response, false)
            };
            let error = response(code, "");
            assert!(format!("{error:?}").starts_with(kind), "{status} {code}: {error:?}");
            assert_eq!(response("", &xml), error, "{xml}");
            assert_eq!(response("", &json.to_string()), error, "{json}");
            assert_eq!(error.is_retryable(), kind == "Busy");
        }
        let odd =
            TableError::from_parts(400, &HeaderMap::new(), b"{\"odata.error\":{\"code\":\"?sig=x\"}}", false);
        assert_eq!(odd, refused(400, ""));
    }

    #[test]
    fn error_for_a_sas_without_a_needed_right_names_the_missing_letters() {
        for (sas, expected) in [
            ("ss=q&srt=co&sp=rdacup", "lacks `t` in ss; make a SAS with ss=qt"),
            ("ss=qt&srt=c&sp=rcup", "lacks `o` in srt, `a` in sp, `d` in sp; make"),
            ("sv=1", "lacks `t` in ss, `o` in srt, `r` in sp, `a` in sp, `u` in sp, `d` in sp; make"),
            // This SAS has every right, so its text does not show why the service refused the call.
            ("ss=qt&srt=co&sp=rdacup", "lacks rights for tables; make"),
        ] {
            let connection = format!("AccountName=contoso;SharedAccessSignature=?{sas}&sig=hunter2");
            let body = "<Error><Code>AuthorizationServiceMismatch</Code></Error>";
            let mut response = Response::new(Bytes::from(body));
            *response.status_mut() = http::StatusCode::FORBIDDEN;
            let account = Account::parse(&connection).unwrap();
            let shown = TableError::from_failure(Failure::Answered(response), &account).to_string();
            assert!(shown.contains(expected) && !shown.contains("hunter2"), "{sas}: {shown}");
        }
    }

    #[test]
    fn error_for_missing_permissions_names_the_rights_of_a_sas_or_the_role_of_an_identity() {
        for code in [
            "AuthorizationServiceMismatch",
            "AuthorizationResourceTypeMismatch",
            "AuthorizationPermissionMismatch",
        ] {
            let body = format!("<Error><Code>{code}</Code></Error>");
            let shown = |with_token| {
                TableError::from_parts(403, &HeaderMap::new(), body.as_bytes(), with_token).to_string()
            };
            assert!(shown(false).contains("ss=qt, srt=co, sp=rdacup"), "{}", shown(false));
            assert!(shown(true).contains("Storage Table Data Contributor"), "{}", shown(true));
        }
    }
}
