//! Activities in the forms in which real channels (such as Teams and Telegram) send them. Examples are
//! mentions in several forms, messages in a group, text that is only in HTML, repeated or empty updates, and
//! a *lone surrogate* (one half of a UTF-16 pair). Another example is a *tag* (a name to which people
//! subscribe) in several Unicode forms.

use end_to_end::activity::{at_service, fixture, message};
use end_to_end::alerts::{self, ALERT_KEY, call, queued, targets};
use end_to_end::connector::Received;
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use end_to_end::web;
use serde_json::{Value, json};

end_to_end::cases!(
    command_with_any_form_of_mention_is_understood,
    queued_text_loses_the_mention_and_keeps_the_rest,
    commands_of_telegram_are_understood,
    group_message_without_a_mention_is_neither_queued_nor_obeyed_nor_stored,
    message_without_text_is_read_from_the_html,
    repeated_conversation_update_gets_one_greeting_and_queues_nothing,
    upgrade_of_the_app_keeps_the_conversation,
    press_without_text_is_not_queued_and_press_with_text_is_handled_like_a_message,
    replies_in_the_delivery_mode_expect_replies_are_in_the_response,
    lone_surrogate_is_shown_as_the_replacement_character,
    tag_in_any_unicode_composition_is_the_same,
);

fn texts(received: &[Received]) -> Vec<&str> {
    received.iter().map(Received::text).collect()
}

fn field(name: &str) -> Value {
    fixture(&format!("field/{name}.json"))
}

/// Sends the activity, and returns the text of the bot's reply.
#[track_caller]
fn reply_to(stage: &Stage, activity: &Value) -> String {
    let before = stage.connector.received().len();
    stage.say(activity);
    stage.connector.wait_for(before + 1).remove(before).text().to_owned()
}

/// Sends a message, and expects that the bot ignores the message: no reply, and no message on the queue.
#[track_caller]
fn expect_ignored(stage: &Stage, activity: &Value) {
    let (waiting, ignored) = (stage.queue.count(), stage.events("message.ignored").len());
    let received = stage.connector.received().len();
    stage.say(activity);
    stage.wait_for_events("message.ignored", ignored + 1);
    assert_eq!((stage.queue.count(), stage.connector.received().len()), (waiting, received), "{activity}");
}

const NOT_STOPPED: &str = "Not done: one person cannot stop the alerts of a group.";

fn command_with_any_form_of_mention_is_understood(world: &World) {
    let stage = alerts::stage(world);
    for name in ["02-mention-without-text", "02b-mention-text-null", "06-nbsp-after-mention"] {
        let text = reply_to(&stage, &field(name));
        assert!(text.starts_with(NOT_STOPPED), "{name}: {text}");
    }
    let mention = |text: &str, entities: Value, id: usize| {
        let mut activity = field("06-nbsp-after-mention");
        activity["id"] = format!("mention-{id}").into();
        (activity["text"], activity["entities"]) = (text.into(), entities);
        activity
    };
    let bot = json!({"type": "mention", "mentioned": {"id": "28:00000000-0000-0000-0000-000000000001", "name": "R&D Pizza"}});
    let with_text =
        json!({"type": "mention", "mentioned": bot["mentioned"], "text": "<at>R&amp;D Pizza</at>"});
    for (id, text) in [
        "<at id=\"0\">R&amp;D Pizza</at> <at>R&amp;D Pizza</at> subscribe news",
        "<at>R&amp;D Pizza</at>&#160;subscribe&nbsp;news\u{200b}",
        "<at><b>R&amp;D</b> Pizza</at>\u{a0}subscribe \u{200b}news\r\n",
        "subscribe <at>R&amp;D Pizza</at> news",
        "\u{feff}subscribe news <at>R&D Pizza</at>",
    ]
    .iter()
    .enumerate()
    {
        for (index, entities) in
            [json!([bot]), json!([with_text]), json!([with_text, with_text])].iter().enumerate()
        {
            let answered = reply_to(&stage, &mention(text, entities.clone(), 3 * id + index));
            assert!(answered.starts_with("Subscribed: alerts about news"), "{text} {entities}: {answered}");
        }
        stage.connector.forget();
    }
    assert_eq!(stage.queue.count(), 0);
    for text in ["stop\u{200b}", "\u{200e}STOP\u{200f}", "/stop"] {
        let answered = reply_to(&stage, &message(&format!("a:{text}"), "1", text));
        assert!(answered.starts_with("Stopped: "), "{text:?}: {answered}");
    }
}

