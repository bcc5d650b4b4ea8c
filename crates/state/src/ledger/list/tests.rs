use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use platform::testing::run;

use super::*;
use crate::ConversationKey;
use crate::ledger::key::AlertId;
use crate::ledger::record::{NewAlert, Status};
use crate::ledger::sent_replies::Allowance;
use crate::ledger::{CallId, CallNote, Origin, RecordKey, Reopened, Replay, Unasked};
use crate::world::World;

const TABLE: &str = "proactivebotledger";
const DAY: u64 = 24 * 60 * 60;

fn no_filter(limit: usize) -> Wanted<'static> {
    Wanted { sender: None, tag: None, since: None, after: None, limit }
}

fn wanted_of<'a>(sender: &'a str, tag: Option<&'a str>) -> Wanted<'a> {
    Wanted { sender: Some(sender), tag, ..no_filter(20) }
}

impl World {
    fn page(&self, wanted: &Wanted<'_>) -> Listed {
        let before = self.host.sent.borrow().len();
        let page = run(self.ledger().list(wanted, |_| true)).unwrap();
        let calls = self.host.sent.borrow().len() - before;
        assert!(calls <= MAX_CALLS, "{calls} calls for {wanted:?}");
        assert!(page.records.len() <= wanted.limit);
        page
    }

    /// Reads all pages of the list. Returns the ids of the alerts, and the number of pages.
    fn all(&self, wanted: &Wanted<'_>) -> (Vec<String>, usize) {
        let (mut wanted, mut ids) = (wanted.clone(), Vec::new());
        for pages in 1..500 {
            let page = self.page(&wanted);
            ids.extend(page.records.into_iter().map(|record| record.id));
            let Some(next) = page.next else { return (ids, pages) };
            wanted.after = Some(Position::parse(&next.to_string()).unwrap());
        }
        panic!("the list does not end");
    }

    /// Accepts an API call of the program `sender`. `alerts` is the number of alerts in the call. `number`
    /// distinguishes the call from other calls. Returns the ids of the alerts.
    fn sends(&self, sender: &str, number: u8, alerts: u8, tag: Option<&str>) -> Vec<String> {
        let call = CallId::random(Period::of(self.host.now()), [number; 16]);
        let alerts = (0..alerts).map(|index| NewAlert {
            tag: tag.map(str::to_owned),
            key: Some(sender.to_owned()),
            ..alert(call.alert(index))
        });
        let alerts: Vec<NewAlert> = alerts.collect();
        run(self.ledger().accept_call(&alerts)).unwrap();
        alerts.into_iter().map(|alert| alert.id.to_string()).collect()
    }

    /// Accepts a message of a person as an alert. Returns the id of the alert.
    fn hears(&self, conversation: char, activity: &str) -> String {
        let key = ConversationKey::parse(&conversation.to_string().repeat(32)).unwrap();
        let id = AlertId::of_activity(self.host.now(), &key, activity);
        let message = NewAlert { conversation: key.as_str().into(), ..alert(id.clone()) };
        let allowance = Allowance::read(&*self.host).unwrap();
        run(self.ledger().accept_message(&message, allowance, Unasked::Ignored)).unwrap();
        id.to_string()
    }

    fn rows_by_time(&self) -> usize {
        self.tables.borrow().entities(TABLE).keys().filter(|(_, row)| row.starts_with(FIRST)).count()
    }
}

fn alert(id: AlertId) -> NewAlert {
    NewAlert::queued(id, "c")
}

#[test]
fn list_with_pages_of_any_size_has_each_alert_once_and_the_newest_first() {
    let world = World::new();
    let mut calls: Vec<Vec<String>> = Vec::new();
    for number in 0..12 {
        calls.push(world.sends("ci", number, if number == 5 { 100 } else { number % 4 + 1 }, None));
        calls.push(vec![world.hears(char::from(b'0' + number % 10), &number.to_string())]);
        // The clock moves only in every third round. So some alerts are accepted in the same millisecond.
        if number % 3 == 0 {
            world.pass(1);
        }
        // The ledger stores records by *period* (eight days). The alerts of the next rounds are in a later
        // period.
        if number == 6 {
            world.pass(9 * DAY);
        }
    }
    let expected: BTreeSet<String> = calls.iter().flatten().cloned().collect();
    let (at_once, _) = world.all(&no_filter(100));
    for limit in [1, 7, 20, 100] {
        let (ids, _) = world.all(&no_filter(limit));
        assert_eq!(ids, at_once, "{limit}");
    }
    assert_eq!(at_once.len(), expected.len());
    assert_eq!(at_once.iter().cloned().collect::<BTreeSet<_>>(), expected);
    let times: Vec<_> = at_once
        .iter()
        .map(|id| {
            run(world.ledger().find(&AlertId::parse(id).unwrap())).unwrap().unwrap().accepted_at.unwrap()
        })
        .collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
}

