//! Makes the client assertion: a token with which the bot proves its identity to Entra (Microsoft's identity
//! service). The bot signs this token with the private key of its certificate.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use platform::Randomness;
use serde_json::{Value, json};

use super::certificate::Certificate;
use super::error::TokenRefusal;

/// The lifetime of an assertion. Entra recommends a short lifetime. Five minutes are enough, because the bot
/// uses each assertion once, immediately after it has made the assertion.
const LIFE_SECONDS: i64 = 5 * 60;

/// Makes a signed assertion. The signature is PS256, and the header member `x5t#S256` holds the thumbprint of
/// the certificate. Source: <https://learn.microsoft.com/entra/identity-platform/certificate-credentials>.
pub(super) fn client_assertion(
    certificate: &Certificate,
    client_id: &str,
    token_endpoint: &str,
    now: DateTime<Utc>,
    random: &impl Randomness,
) -> Result<String, TokenRefusal> {
    let mut jti = [0; 16];
    random.fill(&mut jti);
    let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": certificate.thumbprint()});
    let now = now.timestamp();
    let claims = json!({
        "aud": token_endpoint, "iss": client_id, "sub": client_id, "jti": URL_SAFE_NO_PAD.encode(jti),
        "iat": now, "nbf": now, "exp": now + LIFE_SECONDS,
    });
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let signature = certificate.sign(signed.as_bytes(), random)?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
