//! Cleans a sender's card. The cleaned card has only the elements and members that are in the tables of the
//! module `elements`. If the cleaned card would be too large, the cleaner leaves out the parts that do not
//! fit.

use serde_json::{Map, Value};

use super::elements::{Family, Kind, OF_CARD, Type, shared, types};
use crate::{MAX_CARD_BYTES, cut, draft, json, link, markdown};

/// The bytes of the card that the cleaner does not use. These bytes are for the type and version of the card,
/// the notes about missing parts, and the last line.
const RESERVED_BYTES: usize = 2_500;
const MAX_LEVELS: usize = 10;
const MAX_CHILDREN: usize = 200;
const MAX_TEXT_BYTES: usize = 6_000;
const MAX_LINE_BYTES: usize = 200;
/// The bytes that the cleaner counts for an object in addition to the members, for example for
/// `{"type":""},`.
const OBJECT_BYTES: usize = 24;

/// Cleans one card, and counts the bytes of the result.
pub(super) struct Cleaner {
    /// The bytes that the card can still use.
    free: usize,
    /// The number of parts that the card leaves out because of a limit: of bytes, of levels, or of children
    /// in one array.
    missing: usize,
    left_out: Vec<String>,
    /// The first texts of the card, for the summary.
    text: String,
}

impl Default for Cleaner {
    fn default() -> Self {
        Self { free: MAX_CARD_BYTES - RESERVED_BYTES, missing: 0, left_out: Vec::new(), text: String::new() }
    }
}

impl Cleaner {
    /// Returns the cleaned members of the card, without its type and version.
    pub(super) fn card(&mut self, card: &Value) -> Map<String, Value> {
        self.card_at(card, 0)
    }

