//! Drafts of alerts. A *reader* is the module for one shape (a sender's format, such as Slack's). The reader
//! makes a draft from a payload (the body of the sender's request), and [`Draft::finish`] makes the alert and
//! its card from the draft. `Draft::finish` cleans and cuts every text of the draft, so a reader can pass a
//! sender's text to the draft unchanged.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{MAX_CARD_BYTES, MAX_KEY_BYTES, Shape, ShapeError, ShapedAlert, State, cut, link, markdown};

/// The bytes of a card that the title, the buttons and the parts cannot use. These bytes are for the JSON
/// around the parts, the notes about missing parts, and the last lines of the card ([`frame`]).
const FRAME_BYTES: usize = 2_400;
/// The maximum size of all buttons together, in bytes.
const LINKS_BYTES: usize = 5_000;
/// The maximum number of buttons, because Teams shows only six buttons.
const MAX_LINKS: usize = 6;
/// The maximum number of [`Part::Item`] on a card.
const MAX_ITEMS: usize = 10;
const MAX_PARTS: usize = 60;
const MAX_FACTS: usize = 20;
const MAX_TITLE_BYTES: usize = 300;
const MAX_SUMMARY_BYTES: usize = 240;
const MAX_TEXT_BYTES: usize = 8_000;
const MAX_LEFT_OUT: usize = 20;

/// The background colour of the title.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    #[default]
    Neutral,
    Accent,
    Good,
    Warning,
    Attention,
}

impl Tone {
    fn style(self) -> &'static str {
        match self {
            Self::Neutral => "emphasis",
            Self::Accent => "accent",
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Attention => "attention",
        }
    }
}

/// A part of the card's body.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    /// Markdown.
    Text(String),
    /// Markdown in small print.
    Subtle(String),
    /// A line in bold, such as the title of a section.
    Heading(String),
    /// Rows, each with a name and a value.
    Facts(Vec<(String, String)>),
    Image {
        address: String,
        alternative: String,
    },
    /// One alert of a group. A group is the alerts that Alertmanager or Grafana posts together.
    Item {
        text: String,
        details: String,
    },
}

/// The draft of an alert. A reader makes the draft, and [`Draft::finish`] makes the alert and its card from
/// the draft.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    shape: Shape,
    pub(crate) title: String,
    /// The text of the alert's notification, for example on a phone. If `None`, [`Draft::finish`] takes the
    /// title or a text of the card.
    pub(crate) summary: Option<String>,
    pub(crate) tone: Tone,
    parts: Vec<Part>,
    links: Vec<(String, String)>,
    /// The number of alerts that belong to the group, but that the sender did not post. [`Draft::finish`]
    /// adds the number of posted alerts that the card does not show.
    pub(crate) more_items: u64,
    /// The alert key. A later alert with the same alert key changes the chat message of this alert.
    pub(crate) key: Option<String>,
    pub(crate) state: State,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) importance_high: bool,
    left_out: Vec<String>,
}

impl Draft {
    pub(crate) fn new(shape: Shape, title: impl Into<String>) -> Self {
        Self {
            shape,
            title: title.into(),
            summary: None,
            tone: Tone::Neutral,
            parts: Vec::new(),
            links: Vec::new(),
            more_items: 0,
            key: None,
            state: State::None,
            idempotency_key: None,
            importance_high: false,
            left_out: Vec::new(),
        }
    }

    pub(crate) fn text(&mut self, text: impl Into<String>) {
        self.parts.push(Part::Text(text.into()));
    }

    pub(crate) fn push(&mut self, part: Part) {
        self.parts.push(part);
    }

    pub(crate) fn facts(&mut self, facts: Vec<(String, String)>) {
        if !facts.is_empty() {
            self.parts.push(Part::Facts(facts));
        }
    }

    pub(crate) fn image(&mut self, address: &str, alternative: &str) {
        let (address, alternative) = (address.to_owned(), alternative.to_owned());
        self.parts.push(Part::Image { address, alternative });
    }

    /// Adds a button. The method adds nothing if the address is blank, or if another button has the same
    /// address. If the draft already has [`MAX_PARTS`] buttons, the draft does not take the button, and the
    /// card shows the button's name as left out. Of the buttons in the draft, the card shows at most
    /// [`MAX_LINKS`].
    pub(crate) fn link(&mut self, title: impl Into<String>, address: &str) {
        let is_new = self.links.iter().all(|(_, known)| known != address);
        if !is_new || address.trim().is_empty() {
            return;
        }
        match self.links.len() < MAX_PARTS {
            true => self.links.push((title.into(), address.to_owned())),
            false => self.leave_out(format!("button \"{}\"", title.into())),
        }
    }

    /// Records the name of something that the card leaves out, such as `button "Retry"`. A draft records at
    /// most [`MAX_LEFT_OUT`] names.
    pub(crate) fn leave_out(&mut self, what: impl Into<String>) {
        if self.left_out.len() < MAX_LEFT_OUT {
            self.left_out.push(what.into());
        }
    }

