//! Parses a request to the fake service.

use bytes::Bytes;
use http::Request;
use percent_encoding::percent_decode_str;

use crate::key::is_forbidden;

/// A request, split into its parts, with its texts decoded.
#[derive(Debug)]
pub(super) struct ParsedRequest {
    pub(super) method: String,
    pub(super) target: Target,
    pub(super) query: Vec<(String, String)>,
    pub(super) if_match: Option<String>,
    pub(super) content_type: String,
    pub(super) body: Bytes,
}

#[derive(Debug)]
pub(super) enum Target {
    Tables,
    Batch,
    TableForInsert(String),
    TableForQuery(String),
    Entity(String, (String, String)),
}

impl ParsedRequest {
    /// Reads a request. `None` if the request is for another service.
    pub(super) fn read(request: &Request<Bytes>) -> Option<Self> {
        let uri = request.uri();
        let host_style = uri.host().is_some_and(|host| host.contains(".table."));
        let path = match uri.path().strip_prefix("/devstoreaccount1/") {
            Some(path) if uri.port_u16() == Some(10002) => path,
            _ if host_style => uri.path().strip_prefix('/')?,
            _ => return None,
        };
        let query: Vec<_> = uri.query().unwrap_or_default().split('&').filter_map(pair).collect();
        let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let described = format!("{} {uri}", request.method());
        let signed = header("authorization").is_some() || query.iter().any(|(name, _)| name == "sig");
        assert!(signed, "{described}: the authorization is missing");
        assert_eq!(header("x-ms-version").as_deref(), Some("2021-12-02"), "{described}: x-ms-version");
        check_accept(header("accept").as_deref(), &described);
        let parsed = Self {
            method: request.method().to_string(),
            target: target(path),
            query,
            if_match: header("if-match"),
            content_type: header("content-type").unwrap_or_default(),
            body: request.body().clone(),
        };
        parsed.check(&described);
        Some(parsed)
    }

    /// Reads one request inside a transaction.
    pub(super) fn read_part(part: &str) -> Self {
        let (head, body) = part.split_once("\r\n\r\n").expect("a blank line follows the headers");
        let mut lines = head.split("\r\n");
        let request_line: Vec<&str> = lines.next().unwrap().split(' ').collect();
        let [method, url, "HTTP/1.1"] = request_line[..] else {
            panic!("expected a request line of HTTP/1.1, found {request_line:?}")
        };
        let uri: http::Uri = url.parse().unwrap();
        assert!(uri.host().is_some(), "a URL inside a transaction must be absolute: {url}");
        let headers: Vec<_> =
            lines.map(|line| line.split_once(": ").expect("a header has a colon")).collect();
        let header = |name: &str| {
            headers
                .iter()
                .find(|(found, _)| found.eq_ignore_ascii_case(name))
                .map(|(_, value)| (*value).to_owned())
        };
        check_accept(header("accept").as_deref(), url);
        let path = uri.path().trim_start_matches('/');
        let parsed = Self {
            method: method.to_owned(),
            target: target(path.strip_prefix("devstoreaccount1/").unwrap_or(path)),
            query: Vec::new(),
            if_match: header("if-match"),
            content_type: header("content-type").unwrap_or_default(),
            body: Bytes::copy_from_slice(body.trim_end().as_bytes()),
        };
        parsed.check(url);
        parsed
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn check(&self, described: &str) {
        if let Target::Entity(_, (partition, row)) = &self.target {
            check_key(partition);
            check_key(row);
        }
        if self.method == "DELETE" {
            assert!(self.if_match.is_some(), "{described}: If-Match is missing on DELETE");
        }
        if !self.body.is_empty() && !matches!(self.target, Target::Batch) {
            assert_eq!(self.content_type, "application/json", "{described}: Content-Type");
        }
    }
}

pub(super) fn check_key(text: &str) {
    assert!(!text.chars().any(is_forbidden), "the key holds a forbidden character: {text:?}; use escape()");
    assert!(text.encode_utf16().count() <= 512, "the key is too long: {text:?}");
}

fn check_accept(accept: Option<&str>, described: &str) {
    assert_eq!(accept, Some("application/json;odata=nometadata"), "{described}: Accept");
}

fn pair(text: &str) -> Option<(String, String)> {
    text.split_once('=').map(|(name, value)| (decoded(name), decoded(value)))
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().unwrap().into_owned()
}

fn target(path: &str) -> Target {
    match path {
        "Tables" => return Target::Tables,
        "$batch" => return Target::Batch,
        _ => {}
    }
    let Some((table, rest)) = path.split_once('(') else { return Target::TableForInsert(path.to_owned()) };
    let inside = rest.strip_suffix(')').unwrap_or_else(|| panic!("the path has no closing bracket: {path}"));
    if inside.is_empty() {
        return Target::TableForQuery(table.to_owned());
    }
    let keys = inside.strip_prefix("PartitionKey='").and_then(|keys| keys.strip_suffix('\''));
    let keys = keys.unwrap_or_else(|| panic!("expected the keys of an entity, found {path}"));
    // The client encodes a quote inside a key. So a plain quote in the path begins or ends a key.
    let (partition, row) =
        keys.split_once("',RowKey='").unwrap_or_else(|| panic!("the path has no RowKey: {path}"));
    Target::Entity(
        table.to_owned(),
        (with_single_quotes(&decoded(partition)), with_single_quotes(&decoded(row))),
    )
}

pub(super) fn with_single_quotes(text: &str) -> String {
    assert!(!text.replace("''", "").contains('\''), "a quote is not doubled: {text}");
    text.replace("''", "'")
}
