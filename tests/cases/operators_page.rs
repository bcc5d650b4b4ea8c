//! Tests of the operator's page (the web page at `/ops`) in a real browser. Each case first gets the page
//! from the real bot. Then a fake of the bot serves this page to the browser, and answers the API calls of
//! the page. If the page makes a call that it must not make, the fake responds with 500 and records a
//! *complaint*. If a case ends with a complaint, the case fails. Only the case in `on_the_bot.rs` has no
//! fake: the bot itself serves the page, and answers the API calls. A *dead letter* is a message in the
//! poison queue.

mod on_the_bot;
mod samples;

use std::path::PathBuf;

use dev::browser::Browser;
use dev::browser::walk::{Seen, Walk};
use dev::workspace;
use end_to_end::alerts;
use end_to_end::operated::{KEY, OperatedBot};
use end_to_end::suite::World;
use end_to_end::web;
use on_the_bot::operator_finds_replays_and_drops_dead_letters_with_the_page_alone;
use serde_json::{Value, json};

end_to_end::cases!(
    page_shows_the_status_in_light_and_dark_and_on_a_phone,
    operator_can_replay_drop_and_send_a_test_alert_with_the_keyboard_alone,
    hostile_text_in_every_field_is_shown_as_text,
    page_replays_and_drops_ten_thousand_dead_letters_with_progress_and_a_stop_button,
    api_key_survives_neither_a_new_tab_nor_a_reload_nor_the_button_forget,
    forgotten_api_key_stops_the_replay_and_empties_the_page,
    failed_api_call_is_shown_as_a_sentence_with_a_remedy,
    fake_complains_about_a_call_that_the_page_must_not_make,
    operator_finds_replays_and_drops_dead_letters_with_the_page_alone,
);

/// Starts the fake bot with the page of the real bot.
fn operated(world: &World) -> OperatedBot {
    let stage = alerts::stage(world);
    let page = web::send(http::Request::get(stage.url("/ops")).body(web::whole("")).unwrap());
    OperatedBot::start(&page.expect_status(200))
}