fn queued_text_loses_the_mention_and_keeps_the_rest(world: &World) {
    let stage = alerts::stage(world);
    let mut activity = field("06-nbsp-after-mention");
    for (index, (text, expected)) in [
        ("<at>R&amp;D Pizza</at>&nbsp;two &amp; three &lt;\n", "two &amp; three &lt;"),
        ("tell <at>R&amp;D Pizza</at> and <at>Ann</at>", "tell and <at>Ann</at>"),
        ("<at>R&amp;D Pizza</at> a&nbsp;b  c", "a b  c"),
    ]
    .iter()
    .enumerate()
    {
        (activity["id"], activity["text"]) = (format!("clean-{index}").into(), (*text).into());
        assert_eq!(reply_to(&stage, &activity), format!("Queued: {expected}"));
    }
    assert_eq!(
        reply_to(&stage, &message("a:1", "1", "\u{200f}\u{5e9}\u{5dc} <b>\u{a0}x ")),
        "Queued: \u{200f}\u{5e9}\u{5dc} <b>\u{a0}x"
    );
    let texts: Vec<Value> =
        stage.queue.envelopes().into_iter().map(|mut envelope| envelope["text"].take()).collect();
    assert!(texts.contains(&json!("two &amp; three &lt;")) && texts.len() == 4, "{texts:?}");
}

fn commands_of_telegram_are_understood(world: &World) {
    let stage = alerts::stage(world);
    let mut private = field("17b-telegram-command");
    assert!(reply_to(&stage, &private).starts_with("Stopped: "));
    private["id"] = "18".into();
    private["text"] = "/start@case_pizza_bot".into();
    assert!(reply_to(&stage, &private).starts_with("Started: "));
    let mut group = private;
    group["conversation"] = json!({"id": "-100", "isGroup": true});
    for (id, text, expected) in [
        ("20", "/subscribe@Case_Pizza_Bot news", Some("Subscribed: alerts about news")),
        ("21", "@case_pizza_bot tea", Some("Queued: tea")),
        ("22", "/help@another_bot", None),
        ("23", "/help", None),
        ("24", "tea", None),
    ] {
        (group["id"], group["text"]) = (id.into(), text.into());
        match expected {
            Some(expected) => assert!(reply_to(&stage, &group).starts_with(expected), "{text}"),
            None => expect_ignored(&stage, &group),
        }
    }
}

fn group_message_without_a_mention_is_neither_queued_nor_obeyed_nor_stored(world: &World) {
    let stage = alerts::stage(world);
    stage.say(&message("a:first", "1", "hello"));
    expect_ignored(&stage, &field("04-group-stop-unaddressed"));
    for (kind, text) in
        [("channel", "hello"), ("channel", "subscribe news"), ("groupChat", "help"), ("groupChat", "")]
    {
        let mut talk = field("06-nbsp-after-mention");
        talk["id"] = format!("{kind} {text}").into();
        talk["conversation"]["conversationType"] = kind.into();
        talk["text"] = text.into();
        talk["entities"] = json!([
            {"type": "clientInfo"}, {"type": "mention", "mentioned": {"id": "29:ann", "name": "R&D Pizza"}, "text": "<at>R&amp;D Pizza</at>"},
        ]);
        expect_ignored(&stage, &talk);
    }
    assert_eq!(targets(&stage).len(), 1, "expected one stored conversation: the personal chat");
    // A pressed button of the bot's card needs no mention of the bot.
    let mut press = field("06-nbsp-after-mention");
    (press["text"], press["entities"], press["value"]) = (Value::Null, json!([]), json!({"a": 1}));
    assert!(reply_to(&stage, &press).starts_with("Nothing happened: "));
}

fn message_without_text_is_read_from_the_html(world: &World) {
    let stage = alerts::stage(world);
    let mut activity = field("15-html-only");
    assert_eq!(reply_to(&stage, &activity), "Queued: Order for x < 5 people\u{a0}©");
    activity["id"] = "2".into();
    activity["text"] = Value::Null;
    activity["attachments"][0]["content"] = "<p>sub<b>scribe</b>&nbsp;news</p>".into();
    assert!(reply_to(&stage, &activity).starts_with("Subscribed: alerts about news"));
    // Here, the HTML contains only markup, and is nearly as long as a request body can be. The bot still
    // replies.
    for (index, markup) in ["<", "<at>", "<span>", "&", "<!--", "&nbsp;"].iter().enumerate() {
        activity["id"] = format!("much-{index}").into();
        activity["attachments"][0]["content"] = markup.repeat(200_000 / markup.len()).into();
        reply_to(&stage, &activity);
    }
}

