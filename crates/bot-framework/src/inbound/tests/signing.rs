//! Tests of the form, the header and the signature of a token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use rsa::pkcs8::{EncodePublicKey, LineEnding};
use sha2::{Sha256, Sha512};

use super::*;

const GOOD_HEADER: &str = r#"{"typ":"JWT","alg":"RS256","kid":"issuer-key"}"#;

fn encode(part: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

/// Makes a correctly signed token with this header.
fn headed(header: &str) -> String {
    TestKey::issuer().sign_text(header, &claims().to_string())
}

/// Makes a correctly signed token with exactly these claims.
fn claiming(claims: &str) -> String {
    TestKey::issuer().sign_text(GOOD_HEADER, claims)
}

#[test]
fn token_in_another_form_is_refused() {
    let good = token();
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let claims_text = claims().to_string();
    let doubled = |extra: &str| claims_text.replacen('{', &format!("{{{extra},"), 1);
    let deep = format!(r#"{{"alg":"RS256","kid":"issuer-key","x":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
    check(
        &[],
        &[
            ("valid", good.clone(), "channel"),
            ("one part", "abc".into(), "TokenMalformed"),
            ("two parts", format!("{header}.{payload}"), "TokenMalformed"),
            ("four parts", format!("{good}.{signature}"), "TokenMalformed"),
            (
                "five parts, as in an encrypted token",
                format!("{header}.{signature}.{payload}.{payload}.{signature}"),
                "TokenMalformed",
            ),
            ("only dots", "..".into(), "TokenMalformed"),
            ("empty header", format!(".{payload}.{signature}"), "TokenMalformed"),
            ("empty claims", format!("{header}..{signature}"), "TokenMalformed"),
            ("empty signature", format!("{header}.{payload}."), "BadSignature"),
            (
                "signature of a length that base64url cannot have",
                good[..good.len() - 1].to_owned(),
                "TokenMalformed",
            ),
            ("header is not JSON", format!("{}.{payload}.{signature}", encode("hello")), "TokenMalformed"),
            ("header is an array", headed("[]"), "TokenMalformed"),
            ("header is null", headed("null"), "TokenMalformed"),
            (
                "header is not UTF-8",
                format!("{}.{payload}.{signature}", encode(b"{\"alg\":\"\xff\"}")),
                "TokenMalformed",
            ),
            (
                "header with more text after it",
                headed(&format!("{GOOD_HEADER}{GOOD_HEADER}")),
                "TokenMalformed",
            ),
            ("header nested too deep", headed(&deep), "TokenMalformed"),
            ("claims are not an object", claiming("[]"), "TokenMalformed"),
            ("claims with more text after them", claiming(&format!("{claims_text}{{}}")), "TokenMalformed"),
            ("claims cut short", claiming(&claims_text[..claims_text.len() - 1]), "TokenMalformed"),
            (
                "aud twice, the second time this bot",
                claiming(&doubled(r#""aud":"other""#)),
                "DuplicateMember",
            ),
            (
                "aud twice, spelled differently",
                claiming(&doubled(r#""\u0061ud":"other""#)),
                "DuplicateMember",
            ),
            ("exp twice", claiming(&doubled(r#""exp":1"#)), "DuplicateMember"),
            (
                "a member twice inside an unknown claim",
                claiming(&doubled(r#""x":{"y":1,"y":1}"#)),
                "DuplicateMember",
            ),
            (
                "alg twice in the header",
                headed(r#"{"alg":"none","alg":"RS256","kid":"issuer-key"}"#),
                "DuplicateMember",
            ),
            (
                "kid twice in the header",
                headed(r#"{"kid":"x","alg":"RS256","kid":"issuer-key"}"#),
                "DuplicateMember",
            ),
        ],
    );
}

#[test]
fn token_header_with_a_wrong_member_is_refused() {
    let header = |members: &str| headed(&format!(r#"{{"alg":"RS256","kid":"issuer-key",{members}}}"#));
    let jwk = TestKey::stranger().jwk();
    let stranger_with = |member: &str, value: &Value| {
        let header = json!({"alg": "RS256", "kid": "issuer-key", member: value});
        TestKey::stranger().sign_text(&header.to_string(), &claims().to_string())
    };
    check(
        &[],
        &[
            ("no typ", headed(r#"{"alg":"RS256","kid":"issuer-key"}"#), "channel"),
            ("unknown typ", header(r#""typ":"at+jwt""#), "channel"),
            ("x5t, the thumbprint that Entra writes", header(r#""x5t":"issuer-key""#), "channel"),
            ("an unknown member", header(r#""x":{"y":[1,2.5,null,true,"z"]}"#), "channel"),
            ("no alg", headed(r#"{"kid":"issuer-key"}"#), "WrongAlgorithm"),
            ("alg null", headed(r#"{"alg":null,"kid":"issuer-key"}"#), "WrongAlgorithm"),
            ("alg is a list", headed(r#"{"alg":["RS256"],"kid":"issuer-key"}"#), "WrongAlgorithm"),
            ("alg in lower case", headed(r#"{"alg":"rs256","kid":"issuer-key"}"#), "WrongAlgorithm"),
            ("alg RS384", headed(r#"{"alg":"RS384","kid":"issuer-key"}"#), "WrongAlgorithm"),
            ("alg RS512", headed(r#"{"alg":"RS512","kid":"issuer-key"}"#), "WrongAlgorithm"),
            ("alg PS256", headed(r#"{"alg":"PS256","kid":"issuer-key"}"#), "WrongAlgorithm"),
            ("alg ES256", headed(r#"{"alg":"ES256","kid":"issuer-key"}"#), "WrongAlgorithm"),
            ("no kid", headed(r#"{"alg":"RS256"}"#), "KeyIdMissing"),
            ("kid empty", headed(r#"{"alg":"RS256","kid":""}"#), "KeyIdMissing"),
            ("kid a number", headed(r#"{"alg":"RS256","kid":7}"#), "KeyIdMissing"),
            ("crit", header(r#""crit":["exp"]"#), "HeaderNotAllowed"),
            ("crit null", header(r#""crit":null"#), "HeaderNotAllowed"),
            ("b64", header(r#""b64":false"#), "HeaderNotAllowed"),
            ("zip", header(r#""zip":"DEF""#), "HeaderNotAllowed"),
            ("the attacker's key in jwk", stranger_with("jwk", &jwk), "HeaderNotAllowed"),
            (
                "the attacker's keys at jku",
                stranger_with("jku", &json!("https://evil.example/keys")),
                "HeaderNotAllowed",
            ),
            (
                "the attacker's certificate at x5u",
                stranger_with("x5u", &json!("https://evil.example/cert")),
                "HeaderNotAllowed",
            ),
            ("the attacker's certificate in x5c", stranger_with("x5c", &json!(["MII"])), "HeaderNotAllowed"),
        ],
    );
}

#[test]
fn token_with_a_wrong_signature_is_refused() {
    let good = token();
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let signed = format!("{header}.{payload}");
    let none = |algorithm: &str| {
        format!("{}.{payload}.", encode(json!({"alg": algorithm, "kid": "issuer-key"}).to_string()))
    };
    // A known attack: the header names HS256 or HS512, and the token has an HMAC instead of a signature. The
    // secret of the HMAC is the issuer's public key, which everyone knows. A careless bot checks the HMAC
    // with this public key, and accepts the token.
    let hs = |algorithm: &str, key: &[u8]| {
        let signed =
            format!("{}.{payload}", encode(json!({"alg": algorithm, "kid": "issuer-key"}).to_string()));
        let mac = match algorithm {
            "HS512" => Hmac::<Sha512>::new_from_slice(key)
                .unwrap()
                .chain_update(&signed)
                .finalize()
                .into_bytes()
                .to_vec(),
            _ => Hmac::<Sha256>::new_from_slice(key)
                .unwrap()
                .chain_update(&signed)
                .finalize()
                .into_bytes()
                .to_vec(),
        };
        format!("{signed}.{}", encode(mac))
    };
    let pem = TestKey::issuer().public().to_public_key_pem(LineEnding::LF).unwrap();
    let modulus = URL_SAFE_NO_PAD.decode(TestKey::issuer().jwk()["n"].as_str().unwrap()).unwrap();
    // An HMAC with the public key as the secret, in a token whose header names RS256.
    let mac = Hmac::<Sha256>::new_from_slice(pem.as_bytes()).unwrap().chain_update(&signed).finalize();
    let raw = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let by_kid = |kid: &str| {
        let header = json!({"alg": "RS256", "kid": kid});
        TestKey::stranger().sign_text(&header.to_string(), &claims().to_string())
    };
    let longer = [&[0], raw.as_slice()].concat();
    let mut flipped = raw.clone();
    flipped[100] ^= 1;
    let other_claims = encode(with(claims(), "serviceurl", "https://evil.example/").to_string());
    // In base64url, the last character of a 256-byte signature has four unused bits. A decoder that ignores
    // these bits would read the same signature from another last character. `respelled` has such a character.
    let last = char::from(signature.as_bytes()[signature.len() - 1]);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let neighbour = alphabet.chars().nth(alphabet.find(last).unwrap() + 1).unwrap();
    let respelled = format!("{signed}.{}{neighbour}", &signature[..signature.len() - 1]);
    check(
        &[],
        &[
            ("alg none", none("none"), "WrongAlgorithm"),
            ("alg None", none("None"), "WrongAlgorithm"),
            ("alg nOnE", none("nOnE"), "WrongAlgorithm"),
            ("alg empty", none(""), "WrongAlgorithm"),
            ("HS256 keyed with the public key's PEM", hs("HS256", pem.as_bytes()), "WrongAlgorithm"),
            ("HS256 keyed with the modulus", hs("HS256", &modulus), "WrongAlgorithm"),
            ("HS512 keyed with the public key's PEM", hs("HS512", pem.as_bytes()), "WrongAlgorithm"),
            ("HS256 with an empty key", hs("HS256", b""), "WrongAlgorithm"),
            (
                "an HMAC, although the header names RS256",
                format!("{signed}.{}", encode(mac.into_bytes())),
                "BadSignature",
            ),
            ("a stranger's key under the issuer's kid", by_kid("issuer-key"), "BadSignature"),
            ("a stranger's kid", by_kid("stranger-key"), "UnknownKey"),
            ("kid in another case", by_kid("ISSUER-KEY"), "UnknownKey"),
            ("kid with a path", by_kid("../../../../dev/null"), "UnknownKey"),
            ("kid with SQL", by_kid("x' UNION SELECT 'k"), "KeyIdMissing"),
            ("kid is a URL", by_kid("https://evil.example/keys#1"), "UnknownKey"),
            ("kid of 128 letters", by_kid(&"k".repeat(128)), "UnknownKey"),
            ("kid of 129 letters", by_kid(&"k".repeat(129)), "KeyIdMissing"),
            ("kid of 2000 letters", by_kid(&"k".repeat(2000)), "KeyIdMissing"),
            ("kid with NUL", by_kid("issuer-key\0"), "KeyIdMissing"),
            ("claims changed after signing", format!("{header}.{other_claims}.{signature}"), "BadSignature"),
            ("one bit flipped", format!("{signed}.{}", encode(&flipped)), "BadSignature"),
            ("signature one byte short", format!("{signed}.{}", encode(&raw[..255])), "BadSignature"),
            ("signature with a zero before it", format!("{signed}.{}", encode(longer)), "BadSignature"),
            ("signature of zeros", format!("{signed}.{}", encode([0; 256])), "BadSignature"),
            ("signature is the modulus", format!("{signed}.{}", encode(&modulus)), "BadSignature"),
            ("signature of one byte", format!("{signed}.AQ"), "BadSignature"),
            ("signature of 2 KiB", format!("{signed}.{}", encode([7; 2048])), "BadSignature"),
            ("the same signature, spelled differently", respelled, "TokenMalformed"),
            (
                "another token's signature",
                format!("{signed}.{}", encode(TestKey::issuer().signature("a.b"))),
                "BadSignature",
            ),
        ],
    );
}
