//! Tests of the `Authorization` header. A request must have exactly one such header, of the form
//! `Bearer <token>`. The word `Bearer` can be in upper or lower case.

use super::*;

#[test]
fn authorization_header_in_another_form_is_refused() {
    let token = token();
    let value = |text: &str| text.replace("TOKEN", &token).into_bytes();
    let long = format!("Bearer {}", "a".repeat(8193)).into_bytes();
    let rows: Vec<(&str, Vec<Vec<u8>>, &str)> = vec![
        ("valid", vec![value("Bearer TOKEN")], "channel"),
        ("no header", vec![], "TokenMissing"),
        ("empty", vec![value("")], "NotBearer"),
        ("scheme only", vec![value("Bearer")], "NotBearer"),
        ("scheme and space only", vec![value("Bearer ")], "NotBearer"),
        ("token only", vec![value("TOKEN")], "NotBearer"),
        ("lower case", vec![value("bearer TOKEN")], "channel"),
        ("upper case", vec![value("BEARER TOKEN")], "channel"),
        ("two spaces", vec![value("Bearer  TOKEN")], "NotBearer"),
        ("tab", vec![value("Bearer\tTOKEN")], "NotBearer"),
        ("space before", vec![value(" Bearer TOKEN")], "NotBearer"),
        ("space after", vec![value("Bearer TOKEN ")], "NotBearer"),
        ("no-break space", vec![value("Bearer\u{a0}TOKEN")], "NotBearer"),
        ("comma-separated", vec![value("Bearer TOKEN, Bearer TOKEN")], "NotBearer"),
        ("scheme parameter", vec![value("Bearer token=TOKEN")], "NotBearer"),
        ("quoted", vec![value("Bearer \"TOKEN\"")], "NotBearer"),
        ("another scheme", vec![value("Basic TOKEN")], "NotBearer"),
        ("two schemes", vec![value("Bearer Bearer TOKEN")], "NotBearer"),
        ("the same header twice", vec![value("Bearer TOKEN"), value("Bearer TOKEN")], "NotBearer"),
        ("a second header", vec![value("Bearer TOKEN"), value("Basic dTpw")], "NotBearer"),
        ("not ASCII", vec![value("Bearer TOKEN\u{e4}")], "NotBearer"),
        ("more than 8 KiB", vec![long], "TokenTooLong"),
    ];
    for (what, values, expected) in rows {
        let values: Vec<_> = values.iter().map(Vec::as_slice).collect();
        assert_eq!(outcome(call_with(&bot(), &values, &activity())), expected, "{what}");
    }
}

#[test]
fn malformed_or_wrong_token_causes_no_request_and_no_access_to_the_store() {
    let sign = |claims: &Value| TestKey::issuer().sign(claims);
    let headed = |header: &str| TestKey::issuer().sign_text(header, &claims().to_string());
    let tokens = [
        String::new(),
        "x".into(),
        "a.b.c".into(),
        "e30.e30.e30".into(),
        headed(r#"{"alg":"none","kid":"issuer-key"}"#),
        headed(r#"{"alg":"RS256"}"#),
        headed(&json!({"alg": "RS256", "kid": "k".repeat(129)}).to_string()),
        headed(&json!({"alg": "RS256", "kid": "two words"}).to_string()),
        sign(&with(claims(), "iss", "https://evil.example")),
        sign(&with(claims(), "aud", OTHER_BOT)),
        sign(&with(claims(), "exp", NOW - 300)),
        sign(&with(claims(), "nbf", NOW + 301)),
        sign(&entra_claims(APP_ID, OTHER_BOT, FOREIGN_TENANT, NOW)),
        sign(&with(entra_claims(APP_ID, OTHER_BOT, TENANT, NOW), "ver", "3.0")),
    ];
    let host = bot_with(&[("emulatortokens", "accept")]);
    for token in tokens {
        call(&host, &token, &activity()).expect_err(&token);
    }
    assert!(host.sent.borrow().is_empty() && host.reads.borrow().is_empty() && host.writes.get() == 0);
}
