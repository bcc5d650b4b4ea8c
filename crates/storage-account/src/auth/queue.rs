//! Builds the [string to sign](super) of the queue service.

use super::to_sign::ToSign;
use crate::service::API_VERSION;

pub(super) fn string_to_sign(request: &ToSign<'_>) -> String {
    // From API version 2015-02-21 on, the line for Content-Length is empty if the body is empty.
    let length = if request.body_bytes == 0 { String::new() } else { request.body_bytes.to_string() };
    // The lines for nine headers are empty: Content-Encoding, Content-Language, Content-MD5, Date (x-ms-date
    // replaces Date), the four If-* headers, and Range.
    let mut text =
        [request.method, "\n\n\n", &length, "\n\n", request.content_type, "\n\n\n\n\n\n\n"].concat();
    text.extend(["x-ms-date:", request.date, "\nx-ms-version:", API_VERSION, "\n"]);
    // The documentation requires the account's name before the path of the URL. For an emulator, the path
    // itself begins with the account's name. So the string for an emulator contains the name twice.
    text.extend(["/", request.account, request.path]);
    let mut query: Vec<_> = request.query.iter().collect();
    query.sort_unstable_by_key(|(name, _)| *name);
    for (name, value) in query {
        text.extend(["\n", name, ":", value]);
    }
    text
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::super::{DATE, EMULATOR_KEY, sign};
    use super::*;

    const X_MS_HEADERS: &str = "x-ms-date:Mon, 23 Nov 2026 22:00:00 GMT\nx-ms-version:2021-12-02\n";

    /// The test vectors V4 and V5 are for Shared Key Lite, a kind of authorization that the client does not
    /// use. `string_to_sign` cannot build their strings, so this test contains the strings. The next test
    /// checks V8, and the tests of `storage_queue` check the seven other vectors for queues.
    #[test]
    fn signatures_of_vectors_v4_and_v5_equal_the_known_signatures() {
        let key = STANDARD.decode(EMULATOR_KEY).unwrap();
        let queue = "/devstoreaccount1/devstoreaccount1/test-vectors";
        for (name, text, signature) in [
            (
                "V4",
                format!("GET\n\n\n\n{X_MS_HEADERS}{queue}?comp=metadata"),
                "p5Z1gvh/DcEE9VsaZA+c29w+qvM7vnofv8EhxTkpPMY=",
            ),
            (
                "V5",
                format!("POST\n\napplication/xml\n\n{X_MS_HEADERS}{queue}/messages"),
                "l8EUnFwGQxQYUoiFL8QiEritgKN5CinrOUNI4MbRLI0=",
            ),
        ] {
            assert_eq!(sign(&key, &text), signature, "{name}");
        }
    }

    /// The test vector V8 is a Delete Queue. `storage_queue` has no method for this operation, so the test
    /// calls `string_to_sign`.
    #[test]
    fn signature_of_vector_v8_equals_the_known_signature() {
        let to_sign = ToSign {
            method: "DELETE",
            account: "devstoreaccount1",
            path: "/devstoreaccount1/test-vectors",
            query: &[],
            body_bytes: 0,
            content_type: "",
            date: DATE,
        };
        let key = STANDARD.decode(EMULATOR_KEY).unwrap();
        assert_eq!(sign(&key, &string_to_sign(&to_sign)), "5T6She7HpYy5WM34cZVbsOuZ0zKxCEMD937qjWZd0fI=");
    }

    #[test]
    fn string_to_sign_of_put_message_has_the_documented_form() {
        let to_sign = ToSign {
            method: "POST",
            account: "contoso",
            path: "/bot-outbox/messages",
            query: &[("visibilitytimeout", "0".into()), ("messagettl", "-1".into())],
            body_bytes: 64,
            content_type: "application/xml",
            date: DATE,
        };
        let expected = format!(
            "POST\n\n\n64\n\napplication/xml\n\n\n\n\n\n\n{X_MS_HEADERS}/contoso/bot-outbox/messages\nmessagettl:-1\nvisibilitytimeout:0"
        );
        let text = string_to_sign(&to_sign);
        assert_eq!(text, expected);
        let key: Vec<u8> = (0..64).collect();
        assert_eq!(sign(&key, &text), "waghMJKyl5UePz/BzFXkGkBEonY3vcJAcf6jI9fuIdU=");
    }
}
