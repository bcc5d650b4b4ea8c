//! Checks a card against [`TYPES`], a list of the elements and members that a card of this crate can have.
//! The list comes from the documentation of Adaptive Cards 1.5, without inputs, media, and actions that send
//! data. A member that is not in `TYPES` is an error, as in the published schema.

use serde_json::Value;

/// The types of elements, and of the other objects in a card, such as actions and facts. A line has the form
/// `type: member=kind member=kind`. The kind (such as `bool`) decides which values the member can have. `!`
/// marks a required member. `+element` and `+action` add the members that [`shared`] returns.
const TYPES: &str = "
AdaptiveCard: version=text! body=elements actions=actions selectAction=action fallbackText=text \
  backgroundImage=text minHeight=text rtl=bool speak=text lang=text verticalContentAlignment=end
TextBlock: text=text! color=colour fontType=font horizontalAlignment=side isSubtle=bool maxLines=number \
  size=size weight=weight wrap=bool style=heading +element
Image: url=text! altText=text backgroundColor=text horizontalAlignment=side size=imagesize style=imagestyle \
  width=text height=text selectAction=action id=text isVisible=bool separator=bool spacing=spacing
RichTextBlock: inlines=inlines! horizontalAlignment=side +element
FactSet: facts=facts! +element
Container: items=elements! style=style verticalContentAlignment=end bleed=bool minHeight=text \
  backgroundImage=text selectAction=action +element
ColumnSet: columns=columns style=style bleed=bool minHeight=text horizontalAlignment=side selectAction=action +element
Column: items=elements width=width style=style verticalContentAlignment=end bleed=bool minHeight=text \
  backgroundImage=text selectAction=action id=text isVisible=bool separator=bool spacing=spacing
ImageSet: images=images! imageSize=imagesize +element
ActionSet: actions=actions! +element
Table: columns=tablecolumns rows=tablerows firstRowAsHeader=bool showGridLines=bool gridStyle=style \
  horizontalCellContentAlignment=side verticalCellContentAlignment=end +element
TableColumnDefinition: width=width horizontalCellContentAlignment=side verticalCellContentAlignment=end
TableRow: cells=tablecells style=style horizontalCellContentAlignment=side verticalCellContentAlignment=end
TableCell: items=elements! style=style verticalContentAlignment=end bleed=bool minHeight=text \
  backgroundImage=text selectAction=action
Fact: title=text! value=text!
TextRun: text=text! color=colour fontType=font highlight=bool isSubtle=bool italic=bool size=size \
  strikethrough=bool underline=bool weight=weight selectAction=action
Action.OpenUrl: url=text! +action
Action.ToggleVisibility: targetElements=texts! +action
Action.ShowCard: card=card +action
";

/// Returns the members that `+element` or `+action` adds to a type.
fn shared(name: &str) -> &'static str {
    match name {
        "+element" => "height=height id=text isVisible=bool separator=bool spacing=spacing",
        _ => "title=text iconUrl=text id=text style=actionstyle tooltip=text isEnabled=bool mode=mode",
    }
}

/// Checks a card.
pub(crate) fn check(card: &Value) -> Result<(), String> {
    let mut card = card.clone();
    let members = card.as_object_mut().ok_or("the card is no object")?;
    // Only Teams reads the member `msteams`. Like the published schema, `TYPES` does not contain this member.
    // So the function checks the member here, and removes the member from the card.
    if let Some(teams) = members.remove("msteams")
        && teams != serde_json::json!({"width": "Full"})
    {
        return Err(format!("msteams: {teams}"));
    }
    let version = members.get("version").and_then(Value::as_str).unwrap_or_default();
    if !["1.0", "1.1", "1.2", "1.3", "1.4", "1.5"].contains(&version) {
        return Err(format!("version {version:?}"));
    }
    object(&card, &["AdaptiveCard"], true, 0)
}

