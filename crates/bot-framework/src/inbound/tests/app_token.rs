//! Tests of *app tokens*, the Entra tokens with which applications call the bot's API.

use super::*;

const CALLER: &str = "00000000-0000-0000-0000-00000000000A";

fn claims_of_app() -> Value {
    with(entra_claims(APP_ID, CALLER, TENANT, NOW), "roles", json!(["send", "Other.Role"]))
}

fn verify(host: &FakeHost, token: &str) -> Result<crate::App, AuthError> {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
    let auth = auth(host).unwrap();
    run(auth.verify_app(host, &headers, Deadline::after(host, Duration::from_secs(5))))
}

/// Returns the accepted application and its roles, or the code of the broken rule.
fn outcome_of_app(host: &FakeHost, token: &str) -> String {
    match verify(host, token) {
        Ok(app) => format!("{} {}", app.app_id, app.roles.join(" ")),
        Err(error) => error.code().to_owned(),
    }
}

#[test]
fn valid_app_token_is_accepted_with_roles_and_invalid_app_token_is_refused() {
    let sign = |claims: &Value| TestKey::issuer().sign(claims);
    let changed = |name: &str, value: Value| sign(&with(claims_of_app(), name, value));
    let v1 = json!({
        "aud": APP_ID, "iss": format!("https://sts.windows.net/{TENANT}/"), "nbf": NOW - 60, "exp": NOW + 3600,
        "appid": CALLER, "tid": TENANT, "ver": "1.0", "roles": ["cancel"],
    });
    let of_tenant =
        |tenant: &str| sign(&with(entra_claims(APP_ID, CALLER, tenant, NOW), "roles", json!(["send"])));
    let lower = CALLER.to_lowercase();
    for (what, token, expected) in [
        ("valid", sign(&claims_of_app()), format!("{lower} send Other.Role")),
        ("version 1", sign(&v1), format!("{lower} cancel")),
        ("without roles", changed("roles", Value::Null), format!("{lower} ")),
        ("the bot's own application", changed("azp", json!(APP_ID)), format!("{APP_ID} send Other.Role")),
        ("roles are not a list", changed("roles", json!("send")), "ClaimMissing".into()),
        ("roles are not texts", changed("roles", json!([["send"]])), "ClaimMissing".into()),
        ("issued to a user", changed("scp", json!("access_as_user")), "NotAnAppToken".into()),
        ("no azp", changed("azp", Value::Null), "ClaimMissing".into()),
        ("for another bot", changed("aud", json!(OTHER_BOT)), "WrongAudience".into()),
        ("for the Connector", changed("aud", json!("https://api.botframework.com")), "WrongAudience".into()),
        ("of a foreign tenant", of_tenant(FOREIGN_TENANT), "WrongIssuer".into()),
        ("tid of another tenant", changed("tid", json!(FOREIGN_TENANT)), "WrongTenant".into()),
        ("of a channel", token(), "WrongIssuer".into()),
        ("expired", changed("exp", json!(NOW - 300)), "TokenExpired".into()),
        ("not yet valid", changed("nbf", json!(NOW + 301)), "TokenNotYetValid".into()),
        ("signed by a stranger", TestKey::stranger().sign(&claims_of_app()), "UnknownKey".into()),
        (
            "forged",
            TestKey::stranger()
                .sign_text(r#"{"alg":"RS256","kid":"issuer-key"}"#, &claims_of_app().to_string()),
            "BadSignature".into(),
        ),
    ] {
        assert_eq!(outcome_of_app(&bot(), &token), expected, "{what}");
    }
    // The check of tokens for `POST /api/messages` refuses an app token.
    assert_eq!(outcome(call(&bot(), &sign(&claims_of_app()), &activity())), "WrongIssuer");
}

#[test]
fn app_token_with_wrong_claims_causes_no_request_and_a_known_token_causes_one_read() {
    let host = bot();
    let wrong = TestKey::issuer().sign(&with(claims_of_app(), "aud", json!(OTHER_BOT)));
    verify(&host, &wrong).expect_err("another audience");
    assert_eq!((host.sent.borrow().len(), host.reads.borrow().len()), (0, 0), "(requests, reads)");
    let token = TestKey::issuer().sign(&claims_of_app());
    verify(&host, &token).unwrap();
    let (sent, reads) = (host.sent.borrow().len(), host.reads.borrow().len());
    verify(&host, &token).unwrap();
    assert_eq!((host.sent.borrow().len(), host.reads.borrow().len()), (sent, reads + 1), "(requests, reads)");
}

#[test]
fn bot_without_the_id_of_its_own_tenant_refuses_app_tokens() {
    for (tenant, app_type, expected) in [
        (TENANT, "SingleTenant", true),
        (TENANT, "MultiTenant", true),
        ("", "MultiTenant", false),
        ("contoso.example", "SingleTenant", false),
    ] {
        let host = bot_with(&[("microsoftapptenantid", tenant), ("microsoftapptype", app_type)]);
        assert_eq!(auth(&host).unwrap().takes_app_tokens(), expected, "{tenant:?} {app_type}");
        let token = TestKey::issuer().sign(&claims_of_app());
        assert_eq!(verify(&host, &token).is_ok(), expected, "{tenant:?} {app_type}");
    }
    // The Bot Framework's tenant issues the tokens of a multi-tenant bot. The bot's API must still refuse a
    // token of this tenant. Otherwise, an administrator of the Bot Framework's tenant could give an
    // application a role of this bot.
    let host = bot_with(&[("microsoftapptype", "MultiTenant"), ("emulatortokens", "accept")]);
    let bot_framework_claims = entra_claims(APP_ID, APP_ID, "d6d49420-f39b-4df7-a1dc-d59a935871db", NOW);
    assert_eq!(outcome_of_app(&host, &TestKey::issuer().sign(&bot_framework_claims)), "WrongIssuer");
}
