//! Tests of the cache of signing keys. The tests check when the bot fetches the keys, and which keys the bot
//! uses if the issuer does not respond.

use std::cell::RefCell;
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode};
use platform::{BodyProblem, TransportError};

use super::*;

const HOUR: u64 = 3600;

fn at(host: &FakeHost, seconds: u64) -> &FakeHost {
    host.elapsed.set(Duration::from_secs(seconds));
    host
}

/// A valid token, issued at the time that the host's clock shows.
fn token_now(host: &FakeHost, key: &TestKey) -> String {
    let now = NOW + i64::try_from(host.elapsed.get().as_secs()).unwrap();
    key.sign(&channel_claims(APP_ID, SERVICE_URL, now))
}

/// Makes a valid call. Returns the outcome of the call, and the number of requests that the bot has sent so
/// far.
fn call_with_key(host: &FakeHost, key: &TestKey) -> (String, usize) {
    let called = call(host, &token_now(host, key), &activity());
    (outcome(called), host.sent.borrow().len())
}

fn outcome_and_sent(outcome: &str, sent: usize) -> (String, usize) {
    (outcome.to_owned(), sent)
}

/// Makes every later request of the bot fail, because the connection is refused.
fn refuse_connections(host: &FakeHost) {
    host.answers(|_| Some(Err(TransportError::NotSent("the connection was refused".into()))));
}

#[test]
fn key_cache_fetches_the_keys_once_a_day() {
    let (host, issuer) = (bot(), TestKey::issuer());
    assert_eq!(call_with_key(&host, issuer), outcome_and_sent("channel", 2));
    assert_eq!(call_with_key(at(&host, 24 * HOUR - 1), issuer), outcome_and_sent("channel", 2));
    assert_eq!(call_with_key(at(&host, 24 * HOUR), issuer), outcome_and_sent("channel", 4));
    assert_eq!(call_with_key(at(&host, 24 * HOUR + 1), issuer), outcome_and_sent("channel", 4));
}

#[test]
fn flood_of_unknown_key_ids_delays_a_new_key_by_at_most_a_minute() {
    // Both tokens are valid for an hour. All rounds use the same two tokens, because signing takes time.
    let (known, new) = (token(), TestKey::stranger().sign(&claims()));
    let (_, behind_the_header) = known.split_once('.').unwrap();
    for published_after in [0, 9, 10, 31, 100, 250] {
        let host = bot();
        assert_eq!(outcome(call(&host, &known, &activity())), "channel");
        let mut found_after = None;
        for second in 0..600 {
            at(&host, second);
            let header = json!({"alg": "RS256", "kid": format!("k{second}")}).to_string();
            let bogus = format!("{}.{behind_the_header}", URL_SAFE_NO_PAD.encode(header));
            let response = outcome(call(&host, &bogus, &activity()));
            assert!(["UnknownKey", "KeysUnavailable"].contains(&response.as_str()), "{response}");
            if second == published_after {
                publish(&host, vec![TestKey::stranger().endorsed_jwk(&["msteams"])]);
            }
            if second >= published_after && found_after.is_none() {
                let is_found = outcome(call(&host, &new, &activity())) == "channel";
                found_after = is_found.then(|| second - published_after);
            }
        }
        assert!(found_after.is_some_and(|seconds| seconds <= 60), "{published_after}: {found_after:?}");
        // Each fetch is two requests. The first token causes one fetch. The unknown key ids cause three
        // fetches, ten seconds apart, and then one more every minute.
        assert_eq!(host.sent.borrow().len(), 2 * (1 + 3 + 9), "{published_after}");
    }
}

#[test]
fn new_key_without_a_flood_is_found_ten_seconds_after_the_last_fetch() {
    let (host, stranger) = (bot(), TestKey::stranger());
    assert_eq!(call_with_key(&host, TestKey::issuer()), outcome_and_sent("channel", 2));
    publish(&host, vec![stranger.endorsed_jwk(&["msteams"])]);
    // The bot does not fetch the keys again if the last fetch was less than ten seconds ago.
    assert_eq!(call_with_key(at(&host, 9), stranger), outcome_and_sent("UnknownKey", 2));
    assert_eq!(call_with_key(at(&host, 10), stranger), outcome_and_sent("channel", 4));
    assert_eq!(call_with_key(&host, TestKey::issuer()), outcome_and_sent("UnknownKey", 4));
}

