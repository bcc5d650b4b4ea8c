//! Encodes ids that other services assign (such as conversation ids) as segments of a URL's path.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

/// The characters that need encoding: all except the unreserved characters of RFC 3986. For example, a Teams
/// conversation id can have `:`, `@`, `;`, `=` and `/`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Whether an id can be a segment of a path. The result is false for an id of only dots, because such a
/// segment can lead to a parent path, even in encoded form. The result is also false for an empty id, because
/// an empty segment can lead to another route of the server.
pub(crate) fn is_segment(id: &str) -> bool {
    id.bytes().any(|byte| byte != b'.')
}

/// Encodes an id as a segment of a path. Returns `None` if [`is_segment`] refuses the id.
pub(crate) fn segment(id: &str) -> Option<PercentEncode<'_>> {
    is_segment(id).then(|| utf8_percent_encode(id, ENCODED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_becomes_one_segment_or_is_refused() {
        for (id, expected) in [
            ("a:1", Some("a%3A1")),
            ("19:x@thread.tacv2;messageid=1/2", Some("19%3Ax%40thread.tacv2%3Bmessageid%3D1%2F2")),
            ("a-b.c_d~e", Some("a-b.c_d~e")),
            (".a", Some(".a")),
            ("..a", Some("..a")),
            ("../a", Some("..%2Fa")),
            ("%2e%2e", Some("%252e%252e")),
            ("", None),
            (".", None),
            ("..", None),
            ("...", None),
        ] {
            assert_eq!(segment(id).map(|segment| segment.to_string()).as_deref(), expected, "{id}");
        }
    }
}