#[test]
fn list_of_a_sender_and_a_tag_contains_only_matching_alerts() {
    let world = World::new();
    let mine = world.sends("ci", 1, 3, Some("orders"));
    world.sends("shop", 2, 3, Some("orders"));
    world.hears('a', "1");
    let other = world.sends("ci", 3, 1, Some("orders-42"));
    // The next call has two alerts with different tags.
    let call = CallId::random(Period::of(world.host.now()), [4; 16]);
    let both: Vec<NewAlert> = [(0, "news"), (1, "orders")]
        .map(|(index, tag)| NewAlert {
            tag: Some(tag.into()),
            key: Some("ci".into()),
            ..alert(call.alert(index))
        })
        .into();
    run(world.ledger().accept_call(&both)).unwrap();
    let both: Vec<String> = both.into_iter().map(|alert| alert.id.to_string()).collect();
    let set = |lists: &[&[String]]| lists.concat().into_iter().collect::<BTreeSet<_>>();
    for (wanted, expected) in [
        (wanted_of("ci", None), set(&[&mine, &other, &both])),
        (wanted_of("ci", Some("orders")), set(&[&mine, &both[1..]])),
        (wanted_of("ci", Some("orders-42")), set(&[&other])),
        (wanted_of("ci", Some("order")), set(&[])),
        (wanted_of("nobody", None), set(&[])),
    ] {
        assert_eq!(world.all(&wanted).0.into_iter().collect::<BTreeSet<_>>(), expected, "{wanted:?}");
    }
    // An index row also names the sender of its records. The list of a sender contains an alert only if both
    // the index row and the record name this sender. So if another program has changed the sender in the
    // index row, the list of the wrong sender does not contain the alert.
    let mut tables = world.tables.borrow_mut();
    for ((_, row), properties) in tables.entities_mut(TABLE) {
        if row.starts_with(FIRST) {
            properties.insert(SENDER.into(), "nobody".into());
        }
    }
    drop(tables);
    assert_eq!(world.all(&wanted_of("nobody", None)).0, [""; 0]);
}

#[test]
fn alert_that_is_accepted_again_is_listed_once() {
    let world = World::new();
    world.hears('b', "0");
    let call = CallId::of_key(Period::of(world.host.now()), None, "k", 0);
    for alerts in [1, 2, 100] {
        let call = CallId::of_key(Period::of(world.host.now()), None, &format!("{alerts}"), 0);
        let mut all: Vec<NewAlert> = (0..alerts).map(|index| alert(call.alert(index))).collect();
        all[0].call = Some(CallNote { fingerprint: "f".into(), alerts: alerts.into(), next: None });
        let before = world.rows_by_time();
        for _ in 0..3 {
            run(world.ledger().accept_call(&all)).unwrap();
            world.pass(1);
        }
        assert_eq!(world.rows_by_time() - before, 1, "{alerts}");
    }
    for _ in 0..3 {
        world.hears('a', "1");
        world.pass(1);
    }
    assert_eq!(world.rows_by_time(), 5);
    assert_eq!(world.all(&no_filter(100)).0.len(), 1 + 1 + 2 + 100 + 1);
    // A call without alerts has one record, which only describes the call. The call has no index row, because
    // the list has no alert to show.
    let empty = CallNote { fingerprint: "f".into(), alerts: 0, next: None };
    let empty = NewAlert { call: Some(empty), status: Status::Expired, ..alert(call.alert(0)) };
    run(world.ledger().accept_call(&[empty])).unwrap();
    assert_eq!(world.rows_by_time(), 5);
}

