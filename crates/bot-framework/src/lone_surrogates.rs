//! Replaces lone surrogates in JSON. UTF-16 writes some characters as a pair of *surrogates*, such as
//! `\ud83c\udf55`. A surrogate is lone if the other half of the pair is missing. JavaScript and .NET can cut
//! a string inside such a pair, and write the lone half as an escape. A string of Rust cannot contain a lone
//! surrogate, so the JSON parser refuses the escape.

/// The escape for the replacement character U+FFFD. This escape is as long as the escape of a surrogate, so
/// the code can overwrite the surrogate in place.
const REPLACEMENT: &[u8; 6] = b"\\ufffd";

/// Replaces each lone surrogate with the replacement character. Returns `None` if the JSON has no lone
/// surrogate.
pub(crate) fn replaced(json: &[u8]) -> Option<Vec<u8>> {
    let mut copy_of_json: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(found) = json[at..].iter().position(|byte| *byte == b'\\') {
        at += found;
        at += match code_unit(&json[at..]) {
            // This escape is not `\uXXXX`, but e.g. `\\` or `\n`. The character after `\` belongs to this
            // escape, and begins no new escape.
            None => 2.min(json.len() - at),
            Some(0xD800..=0xDBFF) if matches!(code_unit(&json[at + 6..]), Some(0xDC00..=0xDFFF)) => 12,
            Some(0xD800..=0xDFFF) => {
                let copy = copy_of_json.get_or_insert_with(|| json.to_vec());
                copy[at..at + 6].copy_from_slice(REPLACEMENT);
                6
            }
            Some(_) => 6,
        };
    }
    copy_of_json
}

/// Returns the UTF-16 code unit of the escape `\uXXXX` at the beginning of `json`. Returns `None` if `json`
/// does not begin with such an escape.
fn code_unit(json: &[u8]) -> Option<u16> {
    let digits = json.strip_prefix(b"\\u")?.get(..4)?;
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_surrogates_are_replaced_and_pairs_are_kept() {
        for (json, expected) in [
            (r#""a""#, None),
            (r#""\ud83c\udf55 \n \\""#, None),
            (r#""\uD83C\uDF55 \u00fc""#, None),
            (r#""a \ud83c""#, Some(r#""a \ufffd""#)),
            (r#""\uDF55 a""#, Some(r#""\ufffd a""#)),
            (r#""\ud83c\ud83c\udf55""#, Some(r#""\ufffd\ud83c\udf55""#)),
            (r#""\ud83c\n\udf55""#, Some(r#""\ufffd\n\ufffd""#)),
            (r#"{"\ud83c":"\\ud83c"}"#, Some(r#"{"\ufffd":"\\ud83c"}"#)),
            (r#""\\\ud83c""#, Some(r#""\\\ufffd""#)),
            (r#""\u+123 \u12"#, None),
            (r#""\ud83c\u"#, Some(r#""\ufffd\u"#)),
            ("\"\\", None),
            ("\\u00ü", None),
        ] {
            let replaced = replaced(json.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(replaced.as_deref(), expected, "{json}");
        }
    }
}
