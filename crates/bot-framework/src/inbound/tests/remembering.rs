//! Tests of the records of checked tokens. If a token has a record, the bot does not check the token's
//! signature again. The bot still applies all other rules. The record also holds the bot's own access token
//! for the Connector, in encrypted form (*sealed*).

use super::*;

/// The names of all token records in the key-value store. Each name begins with `caller:`.
fn remembered(host: &FakeHost) -> Vec<String> {
    host.store.borrow().keys().filter(|key| key.starts_with("caller:")).cloned().collect()
}

/// Returns the same token with an invalid signature.
fn broken(token: &str) -> String {
    let (signed, _) = token.rsplit_once('.').unwrap();
    format!("{signed}.{}", "A".repeat(342))
}

/// Stores a record of the token, as if the bot had checked its signature.
fn store_record(host: &FakeHost, token: &str, until: i64) {
    let checked = super::super::Checked { endorsements: vec!["msteams".into()], until, sealed_token: None };
    run(record_key_of(token).store(host, &checked));
}

fn record_key_of(token: &str) -> super::super::RecordKey {
    let unverified = super::super::UnverifiedToken::parse(token).unwrap();
    super::super::RecordKey::of(APP_ID, CHANNEL_METADATA, &unverified)
}

#[test]
fn token_with_a_record_skips_the_signature_check() {
    let host = bot();
    // The signature of this token is wrong. So the bot accepts the token only if the bot skips the check of
    // the signature.
    let token = broken(&token());
    assert_eq!(outcome(call(&host, &token, &activity())), "BadSignature");
    assert!(remembered(&host).is_empty(), "a refused token must not be recorded");
    store_record(&host, &token, NOW + 3600);
    assert_eq!(outcome(call(&host, &token, &activity())), "channel");
}

#[test]
fn valid_token_is_recorded_until_the_token_expires() {
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
fn record_that_has_expired_is_ignored() {
    let host = bot();
    let token = broken(&token());
    store_record(&host, &token, NOW);
    assert_eq!(outcome(call(&host, &token, &activity())), "BadSignature");
}

#[test]
fn record_of_another_bot_is_not_found() {
    let host = bot();
    let shared = with(claims(), "aud", OTHER_BOT);
    let token = broken(&TestKey::issuer().sign(&shared));
    store_record(&host, &token, NOW + 3600);
    // From here on, the bot with the id `OTHER_BOT` uses the store. The record in the store is from the
    // bot with the id `APP_ID`.
    host.settings.borrow_mut().insert("microsoftappid".into(), OTHER_BOT.into());
    assert_eq!(outcome(call(&host, &token, &activity())), "BadSignature");
}

#[test]
fn record_for_another_metadata_url_is_not_found() {
    let (host, token) = (bot(), broken(&token()));
    store_record(&host, &token, NOW + 3600);
    host.settings.borrow_mut().insert("openidmetadata".into(), ENTRA_METADATA.into());
    assert_eq!(outcome(call(&host, &token, &activity())), "BadSignature");
}

#[test]
fn record_ends_a_day_after_the_signing_keys_were_fetched() {
    let host = bot();
    let token = TestKey::issuer().sign(&with(claims(), "exp", NOW + 3 * 86_400));
    assert_eq!(outcome(call(&host, &token, &activity())), "channel");
    publish(&host, vec![TestKey::stranger().endorsed_jwk(&["msteams"])]);
    host.elapsed.set(Duration::from_secs(86_399));
    assert_eq!(outcome(call(&host, &token, &activity())), "channel");
    host.elapsed.set(Duration::from_secs(86_400));
    assert_eq!(outcome(call(&host, &token, &activity())), "UnknownKey");
}

#[test]
fn record_ends_when_the_bot_learns_that_the_issuer_withdrew_the_key() {
    let (host, token) = (bot(), token());
    assert_eq!(outcome(call(&host, &token, &activity())), "channel");
    publish(&host, vec![TestKey::stranger().endorsed_jwk(&["msteams"])]);
    // An hour later, a token arrives that the new key has signed. So the bot fetches the keys again.
    host.elapsed.set(Duration::from_secs(3600));
    let newer = TestKey::stranger().sign(&with(claims(), "exp", NOW + 7200));
    assert_eq!(outcome(call(&host, &newer, &activity())), "channel");
    assert_eq!(remembered(&host).len(), 1, "the new token must be the only token with a record");
    assert_eq!(outcome(call(&host, &token, &activity())), "UnknownKey");
}

#[test]
fn record_costs_one_read_and_holds_the_encrypted_access_token_of_the_bot() {
    let (host, token) = (bot(), token());
    let verify = || {
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        let deadline = Deadline::after(&host, Duration::from_secs(5));
        run(auth(&host).unwrap().verify(&host, &headers, deadline)).unwrap()
    };
    let first = verify();
    assert_eq!(first.sealed_token(), None);
    run(first.remember(&host, Some(b"sealed".to_vec())));
    for (sealed, kept, writes) in [
        (None, &b"sealed"[..], 0),
        (Some(&b"sealed"[..]), &b"sealed"[..], 0),
        (Some(&b"another"[..]), &b"another"[..], 1),
    ] {
        host.reads.take();
        let before = host.writes.get();
        run(verify().remember(&host, sealed.map(<[u8]>::to_vec)));
        assert_eq!(host.reads.take().len(), 1, "{sealed:?}");
        assert_eq!(host.writes.get() - before, writes, "{sealed:?}");
        assert_eq!(verify().sealed_token(), Some(kept), "{sealed:?}");
    }
}

#[test]
fn store_keeps_at_most_64_records_of_1000_tokens() {
    let (host, good) = (bot(), token());
    for index in 0..1000 {
        let (signed, signature) = good.rsplit_once('.').unwrap();
        store_record(&host, &format!("{signed}.{index:04}{}", &signature[4..]), NOW + 3600);
    }
    assert_eq!(remembered(&host).len(), 64);
}