/// The records of 100 alerts fill a batch. So the bot inserts the index row, which brings the alerts into the
/// list, with a separate request. The bot can be killed between the two requests.
#[test]
fn accepted_call_with_100_alerts_is_listed_even_if_the_bot_is_killed_after_any_request() {
    let mut is_accepted = false;
    for requests in 0..6 {
        let world = World::new();
        // The first message creates the table. So the requests of the API call do not include the creation.
        world.hears('b', "0");
        world.pass(1);
        let call = CallId::of_key(Period::of(world.host.now()), None, "k", 0);
        let mut all: Vec<NewAlert> = (0..100).map(|index| alert(call.alert(index))).collect();
        all[0].call = Some(CallNote { fingerprint: "f".into(), alerts: 100, next: None });
        world.allow_calls(requests);
        is_accepted = run(world.ledger().accept_call(&all)).is_ok();
        world.allow_calls(usize::MAX);
        let first = run(world.ledger().find(&call.alert(0))).unwrap();
        let listed = world.all(&no_filter(100)).0.len();
        assert_eq!(listed, if first.is_some() { 101 } else { 1 }, "killed after {requests} requests");
        assert_eq!(is_accepted, first.is_some(), "killed after {requests} requests");
        // The sender repeats the API call.
        world.pass(1);
        run(world.ledger().accept_call(&all)).unwrap();
        let ids: Vec<String> = all.iter().map(|alert| alert.id.to_string()).collect();
        let (listed, _) = world.all(&no_filter(7));
        assert_eq!(listed[..100], ids, "killed after {requests} requests");
        assert_eq!(listed.len(), 101);
        if is_accepted {
            break;
        }
    }
    assert!(is_accepted, "expected that 5 requests are enough to accept the call");
}

#[test]
fn record_that_a_replay_creates_again_is_listed_once_for_the_sender() {
    for (alerts, passed) in [(1, 0), (3, 0), (3, 40 * DAY)] {
        let world = World::new();
        let ids = world.sends("ci", 1, alerts, Some("orders"));
        let id = AlertId::parse(ids.last().unwrap()).unwrap();
        let key = RecordKey::of(&id, world.host.now()).unwrap();
        let accepted_at = world.host.now();
        world.pass(passed);
        let mut tables = world.tables.borrow_mut();
        tables
            .entities_mut(TABLE)
            .retain(|(_, row), _| row != id.as_str() && (passed == 0 || row.is_empty()));
        drop(tables);
        let replay = Replay { conversation: "c", accepted_at, until: None, by: "operator", message: None };
        let origin = Origin { sender: Some("ci".into()), tag: Some("orders".into()) };
        let ledger = world.ledger();
        assert_eq!(run(ledger.reopen(&key, &replay)), Ok(Reopened::Missing));
        for _ in 0..2 {
            assert_eq!(run(ledger.remake(&key, &replay, &origin)), Ok(Reopened::Yes));
        }
        let record = run(ledger.find(&id)).unwrap().unwrap();
        assert_eq!((record.key.as_deref(), record.tag.as_deref()), (Some("ci"), Some("orders")));
        let left: Vec<String> = if passed == 0 { ids } else { Vec::new() };
        let expected: BTreeSet<String> = left.into_iter().chain([id.to_string()]).collect();
        for wanted in [no_filter(2), wanted_of("ci", Some("orders"))] {
            let (listed, _) = world.all(&wanted);
            assert_eq!(listed.len(), expected.len(), "{listed:?}");
            assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), expected);
        }
        assert_eq!(world.all(&wanted_of("shop", None)).0, [""; 0]);
    }
}

#[test]
fn alert_that_was_accepted_long_ago_is_listed_until_the_record_is_deleted() {
    let world = World::new();
    let far = NewAlert {
        due: Some(world.host.now() + TimeDelta::days(300)),
        until: Some(world.host.now() + TimeDelta::days(300)),
        ..alert(CallId::random(Period::of(world.host.now()), [1; 16]).alert(0))
    };
    run(world.ledger().accept_call(std::slice::from_ref(&far))).unwrap();
    world.hears('a', "1");
    world.pass(299 * DAY);
    while run(world.ledger().clean(8)).unwrap() > 0 {}
    let new = world.hears('a', "2");
    let (ids, pages) = world.all(&no_filter(20));
    assert_eq!(ids, [new, far.id.to_string()]);
    assert!(pages > 1, "expected several pages, because one page reads only some of the old periods");
    world.pass(20 * DAY);
    while run(world.ledger().clean(8)).unwrap() > 0 {}
    let (ids, pages) = world.all(&no_filter(20));
    assert_eq!((ids.len(), pages), (0, 1), "the old periods are empty, so one page is enough");
}

