//! Checks the addresses that a card can open or load. Only web addresses (`https:` and `http:`) are allowed.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// The longest address, in bytes.
const MAX_BYTES: usize = 1_500;

/// The characters that are encoded, because an address must not contain them.
const UNSAFE: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

const IN_MARKDOWN: &AsciiSet = &UNSAFE.add(b'(').add(b')').add(b'[').add(b']');

/// Encodes a text for one part of a query or path.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Returns the address, encoded, if it is a web address: `https:` or `http:`, with a host, and without a user
/// name. An address with `\` is refused. Browsers read `\` as `/`, so a browser could open another host than
/// this function has checked.
pub(crate) fn web(address: &str) -> Option<String> {
    let address = address.trim();
    let rest = rest_of_web(address)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_host = |host: &str| {
        let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        host.chars().any(char::is_alphanumeric) && host.chars().all(allowed)
    };
    if address.len() > MAX_BYTES
        || !is_host(authority)
        || address.chars().any(|c| c.is_control() || c == '\\')
    {
        return None;
    }
    let encoded = utf8_percent_encode(address, UNSAFE).to_string();
    (encoded.len() <= MAX_BYTES).then_some(encoded)
}

/// Returns a web address in the form that Markdown allows between parentheses.
pub(crate) fn in_markdown(address: &str) -> Option<String> {
    let address = web(address)?;
    let encoded = utf8_percent_encode(&address, IN_MARKDOWN).to_string();
    // The encoding also changes the brackets of a host such as `[::1]`. `web` refuses the changed host, so
    // Markdown cannot link to a host that is an IPv6 address.
    (encoded.len() <= MAX_BYTES && web(&encoded).is_some()).then_some(encoded)
}

/// Makes a link in Markdown. If the address is no web address, the result is the title alone.
pub(crate) fn markdown(title: &str, address: &str) -> String {
    let title = title.replace(['[', ']', '\n'], " ");
    match in_markdown(address) {
        Some(address) => format!("[{title}]({address})"),
        None => title,
    }
}

/// Whether a text begins like a web address.
pub(crate) fn is_web(text: &str) -> bool {
    rest_of_web(text).is_some()
}

fn rest_of_web(text: &str) -> Option<&str> {
    ["https://", "http://"].iter().find_map(|scheme| {
        let begins = text.get(..scheme.len())?.eq_ignore_ascii_case(scheme);
        begins.then(|| &text[scheme.len()..])
    })
}
