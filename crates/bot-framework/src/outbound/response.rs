//! Reads the response of Entra's token endpoint: a token, or the reason why the bot gets no token.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use platform::{TransportError, value_of};
use serde_json::Value;

use super::access_token::AccessToken;
use super::error::{TokenError, TokenRefusal};
use crate::retry_after;

/// A token that the login host has just issued.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) token: AccessToken,
    /// The remaining lifetime of the token. The value is zero if the response has no usable `expires_in`.
    pub(super) life: Duration,
}

/// Reads the response (RFC 6749 sections 5.1 and 5.2).
pub(super) fn read_response(
    response: Result<http::Response<Bytes>, TransportError>,
    now: DateTime<Utc>,
) -> Result<Grant, TokenError> {
    let unavailable = |reason: String, retry_after, again_at_once| TokenError::Unavailable {
        reason,
        retry_after,
        again_at_once,
    };
    let response = match response {
        Ok(response) => response,
        Err(error) => {
            let again = error != TransportError::Denied;
            return Err(unavailable(error.to_string(), None, again));
        }
    };
    let status = response.status().as_u16();
    let after = retry_after::of_headers(response.headers(), now);
    let body = value_of(response.body()).unwrap_or_default();
    let is_temporary = matches!(body["error"].as_str(), Some("temporarily_unavailable" | "server_error"));
    match status {
        200 => grant(&body).ok_or_else(|| unavailable("status 200 without a token".into(), None, false)),
        429 => Err(unavailable("status 429".into(), after, false)),
        408 | 500..=599 => Err(unavailable(format!("status {status}"), after, after.is_none())),
        _ if is_temporary => Err(unavailable(format!("status {status}"), after, after.is_none())),
        300..=399 => Err(TokenRefusal::Redirected(status).into()),
        _ => Err(refusal(status, &body).into()),
    }
}

fn grant(body: &Value) -> Option<Grant> {
    if !body["token_type"].as_str()?.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let token = AccessToken::new(body["access_token"].as_str()?)?;
    // Entra sends `expires_in` as a number. The old version of the endpoint (v1.0) sends a text. Any other
    // value counts as absent.
    let seconds = match &body["expires_in"] {
        Value::String(text) => text.parse().ok(),
        number => number.as_u64(),
    };
    Some(Grant { token, life: Duration::from_secs(seconds.unwrap_or_default()) })
}