    pub(super) fn missing(&self) -> usize {
        self.missing
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn into_left_out(self) -> Vec<String> {
        self.left_out
    }

    pub(super) fn leave_out(&mut self, what: &str) {
        if self.left_out.len() < 20 && !self.left_out.iter().any(|known| known == what) {
            self.left_out.push(what.to_owned());
        }
    }

    fn card_at(&mut self, card: &Value, level: usize) -> Map<String, Value> {
        let mut members = self.members(card, OF_CARD, level);
        for (member, family) in [("body", Family::Element), ("actions", Family::Action)] {
            // The body comes first, so the actions get only the bytes that the body leaves.
            if let Some(children) = self.children(&card[member], family, level) {
                members.insert(member.to_owned(), children);
            }
        }
        if !card["refresh"].is_null() || !card["authentication"].is_null() {
            self.leave_out("refresh");
        }
        if card["msteams"].get("entities").is_some() {
            self.leave_out("mentions");
        }
        members
    }

    /// Cleans an array of children, and returns the children that the card keeps. `None` if the card keeps no
    /// child.
    fn children(&mut self, value: &Value, family: Family, level: usize) -> Option<Value> {
        let children = value.as_array()?;
        if level >= MAX_LEVELS {
            self.missing += children.len();
            return None;
        }
        let kept: Vec<_> = children
            .iter()
            .take(MAX_CHILDREN)
            .filter_map(|child| self.child(child, family, level + 1))
            .collect();
        self.missing += children.len().saturating_sub(MAX_CHILDREN);
        (!kept.is_empty()).then_some(Value::Array(kept))
    }

    fn child(&mut self, child: &Value, family: Family, level: usize) -> Option<Value> {
        if let (Family::Inline, Some(text)) = (family, child.as_str()) {
            let text = self.value(Kind::Markdown, &Value::String(text.to_owned()), level)?;
            return self.pay(draft::size(&text) + 1).then_some(text);
        }
        if !child.is_object() {
            return None;
        }
        let name = json::text(child, "type").unwrap_or_default();
        let known = types(family);
        let of_name = known.iter().find(|of| of.name == name);
        let alone = known.first().filter(|_| known.len() == 1 && name.is_empty());
        let Some(of) = of_name.or(alone) else {
            return self.unknown(child, name, family, level);
        };
        let before = self.free;
        let counted = self.missing;
        let text_before = self.text.len();
        let cleaned = self.typed(child, of, family, level);
        if cleaned.is_none() {
            // The card leaves out the child, so the bytes that the child has used are free again.
            self.free = before;
            self.text.truncate(text_before);
            if self.missing == counted && !child["url"].is_null() {
                self.leave_out(&format!("{}without a web address", labelled(of.name, child)));
            }
        }
        cleaned
    }

    fn typed(&mut self, child: &Value, of: &Type, family: Family, level: usize) -> Option<Value> {
        if self.free < OBJECT_BYTES + of.name.len() {
            self.missing += 1;
            return None;
        }
        self.free -= OBJECT_BYTES + of.name.len();
        let mut members = self.members(child, shared(family), level);
        members.extend(self.members(child, of.members, level));
        if of.required.iter().any(|member| !members.contains_key(*member)) {
            return None;
        }
        if !matches!(family, Family::Fact | Family::TableColumn) || child.get("type").is_some() {
            members.insert("type".to_owned(), Value::from(of.name));
        }
        Some(Value::Object(members))
    }

    /// Replaces a child whose type is not in the tables. The replacement is the member `fallback` of the
    /// child, after cleaning. `None` if the child has no fallback that the card can keep.
    fn unknown(&mut self, child: &Value, name: &str, family: Family, level: usize) -> Option<Value> {
        let fallback = &child["fallback"];
        if fallback.is_object() && level < MAX_LEVELS {
            return self.child(fallback, family, level + 1);
        }
        self.leave_out(labelled(name, child).trim());
        None
    }

    fn members(&mut self, from: &Value, members: &[(&str, Kind)], level: usize) -> Map<String, Value> {
        let mut kept = Map::new();
        for (name, kind) in members {
            let Some(value) = from.get(*name).filter(|value| !value.is_null()) else { continue };
            let Some(value) = self.value(*kind, value, level) else { continue };
            // The bytes of the children have already been subtracted from `free`.
            let is_paid = matches!(kind, Kind::Children(_) | Kind::Action | Kind::Card);
            let cost = name.len() + 4 + if is_paid { 4 } else { draft::size(&value) };
            if self.pay(cost) {
                kept.insert((*name).to_owned(), value);
            } else if matches!(kind, Kind::Markdown) {
                self.missing += 1;
            }
        }
        kept
    }

    fn pay(&mut self, bytes: usize) -> bool {
        let left = self.free.checked_sub(bytes);
        self.free = left.unwrap_or(self.free);
        left.is_some()
    }

    fn value(&mut self, kind: Kind, value: &Value, level: usize) -> Option<Value> {
        match kind {
            Kind::Markdown => {
                let text = markdown::block(value.as_str()?, MAX_TEXT_BYTES.min(self.free.max(100)));
                if self.text.len() < 200 {
                    self.text.push_str(text.trim());
                    self.text.push(' ');
                }
                Some(Value::String(text))
            }
            Kind::Line => Some(Value::String(markdown::line(value.as_str()?, MAX_LINE_BYTES))),
            Kind::Address => link::web(value.as_str()?).map(Value::String),
            Kind::Bool => value.as_bool().map(Value::Bool),
            Kind::Number => value.as_u64().filter(|number| *number < 10_000).map(Value::from),
            Kind::Word(words) => word(value, words),
            Kind::Pixels(words) => word(value, words).or_else(|| pixels(value)),
            Kind::Width(words) => {
                let number = value.as_u64().filter(|number| *number < 10_000).map(Value::from);
                // Some programs write the number as a text.
                let text = || value.as_str().filter(|text| text.parse::<u16>().is_ok()).map(Value::from);
                number.or_else(|| word(value, words)).or_else(|| pixels(value)).or_else(text)
            }
            Kind::Colour => {
                let text = value.as_str()?;
                let digits = text.strip_prefix('#')?;
                let is_colour =
                    matches!(digits.len(), 6 | 8) && digits.bytes().all(|b| b.is_ascii_hexdigit());
                is_colour.then(|| Value::from(text))
            }
            Kind::Children(family) => self.children(value, family, level),
            Kind::Action if value["type"] == "Action.ShowCard" => None,
            Kind::Action => {
                (level < MAX_LEVELS).then(|| self.child(value, Family::Action, level + 1)).flatten()
            }
            Kind::Background => {
                let address = value.as_str().or_else(|| json::text(value, "url"))?;
                link::web(address).map(Value::String)
            }
            Kind::Targets => {
                let ids = value.as_array()?.iter().take(20).filter_map(|target| {
                    target.as_str().or_else(|| json::text(target, "elementId")).map(|id| cut::line(id, 100))
                });
                let ids: Vec<_> = ids.map(|id| Value::from(markdown::line(&id, 100))).collect();
                (!ids.is_empty()).then_some(Value::Array(ids))
            }
            Kind::Card => {
                if level >= MAX_LEVELS || !self.pay(60) {
                    self.missing += 1;
                    return None;
                }
                let mut members = self.card_at(value, level + 1);
                members.contains_key("body").then(|| {
                    members.insert("type".to_owned(), Value::from("AdaptiveCard"));
                    Value::Object(members)
                })
            }
        }
    }
}

/// If `value` is one of `words`, returns this word in the spelling of `words`. The comparison ignores upper
/// and lower case.
fn word(value: &Value, words: &[&str]) -> Option<Value> {
    let text = value.as_str()?;
    words.iter().find(|word| word.eq_ignore_ascii_case(text)).map(|word| Value::from(*word))
}

fn pixels(value: &Value) -> Option<Value> {
    let number = value.as_str()?.strip_suffix("px")?.parse::<u16>().ok()?;
    Some(Value::from(format!("{number}px")))
}

/// Describes an element that the card leaves out: the element's type and, if it has one, its title, label,
/// alternative text or id.
fn labelled(name: &str, child: &Value) -> String {
    match json::first(child, &["title", "label", "altText", "id"]) {
        Some(label) => format!("{name} \"{}\" ", cut::line(label, 60)),
        None => format!("{} ", cut::line(name, 60)),
    }
}