#[test]
fn list_since_a_time_contains_no_older_alerts() {
    let world = World::new();
    for number in 0..30 {
        world.hears('a', &number.to_string());
        world.pass(DAY);
    }
    let now = world.host.now();
    for (days, expected) in [(0, 0), (1, 1), (5, 5), (20, 20), (40, 30)] {
        let since = Some(now - TimeDelta::days(days));
        let (ids, _) = world.all(&Wanted { since, ..no_filter(7) });
        assert_eq!(ids.len(), expected, "since {days} days ago");
    }
    for since in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
        world.all(&Wanted { since: Some(since), ..no_filter(7) });
    }
}

#[test]
fn list_has_a_last_page_and_all_matches_even_if_few_alerts_match_the_filter() {
    let world = World::new();
    for number in 0..120 {
        world.hears(char::from(b'0' + number % 10), &number.to_string());
        if number % 10 == 0 {
            world.pass(60);
        }
    }
    let wanted = no_filter(5);
    let (mut after, mut found, mut pages) = (None, 0, 0);
    loop {
        let page =
            run(world.ledger().list(&Wanted { after, ..wanted.clone() }, |record| record.id.ends_with('7')));
        let page = page.unwrap();
        (found, pages) = (found + page.records.len(), pages + 1);
        after = page.next;
        if after.is_none() {
            break;
        }
        assert!(pages < 20);
    }
    let tables = world.tables.borrow();
    let all = tables.entities(TABLE).keys().filter(|(_, row)| row.len() == 32 && row.ends_with('7')).count();
    assert_eq!(found, all);
}

#[test]
fn message_that_was_sent_in_the_period_before_the_acceptance_is_listed() {
    let world = World::new();
    world.pass(DAY);
    let key = ConversationKey::parse(&"a".repeat(32)).unwrap();
    let hears = |sent_at: DateTime<Utc>, activity| {
        let id = AlertId::of_activity(sent_at, &key, activity);
        run(world.ledger().accept(&alert(id.clone()))).unwrap();
        id.to_string()
    };
    let begin = Period::of(world.host.now() + TimeDelta::days(8)).begin();
    world.host.elapsed.set((begin - DateTime::UNIX_EPOCH).to_std().unwrap() - clock_start(&world));
    let ids = [hears(begin - TimeDelta::days(1), "1"), hears(begin + TimeDelta::seconds(1), "2")];
    world.pass(1);
    let (listed, _) = world.all(&no_filter(20));
    assert_eq!(listed, [ids[1].as_str(), &ids[0]]);
}

/// The time at which the clock of the fake host begins.
fn clock_start(world: &World) -> Duration {
    use platform::Clock;
    let now = (world.host.now() - DateTime::UNIX_EPOCH).to_std().unwrap();
    now - world.host.elapsed.get()
}

#[test]
fn text_that_is_no_position_is_refused() {
    for text in [
        "",
        ".",
        "..",
        "8204567890123",
        "8204567890123.0a27e4d0d1a4d1c0",
        "8204567890123.0a27e4d0d1a4d1c0.256",
        "8204567890123.0a27e4d0d1a4d1c0.-1",
        "8204567890123.0a27e4d0d1a4d1c0.01",
        "8204567890123.0a27.1",
        "8204567890123.0A27e4d0d1a4d1c0.1",
        "+204567890123.0a27e4d0d1a4d1c0.1",
        "99999999999999.0a27e4d0d1a4d1c0.1",
    ] {
        assert_eq!(Position::parse(text), None, "{text}");
    }
    // If a text has the form of a position, `list` succeeds, even if no row has this position.
    let world = World::new();
    world.hears('a', "1");
    for text in ["0000000000000..0", "9999999999999..255", "8204567890123.0a27e4d0d1a4d1c0.255"] {
        let after = Some(Position::parse(text).unwrap());
        world.all(&Wanted { after, ..no_filter(5) });
    }
}