/// The *bucket* limits the fetches that unknown key ids cause (`bucket.rs`).
#[test]
fn bucket_that_other_requests_emptied_during_a_fetch_stays_empty() {
    let host = Rc::new(bot());
    assert_eq!(call_with_key(&host, TestKey::issuer()), outcome_and_sent("channel", 2));
    let name = host.store.borrow().keys().find(|key| key.starts_with("jwks:")).unwrap().clone();
    let emptied = NOW + 190;
    let meanwhile = Rc::downgrade(&host);
    host.answers(move |request| {
        let host = meanwhile.upgrade().unwrap();
        let record = serde_json::from_slice::<Value>(&host.store.borrow()[&name]).unwrap();
        let others = with(record, "bucketFullAt", emptied);
        host.store.borrow_mut().insert(name.clone(), others.to_string().into_bytes());
        let body = match request.uri().to_string().as_str() {
            CHANNEL_METADATA => json!({"jwks_uri": CHANNEL_KEYS}),
            _ => json!({"keys": [TestKey::issuer().endorsed_jwk(&["msteams"])]}),
        };
        Some(Ok(response(200, &body.to_string())))
    });
    assert_eq!(call_with_key(at(&host, 10), TestKey::stranger()), outcome_and_sent("UnknownKey", 4));
    assert_eq!(call_with_key(at(&host, 20), TestKey::stranger()), outcome_and_sent("KeysUnavailable", 4));
}

/// A channel sends an activity again after 503 (`KeysUnavailable`), but not after 401 (`UnknownKey`). So for
/// an unknown key id, the bot returns 401 only if the bot fetched the keys less than ten seconds ago.
#[test]
fn token_with_an_unknown_key_gets_401_only_if_the_keys_were_fetched_a_moment_ago() {
    let (host, issuer, new) = (bot(), TestKey::issuer(), TestKey::stranger());
    assert_eq!(call_with_key(&host, issuer), outcome_and_sent("channel", 2));
    assert_eq!(call_with_key(at(&host, 9), new), outcome_and_sent("UnknownKey", 2));
    // The issuer does not respond, so the bot cannot find out whether the key is new.
    refuse_connections(&host);
    assert_eq!(call_with_key(at(&host, 10), new), outcome_and_sent("KeysUnavailable", 3));
    assert_eq!(call_with_key(at(&host, 19), new), outcome_and_sent("KeysUnavailable", 3));
    assert_eq!(call_with_key(&host, issuer), outcome_and_sent("channel", 3));
    // Three fetches fail, at 10, 20 and 30 seconds. The bucket is then empty until 70 seconds, a minute after
    // the first of these fetches.
    assert_eq!(call_with_key(at(&host, 20), new), outcome_and_sent("KeysUnavailable", 4));
    assert_eq!(call_with_key(at(&host, 30), new), outcome_and_sent("KeysUnavailable", 5));
    publish(&host, vec![issuer.endorsed_jwk(&["msteams"]), new.endorsed_jwk(&["msteams"])]);
    assert_eq!(call_with_key(at(&host, 69), new), outcome_and_sent("KeysUnavailable", 5));
    assert_eq!(call_with_key(at(&host, 70), new), outcome_and_sent("channel", 7));
}

#[test]
fn flood_of_unknown_key_ids_while_the_cache_is_empty_causes_one_fetch() {
    let host = bot();
    for _ in 0..20 {
        assert_eq!(call_with_key(&host, TestKey::stranger()).0, "UnknownKey");
    }
    assert_eq!(host.sent.borrow().len(), 2);
}

#[test]
fn old_keys_are_used_while_new_keys_cannot_be_fetched() {
    let (host, issuer) = (bot(), TestKey::issuer());
    assert_eq!(call_with_key(&host, issuer), outcome_and_sent("channel", 2));
    refuse_connections(&host);
    assert_eq!(call_with_key(at(&host, 30 * HOUR), issuer), outcome_and_sent("channel", 3));
    let warning = host.events("auth.keys.not.refreshed").remove(0);
    assert_eq!((&warning["level"], &warning["age_seconds"]), (&json!("warn"), &json!(30 * HOUR)));
    // The bot does not try to fetch the keys at every call, because an attempt can take seconds.
    assert_eq!(call_with_key(at(&host, 30 * HOUR + 59), issuer), outcome_and_sent("channel", 3));
    assert_eq!(call_with_key(at(&host, 30 * HOUR + 60), issuer), outcome_and_sent("channel", 4));
    assert_eq!(call_with_key(&host, TestKey::stranger()), outcome_and_sent("KeysUnavailable", 4));
    publish(&host, vec![issuer.endorsed_jwk(&["msteams"])]);
    assert_eq!(call_with_key(at(&host, 30 * HOUR + 120), issuer), outcome_and_sent("channel", 6));
}

