//! Shared Key (<https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What of a request is signed.
pub(crate) struct ToSign<'a> {
    pub(crate) method: &'a str,
    pub(crate) account: &'a str,
    /// The URL's path as it is sent, encoded.
    pub(crate) path: &'a str,
    /// Query parameters, *decoded*.
    pub(crate) query: &'a [(&'a str, String)],
    pub(crate) body_bytes: usize,
    pub(crate) content_type: &'a str,
    /// Every `x-ms-` header, sorted by name.
    pub(crate) ms_headers: &'a [(&'a str, String)],
}

impl ToSign<'_> {
    /// The string to sign.
    pub(crate) fn text(&self) -> String {
        // Since 2015-02-21 a length of zero is written as nothing.
        let length = if self.body_bytes == 0 { String::new() } else { self.body_bytes.to_string() };
        // The eleven blanks: Content-Encoding, -Language, -MD5, Date (x-ms-date stands for it), If-*, Range.
        let mut text = format!("{}\n\n\n{length}\n\n{}\n\n\n\n\n\n\n", self.method, self.content_type);
        for (name, value) in self.ms_headers {
            text.push_str(&format!("{name}:{value}\n"));
        }
        // The path already begins with the account in the emulator's URLs, so there it stands twice, as documented.
        text.push_str(&format!("/{}{}", self.account, self.path));
        let mut query: Vec<_> = self.query.iter().collect();
        query.sort_unstable_by_key(|(name, _)| *name);
        for (name, value) in query {
            text.push_str(&format!("\n{name}:{value}"));
        }
        text
    }
}

/// The value of the `authorization` header.
pub(crate) fn shared_key(account: &str, key: &[u8], text: &str) -> String {
    format!("SharedKey {account}:{}", sign(key, text))
}

fn sign(key: &[u8], text: &str) -> String {
    #[allow(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length will do");
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMULATOR_KEY: &str =
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
    const XD: &str = "x-ms-date:Mon, 23 Nov 2026 22:00:00 GMT\nx-ms-version:2021-12-02\n";

    /// Shared Key Lite, which the client never sends: signed here from the documented string, so that the signer itself
    /// is checked against all ten vectors.
    #[test]
    fn vectors_v4_and_v5() {
        let key = STANDARD.decode(EMULATOR_KEY).unwrap();
        let queue = "/devstoreaccount1/devstoreaccount1/test-vectors";
        for (name, text, signature) in [
            (
                "V4",
                format!("GET\n\n\n\n{XD}{queue}?comp=metadata"),
                "p5Z1gvh/DcEE9VsaZA+c29w+qvM7vnofv8EhxTkpPMY=",
            ),
            (
                "V5",
                format!("POST\n\napplication/xml\n\n{XD}{queue}/messages"),
                "l8EUnFwGQxQYUoiFL8QiEritgKN5CinrOUNI4MbRLI0=",
            ),
        ] {
            assert_eq!(sign(&key, &text), signature, "{name}");
        }
    }

    /// Delete Queue, which the client has no call for.
    #[test]
    fn vector_v8() {
        let to_sign = ToSign {
            method: "DELETE",
            account: "devstoreaccount1",
            path: "/devstoreaccount1/test-vectors",
            query: &[],
            body_bytes: 0,
            content_type: "",
            ms_headers: &[
                ("x-ms-date", "Mon, 23 Nov 2026 22:00:00 GMT".to_owned()),
                ("x-ms-version", "2021-12-02".to_owned()),
            ],
        };
        let key = STANDARD.decode(EMULATOR_KEY).unwrap();
        assert_eq!(sign(&key, &to_sign.text()), "5T6She7HpYy5WM34cZVbsOuZ0zKxCEMD937qjWZd0fI=");
    }

    #[test]
    fn the_string_to_sign_is_the_documented_one() {
        let headers = [
            ("x-ms-date", "Mon, 23 Nov 2026 22:00:00 GMT".to_owned()),
            ("x-ms-version", "2021-12-02".to_owned()),
        ];
        let to_sign = ToSign {
            method: "POST",
            account: "contoso",
            path: "/bot-outbox/messages",
            query: &[("visibilitytimeout", "0".into()), ("messagettl", "-1".into())],
            body_bytes: 64,
            content_type: "application/xml",
            ms_headers: &headers,
        };
        let expected = format!(
            "POST\n\n\n64\n\napplication/xml\n\n\n\n\n\n\n{XD}/contoso/bot-outbox/messages\nmessagettl:-1\nvisibilitytimeout:0"
        );
        assert_eq!(to_sign.text(), expected);
        let key: Vec<u8> = (0..64).collect();
        assert_eq!(sign(&key, &to_sign.text()), "waghMJKyl5UePz/BzFXkGkBEonY3vcJAcf6jI9fuIdU=");
    }
}
