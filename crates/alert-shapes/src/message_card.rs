//! Reads MessageCards, the format of Teams' former incoming webhooks.

use serde_json::Value;

use crate::draft::{Draft, Part, Tone};
use crate::incoming::Content;
use crate::{Shape, ShapeError, html, json};

const MAX_SECTIONS: usize = 20;
const MAX_IMAGES: usize = 5;
const MAX_ACTIONS: usize = 20;

pub(crate) fn read(content: &Content) -> Result<Draft, ShapeError> {
    let value = content.json();
    if !value.is_object() {
        return Err(ShapeError::Missing { shape: Shape::MessageCard, member: "text" });
    }
    let summary = json::text(value, "summary");
    let title = json::text(value, "title").map(html::to_markdown);
    let has_text = json::text(value, "text").is_some();
    // If the MessageCard has no title, no text and no sections, the summary becomes the title.
    let of_summary = summary.filter(|_| !has_text && json::list(value, "sections").is_empty());
    let title = title.or_else(|| of_summary.map(str::to_owned)).unwrap_or_default();
    let mut draft = Draft::new(Shape::MessageCard, title.clone());
    draft.tone = json::text(value, "themeColor").map_or(Tone::Neutral, tone_of_colour);
    draft.summary = summary.map(html::to_markdown).or_else(|| Some(title).filter(|title| !title.is_empty()));
    if let Some(text) = json::text(value, "text") {
        draft.text(html::to_markdown(text));
    }
    let sections = json::list(value, "sections");
    for part in draft.first_of(sections, MAX_SECTIONS, "sections") {
        section(&mut draft, part);
    }
    actions(&mut draft, json::list(value, "potentialAction"));
    Ok(draft)
}

fn section(draft: &mut Draft, section: &Value) {
    let text = |member: &str| json::text(section, member).map(html::to_markdown);
    for heading in [text("title"), text("activityTitle")].into_iter().flatten() {
        draft.push(Part::Heading(heading));
    }
    if let Some(subtitle) = text("activitySubtitle") {
        draft.push(Part::Subtle(subtitle));
    }
    for text in [text("activityText"), text("text")].into_iter().flatten() {
        draft.text(text);
    }
    let facts = json::list(section, "facts").iter().filter_map(|fact| {
        let name = json::shown(fact, "name").map(|name| html::to_markdown(&name)).unwrap_or_default();
        Some((name, html::to_markdown(&json::shown(fact, "value")?)))
    });
    draft.facts(facts.collect());
    let hero = json::text(&section["heroImage"], "image").map(|address| (address, "Image"));
    let images = json::list(section, "images").iter().filter_map(|image| {
        let address = json::text(image, "image").or_else(|| image.as_str())?;
        Some((address, json::text(image, "title").unwrap_or("Image")))
    });
    let images: Vec<_> = hero.into_iter().chain(images).collect();
    for (address, alternative) in draft.first_of(&images, MAX_IMAGES, "images") {
        draft.image(address, alternative);
    }
    actions(draft, json::list(section, "potentialAction"));
}

/// Keeps the buttons that only open a web page. Buttons of other types, such as `HttpPOST` and `ActionCard`,
/// would send data to an address that the sender chose. The alert's card leaves these buttons out, and
/// lists their names. The alert's card also leaves out all buttons after the first [`MAX_ACTIONS`].
fn actions(draft: &mut Draft, actions: &[Value]) {
    for action in draft.first_of(actions, MAX_ACTIONS, "buttons") {
        let name = json::text(action, "name").unwrap_or("Open");
        let kind = json::text(action, "@type").unwrap_or_default();
        let targets = json::list(action, "targets");
        let target = targets.iter().find(|target| target["os"] == "default").or(targets.first());
        let address = target.and_then(|target| json::text(target, "uri"));
        // In the first version of MessageCards, the action that opens an address is called `ViewAction`, and
        // the address is in `target`.
        let first = action["target"].as_str().or_else(|| action["target"][0].as_str());
        match kind {
            "OpenUri" | "ViewAction" | "" => match address.or(first) {
                Some(address) => draft.link(name, address),
                None => draft.leave_out(format!("button \"{name}\"")),
            },
            kind => draft.leave_out(format!("button \"{name}\" ({kind})")),
        }
    }
}

/// Returns the tone (the background colour of the title) that is nearest to a colour of the sender. The
/// sender's colour is hexadecimal (`rrggbb` or `rgb`, with or without `#`), or a name such as `red` or
/// `warning`.
pub(crate) fn tone_of_colour(colour: &str) -> Tone {
    let digits = colour.trim().trim_start_matches('#');
    let full = match digits.len() {
        3 => digits.chars().flat_map(|digit| [digit, digit]).collect(),
        _ => digits.to_owned(),
    };
    let number = (full.len() == 6).then(|| u32::from_str_radix(&full, 16).ok()).flatten();
    let Some(number) = number else {
        return match digits.to_ascii_lowercase().as_str() {
            "good" | "green" => Tone::Good,
            "warning" | "yellow" | "orange" => Tone::Warning,
            "danger" | "attention" | "red" => Tone::Attention,
            "accent" | "blue" => Tone::Accent,
            _ => Tone::Neutral,
        };
    };
    let [_, red, green, blue] = number.to_be_bytes().map(i32::from);
    let strongest = red.max(green).max(blue);
    if strongest - red.min(green).min(blue) < 40 {
        return Tone::Neutral;
    }
    match () {
        () if strongest == blue => Tone::Accent,
        () if strongest == green && green - red > 24 => Tone::Good,
        () if green * 100 > red * 45 => Tone::Warning,
        () => Tone::Attention,
    }
}

#[cfg(test)]
mod tests {
    use super::tone_of_colour;
    use crate::draft::Tone;

    #[test]
    fn colours_of_senders_become_the_nearest_tone() {
        for (colour, tone) in [
            ("FF0000", Tone::Attention),
            ("#d9534f", Tone::Attention),
            ("CC4A31", Tone::Attention),
            ("00ff00", Tone::Good),
            ("2DC72D", Tone::Good),
            ("#36a64f", Tone::Good),
            ("0f0", Tone::Good),
            ("FFCC00", Tone::Warning),
            ("ffa500", Tone::Warning),
            ("0076D7", Tone::Accent),
            ("808080", Tone::Neutral),
            ("good", Tone::Good),
            ("", Tone::Neutral),
            ("#é00000", Tone::Neutral),
        ] {
            assert_eq!(tone_of_colour(colour), tone, "{colour}");
        }
    }
}
