//! The application of `cargo dev up` as a person sees it, in the chat page in a real browser.

use dev::browser::{Browser, Card, Visit};
use dev::workspace;
use end_to_end::chat_page::{self, ChatPage};
use end_to_end::suite::World;

end_to_end::cases!(chat_page_shows_the_answer_the_alert_and_a_card);

fn chat_page_shows_the_answer_the_alert_and_a_card(world: &World) {
    let (title, text, button) = ("The pizza is ready", "Collect it within ten minutes.", "Open the order");
    let browser = Browser::find().expect(dev::browser::MISSING);
    let folder = workspace::target().join("browser");
    std::fs::create_dir_all(&folder).unwrap();
    let page = ChatPage::start(world, "msteams");
    let answers = ["Queued: hello from the page", "Alert: hello from the page"];
    let visit = Visit { say: "hello from the page", answers: &answers, card: title };
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
