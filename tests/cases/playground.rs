//! The application of `cargo dev up`, spoken to through the Playground's own routes instead of its page.

use end_to_end::chat_page::{self, ChatPage};
use end_to_end::suite::World;
use serde_json::json;

end_to_end::cases!(teams, web_chat, direct_line, emulator, a_reminder, a_card, an_alert_from_the_shell);

fn teams(world: &World) {
    answer_and_alert(world, "msteams");
}

fn web_chat(world: &World) {
    answer_and_alert(world, "webchat");
}

fn direct_line(world: &World) {
    answer_and_alert(world, "directline");
}

fn emulator(world: &World) {
    answer_and_alert(world, "emulator");
}

fn a_reminder(world: &World) {
    let page = ChatPage::start(world, "msteams");
    page.chat().say("remind me in 3 seconds tea").unwrap();
    page.wait_for("Queued: tea (in 3 seconds)");
    page.wait_for("Alert: tea");
}

fn a_card(world: &World) {
    let page = ChatPage::start(world, "msteams");
    page.chat().say("hello").unwrap();
    page.wait_for("Alert: hello");
    let attachments =
        page.alert_with_card(&chat_page::card("The pizza is ready", "Collect it.", "Open the order"));
    let said = page.wait_for_attachments(&attachments);
    assert_eq!(said.status, 201, "the Connector takes {}", said.activity);
    assert_eq!(said.activity["conversation"]["id"], page.chat().conversation(), "{}", said.activity);
    assert_eq!((said.activity.get("text"), &said.activity["summary"]), (None, &"A card".into()));
}

/// What `cargo dev send --alert` does, where nobody has written yet.
fn an_alert_from_the_shell(world: &World) {
    let page = ChatPage::start(world, "msteams");
    let alert = json!({"to": {"address": page.chat().reference()}, "text": "the pizza is ready"});
    let alerted = page.back_end().alert(&alert).unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(alerted[0].status, "queued", "{alerted:?}");
    let said = page.wait_for("Alert: the pizza is ready");
    assert_eq!(said.status, 201, "the Connector takes {}", said.activity);
}

#[track_caller]
fn answer_and_alert(world: &World, channel_id: &str) {
    let page = ChatPage::start(world, channel_id);
    let chat = page.chat();
    chat.say("hello from the shell").unwrap();
    page.wait_for("Queued: hello from the shell");
    page.wait_for("Alert: hello from the shell");
    for said in page.said_by_the_bot() {
        assert_eq!(said.status, 201, "the Connector takes {}", said.activity);
        assert_eq!(said.activity["conversation"]["id"], chat.conversation(), "{}", said.activity);
    }
    let texts: Vec<_> = page.said_by_the_bot().iter().map(|said| said.text().to_owned()).collect();
    assert_eq!(texts, ["Queued: hello from the shell", "Alert: hello from the shell"]);
}