fn object(value: &Value, names: &[&str], needs_type: bool, level: usize) -> Result<(), String> {
    if level > 40 {
        return Err("more than 40 levels".to_owned());
    }
    let members = value.as_object().ok_or_else(|| format!("{names:?}: no object"))?;
    let name = match members.get("type").and_then(Value::as_str) {
        Some(name) => name,
        None if needs_type => return Err(format!("{names:?}: no type")),
        None => names[0],
    };
    if !names.contains(&name) {
        return Err(format!("{name} in place of {names:?}"));
    }
    let joined = TYPES.replace("\\\n", "");
    let line = joined.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    let words = line.ok_or_else(|| format!("no type {name}"))?.split_whitespace();
    let words: Vec<_> = words
        .flat_map(|word| match word.starts_with('+') {
            true => shared(word).split_whitespace().collect(),
            false => vec![word],
        })
        .filter_map(|word| word.split_once('='))
        .collect();
    for (member, value) in members.iter().filter(|(member, _)| *member != "type") {
        let kind =
            words.iter().find(|(known, _)| known == member).map(|(_, kind)| kind.trim_end_matches('!'));
        let kind = kind.ok_or_else(|| format!("{name}.{member}: unknown"))?;
        is(kind, value, level).map_err(|problem| format!("{name}.{member}: {problem}"))?;
    }
    let is_embedded = name == "AdaptiveCard" && level > 0;
    let missing = words
        .iter()
        .find(|(member, kind)| kind.ends_with('!') && !members.contains_key(*member) && !is_embedded);
    missing.map_or(Ok(()), |(member, _)| Err(format!("{name}.{member}: missing")))
}

fn is(kind: &str, value: &Value, level: usize) -> Result<(), String> {
    const ELEMENTS: &[&str] = &[
        "TextBlock",
        "Image",
        "RichTextBlock",
        "FactSet",
        "Container",
        "ColumnSet",
        "ImageSet",
        "ActionSet",
        "Table",
    ];
    const ACTIONS: &[&str] = &["Action.OpenUrl", "Action.ToggleVisibility", "Action.ShowCard"];
    let all = |names: &[&str], needs_type| {
        let children = value.as_array().ok_or("no array")?;
        children.iter().try_for_each(|child| object(child, names, needs_type, level + 1))
    };
    let words = match kind {
        "text" if value.is_string() => return Ok(()),
        "bool" if value.is_boolean() => return Ok(()),
        "number" if value.is_number() => return Ok(()),
        "width" if value.is_string() || value.is_number() => return Ok(()),
        "texts" if value.as_array().is_some_and(|texts| texts.iter().all(Value::is_string)) => return Ok(()),
        "elements" => return all(ELEMENTS, true),
        "actions" => return all(ACTIONS, true),
        "action" => return object(value, &ACTIONS[..2], true, level + 1),
        "card" => return object(value, &["AdaptiveCard"], true, level + 1),
        "columns" => return all(&["Column"], false),
        "images" => return all(&["Image"], true),
        "facts" => return all(&["Fact"], false),
        "tablecolumns" => return all(&["TableColumnDefinition"], false),
        "tablerows" => return all(&["TableRow"], false),
        "tablecells" => return all(&["TableCell"], false),
        "inlines" => {
            let inlines = value.as_array().ok_or("no array")?;
            let mut runs = inlines.iter().filter(|inline| !inline.is_string());
            return runs.try_for_each(|run| object(run, &["TextRun"], true, level + 1));
        }
        "colour" => "default dark light accent good warning attention",
        "style" => "default emphasis good attention warning accent",
        "size" => "default small medium large extraLarge",
        "weight" => "default lighter bolder",
        "font" => "default monospace",
        "side" => "left center right",
        "end" => "top center bottom",
        "heading" => "default heading",
        "height" => "auto stretch",
        "spacing" => "default none small medium large extraLarge padding",
        "imagesize" => "auto stretch small medium large",
        "imagestyle" => "default person",
        "actionstyle" => "default positive destructive",
        "mode" => "primary secondary",
        other => return Err(format!("{value} is no {other}")),
    };
    let text = value.as_str().unwrap_or_default();
    let is_word = words.split(' ').any(|word| word.eq_ignore_ascii_case(text));
    if is_word { Ok(()) } else { Err(format!("{value} is none of {words}")) }
}
