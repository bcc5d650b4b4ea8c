//! Reads the example requests of senders in `tests/golden`, and checks the rules that every alert obeys.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(dead_code, reason = "each test uses a part of this module")]

pub(crate) mod schema;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use alert_shapes::{Incoming, MAX_CARD_BYTES, MAX_KEY_BYTES, Reading, Shape, ShapeError, ShapedAlert, read};
use serde_json::Value;

/// A sender's request from a file `*.http` in `tests/golden`. The file contains headers, an empty line, and
/// the body.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\n\n").expect("an empty line follows the headers");
        let headers = head.lines().map(|line| {
            let (name, value) = line.split_once(": ").expect("a header has the form `Name: value`");
            (name.to_ascii_lowercase(), value.to_owned())
        });
        Self { headers: headers.collect(), body: body.trim_end().as_bytes().to_vec() }
    }

    pub(crate) fn read(&self, named_shape: Option<Shape>) -> Result<Reading, ShapeError> {
        read_request(&self.headers, &self.body, named_shape)
    }
}

pub(crate) fn read_request(
    headers: &BTreeMap<String, String>,
    body: &[u8],
    named_shape: Option<Shape>,
) -> Result<Reading, ShapeError> {
    let header = |name: &str| headers.get(name).map(String::as_str);
    let json = |bytes: &[u8]| serde_json::from_slice(bytes);
    read(&Incoming { content_type: header("content-type"), header: &header, body, json }, named_shape)
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Reads the files `*.http` in `tests/golden`. Returns the name of each file (without `.http`), and the
/// request in the file.
pub(crate) fn goldens() -> Vec<(String, Request)> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut requests: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "http"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, Request::parse(&fs::read_to_string(&path).unwrap()))
        })
        .collect();
    requests.sort_by(|(first, _), (second, _)| first.cmp(second));
    requests
}

/// Checks the rules that every alert obeys: the size and the elements of the card, the summary, the keys, the
/// last line of the card, and all texts and addresses (URLs).
pub(crate) fn check(alert: &ShapedAlert) -> Result<(), String> {
    let bytes = serde_json::to_vec(&alert.card).unwrap().len();
    if bytes > MAX_CARD_BYTES {
        return Err(format!("the card has {bytes} bytes"));
    }
    schema::check(&alert.card)?;
    if alert.summary.trim().is_empty() || alert.summary.contains('\n') || alert.summary.len() > 300 {
        return Err(format!("the summary is not one short line: {:?}", alert.summary));
    }
    for key in [&alert.key, &alert.idempotency_key].into_iter().flatten() {
        if key.is_empty() || key.len() > MAX_KEY_BYTES || key.chars().any(char::is_control) {
            return Err(format!("bad key {key:?}"));
        }
    }
    let last = alert.card["body"].as_array().and_then(|body| body.last()).cloned().unwrap_or_default();
    if !last["text"].as_str().is_some_and(|text| text.starts_with("by webhook · ")) {
        return Err("the last line does not begin with `by webhook · `".to_owned());
    }
    let mut texts = vec![alert.summary.clone()];
    texts.extend(alert.left_out.iter().cloned());
    collect(&alert.card, &mut texts)?;
    texts.iter().try_for_each(|text| harmless(text))
}

fn collect(value: &Value, texts: &mut Vec<String>) -> Result<(), String> {
    match value {
        Value::Object(members) => members.iter().try_for_each(|(name, value)| {
            let is_address = matches!(name.as_str(), "url" | "iconUrl" | "backgroundImage");
            if let Some(address) = value.as_str().filter(|_| is_address) {
                let lower = address.to_ascii_lowercase();
                if !lower.starts_with("https://") && !lower.starts_with("http://") {
                    return Err(format!("address {address:?}"));
                }
            }
            collect(value, texts)
        }),
        Value::Array(elements) => elements.iter().try_for_each(|element| collect(element, texts)),
        Value::String(text) => {
            texts.push(text.clone());
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Checks that a text has no mention of a person (`<at>`), and no link with a dangerous scheme such as
/// `javascript:`. If the check used the crate's own code, a fault in that code would also be in the check.
fn harmless(text: &str) -> Result<(), String> {
    let lower = text.to_lowercase();
    let squeezed: String = lower.chars().filter(|c| !c.is_whitespace()).collect();
    for (at, _) in lower.match_indices('<') {
        let rest = lower[at + 1..].trim_start().trim_start_matches('/').trim_start();
        let ends = |rest: &str| {
            rest.is_empty() || rest.starts_with(|c: char| c.is_whitespace() || ">/<".contains(c))
        };
        if rest.strip_prefix("at").is_some_and(ends) {
            return Err(format!("mention in {text:?}"));
        }
    }
    for scheme in ["javascript:", "data:", "vbscript:", "file:", "msteams:", "tel:", "mailto:"] {
        for before in ["](", "](<", "]:"] {
            if squeezed.contains(&format!("{before}{scheme}")) && lower.contains(before) {
                let position = lower.find(before).unwrap_or_default();
                return Err(format!("link to {scheme} at {position} in {text:?}"));
            }
        }
        if lower.contains(&format!("<{scheme}")) {
            return Err(format!("address {scheme} in {text:?}"));
        }
    }
    Ok(())
}
