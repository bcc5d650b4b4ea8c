//! Tests of the rules for the `channelId` and the `serviceUrl` of an activity. The bot applies these rules at
//! every use of a channel's token.

use super::*;

#[test]
fn body_that_does_not_match_the_token_is_refused() {
    let long_url = format!("https://smba.trafficmanager.net/amer/{}", "x".repeat(5000));
    let rows = [
        ("valid", activity(), "channel"),
        ("another endorsed channel", with(activity(), "channelId", "webchat"), "channel"),
        // Endorsements: the signing key is allowed to sign only for the channels `msteams` and `webchat`.
        ("a channel that the key is not endorsed for", with(activity(), "channelId", "slack"), "NotEndorsed"),
        ("no channelId", with(activity(), "channelId", Value::Null), "NotEndorsed"),
        ("channelId empty", with(activity(), "channelId", ""), "NotEndorsed"),
        ("channelId in upper and lower case", with(activity(), "channelId", "MSTeams"), "channel"),
        ("AseChannel, which the SDKs accept", with(activity(), "channelId", "AseChannel"), "NotEndorsed"),
        ("emulator", with(activity(), "channelId", "emulator"), "NotEndorsed"),
        // serviceUrl: the token contains the URL of one Connector, and the activity must have the same URL.
        (
            "no slash at the end",
            with(activity(), "serviceUrl", "https://smba.trafficmanager.net/amer"),
            "channel",
        ),
        (
            "host in upper case",
            with(activity(), "serviceUrl", "HTTPS://SMBA.trafficmanager.net/amer/"),
            "channel",
        ),
        ("no serviceUrl", with(activity(), "serviceUrl", Value::Null), "ServiceUrlMismatch"),
        ("serviceUrl empty", with(activity(), "serviceUrl", ""), "ServiceUrlMismatch"),
        (
            "another region",
            with(activity(), "serviceUrl", "https://smba.trafficmanager.net/emea/"),
            "ServiceUrlMismatch",
        ),
        (
            "path in another case",
            with(activity(), "serviceUrl", "https://smba.trafficmanager.net/AMER/"),
            "ServiceUrlMismatch",
        ),
        (
            "host only",
            with(activity(), "serviceUrl", "https://smba.trafficmanager.net"),
            "ServiceUrlMismatch",
        ),
        (
            "longer path",
            with(activity(), "serviceUrl", "https://smba.trafficmanager.net/amer/x"),
            "ServiceUrlMismatch",
        ),
        (
            "dot segments in the path",
            with(activity(), "serviceUrl", "https://smba.trafficmanager.net/x/../amer/"),
            "ServiceUrlMismatch",
        ),
        (
            "two slashes at the end",
            with(activity(), "serviceUrl", "https://smba.trafficmanager.net/amer//"),
            "ServiceUrlMismatch",
        ),
        (
            "http",
            with(activity(), "serviceUrl", "http://smba.trafficmanager.net/amer/"),
            "ServiceUrlMismatch",
        ),
        (
            "default port",
            with(activity(), "serviceUrl", "https://smba.trafficmanager.net:443/amer/"),
            "ServiceUrlMismatch",
        ),
        (
            "the Connector of Web Chat",
            with(activity(), "serviceUrl", "https://webchat.botframework.com/"),
            "ServiceUrlMismatch",
        ),
        ("an attacker", with(activity(), "serviceUrl", "https://evil.example/amer/"), "ServiceUrlMismatch"),
        (
            "an attacker's host after a trusted host and `@`",
            with(activity(), "serviceUrl", "https://smba.trafficmanager.net@evil.example/amer/"),
            "ServiceUrlMismatch",
        ),
        ("not a URL", with(activity(), "serviceUrl", "amer"), "ServiceUrlMismatch"),
        (
            "not ASCII",
            with(activity(), "serviceUrl", "https://smba.trafficmanager.net/\u{e4}mer/"),
            "ServiceUrlMismatch",
        ),
        ("5 KiB", with(activity(), "serviceUrl", long_url), "ServiceUrlMismatch"),
    ];
    // All rows use one bot, so the bot knows the token after the first row, and does not check the signature
    // again. The rules for the activity must still apply.
    let (host, token) = (bot(), token());
    for (what, activity, expected) in rows {
        assert_eq!(outcome(call(&host, &token, &activity)), expected, "{what}");
    }
    assert_eq!(host.sent.borrow().len(), 2, "metadata and keys must be fetched once");
}

