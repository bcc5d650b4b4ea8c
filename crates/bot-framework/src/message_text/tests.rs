use serde_json::{Value, json};

use crate::Activity;

fn activity(change: &Value) -> Activity {
    let mut json = json!({
        "type": "message", "channelId": "msteams", "conversation": {"id": "c"}, "recipient": {"id": "b", "name": "R&D Pizza"},
    });
    json.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    Activity::parse(json.to_string().as_bytes()).unwrap()
}

/// Returns the result of `text_to_the_bot` for a message with this text and these entities.
fn text_of(text: &str, entities: &Value) -> String {
    activity(&json!({"text": text, "entities": entities})).text_to_the_bot()
}

#[test]
fn mention_of_the_bot_with_an_incomplete_entity_is_removed() {
    let name = "R&D Pizza";
    for entity in [
        json!({"type": "mention", "mentioned": {"id": "b", "name": name}}),
        json!({"type": "mention", "mentioned": {"id": "b", "name": name}, "text": null}),
        json!({"type": "mention", "mentioned": {"id": "b"}, "text": ""}),
        json!({"type": "mention", "mentioned": {"id": "b"}, "text": "<at>R&amp;D Pizza</at>"}),
        json!({"type": "mention", "mentioned": {"id": "b", "name": "R&amp;D Pizza"}, "text": 7}),
    ] {
        for text in [
            "<at>R&amp;D Pizza</at> stop\n",
            "<at>R&D Pizza</at>&nbsp;stop&nbsp;\n",
            "<at>R&amp;D Pizza</at>&#160;stop",
            "<at id=\"0\">R&amp;D Pizza</at> <at>R&amp;D Pizza</at> stop",
            "<at><b>R&amp;D</b> Pizza</at>\u{200b} stop\u{200b}",
            "\u{feff}stop <at>R&amp;D Pizza</at>",
        ] {
            assert_eq!(text_of(text, &json!([entity])), "stop", "{text} {entity}");
        }
        assert_eq!(text_of("tell <at>R&amp;D Pizza</at> a &amp; b", &json!([entity])), "tell a &amp; b");
    }
    // The bot has no name here. No other person is mentioned, so `<at>Bot</at>` must be the bot.
    let nameless = json!({
        "recipient": {"id": "b"}, "text": "<at>Bot</at> stop", "entities": [{"type": "mention", "mentioned": {"id": "b"}}],
    });
    assert_eq!(activity(&nameless).text_to_the_bot(), "stop");
}

#[test]
fn mention_of_a_person_with_the_name_of_the_bot_stays() {
    let bot = json!({"type": "mention", "mentioned": {"id": "b", "name": "Pizza"}, "text": "<at>Pizza</at>"});
    let other =
        json!({"type": "mention", "mentioned": {"id": "a", "name": "Pizza"}, "text": "<at>Pizza</at>"});
    assert_eq!(text_of("<at>Pizza</at> ask <at>Pizza</at>", &json!([bot, other])), "ask <at>Pizza</at>");
    assert_eq!(text_of("<at>Pizza</at> stop", &json!([other])), "<at>Pizza</at> stop");
}

#[test]
fn typed_text_stays_and_blank_entities_of_teams_become_spaces() {
    for text in
        ["a  b", "a &amp; b", "<b>bold</b>", "\u{200f}\u{5e9}\u{200f}", "/path/to", "a\u{a0}b", "AT&T;"]
    {
        assert_eq!(text_of(text, &json!([])), text);
    }
    assert_eq!(text_of("2&nbsp;x&#160;3", &json!([])), "2 x 3");
    let typed = json!({"channelId": "webchat", "text": "what is &nbsp; for? "});
    assert_eq!(
        activity(&typed).text_to_the_bot(),
        "what is &nbsp; for?",
        "Web Chat does not escape the text"
    );
}

#[test]
fn at_sign_and_bot_name_mention_the_bot_on_channels_other_than_teams() {
    let group = |channel: &str, text: &str| {
        activity(&json!({
            "channelId": channel, "conversation": {"id": "c", "isGroup": true},
            "recipient": {"id": "case_pizza_bot", "name": "pizza"}, "text": text,
        }))
    };
    for (channel, text, is_for_the_bot, expected) in [
        ("telegram", "/stop@case_pizza_bot", true, "/stop"),
        ("telegram", "/subscribe@Case_Pizza_Bot news", true, "/subscribe news"),
        ("telegram", "@case_pizza_bot hello", true, "hello"),
        ("telegram", "/stop@another_bot", false, "/stop@another_bot"),
        ("telegram", "/stop", false, "/stop"),
        ("slack", "@pizza stop", true, "stop"),
        ("slack", "well, @Pizza, stop", true, "well, @Pizza, stop"),
        ("slack", "pizza", false, "pizza"),
        ("slack", "mail@pizza.example", false, "mail@pizza.example"),
        // Teams marks each mention by an entity, so this text does not mention the bot.
        ("msteams", "@pizza stop", false, "@pizza stop"),
    ] {
        let activity = group(channel, text);
        assert_eq!(activity.is_for_the_bot(), is_for_the_bot, "{channel} {text}");
        assert_eq!(activity.text_to_the_bot(), expected, "{channel} {text}");
    }
}

