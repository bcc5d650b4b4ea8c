//! Checks the addresses of a card's buttons, links and images. Only web addresses (`https:` and `http:`) are
//! allowed.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// The longest address, in bytes.
const MAX_BYTES: usize = 1_500;

/// The characters that [`web`] percent-encodes, because an address must not contain them.
const UNSAFE: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

const IN_MARKDOWN: &AsciiSet = &UNSAFE.add(b'(').add(b')').add(b'[').add(b']');

/// Percent-encodes a text, for example for the value of a parameter in a query.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Returns the percent-encoded address if the address is a web address. A web address begins with `https://`
/// or `http://`, has a host and no user name, and has at most [`MAX_BYTES`]. The result is `None` for an
/// address with `\`. Browsers read `\` as `/`, so a browser could open another host than this function has
/// checked.
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
    // The encoding also changes the brackets of a host such as `[::1]`, and `web` refuses the changed host.
    // So the result is `None` for a host that is an IPv6 address.
    (encoded.len() <= MAX_BYTES && web(&encoded).is_some()).then_some(encoded)
}

/// Makes a link in Markdown. If [`in_markdown`] returns `None`, the result is the title alone.
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
