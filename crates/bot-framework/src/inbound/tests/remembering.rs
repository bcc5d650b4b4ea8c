//! A token that was verified is remembered: its next use skips RSA, and nothing else.

use super::*;

/// Keys under `caller:`.
fn remembered(host: &FakeHost) -> Vec<String> {
    host.store.borrow().keys().filter(|key| key.starts_with("caller:")).cloned().collect()
}

/// The same token with a signature that RSA would refuse.
fn broken(token: &str) -> String {
    let (signed, _) = token.rsplit_once('.').unwrap();
    format!("{signed}.{}", "A".repeat(342))
}

/// Plants the record of a token, as if it had been verified.
fn plant(host: &FakeHost, token: &str, until: i64) {
    let checked = super::super::Checked { endorsements: vec!["msteams".into()], until, sealed_token: None };
    run(place_of(token).store(host, &checked));
}

fn place_of(token: &str) -> super::super::Remembered {
    let unverified = super::super::UnverifiedToken::parse(token).unwrap();
    super::super::Remembered::of(APP_ID, CHANNEL_METADATA, &unverified)
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
}

#[test]
fn keys_from_elsewhere_do_not_find_it() {
    let (host, token) = (bot(), broken(&token()));
    plant(&host, &token, NOW + 3600);
    host.settings.borrow_mut().insert("openidmetadata".into(), ENTRA_METADATA.into());
    assert_eq!(outcome(call(&host, &token, &activity())), "BadSignature");
}

#[test]
fn keys_that_were_fetched_a_day_ago_end_it() {
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
fn a_key_that_the_issuer_withdrew_ends_it() {
    let (host, token) = (bot(), token());
    assert_eq!(outcome(call(&host, &token, &activity())), "channel");
    publish(&host, vec![TestKey::stranger().endorsed_jwk(&["msteams"])]);
    // An hour later somebody comes with the new key, and so the keys are fetched.
    host.elapsed.set(Duration::from_secs(3600));
    let newer = TestKey::stranger().sign(&with(claims(), "exp", NOW + 7200));
    assert_eq!(outcome(call(&host, &newer, &activity())), "channel");
    assert_eq!(remembered(&host).len(), 1, "only the new one");
    assert_eq!(outcome(call(&host, &token, &activity())), "UnknownKey");
}

#[test]
fn a_known_token_costs_one_read_and_brings_the_bots_own() {
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
fn the_number_is_bounded() {
    let (host, good) = (bot(), token());
    for index in 0..1000 {
        let (signed, signature) = good.rsplit_once('.').unwrap();
        plant(&host, &format!("{signed}.{index:04}{}", &signature[4..]), NOW + 3600);
    }
    assert_eq!(remembered(&host).len(), 64);
}
