//! Tests of the claims (`iss`, `aud`, `exp`, …) in a channel's token.

use super::*;

#[test]
fn wrong_claim_is_refused_with_the_code_of_the_broken_rule() {
    let changed = |name: &str, value: Value| TestKey::issuer().sign(&with(claims(), name, value));
    let valid_exp = NOW + 3600;
    check(
        &[],
        &[
            // The issuer.
            ("no iss", changed("iss", Value::Null), "ClaimMissing"),
            ("iss is a list", changed("iss", json!(["https://api.botframework.com"])), "ClaimMissing"),
            ("iss with a slash", changed("iss", json!("https://api.botframework.com/")), "WrongIssuer"),
            ("iss in upper case", changed("iss", json!("https://API.botframework.com")), "WrongIssuer"),
            ("iss by http", changed("iss", json!("http://api.botframework.com")), "WrongIssuer"),
            ("iss of another cloud", changed("iss", json!("https://api.botframework.us")), "WrongIssuer"),
            (
                "iss of a host that looks like the issuer",
                changed("iss", json!("https://api.botframework.com.evil.example")),
                "WrongIssuer",
            ),
            (
                "iss of Entra, whose tokens the bot refuses by default",
                changed("iss", json!(format!("https://login.microsoftonline.com/{TENANT}/v2.0"))),
                "WrongIssuer",
            ),
            // The audience.
            ("no aud", changed("aud", Value::Null), "ClaimMissing"),
            ("aud empty", changed("aud", json!("")), "ClaimMissing"),
            ("aud is a list with this bot", changed("aud", json!([APP_ID, OTHER_BOT])), "ClaimMissing"),
            ("another bot's token", changed("aud", json!(OTHER_BOT)), "WrongAudience"),
            ("aud is the Connector", changed("aud", json!("https://api.botframework.com")), "WrongAudience"),
            ("aud with a character added", changed("aud", json!(format!("{APP_ID}0"))), "WrongAudience"),
            ("aud with a space", changed("aud", json!(format!("{APP_ID} "))), "WrongAudience"),
            // The times. The accepted difference between the clocks of issuer and bot is 300 s.
            ("no exp", changed("exp", Value::Null), "ClaimMissing"),
            ("exp is text", changed("exp", json!(valid_exp.to_string())), "ClaimMissing"),
            ("exp is a fraction", changed("exp", json!(valid_exp as f64 + 0.5)), "ClaimMissing"),
            ("exp beyond 64 bits", changed("exp", json!(1e300)), "ClaimMissing"),
            ("exp u64::MAX", changed("exp", json!(u64::MAX)), "ClaimMissing"),
            ("exp i64::MAX", changed("exp", json!(i64::MAX)), "channel"),
            ("expired 299 s ago", changed("exp", json!(NOW - 299)), "channel"),
            ("expired 300 s ago", changed("exp", json!(NOW - 300)), "TokenExpired"),
            ("expired a day ago", changed("exp", json!(NOW - 86_400)), "TokenExpired"),
            ("exp 0", changed("exp", json!(0)), "TokenExpired"),
            ("exp negative", changed("exp", json!(i64::MIN)), "TokenExpired"),
            ("no nbf", changed("nbf", Value::Null), "channel"),
            ("nbf is text", changed("nbf", json!("0")), "ClaimMissing"),
            ("nbf in 300 s", changed("nbf", json!(NOW + 300)), "channel"),
            ("nbf in 301 s", changed("nbf", json!(NOW + 301)), "TokenNotYetValid"),
            ("nbf i64::MAX", changed("nbf", json!(i64::MAX)), "TokenNotYetValid"),
            ("nbf i64::MIN", changed("nbf", json!(i64::MIN)), "channel"),
            ("iat is not a number", changed("iat", json!("yesterday")), "ClaimMissing"),
            // The serviceUrl.
            ("no serviceurl", changed("serviceurl", Value::Null), "ServiceUrlMismatch"),
            ("serviceurl empty", changed("serviceurl", json!("")), "ServiceUrlMismatch"),
            ("serviceurl is not a text", changed("serviceurl", json!({})), "ClaimMissing"),
            (
                "claim serviceUrl instead of serviceurl",
                TestKey::issuer().sign(&with(
                    with(claims(), "serviceurl", Value::Null),
                    "serviceUrl",
                    SERVICE_URL,
                )),
                "ServiceUrlMismatch",
            ),
        ],
    );
}

#[test]
fn channel_token_of_another_cloud_is_refused() {
    for (cloud, issuer, metadata) in [
        (
            "https://botframework.azure.us",
            "https://api.botframework.us",
            "https://login.botframework.azure.us/v1/.well-known/openidconfiguration",
        ),
        (
            "https://botframework.azure.cn",
            "https://api.botframework.azure.cn",
            "https://login.botframework.azure.cn/v1/.well-known/openidconfiguration",
        ),
    ] {
        let host = bot_with(&[("channelservice", cloud)]);
        let keys_url = metadata.replace("openidconfiguration", "keys");
        host.answers(move |request| {
            let uri = request.uri().to_string();
            let body = if uri == metadata {
                json!({"jwks_uri": keys_url})
            } else if uri == keys_url {
                json!({"keys": [TestKey::issuer().endorsed_jwk(&["msteams"])]})
            } else {
                return None;
            };
            Some(Ok(response(200, &body.to_string())))
        });
        let local = TestKey::issuer().sign(&with(claims(), "iss", issuer));
        assert_eq!(outcome(call(&host, &local, &activity())), "channel", "{cloud}");
        assert_eq!(outcome(call(&host, &token(), &activity())), "WrongIssuer", "{cloud}");
    }
}
