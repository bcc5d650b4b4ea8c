//! Tests of the tokens that the Connector demands. The poller gets a token from the login host of Microsoft
//! Entra, in return for a *credential* (e.g. a client secret). These tests check when the poller requests and
//! renews a token, and how it stores the token. The tests also check that no untrusted server gets a token or
//! a credential.

use end_to_end::activity::message;
use end_to_end::connector::Reply;
use end_to_end::login::{FEDERATED, Login, Proof, SECRET, certificate};
use end_to_end::loopback_server::respond;
use end_to_end::recorder::Recorder;
use end_to_end::stage::{Script, Stage, TENANT};
use end_to_end::suite::World;
use serde_json::{Value, json};

end_to_end::cases!(
    each_kind_of_credential_gets_a_token,
    token_is_used_by_two_runs_and_stored_encrypted,
    parallel_alerts_request_one_token,
    refused_token_is_renewed,
    run_stops_and_loses_no_message_if_the_connector_refuses_the_bot,
    refused_credentials_are_logged_with_the_setting_to_fix,
    failing_login_host_uses_up_no_try_of_an_alert,
    two_credentials_and_no_credential_are_a_misconfiguration,
    credential_is_never_sent_to_an_untrusted_host,
    redirect_is_not_followed_with_a_credential,
);

/// Makes an *envelope* (one alert as JSON, for the queue). The alert goes to the Connector at `service_url`.
fn envelope(service_url: &str, id: &str) -> Value {
    json!({
        "version": 1, "id": id, "text": format!("text of {id}"), "enqueuedAt": "2026-11-23T22:00:00Z",
        "address": {
            "id": "1", "channelId": "msteams", "serviceUrl": service_url, "user": {"id": "29:u"},
            "bot": {"id": "28:b"}, "conversation": {"id": format!("a:{id}"), "tenantId": TENANT},
        },
    })
}

/// Prepares a *stage* (a Spin host with the components, and a fake Connector). The bot has a credential. The
/// poller also accepts queue messages without a *seal* (a proof that the bot wrote the message).
fn script<'w>(world: &'w World, login: &'w Login) -> Script<'w> {
    Script::new(world).logged_in(login).variable("unsealed", "allow")
}

fn put(stage: &Stage, ids: &[&str]) {
    let service_url = format!("http://{}/amer/", stage.connector.authority());
    for id in ids {
        stage.queue.put_json(&envelope(&service_url, id));
    }
}

/// Fails the test if the log of the Spin host contains a credential or a token.
#[track_caller]
fn expect_no_secret_in_the_log(stage: &Stage, login: &Login) {
    let log = stage.host_log();
    for secret in [SECRET, FEDERATED, "PRIVATE KEY", "hunter2"] {
        assert!(!log.contains(secret), "{secret:?} is in the log");
    }
    for token in login.tokens().all() {
        assert!(!log.contains(&token), "a token is in the log");
    }
}

fn each_kind_of_credential_gets_a_token(world: &World) {
    for (proof, variable, value) in [
        (Proof::Secret, "microsoftapppassword", SECRET.to_owned()),
        (Proof::Federated, "federatedtoken", FEDERATED.to_owned()),
        (Proof::Certificate, "certificate", certificate()),
    ] {
        let login = Login::start(proof);
        let script = script(world, &login).variable("microsoftapppassword", "");
        let script = script.variable("sealkey", "a-seal-key-for-tests");
        let stage = script.variable(variable, &value).start();
        put(&stage, &["one"]);
        assert_eq!(stage.poll()["delivered"], 1, "{variable}");
        assert_eq!(login.requests(), 1);
        assert_eq!(stage.connector.wait_for(1)[0].token(), Some("e2e.token.number-1"));
        expect_no_secret_in_the_log(&stage, &login);
    }
}

fn token_is_used_by_two_runs_and_stored_encrypted(world: &World) {
    let login = Login::start(Proof::Secret);
    let stage = script(world, &login).start();
    for id in ["one", "two"] {
        put(&stage, &[id]);
        assert_eq!(stage.poll()["delivered"], 1);
    }
    assert_eq!(login.requests(), 1, "expected that the second run uses the token of the first run");
    let at_rest = stage.state_at_rest();
    let holds = |text: &str| at_rest.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("token:"), "expected the encrypted token in the key-value store");
    let token = &login.tokens().all()[0];
    for clear in [SECRET, token.as_str(), "number-1", "an e2e secret"] {
        assert!(!holds(clear), "{clear:?} is in the key-value store without encryption");
    }
    expect_no_secret_in_the_log(&stage, &login);
}

