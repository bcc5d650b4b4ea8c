//! Tests of tokens that Entra (Microsoft's identity service) issued. With `emulatortokens=accept`, the bot
//! accepts tokens that Entra issued to the bot itself. Two test clients of Microsoft, the Emulator and the
//! Agents Playground, have the bot's credentials and send such tokens. The bot never accepts an activity with
//! a token of another bot.

use super::*;

const ACCEPT_EMULATOR_TOKENS: (&str, &str) = ("emulatortokens", "accept");

/// The claims of a token that Entra issued to the bot itself. The Emulator sends such a token.
fn own() -> Value {
    entra_claims(APP_ID, APP_ID, TENANT, NOW)
}

fn own_v1() -> Value {
    json!({
        "aud": APP_ID, "iss": format!("https://sts.windows.net/{TENANT}/"), "nbf": NOW - 60, "exp": NOW + 3600,
        "appid": APP_ID, "tid": TENANT, "ver": "1.0",
    })
}

/// The claims of a token that Entra issued to another bot. The audience is this bot.
fn another_bots() -> Value {
    entra_claims(APP_ID, OTHER_BOT, TENANT, NOW)
}

fn sign(claims: &Value) -> String {
    TestKey::issuer().sign(claims)
}

#[test]
fn entra_token_is_refused_by_default() {
    check(
        &[],
        &[
            ("the bot's own", sign(&own()), "WrongIssuer"),
            ("the bot's own, version 1", sign(&own_v1()), "WrongIssuer"),
            ("another bot's", sign(&another_bots()), "WrongIssuer"),
        ],
    );
}

#[test]
fn own_entra_token_is_accepted_only_if_every_claim_is_right() {
    let changed = |name: &str, value: Value| sign(&with(own(), name, value));
    let changed_v1 = |name: &str, value: Value| sign(&with(own_v1(), name, value));
    let of_tenant = |tenant: &str| sign(&entra_claims(APP_ID, APP_ID, tenant, NOW));
    // The bot sends a token with these claims to every Connector. A receiver could send the token back to the
    // bot.
    let outbound = entra_claims("https://api.botframework.com", APP_ID, TENANT, NOW);
    check(
        &[ACCEPT_EMULATOR_TOKENS],
        &[
            ("version 2", sign(&own()), "itself"),
            ("version 1", sign(&own_v1()), "itself"),
            ("version 1 with an empty ver", changed_v1("ver", json!("")), "itself"),
            ("ids in upper case", changed("azp", json!(APP_ID.to_uppercase())), "itself"),
            ("a channel token is still accepted", token(), "channel"),
            ("the bot's own outbound token, sent back", sign(&outbound), "WrongAudience"),
            ("another audience", changed("aud", json!(OTHER_BOT)), "WrongAudience"),
            ("audience as a URI", changed("aud", json!(format!("api://{APP_ID}"))), "WrongAudience"),
            ("of a foreign tenant", of_tenant(FOREIGN_TENANT), "WrongIssuer"),
            (
                "the Bot Framework's tenant, for a single-tenant bot",
                of_tenant("d6d49420-f39b-4df7-a1dc-d59a935871db"),
                "WrongIssuer",
            ),
            ("common, which is not a tenant", of_tenant("common"), "WrongIssuer"),
            (
                "issuer without version",
                changed("iss", json!(format!("https://login.microsoftonline.com/{TENANT}/"))),
                "WrongIssuer",
            ),
            (
                "issuer with a longer path",
                changed("iss", json!(format!("https://login.microsoftonline.com/{TENANT}/v2.0/x"))),
                "WrongIssuer",
            ),
            (
                "issuer of another cloud",
                changed("iss", json!(format!("https://login.microsoftonline.us/{TENANT}/v2.0"))),
                "WrongIssuer",
            ),
            ("tid of another tenant", changed("tid", json!(FOREIGN_TENANT)), "WrongTenant"),
            ("no tid", changed("tid", Value::Null), "WrongTenant"),
            ("no ver", changed("ver", Value::Null), "WrongVersion"),
            ("ver 3.0", changed("ver", json!("3.0")), "WrongVersion"),
            ("ver is a number", changed("ver", json!(2.0)), "ClaimMissing"),
            ("ver 1.0, but the issuer of version 2", changed("ver", json!("1.0")), "WrongVersion"),
            ("ver 2.0, but the issuer of version 1", changed_v1("ver", json!("2.0")), "WrongVersion"),
            ("no azp", changed("azp", Value::Null), "ClaimMissing"),
            ("azp empty", changed("azp", json!("")), "ClaimMissing"),
            (
                "appid instead of azp",
                sign(&with(with(own(), "azp", Value::Null), "appid", APP_ID)),
                "ClaimMissing",
            ),
            (
                "issued to a user who signed in to the bot",
                changed("scp", json!("access_as_user")),
                "NotAnAppToken",
            ),
            ("expired", changed("exp", json!(NOW - 300)), "TokenExpired"),
            ("not yet valid", changed("nbf", json!(NOW + 301)), "TokenNotYetValid"),
            ("signed by a stranger", TestKey::stranger().sign(&own()), "UnknownKey"),
            ("another bot's", sign(&another_bots()), "CallerNotAllowed"),
        ],
    );
}

