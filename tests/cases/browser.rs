//! The application of `cargo dev up` as a person sees it: in the chat page, in a real browser.

use dev::browser::Browser;
use dev::workspace;
use end_to_end::chat_page::ChatPage;
use end_to_end::suite::World;

end_to_end::cases!(a_person_sees_the_answer_and_the_alert);

fn a_person_sees_the_answer_and_the_alert(world: &World) {
    let browser = Browser::find().expect(dev::browser::MISSING);
    let folder = workspace::target().join("browser");
    std::fs::create_dir_all(&folder).unwrap();
    let page = ChatPage::start(world, "msteams");
    let answers = ["Queued: hello from the page", "Alert: hello from the page"];
    let screenshot = folder.join("chat.png");
    let seen = browser
        .chat(&page.url(), Some("hello from the page"), &answers, &screenshot)
        .unwrap_or_else(|error| panic!("{error:#}"));
    // The greeting comes when the page is opened: before, between or after.
    let (greetings, rest): (Vec<_>, Vec<_>) =
        seen.iter().map(String::as_str).partition(|text| !text.ends_with("hello from the page"));
    assert_eq!(rest, answers, "{seen:?}");
    assert_eq!(greetings.len(), 1, "{seen:?}");
}
