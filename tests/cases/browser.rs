//! The chat page of `cargo dev up` in a real browser. A script controls the browser, and acts as a person who
//! chats with the bot.

use std::process::Command;

use dev::browser::{Browser, Card, Visit};
use dev::workspace;
use end_to_end::chat_page::{self, ChatPage};
use end_to_end::hooks::Hook;
use end_to_end::program::Program;
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use serde_json::{Value, json};

end_to_end::cases!(
    chat_page_shows_the_reply_the_alert_and_a_card,
    pressed_button_changes_the_card_and_a_program_gets_one_signed_call,
    alerts_with_the_same_alert_key_are_one_bubble_that_turns_from_red_to_green,
    webhook_address_is_readable_and_the_copied_command_works,
);

fn chat_page_shows_the_reply_the_alert_and_a_card(world: &World) {
    let (title, text, button) = ("The pizza is ready", "Collect it within ten minutes.", "Open the order");
    let browser = Browser::find().expect(dev::browser::MISSING);
    let folder = workspace::target().join("browser");
    std::fs::create_dir_all(&folder).unwrap();
    let page = ChatPage::start(world, "msteams");
    let replies = ["Queued: hello from the page", "Alert: hello from the page"];
    let visit = Visit { say: "hello from the page", replies: &replies, card: title, press: None, then: None };
    let seen = std::thread::scope(|scope| {
        let seen = scope.spawn(|| browser.chat(&page.url(), &visit, &folder.join("chat.png")));
        // The bot has stored the person's conversation. So a back end (a program) can now send an alert to
        // this conversation. The page is still open, and shows the alert.
        page.wait_for(replies[1]);
        page.alert_with_card(&chat_page::card(title, text, button));
        seen.join().unwrap()
    });
    let seen = seen.unwrap_or_else(|error| panic!("{error:#}"));
    // The bot sends a greeting when the chat page opens. The greeting can come before, between or after the
    // other chat messages.
    let (greetings, rest): (Vec<_>, Vec<_>) = seen
        .bubbles
        .iter()
        .map(String::as_str)
        .partition(|text| !text.ends_with("hello from the page") && !text.contains(title));
    assert_eq!(
        (greetings.len(), rest.len()),
        (1, 3),
        "expected one greeting and three other messages, found {seen:?}"
    );
    assert_eq!(rest[..2], replies, "{seen:?}");
    // The page renders the card, and does not show the card's JSON.
    let card = Card { texts: vec![title.into(), text.into()], buttons: vec![button.into()] };
    assert_eq!(seen.cards, [card], "{seen:?}");
    assert!(!rest[2].contains("TextBlock"), "{seen:?}");
}

fn pressed_button_changes_the_card_and_a_program_gets_one_signed_call(world: &World) {
    let browser = Browser::find().expect(dev::browser::MISSING);
    let folder = workspace::target().join("browser");
    std::fs::create_dir_all(&folder).unwrap();
    let (page, program) = (ChatPage::start(world, "msteams"), Program::start());
    let (text, answered) = ("Alert: Deploy 1.4.2 to production?", "Approve");
    let press = Some(("Approve", answered));
    let visit = Visit { say: "hello", replies: &["Alert: hello"], card: text, press, then: None };
    let seen = std::thread::scope(|scope| {
        let seen = scope.spawn(|| browser.chat(&page.url(), &visit, &folder.join("press.png")));
        page.wait_for("Alert: hello");
        let back_end = page.back_end();
        let targets = back_end.targets().unwrap_or_else(|error| panic!("{error:#}"));
        let question = json!({
            "to": {"conversation": targets[0]["conversation"]}, "text": "Deploy 1.4.2 to production?",
            "actions": [{"id": "approve", "title": "Approve"}, {"id": "reject", "title": "Reject"}],
            "callback": program.url(),
        });
        let alerted = back_end.alert(&question).unwrap_or_else(|error| panic!("{error:#}"));
        assert_eq!(alerted[0].status, "queued", "{alerted:?}");
        seen.join().unwrap()
    });
    let seen = seen.unwrap_or_else(|error| panic!("{error:#}"));
    let [card] = &seen.cards[..] else { panic!("expected one card, found {seen:?}") };
    assert!(
        card.buttons.is_empty() && card.texts[0] == text && card.texts[1].starts_with(answered),
        "{card:?}"
    );
    let callback = program.wait_for(1).remove(0);
    assert_eq!(callback.body()["action"], "approve");
    let secret = page.callback_secret();
    assert_eq!(
        callback.verify_signature(&secret),
        callback.body(),
        "expected that the reference library of Standard Webhooks accepts the signature"
    );
}