fn pictures() -> PathBuf {
    let folder = workspace::target().join("ops");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[track_caller]
fn take(walk: &Walk, name: &str) -> Seen {
    let browser = Browser::find().expect(dev::browser::MISSING);
    let failure = pictures().join(format!("failed-{name}.png"));
    browser.walk(walk, &failure).unwrap_or_else(|error| panic!("{error:#}"))
}

/// Opens the page and types the API key. No click is necessary, because the field of the API key has the
/// focus from the beginning.
fn opened(bot: &OperatedBot, width: u32) -> Walk {
    unlocked(Walk::open(&bot.page(), width)).expect("alerts shown.")
}

fn unlocked(walk: Walk) -> Walk {
    walk.type_text(KEY).press("Enter").expect("As of")
}

fn texts(seen: &Seen, name: &str) -> Vec<String> {
    seen[name].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn page_shows_the_status_in_light_and_dark_and_on_a_phone(world: &World) {
    let bot = operated(world);
    samples::fill(&bot, 10_000);
    let look = |name: &str, width: u32, is_dark: bool| {
        let walk = Walk::open(&bot.page(), width);
        let walk = if is_dark { walk.dark() } else { walk };
        let picture = |part: &str| pictures().join(format!("{name}-{part}.png"));
        let walk = walk.picture("body", &picture("key")).axe();
        let walk = unlocked(walk).expect("100 dead letters shown. There are more.").expect("alerts shown.");
        let walk = walk.axe().evaluate("width", "document.documentElement.scrollWidth");
        let walk =
            walk.read("problems", "#problems li").read("tiles", "#facts b").read("list", "#dead-list li");
        let walk = walk.read("alerts", "#alerts-list li > div > p:first-child");
        let walk = ["status", "dead", "alerts", "test"]
            .into_iter()
            .fold(walk, |walk, part| walk.picture(&format!("#{part}"), &picture(part)));
        // The next pictures show the details of an alert, and the question before a replay.
        let walk = walk.evaluate("open", "document.querySelector('#alerts-list details').open = true");
        let walk = walk.picture("#alerts-list", &picture("details")).axe();
        let walk = walk.click("button", "Replay all").expect("Replay all dead letters?").axe();
        take(&walk.picture("#ask", &picture("question")), name)
    };
    for (name, width, is_dark) in [("light", 1280, false), ("dark", 1280, true), ("phone", 320, false)] {
        let seen = look(name, width, is_dark);
        assert_eq!(seen["width"], width, "{name}: expected no content wider than the window");
        let problems = texts(&seen, "problems");
        assert!(problems.len() == 1 && problems[0].contains("holds 10000 dead letters"), "{problems:?}");
        let tiles = texts(&seen, "tiles");
        assert_eq!(&tiles[..4], ["1,234 messages", "10,000 messages", "at work", "41 s ago"], "{tiles:?}");
        let list = texts(&seen, "list");
        assert_eq!(list.len(), 100);
        assert!(list[0].contains("permanent") && list[0].contains("HTTP 400"), "{}", list[0]);
        assert!(
            !list[0].contains("the text of"),
            "expected no text of an alert, because the page shows texts only on demand: {}",
            list[0]
        );
        assert_eq!(texts(&seen, "alerts").len(), 50);
    }
    assert!(bot.calls("POST").is_empty(), "expected no POST, because the person only looks at the page");
}

fn operator_can_replay_drop_and_send_a_test_alert_with_the_keyboard_alone(world: &World) {
    let bot = operated(world);
    samples::fill(&bot, 6);
    bot.hold().refusals.insert("dead-5".into(), "expires: the alert has expired; drop it".into());
    let select = |number: usize| format!("Select {}", samples::id(number));
    // The person first types a wrong API key.
    let walk = Walk::open(&bot.page(), 1280).type_text("a-wrong-key").press("Enter");
    let walk = unlocked(walk.expect("The bot does not accept this key")).expect_focus("heading", "Status");
    // The person chooses a reason (in the code: `outcome`), and the page shows only the dead letters with
    // this reason. Then the person lists all dead letters again.
    let walk = walk.expect("6 dead letters shown.").tab_to("combobox", "Reason").type_text("des");
    let walk = walk.tab_to("button", "Show").press("Enter").expect("2 dead letters shown.");
    let walk = walk
        .expect("The person has removed or blocked the bot")
        .shift_tab_to("combobox", "Reason")
        .type_text("all");
    let walk = walk.tab_to("button", "Show").press("Enter").expect("6 dead letters shown.");
    // Escape cancels the replay, and the focus returns to the button.
    let walk =
        walk.tab_to("checkbox", &select(0)).press("Space").tab_to("checkbox", &select(1)).press("Space");
    let walk =
        walk.shift_tab_to("button", "Replay selected (2)").press("Enter").expect("Replay 2 dead letters?");
    let walk = walk.expect_focus("button", "Cancel").press("Escape");
    let walk =
        walk.expect_focus("button", "Replay selected (2)").press("Enter").expect_focus("button", "Cancel");
    let walk = walk.tab_to("button", "Replay").press("Enter").expect("2 dead letters replayed.");
    // The bot refuses to replay the next dead letter. The person drops another dead letter.
    let walk = walk.tab_to("button", &format!("Replay {}", samples::id(5))).press("Enter");
    let walk = walk.expect("Replay 1 dead letter?").tab_to("button", "Replay").press("Enter");
    let walk = walk
        .expect("0 dead letters replayed. 1 refused:")
        .expect("1 × expires: the alert has expired; drop it");
    let walk = walk
        .tab_to("button", &format!("Drop {}", samples::id(3)))
        .press("Enter")
        .expect("Drop 1 dead letter?");
    let walk = walk.expect_focus("button", "Cancel").tab_to("button", "Drop").press("Enter");
    let walk = walk.expect("1 dead letter dropped.").read("left", "#dead-list .id");
    // The person finds an alert by its id, and sends a test alert.
    let walk =
        walk.tab_to("textbox", "Id").type_text(&samples::id(7)).tab_to("button", "Find alert").press("Enter");
    let walk = walk.expect("1 alert found.").read("found", "#alerts-list .badge");
    let walk = walk
        .tab_to("combobox", "Conversation")
        .type_text("Ada")
        .tab_to("button", "Send test alert")
        .press("Enter");
    let walk = walk.expect("The Connector accepted the alert, 0.4 s after the bot had accepted it.");
    let walk = walk.tab_to("button", "Forget the key").press("Enter").expect("A key with the scope");
    let seen = take(&walk, "keyboard");
    assert_eq!(texts(&seen, "left"), [2, 4, 5].map(samples::id));
    assert_eq!(texts(&seen, "found"), ["expired"]);
    let replays: Vec<_> = bot.calls("POST /api/dead/replay").into_iter().map(|call| call.body).collect();
    assert_eq!(replays, [r#"{"ids":["dead-0","dead-1"]}"#, r#"{"ids":["dead-5"]}"#]);
    let drops: Vec<_> = bot.calls("POST /api/dead/drop").into_iter().map(|call| call.body).collect();
    assert_eq!(drops, [r#"{"ids":["dead-3"]}"#]);
    let sent = bot.calls("POST /api/alerts");
    let body: Value = serde_json::from_str(&sent[0].body).unwrap();
    assert_eq!((sent.len(), &body["to"]), (1, &json!({"conversation": samples::id(2)})));
    assert_eq!(body["text"], "This is a test alert of the operator.");
}

fn hostile_text_in_every_field_is_shown_as_text(world: &World) {
    let bot = operated(world);
    let texts_of_attackers = [
        "<img src=x onerror=alert(1)>".to_owned(),
        "</script><script>alert(1)</script>".to_owned(),
        "javascript:alert(1)//\"' onfocus=alert(1) autofocus".to_owned(),
        "\u{202e}txet desrever\u{0}\u{1b}[2J\u{7}\u{2028}\u{feff}".to_owned(),
        "x".repeat(100_000),
        "Z\u{0351}\u{0352}\u{0353}".repeat(500),
        "{{constructor.constructor('alert(1)')()}} ${alert(1)} __proto__".to_owned(),
    ];
    let pictures = pictures();
    for (number, text) in texts_of_attackers.iter().enumerate() {
        samples::fill(&bot, 4);
        {
            let held = &mut *bot.hold();
            let poison = |value: &mut Value| put_everywhere(value, text);
            poison(&mut held.status);
            held.dead.iter_mut().chain(&mut held.alerts).chain(&mut held.targets).for_each(poison);
            // One dead letter has the hostile text as its id, too. So the API calls for this dead letter have
            // the hostile text in the path or in the body.
            held.dead[0]["id"] = text.as_str().into();
            held.refusals.insert(text.clone(), text.clone());
        }
        let walk = opened(&bot, 320)
            .expect("4 dead letters shown.")
            .click("checkbox", "Show texts, which are private");
        let walk = walk.click("button", "Show").expect("4 dead letters shown.");
        let walk = walk
            .evaluate("open", "document.querySelectorAll('details').forEach((one) => { one.open = true; })");
        let walk = walk.evaluate("width", "document.documentElement.scrollWidth");
        let walk = walk.read("texts", "#dead-list .text").read("problems", "#problems li");
        let walk = walk.evaluate(
            "elements",
            "document.querySelectorAll('img, iframe, script, object, embed, a[href^=java]').length",
        );
        let walk = walk.picture("#dead", &pictures.join(format!("hostile-{number}.png")));
        let walk = walk.click("checkbox", "Select all shown").click("button", "Replay selected (4)");
        let walk = walk
            .click("button", "Replay")
            .expect("dead letters replayed.")
            .read("refused", "#dead-refused li");
        let seen = take(&walk, &format!("hostile-{number}"));
        assert_eq!(
            (&seen["width"], &seen["elements"]),
            (&json!(320), &json!(1)),
            "expected the width of the window, and no element of the attacker: {text:.60}"
        );
        let shown = [texts(&seen, "texts"), texts(&seen, "problems"), texts(&seen, "refused")].concat();
        assert!(!shown.is_empty());
        for shown in shown {
            assert!(shown.chars().count() < 3000, "{shown:.60}");
            assert!(
                !shown.contains(['\u{202e}', '\u{0}', '\u{1b}', '\u{7}', '\u{2028}', '\u{feff}']),
                "{shown:?}"
            );
            let start: String = text.chars().take(9).collect();
            assert!(shown.contains(&start) || shown.contains("⟨U+202E⟩txet"), "{shown:.60}");
        }
    }
}

/// Replaces every text in the value with `text`. The ids stay unchanged, because the fake needs them.
fn put_everywhere(value: &mut Value, text: &str) {
    match value {
        Value::String(string) => text.clone_into(string),
        Value::Array(list) => list.iter_mut().for_each(|element| put_everywhere(element, text)),
        Value::Object(members) => {
            members
                .iter_mut()
                .filter(|(name, _)| *name != "id")
                .for_each(|(_, member)| put_everywhere(member, text));
            // A later version of the bot can add members that this page does not know. So this line adds a
            // member. The hostile text, cut to 2000 characters, is the name of the member. The whole hostile
            // text is the value.
            members.insert(text.chars().take(2000).collect(), text.into());
        }
        _ => {}
    }
}

fn page_replays_and_drops_ten_thousand_dead_letters_with_progress_and_a_stop_button(world: &World) {
    let bot = operated(world);
    samples::fill(&bot, 10_000);
    let list = |walk: Walk, name: &str| {
        walk.evaluate(name, "document.getElementById('dead-list').childElementCount")
    };
    let walk = opened(&bot, 1280).expect("100 dead letters shown. There are more.");
    let walk = walk.click("button", "Show more dead letters").expect("200 dead letters shown.");
    let walk =
        list(walk.click("button", "Show more dead letters").expect("300 dead letters shown."), "paged");
    // The person stops a replay of all dead letters. The Stop button has the focus.
    let walk =
        walk.click("button", "Replay all").expect("Replay all dead letters?").tab_to("button", "Replay all");
    let walk = walk.press("Enter").expect_focus("button", "Stop").expect("of about 10,000 replayed");
    let walk = walk
        .picture("#dead", &pictures().join("progress.png"))
        .press("Enter")
        .expect("replayed, then stopped.");
    let seen = take(&walk, "stopped");
    assert_eq!(seen["paged"], 300);
    let left = bot.hold().dead.len();
    assert!(
        (1..10_000).contains(&left),
        "expected that the replay has begun and has stopped before its end, found {left} dead letters left"
    );
    // The person replays all dead letters with the reason `permanent`. The bot refuses to replay dead letters
    // with a broken seal, so the person drops these dead letters.
    samples::fill(&bot, 1000);
    let broken: Vec<_> = (0..1000).filter(|number| number % 4 == 3).collect();
    let why = "seal: does not match; drop the message";
    bot.hold().refusals.extend(broken.iter().map(|number| (format!("dead-{number}"), why.to_owned())));
    let choose = |walk: Walk, text: &str| walk.type_text(text).tab_to("button", "Show").press("Enter");
    let walk =
        choose(opened(&bot, 1280).tab_to("combobox", "Reason"), "perm").expect("100 dead letters shown.");
    let walk = walk.tab_to("button", "Replay all permanent").press("Enter").expect_focus("button", "Cancel");
    let walk = walk.tab_to("button", "Replay all").press("Enter").expect("250 dead letters replayed.");
    let walk = choose(walk.shift_tab_to("combobox", "Reason"), "seal").expect("100 dead letters shown.");
    let walk = walk
        .tab_to("button", "Replay all sealBroken")
        .press("Enter")
        .tab_to("button", "Replay all")
        .press("Enter");
    let walk = walk.expect("0 dead letters replayed. 250 refused:").expect(&format!("250 × {why}"));
    let walk = walk
        .tab_to("button", "Drop all sealBroken")
        .press("Enter")
        .expect("The bot deletes every one of them for good");
    let walk = walk.tab_to("button", "Drop all").press("Enter").expect("250 dead letters dropped.");
    take(&walk.expect("There are no dead letters to show."), "every");
    let left: Vec<_> =
        bot.hold().dead.iter().map(|letter| letter["outcome"].as_str().unwrap().to_owned()).collect();
    assert_eq!(left.len(), 500);
    assert!(left.iter().all(|outcome| outcome == "destinationGone" || outcome == "retriesExhausted"));
    let drops: Vec<_> = bot.calls("POST /api/dead/drop").into_iter().map(|call| call.body).collect();
    assert_eq!(
        drops,
        vec![r#"{"outcome":"sealBroken"}"#; 8],
        "expected 8 calls for 250 dead letters, because one call drops at most 32"
    );
}

fn api_key_survives_neither_a_new_tab_nor_a_reload_nor_the_button_forget(world: &World) {
    let bot = operated(world);
    samples::fill(&bot, 2);
    let kept = format!(
        "[document.cookie, location.href, \
          document.documentElement.outerHTML, document.getElementById('key').value].map((kept) => kept.includes('{KEY}'))"
    );
    let is_open = "document.getElementById('open').hidden === false";
    let walk = opened(&bot, 1280).evaluate("kept", &kept).evaluate("before", is_open);
    let walk = walk.evaluate("stored", "localStorage.length + sessionStorage.length");
    let walk = walk.evaluate("databases", "indexedDB.databases().then((all) => all.length)");
    let walk = walk.new_tab().expect("A key with the scope").evaluate("inAnotherTab", is_open);
    let walk = unlocked(walk).reload().expect("A key with the scope").evaluate("afterReload", is_open);
    let walk = unlocked(walk)
        .expect("alerts shown.")
        .click("button", "Forget the key")
        .expect("A key with the scope");
    let walk =
        walk.evaluate("afterForget", is_open).evaluate("text", "document.getElementById('open').textContent");
    let seen = take(&walk, "key");
    assert_eq!(seen["kept"], json!([false, false, false, false]));
    assert_eq!(
        (&seen["stored"], &seen["databases"]),
        (&json!(0), &json!(0)),
        "expected that the page stores nothing"
    );
    let states =
        ["before", "inAnotherTab", "afterReload", "afterForget"].map(|name| seen[name].as_bool().unwrap());
    assert_eq!(states, [true, false, false, false]);
    let text = seen["text"].as_str().unwrap();
    assert!(
        !text.contains(&samples::id(1)) && !text.contains("Ada"),
        "expected that the page keeps no data: {text}"
    );
}

/// The person clicks `Forget the key` during a replay of all dead letters.
fn forgotten_api_key_stops_the_replay_and_empties_the_page(world: &World) {
    let bot = operated(world);
    samples::fill(&bot, 10_000);
    let walk = opened(&bot, 1280).expect("100 dead letters shown. There are more.");
    let walk = walk.tab_to("textbox", "Id").type_text("abc").click("checkbox", "Select all shown");
    let walk =
        walk.click("button", "Replay all").expect("Replay all dead letters?").tab_to("button", "Replay all");
    let walk = walk.press("Enter").expect("of about 10,000 replayed");
    let walk = walk.click("button", "Forget the key").expect("A key with the scope");
    // The script of the page keeps the running replay in the variable `job`, and sets `job` to null when the
    // replay has ended. `end` waits until `job` is null.
    let end =
        "new Promise((end) => { const look = () => (job ? setTimeout(look, 10) : end(true)); look(); })";
    let left = "document.querySelectorAll('#dead-list li, #alerts-list li, #facts div, #problems li, \
                #totals div, #test-target option + option, input:checked').length";
    let typed = "[...document.querySelectorAll('input')].filter((field) => field.type !== 'checkbox' && field.value !== field.defaultValue)";
    let walk = walk.evaluate("ended", end).evaluate("left", left).evaluate("key", "key");
    let walk = walk.evaluate("typed", &format!("{typed}.map(({{ id }}) => id)"));
    let walk = walk.evaluate("focus", "document.activeElement.id").read("said", "#key-said");
    let seen = take(&walk, "forgotten");
    assert_eq!(seen["focus"], "key");
    assert_eq!((&seen["ended"], &seen["left"], &seen["key"]), (&json!(true), &json!(0), &json!("")));
    assert_eq!(seen["typed"], json!([]));
    // After the click on `Forget the key`, the page must not call the bot any more. The bot would answer 401
    // to a call without the API key. Then the page would say that the bot does not accept the key.
    assert_eq!(texts(&seen, "said"), [""]);
    assert!(
        bot.hold().dead.len() > 1,
        "expected that the replay has stopped before it has replayed all dead letters"
    );
}

fn failed_api_call_is_shown_as_a_sentence_with_a_remedy(world: &World) {
    let bot = operated(world);
    let error = |code: &str, message: &str| json!({"error": {"code": code, "message": message}});
    let tables = error("StateUnavailable", "storage tables: cannot be reached; send the request again");
    for (call, status, body, shown) in [
        (
            "GET /api/status",
            403,
            error("ScopeMissing", "scope: the key `ci` lacks `operate`; use another key"),
            "scope: the key `ci` lacks `operate`; use another key (403, request request-of-the-test in the log)",
        ),
        (
            "GET /api/status",
            503,
            tables.clone(),
            "storage tables: cannot be reached; send the request again (503,",
        ),
        (
            "GET /api/alerts",
            503,
            tables.clone(),
            "storage tables: cannot be reached; send the request again (503,",
        ),
        (
            "GET /api/dead",
            502,
            json!("<html>Bad Gateway</html>"),
            "This response did not come from the bot. Perhaps a proxy sent it.",
        ),
        (
            "GET /api/targets",
            403,
            error("ScopeMissing", "scope: the key `ci` lacks `list`; use another key"),
            "lacks `list`; use another key",
        ),
        ("GET /api/dead", 200, json!("not an object"), "This response did not come from the bot"),
    ] {
        samples::fill(&bot, 2);
        bot.hold().scripted.push_back((call, status, body));
        take(&Walk::open(&bot.page(), 1280).type_text(KEY).press("Enter").expect(shown), "sentence");
    }
    // If a replay fails in the middle, the page shows how many dead letters were replayed.
    samples::fill(&bot, 100);
    let replay = "POST /api/dead/replay";
    let first = json!({"replayed": ["dead-0"], "refused": [], "more": true});
    bot.hold().scripted.extend([(replay, 200, first), (replay, 503, tables)]);
    let walk = opened(&bot, 1280)
        .click("button", "Replay all")
        .expect("Replay all dead letters?")
        .tab_to("button", "Replay all");
    take(
        &walk
            .press("Enter")
            .expect("1 dead letter replayed, then a call failed. storage tables: cannot be reached"),
        "middle",
    );
    // In this response to `GET /api/status`, some parts are null, which means that the bot could not read
    // these parts. One alert in the list of alerts has a status that the page does not know.
    samples::fill(&bot, 1);
    {
        let mut held = bot.hold();
        for part in ["queue", "dead", "lastRun", "totals", "hostsOut", "versions", "pausedConversations"] {
            held.status[part] = Value::Null;
        }
        held.alerts[0]["status"] = "reincarnated".into();
    }
    let seen =
        take(&opened(&bot, 1280).read("tiles", "#facts b").read("statuses", "#alerts-list .badge"), "parts");
    assert_eq!(&texts(&seen, "tiles")[..2], ["not readable now", "not readable now"]);
    assert_eq!(texts(&seen, "statuses")[0], "reincarnated");
}

/// The case itself makes the wrong calls, and takes each complaint from the fake.
fn fake_complains_about_a_call_that_the_page_must_not_make(world: &World) {
    let bot = operated(world);
    let authorization = format!("Bearer {KEY}");
    for (method, path, header, body) in [
        ("GET", "/api/secrets", ("accept", "*/*"), ""),
        ("GET", "/api/status?x=1", ("accept", "*/*"), ""),
        ("GET", "/api/status", ("cookie", "key=x"), ""),
        ("GET", "/api/status", ("referer", "http://127.0.0.1/ops"), ""),
        ("GET", &format!("/api/dead?limit=1&after={KEY}"), ("accept", "*/*"), ""),
        ("POST", "/api/dead/replay", ("accept", "*/*"), "{}"),
        ("POST", "/api/dead/replay", ("accept", "*/*"), r#"{"all":true,"outcome":"permanent"}"#),
        ("POST", "/api/alerts", ("accept", "*/*"), r#"{"to":{"tag":"x"},"text":"x"}"#),
    ] {
        let address = bot.page().replace("/ops", path);
        let request =
            http::Request::builder().method(method).uri(address).header("authorization", &authorization);
        let request = request.header(header.0, header.1).body(web::whole(body.to_owned())).unwrap();
        web::send(request).expect_error(500, "Unexpected");
        assert_eq!(bot.take_complaints().len(), 1, "{method} {path}");
    }
}
