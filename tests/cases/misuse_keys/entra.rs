//! API calls of other applications, with tokens that Entra issues to these applications. The roles in a token
//! are *scopes*: they say which kinds of API calls the token allows.

use bot_framework::testing::{TestKey, channel_claims, entra_claims};
use chrono::Utc;
use end_to_end::activity::message;
use end_to_end::alerts::{self, ALERT_KEY, key_of, to_conversation};
use end_to_end::login::{Login, Proof};
use end_to_end::openid::OpenId;
use end_to_end::stage::{APP_ID, Script, Stage, TENANT};
use end_to_end::suite::World;
use serde_json::{Value, json};

use super::{APP, OTHER_TENANT, alert, call, ids, message_of};

/// A stage (the Spin host of a test, and the services that the bot calls). The bot demands tokens, and has
/// stored one conversation.
struct StageWithTokens {
    stage: Stage,
    _issuer: OpenId,
    _login: Login,
}

impl StageWithTokens {
    fn start(world: &World, alertkey: &str, alertkeys: &str) -> Self {
        let (issuer, login) = (OpenId::start(), Login::start(Proof::Secret));
        login.publish(&issuer);
        let script = Script::new(world).logged_in(&login).authenticated(&issuer);
        let stage = script.variable("alertkey", alertkey).variable("alertkeys", alertkeys).start();
        let activity = stage.connector.host(&message("a:1", "1", "hello"));
        let service_url = activity["serviceUrl"].as_str().unwrap();
        let token = TestKey::issuer().sign(&channel_claims(APP_ID, service_url, Utc::now().timestamp()));
        stage.post_as(&token, &activity).expect_status(202);
        stage.queue.take_all();
        Self { stage, _issuer: issuer, _login: login }
    }
}

/// The claims of a token for the bot. Entra issues this token to another application of the bot's tenant.
fn claims(roles: &[&str]) -> Value {
    let mut claims = entra_claims(APP_ID, APP, TENANT, Utc::now().timestamp());
    claims["roles"] = json!(roles);
    claims
}

pub(super) fn entra_token_allows_only_calls_within_the_roles(world: &World) {
    let sign = |claims: &Value| TestKey::issuer().sign(claims);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut claims = claims(&["send"]);
        change(&mut claims);
        sign(&claims)
    };
    // The first bot has an API key in `alertkey`, and an empty `alertkeys`. The second bot has no API key.
    // Its `alertkeys` has only the entry `entra:roles`. Both bots accept tokens of other applications.
    for (alertkey, alertkeys) in [(ALERT_KEY, ""), ("", "entra:roles")] {
        let bot = StageWithTokens::start(world, alertkey, alertkeys);
        let stage = &bot.stage;
        let body = to_conversation(&key_of("msteams", "a:1"), "x");
        let sender = sign(&claims(&["send", "cancel", "Other.Role"]));
        let response = alert(stage, &sender, &body).expect_status(202).json();
        let line = &stage.wait_for_events("alerts.queued", 1)[0];
        assert_eq!(line["key"], format!("app:{APP}"), "{line}");
        alert(stage, &sender, &body).expect_status(202);
        let path = format!("/api/alerts/{}", ids(&response)[0]);
        call(stage, &sender, "DELETE", &path, &Value::Null).expect_status(202);
        let refused =
            call(stage, &sender, "GET", "/api/targets", &Value::Null).expect_error(403, "ScopeMissing");
        let text = message_of(&refused);
        assert!(text.contains(&format!("`app:{APP}`")) && text.contains("`list`"), "{text}");

        stage.queue.take_all();
        alert(stage, &sign(&claims(&[])), &body).expect_error(403, "ScopeMissing");
        for (what, token, code) in [
            ("a user's", with(&|claims| claims["scp"] = "access_as_user".into()), "NotAnAppToken"),
            ("for another bot", with(&|claims| claims["aud"] = APP.into()), "WrongAudience"),
            (
                "of a foreign tenant",
                with(&|claims| {
                    claims["iss"] = format!("https://login.microsoftonline.com/{OTHER_TENANT}/v2.0").into();
                    claims["tid"] = OTHER_TENANT.into();
                }),
                "WrongIssuer",
            ),
            (
                "expired",
                with(&|claims| claims["exp"] = (Utc::now().timestamp() - 600).into()),
                "TokenExpired",
            ),
            ("of a stranger", TestKey::stranger().sign(&claims(&["send"])), "UnknownKey"),
            (
                "forged",
                TestKey::stranger()
                    .sign_text(r#"{"alg":"RS256","kid":"issuer-key"}"#, &claims(&["send"]).to_string()),
                "BadSignature",
            ),
            (
                "a channel's",
                sign(&channel_claims(
                    APP_ID,
                    "https://smba.trafficmanager.net/amer/",
                    Utc::now().timestamp(),
                )),
                "WrongIssuer",
            ),
            ("not a token", "a.b.c".into(), "TokenMalformed"),
        ] {
            let response = alert(stage, &token, &body).expect_error(401, code);
            assert_eq!(response.header("www-authenticate"), "Bearer", "{what}");
        }
        assert_eq!(stage.queue.count(), 0);
        // `POST /api/messages` refuses the token of `sender`. A token of another application is valid only
        // for API calls such as `POST /api/alerts`.
        stage.post_as(&sender, &message("a:2", "1", "hello")).expect_error(401, "WrongIssuer");
    }
    let closed = StageWithTokens::start(world, "", "");
    alert(&closed.stage, &sign(&claims(&["send"])), &json!({})).expect_error(404, "NotFound");
}

pub(super) fn entra_token_is_refused_in_anonymous_mode(world: &World) {
    let token = TestKey::issuer().sign(&claims(&["list"]));
    let stage = alerts::script(world).variable("microsoftappid", APP_ID).start();
    call(&stage, &token, "GET", "/api/targets", &Value::Null).expect_error(401, "Unauthorized");
    let wrong = Script::new(world).variable("alertkeys", "entra:roles").start();
    call(&wrong, &token, "GET", "/api/targets", &Value::Null).expect_error(500, "Misconfigured");
}
