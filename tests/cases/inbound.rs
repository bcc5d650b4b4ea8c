//! With `authmode=required`, the bot accepts an activity only if the request has a valid token. A refused
//! request has no side effects. In this file, a *key* is a signing key of an *issuer* (Azure Bot Service or
//! Entra, which sign the tokens).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bot_framework::testing::{TestKey, channel_claims, entra_claims};
use chrono::Utc;
use end_to_end::activity::{fixture, message};
use end_to_end::login::{Login, Proof};
use end_to_end::openid::{Behaviour, OpenId};
use end_to_end::stage::{APP_ID, Script, Stage, TENANT};
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use serde_json::{Value, json};

end_to_end::cases!(
    channel_token_is_accepted_repeatedly,
    forged_or_wrong_token_is_refused_without_side_effects,
    body_that_does_not_match_the_token_is_refused,
    signing_key_without_endorsements_is_valid_for_web_chat_and_never_for_teams,
    flood_of_unknown_signing_keys_costs_a_few_fetches,
    first_burst_without_cached_signing_keys_is_accepted,
    request_is_answered_503_while_no_signing_keys_are_known,
    cached_signing_keys_are_used_while_the_issuer_fails,
    signing_keys_from_a_foreign_origin_are_not_fetched,
    valid_token_does_not_make_a_host_trusted,
    entra_token_is_refused_by_default,
    token_of_the_bot_for_itself_is_accepted_if_emulatortokens_is_accept,
    token_of_another_bot_is_refused,
    token_is_ignored_in_anonymous_mode,
);

const OTHER_BOT: &str = "00000000-0000-0000-0000-000000000002";
const FOREIGN_TENANT: &str = "99999999-2222-3333-4444-555555555555";

/// A stage (the Spin host of a test, and the services that the bot calls), and an activity for the bot. The
/// bot demands tokens.
struct Scene {
    // Rust drops the fields in this order. The stage with the bot stops first, so the bot cannot call a
    // stopped issuer.
    stage: Stage,
    issuer: OpenId,
    login: Login,
    activity: Value,
}

impl Scene {
    #[track_caller]
    fn start(world: &World, variables: &[(&str, &str)]) -> Self {
        let (issuer, login) = (OpenId::start(), Login::start(Proof::Secret));
        login.publish(&issuer);
        let script = Script::new(world).logged_in(&login).authenticated(&issuer);
        let script = variables.iter().fold(script, |script, (name, value)| script.variable(name, value));
        let stage = script.start();
        let activity = stage.connector.host(&message("a:inbound", "1", "hello"));
        Self { stage, issuer, login, activity }
    }

    /// The claims of a proper token for the activity.
    fn claims(&self) -> Value {
        channel_claims(APP_ID, self.activity["serviceUrl"].as_str().unwrap(), Utc::now().timestamp())
    }

    fn token(&self) -> String {
        TestKey::issuer().sign(&self.claims())
    }

    /// Returns the activity with one changed field; `null` removes the field.
    fn activity_with(&self, name: &str, value: Value) -> Value {
        with(self.activity.clone(), name, value)
    }

    #[track_caller]
    fn expect_nothing_happened(&self) {
        self.stage.connector.expect_silence();
        assert_eq!(self.login.requests(), 0, "a refused request must not make the bot fetch a token");
        assert!(!self.stage.queue.exists(), "a refused request must not create the queue");
    }

    /// Fails the test if the Spin host's log contains the first 40 characters of a part of these tokens.
    /// (Dots separate the parts of a token.)
    #[track_caller]
    fn expect_no_token_in_the_log(&self, tokens: &[String]) {
        let log = self.stage.host_log();
        for token in tokens {
            for piece in token.split('.').filter(|piece| piece.len() >= 40) {
                assert!(!log.contains(&piece[..40]), "a piece of a token is in the log: {piece}");
            }
        }
    }
}

/// Whether the envelope (an alert as JSON) has the mark `serviceUrlVerified`. The mark means that the
/// activity's token contained the same serviceUrl.
fn is_marked_verified(envelope: &Value) -> bool {
    envelope["address"]["serviceUrlVerified"] == true
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    let members = object.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(name).expect("a field to remove");
    } else {
        members.insert(name.into(), value);
    }
    object
}