    /// Returns the first `most` elements of a list. Records how many further elements the card leaves out,
    /// such as `3 more images`; `what` is the noun in the plural.
    pub(crate) fn first_of<'l, T>(&mut self, list: &'l [T], most: usize, what: &str) -> &'l [T] {
        let (first, others) = list.split_at(list.len().min(most));
        if !others.is_empty() {
            self.leave_out(format!("{} more {what}", others.len()));
        }
        first
    }

    /// Makes the alert and its card.
    pub(crate) fn finish(mut self) -> Result<ShapedAlert, ShapeError> {
        let title = markdown::line(&self.title, MAX_TITLE_BYTES);
        let summary = self.summary_line(&title).ok_or(ShapeError::Empty { shape: self.shape })?;
        let actions = self.actions();
        let mut body = Vec::new();
        if !title.is_empty() {
            body.push(title_block(&title, self.tone));
        }
        let mut used = 2 + body.iter().chain(&actions).map(|value| size(value) + 1).sum::<usize>();
        let mut items = 0;
        let mut more_parts = 0_u64;
        let mut is_full = false;
        let mut parts = std::mem::take(&mut self.parts);
        let beyond = parts.split_off(parts.len().min(MAX_PARTS));
        for part in &parts {
            let is_item = matches!(part, Part::Item { .. });
            let free = (MAX_CARD_BYTES - FRAME_BYTES).saturating_sub(used);
            let block = match is_full || (is_item && items >= MAX_ITEMS) {
                true => None,
                false => part.block(free, &mut self.left_out),
            };
            match block {
                Some(Value::Null) => {}
                Some(block) => {
                    used += size(&block) + 1;
                    items += usize::from(is_item);
                    body.push(block);
                }
                None => {
                    is_full |= !is_item || items < MAX_ITEMS;
                    *(if is_item { &mut self.more_items } else { &mut more_parts }) += 1;
                }
            }
        }
        for part in &beyond {
            *(if matches!(part, Part::Item { .. }) { &mut self.more_items } else { &mut more_parts }) += 1;
        }
        let notes = [(self.more_items, "alert"), (more_parts, "part")];
        body.extend(notes.iter().filter(|(n, _)| *n > 0).map(|(n, what)| subtle(&more(*n, what))));
        let left_out = cleaned_names(std::mem::take(&mut self.left_out));
        body.extend(frame(self.shape, &left_out));
        let mut card = json!({"type": "AdaptiveCard", "version": "1.5", "body": body});
        if !actions.is_empty() {
            card["actions"] = Value::Array(actions);
        }
        let key = self.key.take().map(|key| bounded_key(&key));
        let idempotency_key = self.idempotency_key.take().map(|key| bounded_key(&key));
        let (state, importance_high) = (self.state, self.importance_high);
        Ok(ShapedAlert { summary, card, key, state, idempotency_key, importance_high, left_out })
    }

    /// The text of the notification: the summary, the title or a text of a part. The method takes the first
    /// text that is not blank.
    fn summary_line(&self, title: &str) -> Option<String> {
        let own = self.summary.iter().map(String::as_str);
        let texts = self.parts.iter().take(MAX_PARTS).filter_map(|part| match part {
            Part::Text(text) | Part::Heading(text) | Part::Subtle(text) => Some(text.as_str()),
            Part::Item { text, .. } => Some(text.as_str()),
            Part::Facts(facts) => facts.first().map(|(_, value)| value.as_str()),
            Part::Image { alternative, .. } => Some(alternative.as_str()),
        });
        let lines = own.chain([title]).chain(texts).map(|text| markdown::plain_line(text, MAX_SUMMARY_BYTES));
        lines.into_iter().find(|line| line.chars().any(|c| !c.is_whitespace()))
    }

    /// Makes the buttons. The card leaves out a button whose address is no web address (`https:` or `http:`).
    /// The card also leaves out the buttons that exceed [`MAX_LINKS`] or [`LINKS_BYTES`].
    fn actions(&mut self) -> Vec<Value> {
        let mut actions = Vec::new();
        let mut used = 0;
        for (title, address) in std::mem::take(&mut self.links) {
            let title = markdown::plain_line(&title, 60);
            let title = if title.is_empty() { "Open".to_owned() } else { title };
            match link::web(&address) {
                Some(url)
                    if actions.len() < MAX_LINKS
                        && used + url.len() + 2 * title.len() + 60 <= LINKS_BYTES =>
                {
                    let action = json!({"type": "Action.OpenUrl", "title": title, "url": url});
                    used += size(&action);
                    actions.push(action);
                }
                _ => self.leave_out(format!("link \"{title}\"")),
            }
        }
        actions
    }
}

