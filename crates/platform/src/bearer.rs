//! The value of an `Authorization` header with the scheme `Bearer` (RFC 6750).

/// Returns the credential of `Bearer <credential>`. The scheme can be in upper or lower case (RFC 9110
/// section 11.1). The first space ends the scheme. Any further space is a part of the credential.
pub fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, credential) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(credential)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credential_is_the_text_after_bearer_in_any_case_and_one_space() {
        for (value, expected) in [
            ("Bearer x", Some("x")),
            ("bearer x", Some("x")),
            ("BEARER x", Some("x")),
            ("Bearer ", Some("")),
            ("Bearer  x", Some(" x")),
            ("Bearer", None),
            ("Bearer\tx", None),
            ("Bearerx y", None),
            (" Bearer x", None),
            ("Basic x", None),
            ("", None),
        ] {
            assert_eq!(bearer(value), expected, "{value:?}");
        }
    }
}
