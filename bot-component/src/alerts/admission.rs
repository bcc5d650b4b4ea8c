//! Checks the header `Authorization` of an API call. In this header, the caller sends an API key or a token
//! of Entra. The variables `alertkey` and `alertkeys` define the valid API keys.

use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use platform::{Deadline, Host, Level, SettingsError};

use super::caller::Caller;
use super::grant::Grant;
use super::keys::AlertKeys;
use super::request_id::RequestId;
use crate::rejection::{AlertRejection, Rejection};
use crate::settings::CallerSettings;

/// The time limit for a fetch of Entra's public signing keys. The bot stores these keys for a day, so few API
/// calls cause a fetch.
const KEYS_WITHIN: Duration = Duration::from_secs(4);

/// Checks the API key or the token of an API call. Returns the caller, or an error if the check fails.
pub(super) async fn admit<H: Host>(
    host: &H,
    keys: &AlertKeys,
    headers: &HeaderMap,
    request_id: &RequestId,
) -> Result<Caller, Rejection> {
    let candidate = credential(headers).ok_or(AlertRejection::Unauthorized)?;
    let holder = keys.holder_of(candidate, host.now());
    if let Some((key, reason)) = holder.refused() {
        let mut fields = request_id.about();
        fields.insert("key".into(), key.into());
        fields.insert("reason".into(), reason.into());
        host.event(Level::Warn, "alert.key-refused", fields.into());
    }
    let (key, grant) = match holder.admitted() {
        Some(admitted) => admitted,
        None if is_token(candidate) => verify_token(host, keys, headers).await?,
        None => return Err(AlertRejection::Unauthorized.into()),
    };
    Ok(Caller { key, grant, request_id: request_id.clone() })
}

/// Returns the credential from the header `Authorization: Bearer <credential>`. The request must have exactly
/// one header `Authorization`, and the scheme must be `Bearer`. Otherwise, the function returns `None`.
fn credential(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    platform::bearer(value.to_str().ok()?)
}

/// Whether the credential has the form of a signed JWT: three parts, separated by dots.
fn is_token(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// Verifies a token of Entra. Returns the name (`app:<app id>`) and the grant (the rights) of the caller.
///
/// The bot checks the claims of the token first. If a claim is wrong, the bot refuses the token at once. So
/// for such a token, the bot makes no call for the signing keys, and does not read the key-value store.
async fn verify_token<H: Host>(
    host: &H,
    keys: &AlertKeys,
    headers: &HeaderMap,
) -> Result<(String, Grant), Rejection> {
    let settings = CallerSettings::read(host)?;
    let inbound = settings.inbound().filter(|inbound| inbound.takes_app_tokens());
    let Some(inbound) = inbound else {
        if keys.names_app_tokens {
            let problem =
                "entra:roles: expected authmode=required, and the tenant's id in microsoftapptenantid";
            return Err(SettingsError::new("alertkeys", problem).into());
        }
        return Err(AlertRejection::Unauthorized.into());
    };
    let app = inbound.verify_app(host, headers, Deadline::after(host, KEYS_WITHIN)).await?;
    Ok((format!("app:{}", app.app_id), Grant::of_roles(&app.roles)))
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use http::HeaderValue;
    use platform::testing::{FakeHost, run};

    use super::*;

    const KEY: &str = "pbk_0123456789abcdef0123456789abcdef";
    const ALERTKEY: &str = "an-alert-key-for-tests";

    fn host(alertkeys: &str, mode: &str) -> FakeHost {
        FakeHost::with_settings([
            ("alertkey", ALERTKEY),
            ("alertkeys", alertkeys),
            ("authmode", mode),
            ("microsoftappid", "00000000-0000-0000-0000-000000000001"),
            ("microsoftapptenantid", "11111111-2222-3333-4444-555555555555"),
        ])
    }

    fn entry(until: &str) -> String {
        format!("ci:send:4344e8cb2e757661e80e17eb183a63ba2e58848f07a1f58f8f8be8764abd9f4c{until}")
    }

    /// Returns the name of the accepted API key, or the HTTP status and the error code of the refusal.
    fn admitted(host: &FakeHost, authorization: &[&str]) -> Result<String, String> {
        let values = authorization.iter().map(|value| (AUTHORIZATION, HeaderValue::from_str(value).unwrap()));
        let mut headers = HeaderMap::new();
        values.for_each(|(name, value)| _ = headers.append(name, value));
        let keys = AlertKeys::read(host).unwrap().unwrap();
        let admitted = run(admit(host, &keys, &headers, &RequestId::of(host, &headers)));
        admitted.map(|caller| caller.key).map_err(|rejection| {
            let response = rejection.log_and_respond(host);
            let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
            format!("{} {}", response.status().as_u16(), body["error"]["code"].as_str().unwrap())
        })
    }

    #[test]
    fn authorization_must_be_one_header_with_the_scheme_bearer_in_any_letter_case() {
        let host = host(&entry(""), "required");
        let bearer = |scheme: &str, key: &str| format!("{scheme} {key}");
        for (authorization, expected) in [
            (vec![bearer("Bearer", KEY)], Ok("ci")),
            (vec![bearer("bearer", KEY)], Ok("ci")),
            (vec![bearer("BEARER", ALERTKEY)], Ok("alertkey")),
            (vec![], Err("401 Unauthorized")),
            (vec![KEY.into()], Err("401 Unauthorized")),
            (vec![bearer("Basic", KEY)], Err("401 Unauthorized")),
            (vec![bearer("Bearer", &KEY[..35])], Err("401 Unauthorized")),
            (vec![bearer("Bearer", &format!("{KEY}0"))], Err("401 Unauthorized")),
            (vec![bearer("Bearer", KEY), bearer("Bearer", KEY)], Err("401 Unauthorized")),
        ] {
            let values: Vec<_> = authorization.iter().map(String::as_str).collect();
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(admitted(&host, &values), expected, "{authorization:?}");
        }
        assert!(
            host.reads.borrow().is_empty() && host.sent.borrow().is_empty(),
            "to check an API key, the bot reads only variables"
        );
    }

    #[test]
    fn call_with_an_expired_api_key_is_refused_with_401_and_the_log_has_the_reason() {
        let host = host(&entry(":2026-11-22"), "required");
        assert_eq!(admitted(&host, &[&format!("Bearer {KEY}")]), Err("401 Unauthorized".into()));
        let refused = &host.events("alert.key-refused")[0];
        assert_eq!((&refused["key"], &refused["reason"]), (&"ci".into(), &"the API key has expired".into()));
        assert!(refused["request"].is_string() && !refused.to_string().contains(KEY));
    }

    #[test]
    fn token_of_an_unknown_issuer_is_refused_without_an_outbound_call() {
        let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
        let header = part(r#"{"alg":"RS256","kid":"k"}"#);
        let token =
            format!("Bearer {header}.{}.c2ln", part(r#"{"iss":"https://evil.example/","aud":"x","exp":1}"#));
        for (mode, alertkeys, expected) in [
            ("required", "", "401 WrongIssuer"),
            ("required", "entra:roles", "401 WrongIssuer"),
            ("anonymous", "", "401 Unauthorized"),
            ("anonymous", "entra:roles", "500 Misconfigured"),
        ] {
            let host = host(alertkeys, mode);
            assert_eq!(admitted(&host, &[&token]), Err(expected.into()), "{mode} {alertkeys}");
            assert!(host.reads.borrow().is_empty() && host.sent.borrow().is_empty(), "{mode} {alertkeys}");
        }
    }
}