fn repeated_conversation_update_gets_one_greeting_and_queues_nothing(world: &World) {
    let stage = alerts::stage(world);
    let post = |activity: &Value| stage.post(&stage.connector.host(activity)).expect_status(200);
    let update = field("14-conversation-update");
    for _ in 0..3 {
        post(&update);
    }
    let direct_line = field("18-directline-system-update");
    for _ in 0..2 {
        post(&direct_line);
    }
    let greetings = stage.connector.wait_for(2);
    assert!(texts(&greetings).iter().all(|text| text.starts_with("Hello.")), "{greetings:?}");
    assert_eq!(
        greetings[1].body.get("recipient"),
        None,
        "the greeting must not name the conversation as the recipient: {greetings:?}"
    );
    // An activity with a new id means that the bot was added again. So the bot sends another greeting.
    let mut again = update.clone();
    again["id"] = "f:again".into();
    post(&again);
    assert_eq!(stage.connector.wait_for(3).len(), 3);

    for change in [
        json!({"type": "conversationUpdate", "membersAdded": [{}]}),
        json!({"type": "conversationUpdate", "membersAdded": [{"id": null}], "from": {}, "recipient": {}}),
        json!({"type": "conversationUpdate", "membersRemoved": [{"id": "29:other"}], "from": null}),
        json!({"type": "installationUpdate", "action": "add-upgrade"}),
        json!({"type": "installationUpdate", "action": "remove-upgrade"}),
        json!({"type": "installationUpdate", "from": {}}),
        json!({"type": "messageUpdate", "text": "stop"}),
        json!({"type": "messageDelete"}),
        json!({"type": "messageReaction", "reactionsAdded": [{"type": "like"}], "from": {}}),
        json!({"type": "typing"}),
        json!({"type": "command", "name": "stop", "value": {}}),
        json!({"type": "handoff"}),
        json!({"type": "trace", "text": "stop"}),
    ] {
        let mut activity = update.clone();
        activity.as_object_mut().unwrap().remove("membersAdded");
        activity["id"] = change.to_string().len().to_string().into();
        activity.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let response = stage.post(&stage.connector.host(&activity));
        assert_eq!(response.status, 200, "{change}: {}", response.describe());
    }
    assert_eq!(stage.connector.received().len(), 3, "expected no further activity");
    assert!(!stage.queue.exists(), "expected nothing on the queue");
}

fn upgrade_of_the_app_keeps_the_conversation(world: &World) {
    let stage = alerts::stage(world);
    assert_eq!(reply_to(&stage, &field("11a-first-message")), "Queued: hello");
    stage.post(&stage.connector.host(&field("11-remove-upgrade"))).expect_status(200);
    assert_eq!(targets(&stage).len(), 1);
}

fn press_without_text_is_not_queued_and_press_with_text_is_handled_like_a_message(world: &World) {
    let stage = alerts::stage(world);
    let press = field("16-submit-string-data");
    for (index, change) in [
        json!({}),
        json!({"value": "yes"}),
        json!({"value": {"choice": 1}, "text": "&nbsp;\u{200b}"}),
        json!({"value": null, "text": ""}),
    ]
    .iter()
    .enumerate()
    {
        let mut press = press.clone();
        press["id"] = format!("press-{index}").into();
        press.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert!(reply_to(&stage, &press).starts_with("Nothing happened: "), "{change}");
    }
    assert_eq!(stage.queue.count(), 0);
    // A button of type `messageBack` sends a value and a text. A button of type `imBack` sends a text without
    // a value. The bot handles both texts like messages that the person has typed.
    for (id, change, expected) in [
        ("back-1", json!({"text": "order two", "value": {"a": 1}}), "Queued: order two"),
        ("back-2", json!({"text": "subscribe news"}), "Subscribed: alerts about news"),
    ] {
        let mut press = press.clone();
        press["id"] = id.into();
        press.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert!(reply_to(&stage, &press).starts_with(expected), "{change}");
    }
    let mut invoke = stage.connector.host(&press);
    (invoke["type"], invoke["name"]) = ("invoke".into(), "adaptiveCard/action".into());
    let body = stage.post(&invoke).expect_status(200).json();
    assert_eq!(
        (&body["statusCode"], &body["type"]),
        (&json!(400), &json!("application/vnd.microsoft.error"))
    );
}

