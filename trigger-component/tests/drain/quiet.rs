//! Quiet hours: the hours in which a person wants no alerts. If an alert is still on the queue when the quiet
//! hours begin, the alert waits until the quiet hours end.

use chrono::TimeDelta;
use serde_json::{Value, json};
use state::ledger::{Ledger, NewAlert};
use state::runs::{Withdrawal, Withdrawals};
use state::{ConversationKey, Conversations};
use zones::ClockSpan;

use crate::changed::change;
use crate::keyed::{accept, conversation, id_of, texts};
use crate::settled::{wall, with_tables};
use crate::sim::{QUEUE, Sim};
use crate::{envelope, seconds};

/// Sets the person's quiet hours to 22:00–07:00. The simulation begins at 22:00 UTC.
fn set_quiet(sim: &Sim, conversation: &str) {
    let key = ConversationKey::parse(&platform::name_of(&["msteams", conversation])).unwrap();
    let night = ClockSpan::parse("22:00-07:00").unwrap();
    let now = wall(sim);
    with_tables(sim, async |host, account, tables, deadline| {
        Conversations::new(host, account, tables, deadline).set_quiet(&key, night, now).await.unwrap();
    });
}

/// Makes an alert that the bot accepted an hour ago.
fn alert(sim: &Sim, conversation: &str, text: &str) -> Value {
    let mut alert = envelope(conversation, text);
    alert["enqueuedAt"] = (wall(sim) - TimeDelta::hours(1)).to_rfc3339().into();
    alert["stoppable"] = true.into();
    alert
}

#[test]
fn alert_that_was_accepted_before_the_night_waits_for_the_morning() {
    let sim = Sim::new(1);
    set_quiet(&sim, "a");
    sim.put(&alert(&sim, "a", "1"));
    sim.put(&alert(&sim, "b", "1"));
    let mut important = alert(&sim, "a", "2");
    important["activity"] = json!({"importance": "high"});
    sim.put(&important);
    // An alert that is not `stoppable`, such as a person's own reminder, does not wait.
    let mut own = alert(&sim, "a", "3");
    own["stoppable"] = false.into();
    sim.put(&own);
    sim.run();
    assert_eq!(
        (sim.shown("a"), sim.shown("b")),
        (vec!["2".to_owned(), "3".to_owned()], vec!["1".to_owned()])
    );
    let hidden = sim.storage.borrow().messages(QUEUE)[0].visible_at;
    let morning = seconds(9 * 3600);
    assert!(hidden >= morning - seconds(2) && hidden <= morning + seconds(2), "{hidden:?}");
    sim.pass(morning);
    sim.run();
    assert_eq!(sim.shown("a"), ["2", "3", "1"]);
}

#[test]
fn alert_on_the_queue_waits_for_the_morning_if_the_person_sets_quiet_hours() {
    let sim = Sim::new(2);
    let mut recent = alert(&sim, "a", "1");
    recent["enqueuedAt"] = wall(&sim).to_rfc3339().into();
    sim.put(&recent);
    set_quiet(&sim, "a");
    let key = platform::name_of(&["msteams", "a"]);
    with_tables(&sim, async |host, account, tables, deadline| {
        let withdrawals = Withdrawals::new(host, account, tables, QUEUE, deadline);
        withdrawals.record(&Withdrawal::Quieted(key)).await.unwrap();
    });
    sim.run();
    assert!(sim.shown("a").is_empty());
    sim.pass(seconds(9 * 3600));
    sim.run();
    assert_eq!(sim.shown("a"), ["1"]);
}

/// A sender changes an alert that no run has sent. The poller sends the change as a new chat message, and
/// Teams notifies the person. So the change waits until the quiet hours end.
#[test]
fn change_of_an_unsent_alert_waits_for_the_end_of_the_quiet_hours_unless_the_change_is_important() {
    for (importance, shown_at_night) in [("normal", 0), ("high", 1)] {
        let sim = Sim::new(3);
        let key = conversation();
        with_tables(&sim, async |host, account, tables, deadline| {
            let night = ClockSpan::parse("22:00-07:00").unwrap();
            Conversations::new(host, account, tables, deadline)
                .set_quiet(&key, night, wall(&sim))
                .await
                .unwrap();
            let ledger = Ledger::new(host, account, tables, deadline);
            ledger.accept(&NewAlert::queued(id_of(&sim, 0), key.as_str())).await.unwrap();
            ledger.withdraw_for(&id_of(&sim, 0), &id_of(&sim, 1)).await.unwrap();
        });
        let mut message = change(&sim, 1, 0, 100, &json!({}));
        message["stoppable"] = true.into();
        message["activity"] = json!({"importance": importance});
        accept(&sim, &message, false);
        // The change waits for the final status of the alert in the ledger, but at most for one minute.
        // The test waits longer than that, so only the quiet hours can still delay the change.
        sim.pass(seconds(11 * 60));
        sim.run();
        assert_eq!(texts(&sim).len(), shown_at_night, "{importance}");
        sim.pass(seconds(9 * 3600));
        sim.run();
        assert_eq!(texts(&sim).len(), 1, "{importance}");
    }
}