#[test]
fn call_gets_keys_unavailable_if_the_cache_is_empty_and_the_fetch_fails() {
    let (host, issuer) = (bot(), TestKey::issuer());
    refuse_connections(&host);
    assert_eq!(call_with_key(&host, issuer), outcome_and_sent("KeysUnavailable", 1));
    assert_eq!(call_with_key(at(&host, 4), issuer), outcome_and_sent("KeysUnavailable", 1));
    publish(&host, vec![issuer.endorsed_jwk(&["msteams"])]);
    assert_eq!(call_with_key(at(&host, 5), issuer), outcome_and_sent("channel", 3));
    assert!(
        host.events("auth.keys.not.refreshed").is_empty(),
        "the log has a line for the rejected call, so it needs no second line"
    );
}

#[test]
fn failed_fetch_of_the_keys_gives_keys_unavailable_with_the_reason() {
    let good = json!({"jwks_uri": CHANNEL_KEYS}).to_string();
    let keys = |jwk: Value| json!({"keys": [jwk]}).to_string();
    let issuer = || TestKey::issuer().endorsed_jwk(&["msteams"]);
    type Response = Result<http::Response<bytes::Bytes>, TransportError>;
    let too_long = BodyProblem::TooLong { limit_bytes: 1 };
    let too_long = TransportError::body_lost(StatusCode::OK, HeaderMap::new(), too_long);
    let rows: Vec<(&str, Vec<Response>, &str)> = vec![
        (
            "time-out",
            vec![Err(TransportError::ResponseLost("no response in time".into()))],
            "no response in time",
        ),
        ("host not allowed", vec![Err(TransportError::Denied)], "allowed_outbound_hosts"),
        ("metadata too large", vec![Err(too_long)], "larger than"),
        ("metadata 404", vec![Ok(response(404, &good))], "metadata: the response has the status 404"),
        ("metadata 302", vec![Ok(response(302, &good))], "metadata: the response has the status 302"),
        ("metadata is not JSON", vec![Ok(response(200, "<html>"))], "no jwks_uri"),
        ("no jwks_uri", vec![Ok(response(200, "{}"))], "no jwks_uri"),
        (
            "jwks_uri on an unknown host",
            vec![Ok(response(200, r#"{"jwks_uri":"https://evil.example/keys"}"#))],
            "neither on the host of the metadata",
        ),
        (
            "jwks_uri by http",
            vec![Ok(response(200, &good.replace("https", "http")))],
            "neither on the host of the metadata",
        ),
        (
            "keys 500",
            vec![Ok(response(200, &good)), Ok(response(500, ""))],
            "key set: the response has the status 500",
        ),
        ("keys are not JSON", vec![Ok(response(200, &good)), Ok(response(200, "["))], "no RSA key"),
        ("no keys", vec![Ok(response(200, &good)), Ok(response(200, r#"{"keys":[]}"#))], "no RSA key"),
        (
            "keys is an object",
            vec![Ok(response(200, &good)), Ok(response(200, r#"{"keys":{}}"#))],
            "no RSA key",
        ),
        (
            "key of another type",
            vec![Ok(response(200, &good)), Ok(response(200, &keys(with(issuer(), "kty", "oct"))))],
            "no RSA key",
        ),
        (
            "key for encryption",
            vec![Ok(response(200, &good)), Ok(response(200, &keys(with(issuer(), "use", "enc"))))],
            "no RSA key",
        ),
        (
            "key for RS512",
            vec![Ok(response(200, &good)), Ok(response(200, &keys(with(issuer(), "alg", "RS512"))))],
            "no RSA key",
        ),
        (
            "key without id",
            vec![Ok(response(200, &good)), Ok(response(200, &keys(with(issuer(), "kid", Value::Null))))],
            "no RSA key",
        ),
        (
            "key without modulus",
            vec![Ok(response(200, &good)), Ok(response(200, &keys(with(issuer(), "n", Value::Null))))],
            "no RSA key",
        ),
    ];
    for (what, responses, reason) in rows {
        let host = FakeHost::with_settings([("microsoftappid", APP_ID), ("microsoftapptenantid", TENANT)]);
        let count = responses.len();
        for response in responses {
            host.then(response);
        }
        let error = call(&host, &token(), &activity()).expect_err(what);
        assert!(matches!(error, AuthError::KeysUnavailable(_)), "{what}: {error:?}");
        assert!(error.to_string().contains(reason), "{what}: {error}");
        assert_eq!(host.sent.borrow().len(), count, "{what}");
    }
}

#[test]
fn key_with_a_weak_or_invalid_modulus_or_exponent_is_not_used() {
    let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let modulus = |bytes: usize| number(&vec![0xff; bytes]);
    let mut even = vec![0xff; 256];
    even[255] = 0xfe;
    let jwk = |name: &str, value: String| with(TestKey::issuer().endorsed_jwk(&["msteams"]), name, value);
    for (what, jwk, expected) in [
        ("1024 bits", jwk("n", modulus(128)), "UnusableKey"),
        ("2040 bits", jwk("n", modulus(255)), "UnusableKey"),
        ("another key of 2048 bits", jwk("n", modulus(256)), "BadSignature"),
        ("4104 bits", jwk("n", modulus(513)), "UnusableKey"),
        ("64 KiB", jwk("n", modulus(65_536)), "UnusableKey"),
        ("an even modulus", jwk("n", number(&even)), "UnusableKey"),
        ("a modulus that is not base64url", jwk("n", "+/+/".into()), "UnusableKey"),
        ("exponent 0", jwk("e", number(&[0])), "UnusableKey"),
        ("exponent 1, with which anyone can sign", jwk("e", number(&[1])), "UnusableKey"),
        ("exponent 2", jwk("e", number(&[2])), "UnusableKey"),
        ("another key, with exponent 3", jwk("e", number(&[3])), "BadSignature"),
        ("exponent 65536", jwk("e", number(&[1, 0, 0])), "UnusableKey"),
        ("exponent 2^33 + 1", jwk("e", number(&[2, 0, 0, 0, 1])), "UnusableKey"),
        ("exponent of 2048 bits", jwk("e", modulus(256)), "UnusableKey"),
    ] {
        let host = bot();
        publish(&host, vec![jwk]);
        assert_eq!(outcome(call(&host, &token(), &activity())), expected, "{what}");
    }
}

#[test]
fn key_id_that_occurs_twice_selects_the_first_key() {
    let host = bot();
    let mut second = TestKey::stranger().endorsed_jwk(&["msteams"]);
    second["kid"] = "issuer-key".into();
    publish(&host, vec![TestKey::issuer().endorsed_jwk(&["msteams"]), second]);
    assert_eq!(call_with_key(&host, TestKey::issuer()), outcome_and_sent("channel", 2));
    let forged =
        TestKey::stranger().sign_text(r#"{"alg":"RS256","kid":"issuer-key"}"#, &claims().to_string());
    assert_eq!(outcome(call(&host, &forged, &activity())), "BadSignature");
}

#[test]
fn cached_keys_are_not_used_after_openidmetadata_has_changed() {
    let host = bot_with(&[("openidmetadata", "http://127.0.0.1:9000/metadata")]);
    let fetched_urls = Rc::new(RefCell::new(Vec::new()));
    let record = Rc::clone(&fetched_urls);
    host.answers(move |request| {
        record.borrow_mut().push(request.uri().to_string());
        let body = match request.uri().path() {
            "/metadata" => json!({"jwks_uri": "http://127.0.0.1:9000/keys"}),
            _ => json!({"keys": [TestKey::stranger().endorsed_jwk(&["msteams"])]}),
        };
        Some(Ok(response(200, &body.to_string())))
    });
    assert_eq!(call_with_key(&host, TestKey::stranger()), outcome_and_sent("channel", 2));
    assert_eq!(*fetched_urls.borrow(), ["http://127.0.0.1:9000/metadata", "http://127.0.0.1:9000/keys"]);
    host.settings.borrow_mut().remove("openidmetadata");
    publish(&host, vec![TestKey::issuer().endorsed_jwk(&["msteams"])]);
    assert_eq!(call_with_key(&host, TestKey::stranger()), outcome_and_sent("UnknownKey", 4));
}

#[test]
fn key_cache_with_an_unreadable_entry_fetches_again() {
    let host = bot();
    assert_eq!(call_with_key(&host, TestKey::issuer()), outcome_and_sent("channel", 2));
    for value in host.store.borrow_mut().values_mut() {
        *value = b"{".to_vec();
    }
    assert_eq!(call_with_key(&host, TestKey::issuer()), outcome_and_sent("channel", 4));
}

#[test]
fn key_cache_whose_last_attempt_is_in_the_future_fetches_again() {
    let (host, issuer) = (bot(), TestKey::issuer());
    refuse_connections(&host);
    assert_eq!(call_with_key(at(&host, 1000 * HOUR), issuer), outcome_and_sent("KeysUnavailable", 1));
    publish(&host, vec![issuer.endorsed_jwk(&["msteams"])]);
    assert_eq!(call_with_key(at(&host, 0), issuer), outcome_and_sent("channel", 3));
}