fn replies_in_the_delivery_mode_expect_replies_are_in_the_response(world: &World) {
    let stage = alerts::stage(world);
    let mut activity = stage.connector.host(&field("07-expect-replies"));
    let body = stage.post(&activity).expect_status(200).json();
    let reply = &body["activities"][0];
    assert!(reply["text"].as_str().unwrap().starts_with("I am a bot that sends alerts."), "{body}");
    assert_eq!((&reply["replyToId"], &reply["recipient"]["id"]), (&json!("case-07"), &json!("u07")));
    (activity["id"], activity["text"]) = ("2".into(), "tea".into());
    let body = stage.post(&activity).expect_status(200).json();
    assert_eq!(body["activities"][0]["text"], "Queued: tea");
    (activity["id"], activity["text"]) = ("3".into(), "Queued: tea".into());
    assert_eq!(stage.post(&activity).expect_status(200).json(), json!({"activities": []}));
    (activity["id"], activity["type"]) = ("4".into(), "typing".into());
    assert_eq!(stage.post(&activity).expect_status(200).json(), json!({"activities": []}));
    stage.connector.expect_silence();
    assert_eq!(stage.queue.count(), 1);
    // In the delivery mode `expectReplies`, the response contains the bot's replies. The poller sends the
    // alert to the Connector as usual. In the other delivery modes, the bot sends its replies to the
    // Connector.
    assert_eq!(stage.poll()["delivered"], 1);
    for mode in ["normal", "notification", "ephemeral"] {
        let mut activity = message("a:modes", mode, "tea");
        activity["deliveryMode"] = mode.into();
        stage.say(&activity);
    }
    assert_eq!(stage.connector.wait_for(4).len(), 4);
}

/// Reads a file of `fixtures/field/` as text, because a `Value` cannot contain a lone surrogate. Changes the
/// serviceUrl in the text: the new serviceUrl leads to this stage's Connector.
fn raw(stage: &Stage, name: &str) -> String {
    let path = dev::workspace::root().join("tests/fixtures/field").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    let service = text.split('"').find(|part| part.starts_with("http://127.0.0.1:")).unwrap();
    let moved = at_service(&json!({"serviceUrl": service}), stage.connector.authority());
    text.replace(service, moved["serviceUrl"].as_str().unwrap())
}

fn lone_surrogate_is_shown_as_the_replacement_character(world: &World) {
    let stage = alerts::stage(world);
    let post = |path: &str, body: String, status: u16| {
        let request = http::Request::post(stage.url(path)).header("content-type", "application/json");
        let request = request.header("authorization", format!("Bearer {ALERT_KEY}"));
        web::send(request.body(web::whole(body)).unwrap()).expect_status(status)
    };
    let activity = raw(&stage, "12-lone-surrogate-message.json");
    assert!(activity.contains(r"\ud83c"));
    post("/api/messages", activity.clone(), 202);
    // In the second activity, the text has a complete surrogate pair. The person's name has a lone surrogate
    // and a complete pair. The bot copies the name into the reply.
    let second = activity.replace("1795167191200", "2").replace("Ann Example", r"Ann \udf55 \ud83c\udf55");
    post("/api/messages", second.replace(r"eight \ud83c", r"eight \ud83c\udf55"), 202);
    post("/api/alerts", raw(&stage, "12c-lone-surrogate-alert.json"), 202);
    let acknowledged = stage.connector.wait_for(2);
    assert_eq!(texts(&acknowledged), ["Queued: dinner at eight \u{fffd}", "Queued: dinner at eight 🍕"]);
    assert_eq!(acknowledged[1].body["recipient"]["name"], "Ann \u{fffd} 🍕");
    assert_eq!(stage.poll()["delivered"], 3);
    let mut alerts =
        texts(&stage.connector.received()[2..]).into_iter().map(str::to_owned).collect::<Vec<_>>();
    alerts.sort();
    assert_eq!(
        alerts,
        [
            "Alert: Your order: 2 x margherita \u{fffd}",
            "Alert: dinner at eight \u{fffd}",
            "Alert: dinner at eight 🍕",
        ]
    );
}

fn tag_in_any_unicode_composition_is_the_same(world: &World) {
    let stage = alerts::stage(world);
    for (index, (subscribed, called, shown)) in [
        ("gro\u{308}\u{df}e", "GR\u{d6}\u{1e9e}E", "größe"),
        ("\u{130}STANBUL", "i\u{307}stanbul", "istanbul"),
        ("हि\u{928}\u{94d}दी", "हि\u{928}\u{94d}\u{200d}दी", "हिन्दी"),
        ("\u{1112}\u{1161}\u{11ab}", "한", "한"),
    ]
    .iter()
    .enumerate()
    {
        let conversation = format!("a:tag-{index}");
        let answered = reply_to(&stage, &message(&conversation, "1", &format!("subscribe {subscribed}")));
        assert!(
            answered.starts_with(&format!("Subscribed: alerts about {shown} come")),
            "{subscribed}: {answered}"
        );
        queued(&stage, &json!({"to": {"tag": called}, "text": "news"}));
        let key = alerts::key_of("msteams", &conversation);
        let path = format!("/api/targets/{key}/tags/{}", percent(called));
        assert!(call(&stage, "DELETE", &path, &Value::Null).status < 300, "{called}");
        let target = targets(&stage).into_iter().find(|target| target["conversation"] == *key).unwrap();
        assert_eq!(target["tags"], json!([]), "{called}");
    }
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