fn channel_token_is_accepted_repeatedly(world: &World) {
    let scene = Scene::start(world, &[]);
    let token = scene.token();
    for id in ["1", "2", "3"] {
        scene.stage.post_as(&token, &scene.activity_with("id", id.into())).expect_status(202);
    }
    let envelopes = scene.stage.queue.envelopes();
    assert_eq!(envelopes.len(), 3);
    assert!(
        envelopes.iter().all(is_marked_verified),
        "expected a verified serviceUrl in each envelope, found {envelopes:#?}"
    );
    scene.stage.connector.wait_for(3);
    assert_eq!(scene.issuer.fetches(), 2, "expected one metadata document and one keys document");
    assert!(scene.stage.events("auth.anonymous").is_empty());
    scene.expect_no_token_in_the_log(&[token]);
}

fn forged_or_wrong_token_is_refused_without_side_effects(world: &World) {
    let scene = Scene::start(world, &[]);
    let (claims, good) = (scene.claims(), scene.token());
    let now = Utc::now().timestamp();
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (_, payload) = signed.split_once('.').unwrap();
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let changed = |name: &str, value: Value| TestKey::issuer().sign(&with(claims.clone(), name, value));
    let stranger = |header: Value| TestKey::stranger().sign_text(&header.to_string(), &claims.to_string());
    let header = r#"{"alg":"RS256","kid":"issuer-key"}"#;
    let text = claims.to_string();
    let other_claims =
        encode(&with(claims.clone(), "serviceurl", json!("https://evil.example/")).to_string());
    let rows: Vec<(&str, String, &str)> = vec![
        (
            "alg none",
            format!("{}.{payload}.", encode(r#"{"alg":"none","kid":"issuer-key"}"#)),
            "WrongAlgorithm",
        ),
        (
            "HS256",
            format!("{}.{payload}.{}", encode(r#"{"alg":"HS256","kid":"issuer-key"}"#), encode("mac")),
            "WrongAlgorithm",
        ),
        (
            "a stranger's signature under the issuer's kid",
            stranger(json!({"alg": "RS256", "kid": "issuer-key"})),
            "BadSignature",
        ),
        ("a stranger's kid", stranger(json!({"alg": "RS256", "kid": "stranger-key"})), "UnknownKey"),
        ("kid with a path", stranger(json!({"alg": "RS256", "kid": "../../etc/passwd"})), "UnknownKey"),
        (
            "embedded jwk",
            stranger(json!({"alg": "RS256", "kid": "issuer-key", "jwk": TestKey::stranger().jwk()})),
            "HeaderNotAllowed",
        ),
        (
            "x5u",
            stranger(
                json!({"alg": "RS256", "kid": "issuer-key", "x5u": format!("{}/x5u", scene.issuer.origin())}),
            ),
            "HeaderNotAllowed",
        ),
        (
            "jku",
            stranger(
                json!({"alg": "RS256", "kid": "issuer-key", "jku": format!("{}/jku", scene.issuer.origin())}),
            ),
            "HeaderNotAllowed",
        ),
        (
            "crit",
            TestKey::issuer().sign_text(r#"{"alg":"RS256","kid":"issuer-key","crit":["exp"]}"#, &text),
            "HeaderNotAllowed",
        ),
        (
            "a claim twice",
            TestKey::issuer().sign_text(header, &text.replacen('{', r#"{"aud":"x","#, 1)),
            "DuplicateMember",
        ),
        (
            "claims changed after signing",
            format!("{}.{other_claims}.{signature}", signed.split('.').next().unwrap()),
            "BadSignature",
        ),
        ("expired", changed("exp", json!(now - 301)), "TokenExpired"),
        ("not yet valid", changed("nbf", json!(now + 600)), "TokenNotYetValid"),
        ("no exp", changed("exp", Value::Null), "ClaimMissing"),
        ("for another bot", changed("aud", json!(OTHER_BOT)), "WrongAudience"),
        ("of another issuer", changed("iss", json!("https://evil.example")), "WrongIssuer"),
        ("longer than 8 KiB", format!("{good}{}", "A".repeat(9000)), "TokenTooLong"),
        ("a text that is no token", "e30".into(), "TokenMalformed"),
    ];
    for (index, (what, token, code)) in rows.iter().enumerate() {
        let response = scene.stage.post_as(token, &scene.activity);
        assert_eq!(
            (response.status, response.error_code().as_str()),
            (401, *code),
            "{what}: {}",
            response.describe()
        );
        assert_eq!(response.header("www-authenticate"), "Bearer", "{what}");
        // The log has one line for each refusal, with the reason.
        let lines = scene.stage.wait_for_events("request.rejected", index + 1);
        assert_eq!((lines.len(), &lines[index]["code"]), (index + 1, &json!(code)), "{what}: {lines:#?}");
        assert!(!lines[index]["reason"].as_str().unwrap().is_empty());
    }
    for (headers, code) in [
        (vec![format!("Basic {good}")], "NotBearer"),
        (vec![format!("Bearer  {good}")], "NotBearer"),
        (vec![format!("Bearer {good}, Bearer {good}")], "NotBearer"),
        (vec![good.clone()], "NotBearer"),
        (vec![format!("Bearer {good}"), format!("Bearer {good}")], "NotBearer"),
        (vec![], "TokenMissing"),
    ] {
        let headers: Vec<_> = headers.iter().map(String::as_str).collect();
        scene.stage.post_with(&headers, &scene.activity).expect_error(401, code);
    }
    scene.expect_nothing_happened();
    let tokens: Vec<_> = rows.into_iter().map(|(_, token, _)| token).chain([good]).collect();
    scene.expect_no_token_in_the_log(&tokens);
}

fn body_that_does_not_match_the_token_is_refused(world: &World) {
    let scene = Scene::start(world, &[]);
    let token = scene.token();
    let elsewhere = scene.activity["serviceUrl"].as_str().unwrap().replace("/amer/", "/emea/");
    for (what, activity, code) in [
        (
            "a channel that the key is not endorsed for",
            scene.activity_with("channelId", json!("slack")),
            "NotEndorsed",
        ),
        ("no channelId", scene.activity_with("channelId", Value::Null), "NotEndorsed"),
        (
            "another conversation's serviceUrl",
            scene.activity_with("serviceUrl", json!(elsewhere)),
            "ServiceUrlMismatch",
        ),
        (
            "an attacker's serviceUrl",
            scene.activity_with("serviceUrl", json!("https://evil.example/")),
            "ServiceUrlMismatch",
        ),
        ("no serviceUrl", scene.activity_with("serviceUrl", Value::Null), "ServiceUrlMismatch"),
    ] {
        let response = scene.stage.post_as(&token, &activity);
        assert_eq!(
            (response.status, response.error_code().as_str()),
            (401, code),
            "{what}: {}",
            response.describe()
        );
    }
    scene.expect_nothing_happened();
    // The token is valid for the unchanged activity.
    scene.stage.post_as(&token, &scene.activity).expect_status(202);
}

fn signing_key_without_endorsements_is_valid_for_web_chat_and_never_for_teams(world: &World) {
    let scene = Scene::start(world, &[]);
    let stage = &scene.stage;
    // The `endorsements` of a key list the channels for which the key signs tokens. Here the key has no such
    // list, and nothing else is wrong: the activity is from Teams, and from the bot's own tenant.
    let teams = scene.activity_with("from", json!({"id": "29:ann", "aadObjectId": "a"}));
    let mut web_chat = stage.connector.host(&fixture("webchat.json"));
    let token_for = |activity: &Value| {
        let service_url = activity["serviceUrl"].as_str().unwrap();
        TestKey::issuer().sign(&channel_claims(APP_ID, service_url, Utc::now().timestamp()))
    };
    scene.issuer.publish(vec![TestKey::issuer().jwk()]);
    stage.post_as(&token_for(&teams), &teams).expect_error(401, "NotEndorsed");
    scene.expect_nothing_happened();
    stage.post_as(&token_for(&web_chat), &web_chat).expect_status(202);
    // The bot has accepted and cached a token for Web Chat. The bot must still refuse such a token with an
    // activity from Teams.
    web_chat["channelId"] = "msteams".into();
    stage.post_as(&token_for(&web_chat), &web_chat).expect_error(401, "NotEndorsed");
    let envelopes = stage.queue.envelopes();
    assert_eq!((envelopes.len(), &envelopes[0]["address"]["channelId"]), (1, &json!("webchat")));
    assert!(is_marked_verified(&envelopes[0]), "{envelopes:#?}");
    assert_eq!(stage.poll()["delivered"], 1);
    // If a key has endorsements, the tokens that the key signs are valid only for the channels in the
    // endorsements.
    let other = Scene::start(world, &[]);
    other.issuer.publish(vec![TestKey::issuer().endorsed_jwk(&["msteams"])]);
    let web_chat = other.stage.connector.host(&fixture("webchat.json"));
    other.stage.post_as(&token_for(&web_chat), &web_chat).expect_error(401, "NotEndorsed");
    other.expect_nothing_happened();
    other.stage.post_as(&other.token(), &other.activity).expect_status(202);
}

fn flood_of_unknown_signing_keys_costs_a_few_fetches(world: &World) {
    let scene = Scene::start(world, &[]);
    let good = scene.token();
    let (_, behind_the_header) = good.split_once('.').unwrap();
    for index in 0..50 {
        let header = json!({"alg": "RS256", "kid": format!("random-{index}")}).to_string();
        let token = format!("{}.{behind_the_header}", URL_SAFE_NO_PAD.encode(header));
        scene.stage.post_as(&token, &scene.activity).expect_error(401, "UnknownKey");
    }
    // For ten seconds after a fetch, the bot does not fetch the keys again. On a slow machine, the 50
    // requests take more than ten seconds. The bot can then fetch the keys again. But after the first
    // fetch, unknown keys can cause only three fetches in a minute. Each fetch reads two documents.
    assert!(
        scene.issuer.fetches() <= 2 * 4,
        "expected at most 8 documents, found {}",
        scene.issuer.fetches()
    );
    scene.expect_nothing_happened();
    scene.stage.post_as(&good, &scene.activity).expect_status(202);
}

/// At the start of a new deployment, the bot has no cached keys, and the first activities arrive at the same
/// time.
fn first_burst_without_cached_signing_keys_is_accepted(world: &World) {
    let scene = Scene::start(world, &[]);
    let token = scene.token();
    std::thread::scope(|scope| {
        let post = |index: usize| {
            let activity = scene.stage.connector.host(&message("a:burst", &index.to_string(), "hello"));
            scene.stage.post_as(&token, &activity)
        };
        let callers: Vec<_> = (0..12).map(|index| scope.spawn(move || post(index))).collect();
        for caller in callers {
            caller.join().expect("a response").expect_status(202);
        }
    });
    assert_eq!(scene.stage.queue.count(), 12);
}

fn request_is_answered_503_while_no_signing_keys_are_known(world: &World) {
    let scene = Scene::start(world, &[]);
    scene.issuer.behave(Behaviour::Unavailable);
    let token = scene.token();
    let response = scene.stage.post_as(&token, &scene.activity).expect_error(503, "KeysUnavailable");
    assert!(
        !response.describe().contains("127.0.0.1"),
        "expected no address in the response, found {}",
        response.describe()
    );
    let line = scene.stage.wait_for_events("request.rejected", 1).remove(0);
    assert!(
        line["reason"].as_str().unwrap().contains("OpenID metadata: the response has the status 503"),
        "{line}"
    );
    scene.expect_nothing_happened();
    scene.issuer.behave(Behaviour::Proper);
    eventually("a 202 after the bot has fetched the keys again", || {
        Some(scene.stage.post_as(&token, &scene.activity)).filter(|response| response.status == 202)
    });
}

fn cached_signing_keys_are_used_while_the_issuer_fails(world: &World) {
    let scene = Scene::start(world, &[]);
    scene.stage.post_as(&scene.token(), &scene.activity).expect_status(202);
    scene.issuer.behave(Behaviour::Unavailable);
    // The bot does not check a cached token again, so this case makes another token.
    let another = TestKey::issuer().sign(&with(scene.claims(), "nbf", json!(Utc::now().timestamp() - 100)));
    scene.stage.post_as(&another, &scene.activity_with("id", "2".into())).expect_status(202);
    // The cached keys do not include the stranger's key. If the bot fetched the keys in the last ten seconds,
    // it knows that the issuer has no such key, and answers 401. On a slow machine, the last fetch is older.
    // The bot then tries to fetch the keys again. The issuer fails, so the bot answers 503.
    let stranger = scene.stage.post_as(&TestKey::stranger().sign(&scene.claims()), &scene.activity);
    assert!([401, 503].contains(&stranger.status), "{}", stranger.describe());
    assert_eq!(scene.stage.queue.count(), 2);
}

fn signing_keys_from_a_foreign_origin_are_not_fetched(world: &World) {
    let elsewhere = OpenId::start();
    for behaviour in [
        Behaviour::RedirectsTo(elsewhere.origin()),
        Behaviour::NamesKeysAt(elsewhere.origin()),
        Behaviour::NamesKeysAt(format!("http://user@{}", elsewhere.origin().trim_start_matches("http://"))),
    ] {
        let scene = Scene::start(world, &[]);
        scene.issuer.behave(behaviour);
        scene.stage.post_as(&scene.token(), &scene.activity).expect_error(503, "KeysUnavailable");
        assert_eq!((scene.issuer.fetches(), elsewhere.fetches()), (1, 0));
        scene.expect_nothing_happened();
    }
}

/// The host of a serviceUrl must be on the list of trusted hosts, even if a valid token contains the
/// serviceUrl.
fn valid_token_does_not_make_a_host_trusted(world: &World) {
    let scene = Scene::start(world, &[]);
    for service_url in
        ["https://evil.trafficmanager.net/amer/", "http://169.254.169.254/", "http://127.0.0.1:1/"]
    {
        let token = TestKey::issuer().sign(&channel_claims(APP_ID, service_url, Utc::now().timestamp()));
        let activity = scene.activity_with("serviceUrl", json!(service_url));
        scene.stage.post_as(&token, &activity).expect_error(403, "ServiceUrlNotAllowed");
    }
    scene.expect_nothing_happened();
}

/// Makes the token that Entra would issue to `caller` for `audience`.
fn entra(audience: &str, caller: &str, tenant: &str) -> String {
    TestKey::issuer().sign(&entra_claims(audience, caller, tenant, Utc::now().timestamp()))
}

fn entra_token_is_refused_by_default(world: &World) {
    let scene = Scene::start(world, &[]);
    for (audience, caller) in
        [(APP_ID, APP_ID), (APP_ID, OTHER_BOT), ("https://api.botframework.com", APP_ID)]
    {
        scene
            .stage
            .post_as(&entra(audience, caller, TENANT), &scene.activity)
            .expect_error(401, "WrongIssuer");
    }
    assert_eq!(scene.issuer.fetches(), 0);
    scene.expect_nothing_happened();
}

fn token_of_the_bot_for_itself_is_accepted_if_emulatortokens_is_accept(world: &World) {
    let scene = Scene::start(world, &[("emulatortokens", "accept")]);
    for (what, token, status, code) in [
        (
            "the bot's own outbound token",
            entra("https://api.botframework.com", APP_ID, TENANT),
            401,
            "WrongAudience",
        ),
        ("of a foreign tenant", entra(APP_ID, APP_ID, FOREIGN_TENANT), 401, "WrongIssuer"),
        ("of another bot", entra(APP_ID, OTHER_BOT, TENANT), 403, "CallerNotAllowed"),
    ] {
        let response = scene.stage.post_as(&token, &scene.activity);
        assert_eq!(
            (response.status, response.error_code().as_str()),
            (status, code),
            "{what}: {}",
            response.describe()
        );
    }
    scene.expect_nothing_happened();
    // Entra issued the token `own` to the bot, for the bot itself as the audience. This token has no claim
    // `serviceurl`, so the bot cannot compare the activity's serviceUrl with the token. The bot checks only
    // whether the host of the serviceUrl is in the list of trusted hosts.
    let own = entra(APP_ID, APP_ID, TENANT);
    let far = scene.activity_with("serviceUrl", json!("https://evil.example/"));
    scene.stage.post_as(&own, &far).expect_error(403, "ServiceUrlNotAllowed");
    scene.stage.post_as(&own, &scene.activity).expect_status(202);
    assert!(
        !scene.stage.queue.envelopes().iter().any(is_marked_verified),
        "expected no serviceUrlVerified in an envelope, because no token verified the serviceUrl"
    );
    scene.stage.post_as(&scene.token(), &scene.activity_with("id", "2".into())).expect_status(202);
}

fn token_of_another_bot_is_refused(world: &World) {
    let another_bots = entra(APP_ID, OTHER_BOT, TENANT);
    for (own_tokens, status, code) in [("refuse", 401, "WrongIssuer"), ("accept", 403, "CallerNotAllowed")] {
        let scene = Scene::start(world, &[("emulatortokens", own_tokens)]);
        let response = scene.stage.post_as(&another_bots, &scene.activity).expect_error(status, code);
        let challenge = if status == 401 { "Bearer" } else { "" };
        assert_eq!(
            response.header("www-authenticate"),
            challenge,
            "expected a challenge only with 401, because another token of the same caller does not help after 403"
        );
        scene.expect_nothing_happened();
    }
}

fn token_is_ignored_in_anonymous_mode(world: &World) {
    let issuer = OpenId::start();
    let stage = Script::new(world).authenticated(&issuer).variable("microsoftappid", APP_ID).start();
    let far = "https://smba.trafficmanager.net/amer/";
    let token = TestKey::issuer().sign(&channel_claims(APP_ID, far, Utc::now().timestamp()));
    let activity = with(message("a:inbound", "1", "hello"), "serviceUrl", json!(far));
    stage.post_as(&token, &activity).expect_error(403, "ServiceUrlNotAllowed");
    assert!(!stage.queue.exists(), "a refused request must not create the queue");
    assert_eq!(issuer.fetches(), 0);
    // The bot sends no token to the Connector. A token would make the fake Connector fail the test.
    stage.post_as(&token, &stage.connector.host(&activity)).expect_status(202);
    stage.connector.wait_for(1);
}