fn parallel_alerts_request_one_token(world: &World) {
    let login = Login::start(Proof::Secret);
    let stage = script(world, &login).variable("pace", "0").start();
    let ids: Vec<_> = (0..24).map(|index| index.to_string()).collect();
    put(&stage, &ids.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(stage.poll()["delivered"], 24);
    assert_eq!(login.requests(), 1);
}

fn refused_token_is_renewed(world: &World) {
    let login = Login::start(Proof::Secret);
    let stage = script(world, &login).variable("pace", "0").start();
    stage.connector.on(|received| {
        (received.token() == Some("e2e.token.number-1")).then(|| Reply::error(401, "Unauthorized"))
    });
    put(&stage, &["1", "2", "3", "4", "5", "6", "7", "8"]);
    let counts = stage.poll();
    assert_eq!(counts["delivered"], 8, "{counts}");
    assert_eq!(login.requests(), 2, "expected one renewal for all alerts");
    // The next *run* (one execution of the poller) uses the renewed token.
    put(&stage, &["9"]);
    assert_eq!(stage.poll()["delivered"], 1);
    assert_eq!(login.requests(), 2);
}

fn run_stops_and_loses_no_message_if_the_connector_refuses_the_bot(world: &World) {
    let login = Login::start(Proof::Secret);
    let stage = script(world, &login).start();
    stage.connector.on(|_| Some(Reply::error(401, "BotNotRegistered")));
    put(&stage, &["1", "2", "3", "4"]);
    let before = stage.queue.texts();
    let counts = stage.poll();
    assert_eq!((&counts["delivered"], counts.get("poisoned")), (&0.into(), None), "{counts}");
    assert_eq!(login.requests(), 2, "expected a first token, and a renewed token");
    let mut after = stage.queue.texts();
    after.sort();
    let mut expected = before;
    expected.sort();
    assert_eq!(after, expected, "expected that every message is visible again, and unchanged");
    assert_eq!(stage.queue.poison().count(), 0);
    let refused = stage.wait_for_events("credentials.refused", 1);
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(
        (&refused[0]["level"], &refused[0]["reason"]),
        (&"error".into(), &"401 BotNotRegistered".into())
    );
    // After the refusal, the poller skips every run that starts within some time. The next run starts within
    // this time, so the next run requests no token.
    assert_eq!(stage.poll()["skipped"], "credentialsRefused");
    assert_eq!(login.requests(), 2);
}

fn refused_credentials_are_logged_with_the_setting_to_fix(world: &World) {
    for (code, named) in [
        (7_000_215, "microsoftapppassword"),
        (700_016, "microsoftapptype"),
        (90_002, "microsoftapptenantid"),
        (700_024, "clock"),
    ] {
        let login = Login::start(Proof::Secret);
        login.refuse_next(code);
        let stage = script(world, &login).start();
        put(&stage, &["1", "2"]);
        let before = stage.queue.texts();
        let counts = stage.poll();
        assert!(counts["credentials"].as_u64() >= Some(1), "{counts}");
        assert_eq!(login.requests(), 1, "expected that a refused request for a token is not repeated");
        stage.connector.expect_silence();
        let refused = stage.wait_for_events("credentials.refused", 1);
        assert_eq!(refused.len(), 1, "{refused:?}");
        let reason = refused[0]["reason"].as_str().unwrap();
        assert!(reason.contains(named) && reason.contains(&format!("AADSTS{code}")), "{reason}");
        assert_eq!(stage.queue.texts().len(), before.len());
        assert_eq!(stage.queue.poison().count(), 0);
        expect_no_secret_in_the_log(&stage, &login);
    }
}

fn failing_login_host_uses_up_no_try_of_an_alert(world: &World) {
    let login = Login::start(Proof::Secret);
    for _ in 0..2 {
        login.respond_next(respond(503, &json!({"error": "temporarily_unavailable"})));
    }
    let stage = script(world, &login).start();
    put(&stage, &["1", "2", "3"]);
    let mut before = stage.queue.texts();
    before.sort();
    let counts = stage.poll();
    assert!(counts["noToken"].as_u64() >= Some(1) && counts.get("retried").is_none(), "{counts}");
    assert_eq!(login.requests(), 2, "expected two requests for the whole run, and not two for each alert");
    stage.connector.expect_silence();
    let mut after = stage.queue.texts();
    after.sort();
    assert_eq!(
        after, before,
        "expected that every message is visible again, and has no record of a failed attempt"
    );
    assert_eq!(stage.wait_for_events("token.unavailable", 1).len(), 1);
    assert_eq!(stage.poll()["skipped"], "noToken");
}

fn two_credentials_and_no_credential_are_a_misconfiguration(world: &World) {
    let login = Login::start(Proof::Secret);
    for (variable, value, named) in [
        ("federatedtoken", FEDERATED, "federatedtoken"),
        ("microsoftapppassword", "", "microsoftapppassword"),
    ] {
        let stage = script(world, &login).variable(variable, value).start();
        put(&stage, &["1"]);
        stage.try_poll().expect_error(500, "Misconfigured");
        let run = stage.wait_for_events("drain", 1).remove(0);
        assert!(run["error"].as_str().unwrap().contains(named), "{run}");
        stage.connector.expect_silence();
        assert_eq!(stage.queue.count(), 1);
    }
    assert_eq!(login.requests(), 0);
}

/// Puts the address of an untrusted server into queue messages and activities. The Spin manifest of this test
/// allows calls to every port of this machine. So Spin does not prevent a call to this server. Only the code
/// of the components prevents such a call.
fn credential_is_never_sent_to_an_untrusted_host(world: &World) {
    let (login, stranger) = (Login::start(Proof::Secret), Recorder::start());
    let stage = script(world, &login).start();
    let origin = stranger.origin();
    let authority = origin.strip_prefix("http://").unwrap();
    let trusted = stage.connector.authority().to_owned();
    // For each address, the queue gets one message without a seal, and one message with a forged seal.
    let addresses = [
        format!("{origin}/amer/"),
        origin.clone(),
        format!("http://{trusted}@{authority}/"),
        format!("http://{trusted}\\@{authority}/"),
        format!("http://{authority}#{trusted}/"),
        format!("http://{authority}/{trusted}/"),
        format!("HTTP://{authority}"),
        origin.replace("127.0.0.1", "localhost"),
        origin.replace("127.0.0.1", "2130706433"),
        origin.replace("127.0.0.1", "[::ffff:127.0.0.1]"),
    ];
    for (index, address) in addresses.iter().enumerate() {
        let mut planted = envelope(address, &format!("planted-{index}"));
        planted["address"]["serviceUrlVerified"] = true.into();
        stage.queue.put_json(&planted);
        planted["seal"] = "c29tZWJvZHkgbWFkZSBpdCB1cA".into();
        stage.queue.put_json(&planted);
    }
    // These queue messages have the formats of Microsoft's bot template of 2017. JSON members such as
    // `IsTrustedServiceUrl` claim that the address is trusted.
    let parties = json!({"user": {"id": "u"}, "bot": {"id": "b"}, "conversation": {"id": "c"}});
    let mut node = json!({"address": parties, "text": "x"});
    node["address"]["serviceUrl"] = origin.clone().into();
    node["address"]["channelId"] = "msteams".into();
    node["address"]["useAuth"] = true.into();
    let mut relates_to = json!({"RelatesTo": parties, "Text": "x", "IsTrustedServiceUrl": true});
    relates_to["RelatesTo"]["serviceUrl"] = origin.clone().into();
    relates_to["RelatesTo"]["channelId"] = "msteams".into();
    let cookie = json!({"ResumptionCookie": {"Address": {
        "BotId": "b", "ChannelId": "msteams", "UserId": "u", "ConversationId": "c", "ServiceUrl": origin,
    }, "IsTrustedServiceUrl": true}, "Text": "x"});
    let continue_conversation = json!({
        "type": "event", "name": "ContinueConversation", "channelId": "msteams", "serviceUrl": origin,
        "conversation": {"id": "c"}, "from": {"id": "u"}, "recipient": {"id": "b"}, "value": "x",
    });
    for legacy in [node, relates_to, cookie, continue_conversation] {
        stage.queue.put_json(&legacy);
    }
    // Activities that callers post to the bot.
    for address in &addresses {
        let mut activity = message("a:1", "1", "hello");
        activity["serviceUrl"] = address.as_str().into();
        stage.post(&activity).expect_status(401);
    }
    // The last queue message names the trusted Connector, so the poller requests a token. Without this
    // message, the poller would have no token that it could send to the untrusted server.
    put(&stage, &["proper"]);
    let counts = stage.poll();
    stranger.expect_silence();
    assert_eq!((&counts["delivered"], stage.queue.count()), (&1.into(), 0), "{counts}");
    assert_eq!(counts["poisoned"], 24, "{counts}");
    assert_eq!(login.requests(), 1);
    stage.connector.wait_for(1);
}

fn redirect_is_not_followed_with_a_credential(world: &World) {
    for status in [301, 302, 303, 307, 308] {
        let (login, stranger) = (Login::start(Proof::Secret), Recorder::start());
        let stage = script(world, &login).start();
        let location = format!("{}/v3/conversations/c/activities", stranger.origin());
        stage
            .connector
            .on(move |_| Some(Reply::status(status, Value::Null).header("location", location.as_str())));
        put(&stage, &["1"]);
        assert_eq!(stage.poll()["poisonedBy"]["permanent"], 1, "{status}");
        stage.connector.wait_for(1);
        stranger.expect_silence();
    }
    // The login host responds with a redirect to another server. If the poller followed the redirect, the
    // other server would get the client secret.
    let (login, stranger) = (Login::start(Proof::Secret), Recorder::start());
    let mut redirect = respond(307, &Value::Null);
    redirect.headers_mut().insert("location", stranger.origin().parse().unwrap());
    login.respond_next(redirect);
    let stage = script(world, &login).start();
    put(&stage, &["1"]);
    assert_eq!(stage.poll()["credentials"], 1);
    stranger.expect_silence();
    stage.connector.expect_silence();
}
