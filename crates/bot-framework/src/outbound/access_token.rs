//! An access token with which the bot calls another service, such as the Connector.

use http::HeaderValue;

/// The maximum length of an access token, in bytes. No service issues longer tokens, and servers accept a
/// header of this length.
const MAX_BYTES: usize = 8 * 1024;

/// An access token. The field `header` holds the value of the HTTP header `Authorization`. `Debug` masks the
/// token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccessToken {
    header: HeaderValue,
}

impl AccessToken {
    /// Makes a token from `text`. Returns `None` if the text is empty, is too long, or has a character that
    /// is not allowed in a token. RFC 6750 section 2.1 lists the allowed characters:
    /// `1*( ALPHA / DIGIT / "-._~+/" ) *"="`. The function does not check that `=` occurs only at the end.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if text.is_empty() || text.len() > MAX_BYTES || !text.bytes().all(is_token) {
            return None;
        }
        let mut header = HeaderValue::from_str(&format!("Bearer {text}")).ok()?;
        header.set_sensitive(true);
        Some(Self { header })
    }

    /// The value of `Authorization`.
    pub(crate) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// The bytes of the token. Only code that encrypts the token, or sends it to another service, is allowed
    /// to call this function.
    pub(crate) fn expose(&self) -> &[u8] {
        self.header.as_bytes().strip_prefix(b"Bearer ").unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_token_with_invalid_characters_or_length_is_refused() {
        for (text, is_token) in [
            ("eyJh.eyJi.c-_", true),
            ("opaque+/~==", true),
            ("", false),
            ("a b", false),
            ("a\r\nhost: evil", false),
            ("ä", false),
            (&"x".repeat(MAX_BYTES), true),
            (&"x".repeat(MAX_BYTES + 1), false),
        ] {
            assert_eq!(AccessToken::new(text).is_some(), is_token, "{text}");
        }
    }

    #[test]
    fn access_token_in_debug_output_is_masked() {
        let token = AccessToken::new("hunter2").unwrap();
        assert_eq!(token.header(), "Bearer hunter2");
        assert_eq!(token.expose(), b"hunter2");
        assert!(!format!("{token:?}").contains("hunter2"), "{token:?}");
        let request =
            http::Request::get("http://x/").header("authorization", token.header()).body(()).unwrap();
        assert!(!format!("{request:?}").contains("hunter2"), "{request:?}");
    }
}
