//! The variable `callbacksecret`, and the signature of a callback (an HTTP call to the back end of an alert's
//! sender).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use platform::{Settings, SettingsError};
use sha2::Sha256;

const NAME: &str = "callbacksecret";
const PREFIX: &str = "whsec_";

/// The allowed lengths of a decoded secret, in bytes. Source: Standard Webhooks 1.0.
const ALLOWED_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The secrets that sign callbacks: one secret, or two during a replacement of the secret. Each callback has
/// one signature for each secret.
#[derive(Clone)]
pub struct CallbackSecrets(Vec<Hmac<Sha256>>);

impl CallbackSecrets {
    /// Reads the variable: `whsec_` and the secret in base64, or two such texts separated by a comma. Returns
    /// `None` if the variable is empty.
    pub fn read(settings: &impl Settings) -> Result<Option<Self>, SettingsError> {
        let text = settings.setting(NAME)?;
        let entries: Vec<&str> = text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect();
        if entries.is_empty() {
            return Ok(None);
        }
        let keys: Option<Vec<_>> = entries.iter().map(|entry| key_of(entry)).collect();
        match keys {
            Some(keys) if keys.len() <= 2 => Ok(Some(Self(keys))),
            _ => Err(SettingsError::new(
                NAME,
                "expected `whsec_` and 24 to 64 random bytes in base64, or two such secrets separated by a comma",
            )),
        }
    }

    /// Signs a callback. Returns the value of the header `webhook-signature`.
    pub(crate) fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let sign = |key: &Hmac<Sha256>| {
            let mut mac = key.clone();
            mac.update(format!("{id}.{timestamp}.").as_bytes());
            mac.update(body);
            format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
        };
        self.0.iter().map(sign).collect::<Vec<_>>().join(" ")
    }
}

fn key_of(entry: &str) -> Option<Hmac<Sha256>> {
    let bytes = STANDARD.decode(entry.strip_prefix(PREFIX)?).ok()?;
    if !ALLOWED_BYTES.contains(&bytes.len()) {
        return None;
    }
    Hmac::new_from_slice(&bytes).ok()
}

impl fmt::Debug for CallbackSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallbackSecrets(***)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use platform::testing::FakeHost;

    use super::*;

    fn read(text: &str) -> Result<Option<CallbackSecrets>, SettingsError> {
        CallbackSecrets::read(&FakeHost::with_settings([(NAME, text)]))
    }

    #[test]
    fn signature_equals_the_example_of_standard_webhooks() {
        // The libraries of Standard Webhooks contain this example.
        let secrets = read("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap().unwrap();
        let signature =
            secrets.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn callback_with_two_secrets_has_two_signatures() {
        let [one, two] = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"];
        let sign = |text: &str| read(text).unwrap().unwrap().sign("a", 1, b"{}");
        assert_eq!(sign(&format!("{one}, {two}")), format!("{} {}", sign(one), sign(two)));
    }

    #[test]
    fn error_for_a_malformed_secret_does_not_show_the_secret() {
        assert!(read(" ").unwrap().is_none());
        for text in [
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_hunter2",
            "whsec_AAAA",
            "whsec_!!!!",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ] {
            let error = read(text).expect_err(text);
            assert!(error.name == NAME && !error.to_string().contains("hunter2"), "{error}");
        }
        let secrets = read("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap().unwrap();
        assert_eq!(format!("{secrets:?}"), "CallbackSecrets(***)");
    }
}