/// Makes an Adaptive Card with one container. `style` is the container's style, which determines the colour.
fn card_of(style: &str, text: &str) -> Value {
    json!({"type": "AdaptiveCard", "version": "1.5", "body": [
        {"type": "Container", "style": style, "items": [{"type": "TextBlock", "text": text}]},
    ]})
}

fn alerts_with_the_same_alert_key_are_one_bubble_that_turns_from_red_to_green(world: &World) {
    let (red, green) = ("The disk of db-7 is full", "The disk of db-7 has room again");
    let browser = Browser::find().expect(dev::browser::MISSING);
    let folder = workspace::target().join("browser");
    std::fs::create_dir_all(&folder).unwrap();
    let page = ChatPage::start(world, "msteams");
    let replies = ["Alert: hello"];
    let visit =
        Visit { say: "hello", replies: &replies, card: red, press: None, then: Some(("I see it", green)) };
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
        // The script writes `I see it` when the chat page shows the red card.
        page.wait_for("Alert: I see it");
        alert(green, "good", "resolved");
        seen.join().unwrap()
    });
    let seen = seen.unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(seen.cards, [Card { texts: vec![green.into()], buttons: Vec::new() }], "{seen:?}");
    assert!(!seen.bubbles.iter().any(|bubble| bubble.contains(red)), "{seen:?}");
    assert!(
        seen.colors.len() == 2 && seen.colors[0] != seen.colors[1],
        "expected red and then green, found {seen:?}"
    );
}

/// Acts as a new user: writes `webhook` in the chat page, copies the `curl` command from the bot's reply, and
/// runs the command.
fn webhook_address_is_readable_and_the_copied_command_works(world: &World) {
    let browser = Browser::find().expect(dev::browser::MISSING);
    let folder = workspace::target().join("browser");
    std::fs::create_dir_all(&folder).unwrap();
    let page = ChatPage::start(world, "msteams");
    let replies = ["Webhook address of this conversation"];
    let visit = Visit { say: "webhook", replies: &replies, card: "It works", press: None, then: None };
    let (seen, hook) = std::thread::scope(|scope| {
        let seen = scope.spawn(|| browser.chat(&page.url(), &visit, &folder.join("webhook.png")));
        let said = eventually("a reply with a webhook address", || {
            page.activities_of_the_bot().into_iter().find(|said| Hook::in_reply(said.text()).is_some())
        });
        let mut lines = said.text().lines().map(|line| line.trim_matches('`'));
        let command = lines.find(|line| line.starts_with("curl ")).unwrap().to_owned();
        let output = Command::new("sh").args(["-c", &command]).env("NO_PROXY", "127.0.0.1").output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && printed.contains(r#""status":"queued""#), "{command}: {printed}");
        (seen.join().unwrap(), (Hook::in_reply(said.text()).unwrap(), command))
    });
    let seen = seen.unwrap_or_else(|error| panic!("{error:#}"));
    let ((hook, command), is_reply) = (hook, |bubble: &&String| bubble.starts_with(replies[0]));
    let reply: Vec<_> = seen.bubbles.iter().find(is_reply).unwrap().lines().map(str::trim).collect();
    assert!(reply.contains(&hook.url.as_str()) && reply.contains(&command.as_str()), "{reply:#?}");
    assert!(!reply.iter().any(|line| line.contains('`')), "{reply:#?}");
}
