//! The application of `cargo dev up` as a person sees it: in the chat page, in a real browser.

use dev::browser::{Browser, Card, Visit};
use dev::workspace;
use end_to_end::chat_page::{self, ChatPage};
use end_to_end::suite::World;

end_to_end::cases!(a_person_sees_the_answer_the_alert_and_a_card);

fn a_person_sees_the_answer_the_alert_and_a_card(world: &World) {
    let (title, text, button) = ("The pizza is ready", "Collect it within ten minutes.", "Open the order");
    let browser = Browser::find().expect(dev::browser::MISSING);
    let folder = workspace::target().join("browser");
    std::fs::create_dir_all(&folder).unwrap();
    let page = ChatPage::start(world, "msteams");
    let answers = ["Queued: hello from the page", "Alert: hello from the page"];
    let visit = Visit { say: "hello from the page", answers: &answers, card: title };
    let seen = std::thread::scope(|scope| {
        let seen = scope.spawn(|| browser.chat(&page.url(), &visit, &folder.join("chat.png")));
        // The person has written, so a back end finds the conversation; the page is still open.
        page.wait_for(answers[1]);
        page.alert_with_card(&chat_page::card(title, text, button));
        seen.join().unwrap()
    });
    let seen = seen.unwrap_or_else(|error| panic!("{error:#}"));
    // The greeting comes when the page is opened: before, between or after.
    let (greetings, rest): (Vec<_>, Vec<_>) = seen
        .bubbles
        .iter()
        .map(String::as_str)
        .partition(|text| !text.ends_with("hello from the page") && !text.contains(title));
    assert_eq!((greetings.len(), rest.len()), (1, 3), "{seen:?}");
    assert_eq!(rest[..2], answers, "{seen:?}");
    // Rendered, and not shown as what it is made of.
    let card = Card { texts: vec![title.into(), text.into()], buttons: vec![button.into()] };
    assert_eq!(seen.cards, [card], "{seen:?}");
    assert!(!rest[2].contains("TextBlock"), "{seen:?}");
}