#[test]
fn entra_token_of_another_bot_is_refused_with_every_setting() {
    // In earlier versions, the variable `skillcallers` listed other bots that were allowed to call the bot.
    // This version does not read `skillcallers`.
    for (settings, expected) in [
        (&[ACCEPT_EMULATOR_TOKENS][..], "CallerNotAllowed"),
        (&[("skillcallers", OTHER_BOT)], "WrongIssuer"),
        (&[ACCEPT_EMULATOR_TOKENS, ("skillcallers", OTHER_BOT)], "CallerNotAllowed"),
    ] {
        check(settings, &[("another bot's", sign(&another_bots()), expected)]);
    }
}

#[test]
fn caller_with_a_forged_token_gets_401_and_not_403() {
    // 403 is for verified callers. A forged token gets 401, even if its claims name another bot.
    let host = bot_with(&[ACCEPT_EMULATOR_TOKENS]);
    let forged =
        TestKey::stranger().sign_text(r#"{"alg":"RS256","kid":"issuer-key"}"#, &another_bots().to_string());
    assert!(matches!(call(&host, &forged, &activity()), Err(AuthError::Unauthorized(_))));
    assert!(matches!(call(&host, &sign(&another_bots()), &activity()), Err(AuthError::Forbidden(_))));
}

#[test]
fn only_a_channel_token_vouches_for_the_service_url() {
    let host = bot_with(&[ACCEPT_EMULATOR_TOKENS]);
    assert!(!call(&host, &sign(&own()), &activity()).unwrap().vouches_for_service_url());
    assert!(call(&host, &token(), &activity()).unwrap().vouches_for_service_url());
}

#[test]
fn multi_tenant_bot_accepts_only_tokens_of_its_own_tenant_and_of_the_bot_framework_tenants() {
    let rows = [
        ("d6d49420-f39b-4df7-a1dc-d59a935871db", "itself"),
        ("f8cdef31-a31e-4b4a-93e4-5f571e91255a", "itself"),
        (TENANT, "itself"),
        (FOREIGN_TENANT, "WrongIssuer"),
        // The tenant of Microsoft itself.
        ("72f988bf-86f1-41af-91ab-2d7cd011db47", "WrongIssuer"),
    ];
    for (tenant, expected) in rows {
        let host = bot_with(&[ACCEPT_EMULATOR_TOKENS, ("microsoftapptype", "MultiTenant")]);
        let token = sign(&entra_claims(APP_ID, APP_ID, tenant, NOW));
        assert_eq!(outcome(call(&host, &token, &activity())), expected, "{tenant}");
    }
}

#[test]
fn key_of_one_tenant_is_refused_for_another_tenant() {
    for (issuer, expected) in [
        ("https://login.microsoftonline.com/{tenantid}/v2.0".to_owned(), "itself"),
        (format!("https://login.microsoftonline.com/{TENANT}/v2.0"), "itself"),
        ("https://sts.windows.net/{tenantid}/".to_owned(), "itself"),
        (format!("https://login.microsoftonline.com/{FOREIGN_TENANT}/v2.0"), "UnusableKey"),
        ("https://evil.example/{tenantid}/v2.0".to_owned(), "UnusableKey"),
    ] {
        let host = bot_with(&[ACCEPT_EMULATOR_TOKENS]);
        publish(&host, vec![with(TestKey::issuer().jwk(), "issuer", issuer.as_str())]);
        assert_eq!(outcome(call(&host, &sign(&own()), &activity())), expected, "{issuer}");
    }
}

#[test]
fn key_of_the_channels_is_refused_for_entra_and_vice_versa() {
    // Each issuer has its own signing keys. A key of the channels must not sign for Entra, and a key of Entra
    // must not sign for the channels.
    let host = bot_with(&[ACCEPT_EMULATOR_TOKENS]);
    host.answers(|request| {
        let body = match request.uri().to_string().as_str() {
            CHANNEL_METADATA => json!({"jwks_uri": CHANNEL_KEYS}),
            CHANNEL_KEYS => json!({"keys": [TestKey::issuer().endorsed_jwk(&["msteams"])]}),
            ENTRA_METADATA => json!({"jwks_uri": ENTRA_KEYS}),
            ENTRA_KEYS => json!({"keys": [TestKey::stranger().jwk()]}),
            _ => return None,
        };
        Some(Ok(response(200, &body.to_string())))
    });
    assert_eq!(outcome(call(&host, &token(), &activity())), "channel");
    assert_eq!(outcome(call(&host, &sign(&own()), &activity())), "UnknownKey");
    assert_eq!(outcome(call(&host, &TestKey::stranger().sign(&own()), &activity())), "itself");
    assert_eq!(outcome(call(&host, &TestKey::stranger().sign(&claims()), &activity())), "UnknownKey");
}
