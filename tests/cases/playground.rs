//! Tests of the application as `cargo dev up` starts it on a developer's machine. The M365 Agents Playground
//! (a test program of Microsoft) acts as a channel: Teams, Web Chat, Direct Line or the Bot Framework
//! Emulator. Developers chat with the bot on a web page of the Playground. These tests use no browser: they
//! call the HTTP routes that this page calls.

use end_to_end::chat_page::{self, ChatPage};
use end_to_end::suite::World;
use serde_json::json;

end_to_end::cases!(
    message_from_teams_is_acknowledged_and_delivered_as_an_alert,
    message_from_web_chat_is_acknowledged_and_delivered_as_an_alert,
    message_from_direct_line_is_acknowledged_and_delivered_as_an_alert,
    message_from_the_emulator_is_acknowledged_and_delivered_as_an_alert,
    reminder_is_delivered_at_the_due_time,
    card_that_a_program_sends_is_delivered,
    alert_to_an_address_is_delivered
);

fn message_from_teams_is_acknowledged_and_delivered_as_an_alert(world: &World) {
    expect_acknowledgement_and_alert(world, "msteams");
}

fn message_from_web_chat_is_acknowledged_and_delivered_as_an_alert(world: &World) {
    expect_acknowledgement_and_alert(world, "webchat");
}

fn message_from_direct_line_is_acknowledged_and_delivered_as_an_alert(world: &World) {
    expect_acknowledgement_and_alert(world, "directline");
}

fn message_from_the_emulator_is_acknowledged_and_delivered_as_an_alert(world: &World) {
    expect_acknowledgement_and_alert(world, "emulator");
}

fn reminder_is_delivered_at_the_due_time(world: &World) {
    let page = ChatPage::start(world, "msteams");
    page.chat().say("remind me in 3 seconds tea").unwrap();
    page.wait_for("Queued: tea (in 3 seconds)");
    page.wait_for("Alert: tea");
}

fn card_that_a_program_sends_is_delivered(world: &World) {
    let page = ChatPage::start(world, "msteams");
    page.chat().say("hello").unwrap();
    page.wait_for("Alert: hello");
    let attachments =
        page.alert_with_card(&chat_page::card("The pizza is ready", "Collect it.", "Open the order"));
    let said = page.wait_for_attachments(&attachments);
    assert_eq!(said.status, 201, "expected the Connector to accept {}", said.activity);
    assert_eq!(said.activity["conversation"]["id"], page.chat().conversation(), "{}", said.activity);
    assert_eq!((said.activity.get("text"), &said.activity["summary"]), (None, &"A card".into()));
}

/// Sends an alert in the same way as the command `cargo dev send --alert`: the call contains the address of
/// the conversation. So the alert arrives although no person has written in the conversation before.
fn alert_to_an_address_is_delivered(world: &World) {
    let page = ChatPage::start(world, "msteams");
    let alert = json!({"to": {"address": page.chat().reference()}, "text": "the pizza is ready"});
    let alerted = page.back_end().alert(&alert).unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(alerted[0].status, "queued", "{alerted:?}");
    let said = page.wait_for("Alert: the pizza is ready");
    assert_eq!(said.status, 201, "expected the Connector to accept {}", said.activity);
}

#[track_caller]
fn expect_acknowledgement_and_alert(world: &World, channel_id: &str) {
    let page = ChatPage::start(world, channel_id);
    let chat = page.chat();
    chat.say("hello from a person").unwrap();
    page.wait_for("Queued: hello from a person");
    page.wait_for("Alert: hello from a person");
    for said in page.activities_of_the_bot() {
        assert_eq!(said.status, 201, "expected the Connector to accept {}", said.activity);
        assert_eq!(said.activity["conversation"]["id"], chat.conversation(), "{}", said.activity);
    }
    let texts: Vec<_> = page.activities_of_the_bot().iter().map(|said| said.text().to_owned()).collect();
    assert_eq!(texts, ["Queued: hello from a person", "Alert: hello from a person"]);
}
