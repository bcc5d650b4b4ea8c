//! Checks the signatures of senders. Every comparison takes constant time.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// GitHub's signature (HMAC-SHA256) of a request's body.
pub mod github {
    /// The header with the signature.
    pub const HEADER: &str = "x-hub-signature-256";

    /// Whether `header_value`, the value of `X-Hub-Signature-256`, is the signature of the body with this
    /// secret.
    pub fn signature_is_valid(secret: &[u8], body: &[u8], header_value: &str) -> bool {
        let claimed = header_value.trim().strip_prefix("sha256=");
        claimed.is_some_and(|claimed| super::is_mac(secret, &[body], claimed))
    }
}

/// Grafana's signature (HMAC-SHA256) of a request's body, or of a timestamp and the body.
pub mod grafana {
    /// The default name of the header with the signature. Grafana can be configured with another name.
    pub const HEADER: &str = "x-grafana-alerting-signature";

    /// Whether `header_value` is the signature of the body with this secret. `header_value` is the value of
    /// the header [`HEADER`], or of another header if Grafana is configured to use another name.
    ///
    /// `timestamp` is the value of the header with the time in seconds since 1970. It is `None` if Grafana is
    /// not configured to send this header. With a timestamp, the signature covers the timestamp and the body.
    /// The caller must compare the timestamp with the clock, because this function accepts an old timestamp.
    pub fn signature_is_valid(
        secret: &[u8],
        body: &[u8],
        timestamp: Option<&str>,
        header_value: &str,
    ) -> bool {
        match timestamp {
            Some(seconds) => super::is_mac(secret, &[seconds.as_bytes(), b":", body], header_value.trim()),
            None => super::is_mac(secret, &[body], header_value.trim()),
        }
    }
}

fn is_mac(secret: &[u8], parts: &[&[u8]], claimed: &str) -> bool {
    let Some(claimed) = bytes_of(claimed) else { return false };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return false };
    for part in parts {
        mac.update(part);
    }
    mac.verify_slice(&claimed).is_ok()
}

/// Reads 32 bytes from 64 hexadecimal digits. `None` for any other text.
fn bytes_of(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let mut bytes = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{github, grafana};

    const SECRET: &[u8] = b"It's a Secret to Everybody";
    const MAC: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    #[test]
    fn github_signature_of_the_documented_example_is_valid() {
        assert!(github::signature_is_valid(SECRET, b"Hello, World!", &format!("sha256={MAC}")));
        assert!(github::signature_is_valid(
            SECRET,
            b"Hello, World!",
            &format!("sha256={}", MAC.to_uppercase())
        ));
    }

    #[test]
    fn github_signature_is_invalid_if_the_signature_the_body_or_the_secret_was_changed() {
        let changed = MAC.replacen('7', "8", 1);
        let (short, long) = (&MAC[..62], format!("{MAC}00"));
        for claimed in [MAC, "sha256=", "", "sha1=00"] {
            assert!(!github::signature_is_valid(SECRET, b"Hello, World!", claimed), "{claimed}");
        }
        for claimed in [changed.as_str(), short, &long, &"é".repeat(32)] {
            let claimed = format!("sha256={claimed}");
            assert!(!github::signature_is_valid(SECRET, b"Hello, World!", &claimed), "{claimed}");
        }
        assert!(!github::signature_is_valid(b"", b"Hello, World!", &format!("sha256={MAC}")));
        assert!(!github::signature_is_valid(SECRET, b"Hello, World?", &format!("sha256={MAC}")));
    }

    #[test]
    fn grafana_signature_covers_the_timestamp() {
        assert!(grafana::signature_is_valid(SECRET, b"Hello, World!", None, MAC));
        // Computed with Python: hmac.new(b"It's a Secret to Everybody", b"1764450000:Hello, World!", sha256).
        let timed = "4fb1a95da187f374ea44ef59cd544c22b1d7e9e9950338f8cb3b69f5fc72f16b";
        assert!(grafana::signature_is_valid(SECRET, b"Hello, World!", Some("1764450000"), timed));
        assert!(!grafana::signature_is_valid(SECRET, b"Hello, World!", Some("1764450001"), timed));
        assert!(!grafana::signature_is_valid(SECRET, b"Hello, World!", None, timed));
    }
}
