//! `GET /ops`: the operator's page. The page is one HTML document without a framework, made of the files in
//! this folder.
//!
//! The page itself holds no data, so the bot serves the page without asking for an API key. The script of the
//! page calls the routes of `docs/openapi.yaml` with the API key that a person types. If the operator has
//! configured no API key, the page and these routes return 404.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use platform::{Host, response};

use crate::alerts;
use crate::rejection::Rejection;
use crate::request::expect_own_host;

/// Joins files of this folder into one text.
macro_rules! joined {
    ($($part:literal),+ $(,)?) => { concat!($(include_str!($part)),+) };
}

macro_rules! style {
    () => {
        joined!("page.css")
    };
}

/// The files of the script. Each file can use the functions and constants of the files before it.
macro_rules! script {
    () => {
        joined!("words.js", "calls.js", "status.js", "alerts.js", "dead.js", "start.js")
    };
}

const PAGE: &str = concat!(
    include_str!("head.html"),
    "<style>",
    style!(),
    "</style>\n",
    include_str!("body.html"),
    "<script>",
    script!(),
    "</script>\n",
    include_str!("end.html"),
);

/// The content security policy. The policy permits only the style and the script of the page, calls to this
/// bot, and images in `data:` URLs (the icon of the page has such a URL). The policy also forbids the script
/// to turn a text into markup (`require-trusted-types-for`). The policy names the style and the script by
/// their hashes. A test compares these hashes with the files.
const POLICY: &str = "default-src 'none'; \
    script-src 'sha256-KjD3mpRGktSV2miQJaKU6gx0dSaVvQizU1M8Rniph0Y='; \
    style-src 'sha256-io5HZLGtamryOMnjfVoNA5qrTwFdEN5LOvc5wc55KMQ='; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

const HEADERS: [(HeaderName, &str); 7] = [
    (CONTENT_TYPE, "text/html; charset=utf-8"),
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Returns the page.
pub(crate) fn get<B>(host: &impl Host, request: &Request<B>) -> Result<Response<Bytes>, Rejection> {
    if !alerts::are_open(host)? {
        return Err(Rejection::NoSuchRoute);
    }
    let page = match *request.method() {
        Method::GET => PAGE,
        Method::HEAD => "",
        _ => return Err(Rejection::MethodNotAllowed { allow: "GET, HEAD" }),
    };
    expect_own_host(host, request.headers())?;
    let mut response = response::empty(StatusCode::OK);
    *response.body_mut() = Bytes::from_static(page.as_bytes());
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use platform::testing::{FakeHost, run};
    use sha2::{Digest, Sha256};

    use super::*;

    const KEY: (&str, &str) = ("alertkey", "an-alert-key-for-tests");

    /// Returns the router's response to a request for the page.
    fn response_to(host: &FakeHost, method: &str, authority: &str) -> Response<Bytes> {
        let request = Request::builder().method(method).uri("/ops").header("host", authority);
        run(crate::handle(host, request.body(Bytes::new()).unwrap())).response
    }

    #[test]
    fn policy_permits_only_the_style_and_the_script_of_the_page() {
        let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
        for (directive, text) in [("script-src", script!()), ("style-src", style!())] {
            let expected = format!("{directive} {}; ", hash(text));
            assert!(POLICY.contains(&expected), "POLICY must contain `{expected}`; correct the hash");
        }
        // The browser hashes the text between the tag and the end tag of each element. If a file contained an
        // end tag or an HTML comment, the element could end at another place. The browser would then hash
        // another text.
        for (tag, text) in [("script", script!()), ("style", style!())] {
            let element = format!("<{tag}>{text}</{tag}>");
            assert_eq!(PAGE.matches(&element).count(), 1, "{tag}");
            assert_eq!(PAGE.matches(&format!("<{tag}")).count(), 1, "{tag}");
            assert!(!text.contains("</") && !text.contains("<!--"), "{tag}");
        }
    }

    #[test]
    fn page_has_no_inline_handler_no_url_of_another_site_and_no_way_to_store_the_api_key() {
        for refused in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Function(",
            " onclick=",
            " onerror=",
            " onload=",
            " style=",
            "javascript:",
            "http://",
            "https://",
            "localStorage",
            "sessionStorage",
            "indexedDB",
            "document.cookie",
            "console.",
        ] {
            assert!(!PAGE.contains(refused), "{refused}");
        }
        assert!(PAGE.len() < 48 * 1024, "the page has {} bytes", PAGE.len());
    }

    #[test]
    fn get_returns_the_page_and_head_returns_only_the_headers() {
        let host = FakeHost::with_settings([KEY, ("authmode", "required")]);
        for (method, length) in [("GET", PAGE.len()), ("HEAD", 0)] {
            let answer = response_to(&host, method, "bot.example");
            assert_eq!((answer.status(), answer.body().len()), (StatusCode::OK, length), "{method}");
            for (name, value) in HEADERS {
                assert_eq!(answer.headers()[&name], value, "{method}");
            }
        }
        assert!(host.sent.borrow().is_empty() && host.reads.borrow().is_empty());
    }

    #[test]
    fn page_is_refused_without_a_configured_api_key_or_with_a_wrong_method_or_host_header() {
        for (setting, method, authority, expected) in [
            (("alertkey", ""), "GET", "localhost", StatusCode::NOT_FOUND),
            (("alertkey", ""), "POST", "localhost", StatusCode::NOT_FOUND),
            (("alertkeys", "entra:roles"), "GET", "localhost", StatusCode::OK),
            (KEY, "POST", "localhost", StatusCode::METHOD_NOT_ALLOWED),
            (KEY, "GET", "localhost", StatusCode::OK),
            (KEY, "GET", "evil.example", StatusCode::FORBIDDEN),
            (("alertkey", "short"), "GET", "localhost", StatusCode::INTERNAL_SERVER_ERROR),
        ] {
            let host = FakeHost::with_settings([setting, ("authmode", "anonymous")]);
            let answer = response_to(&host, method, authority);
            assert_eq!(answer.status(), expected, "{setting:?} {method} {authority}");
        }
    }
}