impl Part {
    /// Makes the element of the card that shows this part. `None` if the element does not fit into `free`
    /// bytes. `Value::Null` if the part has nothing to show.
    fn block(&self, free: usize, left_out: &mut Vec<String>) -> Option<Value> {
        let block = match self {
            Self::Text(text) => return text_block(text, free, &json!({"type": "TextBlock", "wrap": true})),
            Self::Subtle(text) => {
                let style = json!({"type": "TextBlock", "wrap": true, "isSubtle": true, "size": "Small"});
                return text_block(text, free.min(1_500), &style);
            }
            Self::Heading(text) => {
                let style = json!({"type": "TextBlock", "wrap": true, "weight": "Bolder"});
                return text_block(text, free.min(800), &style);
            }
            Self::Facts(facts) => fact_set(facts),
            Self::Image { address, alternative } => match link::web(address) {
                Some(url) => {
                    let alternative = markdown::plain_line(alternative, 100);
                    json!({"type": "Image", "url": url, "altText": alternative})
                }
                None => {
                    if left_out.len() < MAX_LEFT_OUT {
                        left_out.push("image without an address".to_owned());
                    }
                    Value::Null
                }
            },
            Self::Item { text, details } => {
                let text = markdown::block(text, 700);
                let details = markdown::block(details, 900);
                let mut items = vec![json!({"type": "TextBlock", "text": text, "wrap": true})];
                if !details.is_empty() {
                    items.push(subtle(&details));
                }
                json!({"type": "Container", "separator": true, "spacing": "Small", "items": items})
            }
        };
        (size(&block) < free).then_some(block)
    }
}

/// Makes a text block with the beginning of a text: at most [`MAX_TEXT_BYTES`], and less if `free` is small.
/// `None` if the block does not fit into `free` bytes. `Value::Null` if the cleaned text is empty.
fn text_block(text: &str, free: usize, style: &Value) -> Option<Value> {
    // The loop tries two lengths of the text. JSON usually needs about one byte for each byte of the text, so
    // the first length usually fits. The second length is for the worst case: JSON needs six bytes for each
    // byte (`\u0000`).
    for most in [MAX_TEXT_BYTES.min(free.saturating_sub(150)), free.saturating_sub(150) / 6] {
        let cleaned = markdown::block(text, most.max(100));
        if cleaned.is_empty() {
            return Some(Value::Null);
        }
        let mut block = style.clone();
        block["text"] = Value::String(cleaned);
        if size(&block) < free {
            return Some(block);
        }
    }
    None
}

fn fact_set(facts: &[(String, String)]) -> Value {
    let shown = facts.iter().take(MAX_FACTS).filter_map(|(title, value)| {
        let (title, value) = (markdown::line(title, 100), markdown::line(value, 400));
        (!value.is_empty()).then(|| json!({"title": title, "value": value}))
    });
    let mut shown: Vec<_> = shown.collect();
    if let more @ 1.. = facts.len().saturating_sub(MAX_FACTS) {
        shown.push(json!({"title": "…", "value": format!("and {more} more")}));
    }
    match shown.is_empty() {
        true => Value::Null,
        false => json!({"type": "FactSet", "facts": shown}),
    }
}

fn title_block(title: &str, tone: Tone) -> Value {
    let text = json!({"type": "TextBlock", "text": title, "weight": "Bolder", "size": "Medium", "wrap": true,
                      "style": "heading"});
    json!({"type": "Container", "style": tone.style(), "bleed": true, "items": [text]})
}

fn subtle(text: &str) -> Value {
    json!({"type": "TextBlock", "text": text, "wrap": true, "isSubtle": true, "size": "Small", "spacing": "Small"})
}

/// The last lines of a card: the names of the things that the card leaves out, and the shape of the payload.
pub(crate) fn frame(shape: Shape, left_out: &[String]) -> Vec<Value> {
    let mut lines = Vec::new();
    if !left_out.is_empty() {
        lines.push(subtle(&cut::line(&format!("Left out: {}", left_out.join(", ")), 700)));
    }
    lines.push(subtle(&format!("by webhook · {}", shape.title())));
    lines
}

/// A note about parts that the card does not show, such as `… and 12 more alerts`.
pub(crate) fn more(count: u64, what: &str) -> String {
    format!("… and {count} more {what}{}", if count == 1 { "" } else { "s" })
}

/// Cleans the names of the things that a card leaves out. The result has no empty name, no repeated name, and
/// at most [`MAX_LEFT_OUT`] names.
pub(crate) fn cleaned_names(names: Vec<String>) -> Vec<String> {
    let mut cleaned: Vec<String> = Vec::new();
    for name in names.iter().map(|name| markdown::plain_line(name, 100)) {
        if !name.is_empty() && !cleaned.contains(&name) {
            cleaned.push(name);
        }
    }
    cleaned.truncate(MAX_LEFT_OUT);
    cleaned
}

/// Returns `key` if `key` is valid as an alert key or idempotency key. A valid key is not empty, has at most
/// [`MAX_KEY_BYTES`], and has no control characters. If `key` is not valid, the function replaces control
/// characters by blanks, cuts the text, and appends a hash of `key`.
pub(crate) fn bounded_key(key: &str) -> String {
    let is_fit = key.len() <= MAX_KEY_BYTES && !key.is_empty() && !key.chars().any(char::is_control);
    if is_fit {
        return key.to_owned();
    }
    let hash: String =
        Sha256::digest(key.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let readable = key.replace(char::is_control, " ");
    format!("{}#{hash}", &readable[..readable.floor_char_boundary(MAX_KEY_BYTES - 40)])
}

/// The length of a value as JSON, in bytes.
pub(crate) fn size(value: &Value) -> usize {
    value.to_string().len()
}