#[test]
fn activity_without_service_url_is_refused_even_if_the_token_names_no_url() {
    // If an activity has no `serviceUrl`, the SDKs skip the rule for `serviceUrl`. This bot refuses the
    // activity, even if the token has no `serviceurl`, either.
    for claim in [Value::Null, json!("")] {
        let token = TestKey::issuer().sign(&with(claims(), "serviceurl", claim));
        for sent in [Value::Null, json!("")] {
            let activity = with(activity(), "serviceUrl", sent);
            assert_eq!(outcome(call(&bot(), &token, &activity)), "ServiceUrlMismatch");
        }
    }
}

/// Makes a valid call from each channel in `channels`, and returns the outcomes. The issuer's key set
/// contains only the key `jwk`.
fn outcomes_by_key<const N: usize>(jwk: &Value, channels: [&str; N]) -> [String; N] {
    let host = bot();
    publish(&host, vec![jwk.clone()]);
    channels.map(|channel| outcome(call(&host, &token(), &with(activity(), "channelId", channel))))
}

#[test]
fn key_with_endorsements_signs_for_the_endorsed_channels_only() {
    for (endorsements, expected) in [
        (json!(["webchat"]), ["channel", "NotEndorsed", "NotEndorsed", "NotEndorsed"]),
        (json!(["msteams"]), ["NotEndorsed", "NotEndorsed", "channel", "NotEndorsed"]),
        (json!(["webchat", "directline", 7]), ["channel", "channel", "NotEndorsed", "NotEndorsed"]),
        // In these rows, no entry of the list is the name of a channel, or the value is not a list. So the
        // key signs for no channel.
        (json!([""]), ["NotEndorsed"; 4]),
        (json!("msteams"), ["NotEndorsed"; 4]),
        (json!([["msteams"], 7]), ["NotEndorsed"; 4]),
        (json!({"msteams": true}), ["NotEndorsed"; 4]),
        (json!(false), ["NotEndorsed"; 4]),
    ] {
        let jwk = with(TestKey::issuer().jwk(), "endorsements", endorsements);
        let found = outcomes_by_key(&jwk, ["webchat", "directline", "msteams", ""]);
        assert_eq!(found, expected, "{}", jwk["endorsements"]);
    }
}

#[test]
fn key_without_endorsements_signs_only_for_channels_whose_clients_choose_their_ids() {
    let null = {
        let mut jwk = TestKey::issuer().jwk();
        jwk["endorsements"] = Value::Null;
        jwk
    };
    for jwk in [TestKey::issuer().jwk(), TestKey::issuer().endorsed_jwk(&[]), null] {
        let let_in = outcomes_by_key(&jwk, ["webchat", "directline", "directlinespeech", "WebChat"]);
        assert_eq!(let_in, ["channel"; 4], "{jwk}");
        // On the other channels, the bot trusts the id of a person. On Teams, the bot also trusts the
        // person's tenant. So a key without endorsements must not sign for any of the other channels.
        let refused = outcomes_by_key(
            &jwk,
            ["msteams", "telegram", "email", "slack", "emulator", "AseChannel", "x", ""],
        );
        assert_eq!(refused, ["NotEndorsed"; 8], "{jwk}");
        let host = bot();
        publish(&host, vec![jwk]);
        let web_chat = with(activity(), "channelId", "webchat");
        let elsewhere = with(web_chat.clone(), "serviceUrl", "https://webchat.botframework.com/");
        assert_eq!(outcome(call(&host, &token(), &elsewhere)), "ServiceUrlMismatch");
        // The store now has a record of the token. The record must not change the outcomes.
        for (activity, expected) in [
            (&web_chat, "channel"),
            (&web_chat, "channel"),
            (&activity(), "NotEndorsed"),
            (&web_chat, "channel"),
        ] {
            assert_eq!(outcome(call(&host, &token(), activity)), expected);
        }
    }
}
