//! The application of `cargo dev up` as a person sees it, in the chat page in a real browser.

use dev::browser::{Browser, Card, Visit};
use dev::workspace;
use end_to_end::chat_page::{self, ChatPage};
use end_to_end::suite::World;
use serde_json::{Value, json};

end_to_end::cases!(
    chat_page_shows_the_answer_the_alert_and_a_card,
    alert_with_a_key_is_one_bubble_that_turns_from_red_to_green
);

fn chat_page_shows_the_answer_the_alert_and_a_card(world: &World) {
    let (title, text, button) = ("The pizza is ready", "Collect it within ten minutes.", "Open the order");
    let browser = Browser::find().expect(dev::browser::MISSING);
    let folder = workspace::target().join("browser");
    std::fs::create_dir_all(&folder).unwrap();
    let page = ChatPage::start(world, "msteams");
    let answers = ["Queued: hello from the page", "Alert: hello from the page"];
    let visit = Visit { say: "hello from the page", answers: &answers, card: title, then: None };
    let seen = std::thread::scope(|scope| {
        let seen = scope.spawn(|| browser.chat(&page.url(), &visit, &folder.join("chat.png")));
        // The bot has stored the conversation when the person has written, so the back end finds it. The page
        // is still open.
        page.wait_for(answers[1]);
        page.alert_with_card(&chat_page::card(title, text, button));
        seen.join().unwrap()
    });
    let seen = seen.unwrap_or_else(|error| panic!("{error:#}"));
    // The bot greets when the page is opened. The greeting may come before, between or after the other
    // messages.
    let (greetings, rest): (Vec<_>, Vec<_>) = seen
        .bubbles
        .iter()
        .map(String::as_str)
        .partition(|text| !text.ends_with("hello from the page") && !text.contains(title));
    assert_eq!((greetings.len(), rest.len()), (1, 3), "greetings, and other messages: {seen:?}");
    assert_eq!(rest[..2], answers, "{seen:?}");
    // The card is rendered, and its JSON is not shown.
    let card = Card { texts: vec![title.into(), text.into()], buttons: vec![button.into()] };
    assert_eq!(seen.cards, [card], "{seen:?}");
    assert!(!rest[2].contains("TextBlock"), "{seen:?}");
}

/// A card with one container of this style.
fn card_of(style: &str, text: &str) -> Value {
    json!({"type": "AdaptiveCard", "version": "1.5", "body": [
        {"type": "Container", "style": style, "items": [{"type": "TextBlock", "text": text}]},
    ]})
}

fn alert_with_a_key_is_one_bubble_that_turns_from_red_to_green(world: &World) {
    let (red, green) = ("The disk of db-7 is full", "The disk of db-7 has room again");
    let browser = Browser::find().expect(dev::browser::MISSING);
    let folder = workspace::target().join("browser");
    std::fs::create_dir_all(&folder).unwrap();
    let page = ChatPage::start(world, "msteams");
    let answers = ["Alert: hello"];
    let visit = Visit { say: "hello", answers: &answers, card: red, then: Some(("I see it", green)) };
    let alert = |text: &str, style: &str, state: &str| {
        let back_end = page.back_end();
        let targets = back_end.targets().unwrap_or_else(|error| panic!("{error:#}"));
        let alert = json!({
            "to": {"conversation": targets[0]["conversation"]}, "key": "disk/db-7", "state": state,
            "card": card_of(style, text),
        });
        let alerted = back_end.alert(&alert).unwrap_or_else(|error| panic!("{error:#}"));
        assert_eq!(alerted[0].status, "queued", "{alerted:?}");
    };
    let seen = std::thread::scope(|scope| {
        let seen = scope.spawn(|| browser.chat(&page.url(), &visit, &folder.join("keyed.png")));
        page.wait_for("Alert: hello");
        alert(red, "attention", "firing");
        // The person answers when the page shows the red card.
        page.wait_for("Alert: I see it");
        alert(green, "good", "resolved");
        seen.join().unwrap()
    });
    let seen = seen.unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(seen.cards, [Card { texts: vec![green.into()], buttons: Vec::new() }], "{seen:?}");
    assert!(!seen.bubbles.iter().any(|bubble| bubble.contains(red)), "{seen:?}");
    assert!(seen.colors.len() == 2 && seen.colors[0] != seen.colors[1], "red, then green: {seen:?}");
}
