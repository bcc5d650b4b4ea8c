//! A token that was verified is remembered: its next use skips RSA, and nothing else.

use super::*;

/// Keys under `verified:`.
fn remembered(host: &FakeHost) -> Vec<String> {
    host.store.borrow().keys().filter(|key| key.starts_with("verified:")).cloned().collect()
}

/// The same token with a signature that RSA would refuse.
fn broken(token: &str) -> String {
    let (signed, _) = token.rsplit_once('.').unwrap();
    format!("{signed}.{}", "A".repeat(342))
}

/// Plants the mark of a token, as if it had been verified.
fn plant(host: &FakeHost, token: &str, until: i64) {
    let unverified = super::super::UnverifiedToken::parse(token).unwrap();
    let set = super::super::key_set::KeySet::read(&json!({"keys": [TestKey::issuer().jwk()]}));
    let key = set.find("issuer-key").unwrap();
    run(super::super::Remembered::of(host, APP_ID, key, &unverified).remember(until));
}

#[test]
fn the_second_use_skips_rsa() {
    let host = bot();
    // Whether RSA ran cannot be seen from outside, so a token is planted that RSA would refuse.
    let token = broken(&token());
    assert_eq!(outcome(call(&host, &token, &activity())), "BadSignature");
    assert!(remembered(&host).is_empty(), "what is refused is not remembered");
    plant(&host, &token, NOW + 3600);
    assert_eq!(outcome(call(&host, &token, &activity())), "channel");
}

#[test]
fn a_valid_token_is_remembered_by_its_hash_until_it_expires() {
    let (host, token) = (bot(), token());
    assert_eq!(outcome(call(&host, &token, &activity())), "channel");
    let keys = remembered(&host);
    assert_eq!(keys.len(), 1);
    let value: Value = serde_json::from_slice(&host.store.borrow()[&keys[0]]).unwrap();
    assert_eq!(value["until"], NOW + 3600);
    host.elapsed.set(Duration::from_secs(3600 + 300));
    assert_eq!(outcome(call(&host, &token, &activity())), "TokenExpired");
}

#[test]
fn a_mark_that_is_over_counts_for_nothing() {
    let host = bot();
    let token = broken(&token());
    plant(&host, &token, NOW);
    assert_eq!(outcome(call(&host, &token, &activity())), "BadSignature");
}

#[test]
fn no_other_bot_and_no_other_key_finds_it() {
    let host = bot();
    let shared = with(claims(), "aud", OTHER_BOT);
    let token = broken(&TestKey::issuer().sign(&shared));
    plant(&host, &token, NOW + 3600);
    // The other bot, with the same store, has not verified it.
    host.settings.borrow_mut().insert("microsoftappid".into(), OTHER_BOT.into());
    assert_eq!(outcome(call(&host, &token, &activity())), "BadSignature");
    // Nor is it good under another key with the same id.
    let host = bot();
    let token = self::token();
    assert_eq!(outcome(call(&host, &token, &activity())), "channel");
    let mut replaced = TestKey::stranger().endorsed_jwk(&["msteams"]);
    replaced["kid"] = "issuer-key".into();
    publish(&host, vec![replaced]);
    host.store.borrow_mut().retain(|key, _| !key.starts_with("jwks:"));
    assert_eq!(outcome(call(&host, &token, &activity())), "BadSignature");
}

#[test]
fn a_key_that_the_issuer_withdrew_ends_it() {
    let (host, token) = (bot(), token());
    assert_eq!(outcome(call(&host, &token, &activity())), "channel");
    publish(&host, vec![TestKey::stranger().endorsed_jwk(&["msteams"])]);
    host.store.borrow_mut().retain(|key, _| !key.starts_with("jwks:"));
    assert_eq!(outcome(call(&host, &token, &activity())), "UnknownKey");
}

#[test]
fn the_number_is_bounded() {
    let (host, good) = (bot(), token());
    for index in 0..1000 {
        let (signed, signature) = good.rsplit_once('.').unwrap();
        plant(&host, &format!("{signed}.{index:04}{}", &signature[4..]), NOW + 3600);
    }
    assert_eq!(remembered(&host).len(), 64);
}