fn refusal(status: u16, body: &Value) -> TokenRefusal {
    let description = body["error_description"].as_str().unwrap_or_default();
    let listed = body["error_codes"].as_array().into_iter().flatten().filter_map(Value::as_u64);
    let described = description.split("AADSTS").skip(1).filter_map(|rest| {
        rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok())
    });
    let codes: Vec<u32> = listed.chain(described).filter_map(|code: u64| u32::try_from(code).ok()).collect();
    if let Some(known) = codes.iter().find_map(|code| TokenRefusal::of_code(*code)) {
        return known;
    }
    let description = description.to_ascii_lowercase();
    if ["not yet valid", "valid time range", "assertion has expired"]
        .iter()
        .any(|words| description.contains(words))
    {
        return TokenRefusal::AssertionNotValidNow;
    }
    match codes.first() {
        Some(code) => TokenRefusal::Numbered { status, code: *code },
        None => TokenRefusal::Unexplained(status),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use platform::testing::{FakeHost, response};
    use platform::{BodyProblem, Clock};
    use serde_json::json;

    use super::*;

    fn read(status: u16, body: &str) -> Result<Grant, TokenError> {
        read_response(Ok(response(status, body)), FakeHost::default().now())
    }

    #[test]
    fn token_lifetime_is_read_from_a_number_or_a_text() {
        for (expires_in, seconds) in [
            ("3599", 3599),
            ("\"3599\"", 3599),
            ("0", 0),
            ("-1", 0),
            ("1.5", 0),
            ("1e3", 0),
            ("\"soon\"", 0),
            ("\"-5\"", 0),
            ("null", 0),
            ("{}", 0),
            ("18446744073709551615", u64::MAX),
            ("99999999999999999999999", 0),
        ] {
            let body =
                format!(r#"{{"token_type":"Bearer","expires_in":{expires_in},"access_token":"t.o.k"}}"#);
            let grant = read(200, &body).unwrap_or_else(|error| panic!("{body}: {error}"));
            assert_eq!((grant.life.as_secs(), grant.token.expose()), (seconds, &b"t.o.k"[..]), "{body}");
        }
        assert_eq!(read(200, r#"{"token_type":"bearer","access_token":"t"}"#).unwrap().life, Duration::ZERO);
    }

    #[test]
    fn response_200_without_a_usable_token_gives_the_error_unavailable() {
        for body in [
            "",
            "<html>welcome to the hotel</html>",
            "{}",
            "[]",
            r#"{"access_token":"t"}"#,
            r#"{"token_type":"Bearer"}"#,
            r#"{"token_type":"Bearer","access_token":""}"#,
            r#"{"token_type":"Bearer","access_token":"a b"}"#,
            r#"{"token_type":"Bearer","access_token":"a\r\nhost: evil"}"#,
            r#"{"token_type":"Bearer","access_token":["t"]}"#,
            r#"{"token_type":"pop","access_token":"t"}"#,
        ] {
            let error = read(200, body).expect_err(body);
            assert!(matches!(error, TokenError::Unavailable { again_at_once: false, .. }), "{body}: {error}");
        }
    }

    #[test]
    fn refusal_names_the_cause_or_the_setting_to_correct() {
        use TokenRefusal::*;
        let coded = |code: u32| {
            json!({"error": "invalid_client", "error_description": "words about hunter2", "error_codes": [code]}).to_string()
        };
        let described =
            |text: &str| json!({"error": "invalid_request", "error_description": text}).to_string();
        for (status, body, expected, names) in [
            (400, coded(700_016), UnknownApp, "microsoftappid"),
            (401, coded(7_000_215), WrongSecret, "microsoftapppassword"),
            (401, coded(7_000_222), ExpiredSecret, "microsoftapppassword"),
            (400, coded(90_002), UnknownTenant, "microsoftapptenantid"),
            (400, coded(900_023), UnknownTenant, "microsoftapptenantid"),
            (401, coded(700_024), AssertionNotValidNow, "clock"),
            (401, coded(700_027), UnknownCertificate, "certificate"),
            (401, coded(70_021), UnknownFederation, "federatedtoken"),
            (401, coded(700_213), UnknownFederation, "federatedtoken"),
            (400, coded(7_000_229), NoServicePrincipal, "az ad sp create"),
            (401, coded(7_000_112), Disabled, "Enterprise applications"),
            (400, coded(53_003), BlockedByPolicy, "Conditional Access"),
            (
                400,
                described("AADSTS700016: Application with identifier 'x' was not found"),
                UnknownApp,
                "microsoftappid",
            ),
            (
                400,
                described("Failed. AADSTS90002: Tenant 'hunter2' not found."),
                UnknownTenant,
                "microsoftapptenantid",
            ),
            (401, described("The assertion is not yet valid"), AssertionNotValidNow, "clock"),
            (
                401,
                described("AADSTS50013: Assertion is not within its valid time range."),
                AssertionNotValidNow,
                "clock",
            ),
            (400, coded(50_034), Numbered { status: 400, code: 50_034 }, "AADSTS50034"),
            (400, described("AADSTS: hunter2"), Unexplained(400), "400"),
            (400, described("AADSTS99999999999999999999: hunter2"), Unexplained(400), "400"),
            (400, r#"{"error_codes":["hunter2",-1,1e9]}"#.into(), Unexplained(400), "400"),
            (403, "<html>hunter2</html>".into(), Unexplained(403), "loginendpoint"),
            (404, String::new(), Unexplained(404), "loginendpoint"),
            (307, coded(700_016), Redirected(307), "loginendpoint"),
        ] {
            let error = read(status, &body).expect_err(&body);
            assert_eq!(error, TokenError::Refused(expected), "{status} {body}");
            assert!(error.to_string().contains(names), "{error}");
            assert!(!error.to_string().contains("hunter2"), "the message must not repeat the body: {error}");
            assert!(!error.to_string().contains('\n'), "the message must be one line: {error}");
        }
    }

    #[test]
    fn temporary_fault_is_unavailable_with_the_requested_pause_if_any() {
        let temporary = r#"{"error":"temporarily_unavailable","error_description":"hunter2"}"#;
        for (status, body, after, again) in [
            (429, "", None, false),
            (429, "", Some("7"), false),
            (500, "", None, true),
            (502, "<html>", None, true),
            (503, "", Some("7"), false),
            (504, "", None, true),
            (408, "", None, true),
            (400, temporary, None, true),
        ] {
            let mut response = response(status, body);
            if let Some(after) = after {
                response.headers_mut().insert("retry-after", after.parse().unwrap());
            }
            let error = read_response(Ok(response), FakeHost::default().now()).expect_err("no token");
            let TokenError::Unavailable { reason, retry_after, again_at_once } = error else {
                panic!("{status}: {error}")
            };
            assert_eq!(
                (retry_after.map(|after| after.as_secs()), again_at_once),
                (after.map(|_| 7), again),
                "{status}"
            );
            assert!(reason.contains(&status.to_string()) && !reason.contains("hunter2"), "{reason}");
        }
        for (error, again) in [
            (TransportError::Denied, false),
            (TransportError::NotSent("refused".into()), true),
            (TransportError::ResponseLost("timed out".into()), true),
            // The lost body contained the token.
            (TransportError::body_lost(StatusCode::OK, HeaderMap::new(), BodyProblem::Broken), true),
        ] {
            let read = read_response(Err(error), FakeHost::default().now()).expect_err("no token");
            assert!(
                matches!(read, TokenError::Unavailable { again_at_once, .. } if again_at_once == again),
                "{read}"
            );
        }
    }
}
