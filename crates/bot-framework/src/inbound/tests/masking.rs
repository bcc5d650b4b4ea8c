//! Tests that no token appears in debug output, errors, the log or the store.

use http::header::AUTHORIZATION;

use super::*;

/// Returns the beginning (at most 40 characters) of the claims and of the signature of a token. These pieces
/// must not appear anywhere.
fn pieces(token: &str) -> Vec<String> {
    token.split('.').skip(1).map(|part| part[..part.len().min(40)].to_owned()).collect()
}

#[test]
fn token_does_not_appear_in_debug_output_in_errors_in_the_log_or_in_the_store() {
    let stranger =
        TestKey::stranger().sign_text(r#"{"alg":"RS256","kid":"issuer-key"}"#, &claims().to_string());
    for token in [token(), stranger, TestKey::issuer().sign(&with(claims(), "aud", "secret-audience"))] {
        let host = bot();
        let called = call(&host, &token, &activity());
        let mut shown = format!("{called:?} {:?}", auth(&host).unwrap());
        if let Err(error) = &called {
            shown += &error.to_string();
        }
        shown += &format!("{:?}", super::super::UnverifiedToken::parse(&token).unwrap());
        shown += &host.lines.borrow().join("\n");
        shown += &format!("{:?}", host.sent.borrow());
        for (key, value) in host.store.borrow().iter() {
            shown += &format!("{key} {}", String::from_utf8_lossy(value));
        }
        for piece in pieces(&token) {
            assert!(!shown.contains(&piece), "{piece} is in {shown}");
        }
        assert!(!shown.contains("secret-audience"), "the output must not contain a claim: {shown}");
    }
}

#[test]
fn verified_token_in_debug_output_shows_no_part_of_the_token() {
    let (host, token) = (bot(), token());
    let mut headers = HeaderMap::new();
    headers.append(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
    let deadline = Deadline::after(&host, Duration::from_secs(5));
    let verified = run(auth(&host).unwrap().verify(&host, &headers, deadline)).unwrap();
    let shown = format!("{verified:?}");
    assert!(pieces(&token).iter().all(|piece| !shown.contains(piece)), "{shown}");
}

#[test]
fn every_broken_rule_has_a_different_code_and_text() {
    use crate::BrokenRule as Rule;
    let rules = [
        Rule::Missing,
        Rule::NotBearer,
        Rule::TooLong,
        Rule::Malformed,
        Rule::DuplicateMember,
        Rule::Algorithm,
        Rule::HeaderMember,
        Rule::KeyId,
        Rule::Claim,
        Rule::Issuer,
        Rule::Audience,
        Rule::Expired,
        Rule::NotYetValid,
        Rule::Version,
        Rule::Tenant,
        Rule::UserToken,
        Rule::UnknownKey,
        Rule::UnusableKey,
        Rule::Signature,
        Rule::Endorsement,
        Rule::ServiceUrl,
    ];
    let codes: std::collections::BTreeSet<_> = rules.iter().map(|rule| rule.code()).collect();
    let texts: std::collections::BTreeSet<_> = rules.iter().map(ToString::to_string).collect();
    assert_eq!((codes.len(), texts.len()), (rules.len(), rules.len()), "(codes, texts)");
    assert!(codes.iter().all(|code| code.bytes().all(|byte| byte.is_ascii_alphabetic())));
}
