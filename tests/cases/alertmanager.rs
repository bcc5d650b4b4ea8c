//! Tests with the real Alertmanager, which posts to a webhook address of the bot. The configuration of
//! Alertmanager comes from `docs/hooks.md`.

use dev::browser::{Browser, Visit};
use dev::workspace;
use end_to_end::alertmanager::{Alertmanager, Programs};
use end_to_end::chat_page::ChatPage;
use end_to_end::hooks::{Hook, hook};
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use end_to_end::waiting::eventually;

use crate::hook_page::blocks;

end_to_end::cases!(
    alert_group_of_alertmanager_is_one_chat_message_that_turns_green,
    alert_group_of_alertmanager_turns_from_red_to_green_in_the_browser,
);

/// The reason that the test run shows if it skips these cases.
pub(crate) const MISSING: &str = "Alertmanager or Chromium is not installed (Debian and Ubuntu: apt-get install prometheus-alertmanager chromium)";

const FIRING: &str = "Firing: db-7 is down";
const RESOLVED: &str = "Resolved: db-7 is down";

/// Starts Alertmanager with the configuration in `docs/hooks.md`, and fills in the webhook address. By
/// default, Alertmanager waits half a minute before its first post and five minutes before the next post.
/// This function sets both times to one second.
fn start(hook: &Hook) -> Alertmanager {
    let example = blocks("yaml").remove(0);
    let configuration = example.replace("url: HOOK", &format!("url: {}", hook.url));
    let times = "receiver: bot\n  group_wait: 1s\n  group_interval: 1s\n";
    let configuration = configuration.replacen("receiver: bot\n", times, 1);
    assert!(configuration.contains("group_wait") && configuration.contains(&hook.url), "{configuration}");
    Alertmanager::start(Programs::find().expect(MISSING), &configuration)
}

fn alert_group_of_alertmanager_is_one_chat_message_that_turns_green(world: &World) {
    let stage = Stage::start(world);
    let alertmanager = start(&hook(&stage));
    let next = |number: usize| {
        eventually("a request at the Connector", || {
            stage.poll();
            stage.connector.received().get(number).cloned()
        })
    };
    alertmanager.alert("InstanceDown", "db-7 is down", false);
    let red = next(0);
    assert!(red.body["attachments"][0].to_string().contains(FIRING), "{red:?}");
    alertmanager.alert("InstanceDown", "db-7 is down", true);
    let green = next(1);
    assert_eq!((green.method.as_str(), green.reply_to().as_deref()), ("PUT", Some("sent-1")), "{green:?}");
    assert!(green.body["attachments"][0].to_string().contains(RESOLVED), "{green:?}");
}

fn alert_group_of_alertmanager_turns_from_red_to_green_in_the_browser(world: &World) {
    let browser = Browser::find().expect(dev::browser::MISSING);
    let folder = workspace::target().join("browser");
    std::fs::create_dir_all(&folder).unwrap();
    let page = ChatPage::start(world, "msteams");
    let visit = Visit {
        say: "hello",
        replies: &["Alert: hello"],
        card: FIRING,
        press: None,
        then: Some(("I see it", RESOLVED)),
    };
    let seen = std::thread::scope(|scope| {
        let seen = scope.spawn(|| browser.chat(&page.url(), &visit, &folder.join("alertmanager.png")));
        page.wait_for("Alert: hello");
        page.chat().say("webhook").unwrap();
        let hook = eventually("a reply with a webhook address", || {
            page.activities_of_the_bot().iter().find_map(|said| Hook::in_reply(said.text()))
        });
        let alertmanager = start(&hook);
        alertmanager.alert("InstanceDown", "db-7 is down", false);
        // The script that controls the browser writes `I see it` when the chat page shows the red card.
        page.wait_for("Alert: I see it");
        alertmanager.alert("InstanceDown", "db-7 is down", true);
        seen.join().unwrap()
    });
    let seen = seen.unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(seen.cards.len(), 1, "expected one card that changes, found {seen:?}");
    assert!(seen.cards[0].texts.contains(&RESOLVED.to_owned()), "{seen:?}");
    assert!(
        seen.colors.len() == 2 && seen.colors[0] != seen.colors[1],
        "expected red and then green, found {seen:?}"
    );
}