#[test]
fn group_message_is_for_the_bot_only_with_a_mention_or_a_value_or_as_an_email() {
    let mention = json!([{"type": "mention", "mentioned": {"id": "b"}}]);
    let other = json!([{"type": "mention", "mentioned": {"id": "a"}}]);
    let (chat, group) =
        (json!({"id": "c", "conversationType": "groupChat"}), json!({"id": "c", "isGroup": true}));
    for (change, expected) in [
        (json!({}), true),
        (json!({"conversation": {"id": "c", "conversationType": "personal"}}), true),
        (json!({"conversation": chat}), false),
        (json!({"conversation": chat, "entities": other}), false),
        (json!({"conversation": chat, "entities": mention}), true),
        (json!({"conversation": group, "entities": mention}), true),
        (json!({"conversation": group, "value": {"a": 1}}), true),
        (json!({"conversation": group, "value": null}), false),
        (json!({"conversation": group, "channelId": "email"}), true),
    ] {
        assert_eq!(activity(&change).is_for_the_bot(), expected, "{change}");
    }
}

#[test]
fn html_copy_is_used_only_if_the_message_has_no_text() {
    let html = |content: Value| json!([{"contentType": "image/png"}, {"contentType": "Text/HTML; charset=utf-8", "content": content}]);
    for (text, attachments, expected) in [
        (json!(""), html(json!("<div>x &lt; 5&nbsp;&copy;</div>")), "x < 5\u{a0}©"),
        (json!(null), html(json!("<p>a</p><p>b<br>c</p>")), "a\nb\nc"),
        (json!("&nbsp;\n"), html(json!("<p>a</p>")), "a"),
        (json!("own"), html(json!("<p>a</p>")), "own"),
        (json!(""), html(json!({"a": 1})), ""),
        (json!(""), html(json!("<p> </p>")), ""),
        (json!(""), json!("none"), ""),
    ] {
        let activity = activity(&json!({"text": text, "attachments": attachments}));
        assert_eq!(activity.text_to_the_bot(), expected, "{attachments}");
    }
    let mentioned = json!({
        "attachments": html(json!(
            "<div><span itemscope=\"\" itemtype=\"http://schema.skype.com/Mention\" itemid=\"0\">R&amp;D Pizza</span>&nbsp;stop</div>"
        )),
        "entities": [{"type": "mention", "mentioned": {"id": "b"}, "text": "<at>R&amp;D Pizza</at>"}],
    });
    assert_eq!(activity(&mentioned).text_to_the_bot(), "stop");
}

fn parse(json: &str) -> Result<Activity, crate::json::FieldError> {
    Activity::parse(json.as_bytes())
}

#[test]
fn mention_of_another_person_stays_and_is_not_read_as_a_mention_of_the_bot() {
    let mention = |id: &str, words: &str| {
        format!(r#"{{"type":"mention","mentioned":{{"id":"{id}"}},"text":"{words}"}}"#)
    };
    for (text, entities, expected) in [
        ("hello", vec![], "hello"),
        ("  hello \\n", vec![], "hello"),
        ("<at>Bot</at> go", vec![mention("b", "<at>Bot</at>")], "go"),
        ("go <at>Bot</at>", vec![mention("b", "<at>Bot</at>")], "go"),
        ("<at>Ann</at> go", vec![mention("a", "<at>Ann</at>")], "<at>Ann</at> go"),
        (
            "<at>Bot</at> tell <at>Ann</at>",
            vec![mention("a", "<at>Ann</at>"), mention("b", "<at>Bot</at>")],
            "tell <at>Ann</at>",
        ),
        (
            "<at>Bot</at> <at>Bot</at> x",
            vec![mention("b", "<at>Bot</at>"), mention("b", "<at>Bot</at>")],
            "x",
        ),
        ("go", vec![mention("b", "")], "go"),
    ] {
        let json = format!(
            r#"{{"type":"message","conversation":{{"id":"c"}},"recipient":{{"id":"b"}},"text":"{text}","entities":[{}]}}"#,
            entities.join(",")
        );
        let activity = parse(&json).unwrap();
        assert_eq!(activity.text_to_the_bot(), expected, "{json}");
        assert_eq!(activity.mentions_the_bot(), json.contains(r#""mentioned":{"id":"b"}"#), "{json}");
    }
}

#[test]
fn mention_after_the_eighth_is_not_read() {
    let mention = r#"{"type":"mention","mentioned":{"id":"b"},"text":"x"}"#;
    for (mentions, expected) in [(8, "xx"), (9, "xx"), (10_000, "xx")] {
        // Entities of other types do not count towards the limit of eight mentions.
        let entities = [r#"{"type":"clientInfo"},"#.repeat(20), vec![mention; mentions].join(",")].concat();
        let json = format!(
            r#"{{"type":"message","conversation":{{"id":"c"}},"recipient":{{"id":"b"}},"text":"{}","entities":[{entities}]}}"#,
            "x".repeat(10)
        );
        assert_eq!(parse(&json).unwrap().text_to_the_bot(), expected, "{mentions}");
    }
}
