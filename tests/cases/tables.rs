//! Tests of trouble with the tables:
//!
//! - The table service is unreachable, fails, or refuses the credential.
//! - A table contains *foreign* entities (entities that the bot did not write), or records of a newer version
//!   of the bot.
//! - The ids of a conversation are too long for a table key (a partition key or a row key).

use end_to_end::activity::message;
use end_to_end::alerts::{self, alert, call, key_of, known, queued, targets, to_conversation};
use end_to_end::closed_port::ClosedPort;
use end_to_end::faulty_tables::{Fault, FaultyTables};
use end_to_end::sas::{self, account_sas};
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use end_to_end::table::Table;
use serde_json::{Value, json};
use storage_table::{Entity, Key};

end_to_end::cases!(
    calls_are_answered_503_and_lose_no_message_while_the_tables_are_unreachable,
    calls_succeed_again_when_the_tables_recover,
    replies_are_limited_and_truthful_while_the_tables_fail,
    sas_without_table_rights_is_refused_and_the_log_names_the_needed_rights,
    foreign_entities_are_skipped,
    record_of_a_newer_version_is_not_changed,
    conversation_with_ids_too_long_for_a_table_key_is_alerted,
);

/// The beginning of the bot's reply if the bot could not accept a person's message.
const NOT_ACCEPTED: &str = "Not accepted this time: ";

#[track_caller]
fn table(world: &World, stage: &Stage, rest: &str) -> Table {
    Table::new(&world.azurite().connection_string(), &format!("{}{rest}", stage.table_prefix))
}

/// Expects that the bot and the poller respond with 503 to every request that needs the tables. Also expects
/// that a person who writes gets a reply.
#[track_caller]
fn expect_unavailable(stage: &Stage, id: &str) {
    let before = stage.connector.received().len();
    let activity = stage.connector.host(&message("a:1", id, "hello"));
    stage.post(&activity).expect_error(503, "StateUnavailable");
    let reply = stage.connector.wait_for(before + 1).remove(before);
    assert!(reply.text().starts_with(NOT_ACCEPTED), "{reply:?}");
    assert_eq!(reply.reply_to().as_deref(), Some(id));

    let body = to_conversation(&key_of("msteams", "a:1"), "x");
    alert(stage, &body).expect_error(503, "StateUnavailable");
    for (method, path) in
        [("DELETE", "/api/alerts/0a260123456789abcdef0123456789ab"), ("GET", "/api/targets")]
    {
        call(stage, method, path, &Value::Null).expect_error(503, "StateUnavailable");
    }
    stage.try_poll().expect_error(503, "StateUnavailable");
    assert_eq!(stage.connector.received().len(), before + 1, "expected that the poller delivers no alert");
}

fn calls_are_answered_503_and_lose_no_message_while_the_tables_are_unreachable(world: &World) {
    let closed = ClosedPort::reserve();
    let stage = alerts::script(world).unreachable_tables(&closed).start();
    let envelope = crate::draining::envelope(&stage, "waiting", "a:2", "waiting");
    stage.queue.put_json(&envelope);
    expect_unavailable(&stage, "1");
    assert_eq!(stage.queue.envelopes(), [envelope], "expected that the message is unchanged and visible");
    assert_eq!(stage.queue.poison().count(), 0);
    let drain = stage.wait_for_events("drain", 1).remove(0);
    assert_eq!(drain["level"], "error", "{drain}");
    assert!(drain["error"].as_str().unwrap().contains("tables"), "{drain}");
}

fn calls_succeed_again_when_the_tables_recover(world: &World) {
    let tables = FaultyTables::start(&world.azurite().table_authority());
    let stage = alerts::script(world).variable("pace", "0").tables_at(tables.authority()).start();
    let key = known(&stage, "a:1", "subscribe news");
    let before = targets(&stage);
    queued(&stage, &to_conversation(&key, "before"));
    tables.fail(|_| Some(Fault::Status(503)));
    expect_unavailable(&stage, "1");
    assert_eq!(stage.queue.texts().len(), 1);
    let mut body = to_conversation(&key, "during");
    body["idempotencyKey"] = "k".into();
    alert(&stage, &body).expect_error(503, "StateUnavailable");
    // Without the tables, the bot cannot carry out the command `stop`. The bot's reply says that the command
    // was not carried out.
    let answered = stage.connector.received().len();
    stage.say(&message("a:1", "2", "stop"));
    assert!(stage.connector.wait_for(answered + 1)[answered].text().starts_with("Not done: "));

    tables.fail_nothing();
    stage.connector.forget();
    assert_eq!(targets(&stage), before);
    // The channel and the program repeat the calls that failed. Each of these calls arrives twice.
    stage.say(&message("a:1", "1", "hello"));
    stage.say(&message("a:1", "1", "hello"));
    let first = alert(&stage, &body).expect_status(202).json();
    assert_eq!(alert(&stage, &body).expect_status(202).json(), first);
    assert_eq!(stage.poll()["delivered"], 3);
    let mut texts: Vec<_> = stage.connector.wait_for(4).iter().map(|seen| seen.text().to_owned()).collect();
    texts.sort();
    assert_eq!(texts, ["Alert: before", "Alert: during", "Alert: hello", "Queued: hello"]);
    assert_eq!(stage.queue.count(), 0);
}

/// The channel sends an activity again. The alert of this activity is already on the queue. Without the
/// tables, the bot cannot find out about this alert. So each reply to this activity says only that the bot
/// did not accept the message this time. Each reply to the command `stop` says that the command was not
/// carried out.
fn replies_are_limited_and_truthful_while_the_tables_fail(world: &World) {
    const REPLIES_PER_MINUTE: usize = 20;
    let tables = FaultyTables::start(&world.azurite().table_authority());
    let stage = alerts::script(world).variable("pace", "0").tables_at(tables.authority()).start();
    stage.say(&message("a:1", "1", "hello"));
    tables.fail(|_| Some(Fault::Status(403)));
    let activity = stage.connector.host(&message("a:1", "1", "hello"));
    for _ in 0..REPLIES_PER_MINUTE + 5 {
        stage.post(&activity).expect_error(503, "StateUnavailable");
        stage.say(&message("a:1", "2", "stop"));
    }
    let said = stage.connector.received();
    let is_true = |text: &str| text.starts_with(NOT_ACCEPTED) || text.starts_with("Not done: ");
    assert!(said[1..].iter().all(|said| is_true(said.text())), "{said:?}");
    // The bot sends at most 20 replies in a minute in one conversation. If a new minute began during the
    // loop, the bot has sent up to 40 replies.
    assert!(
        (1 + REPLIES_PER_MINUTE..=1 + 2 * REPLIES_PER_MINUTE).contains(&said.len()),
        "expected one or two times the limit, found {} replies",
        said.len()
    );
    stage.wait_for_events("conversation.silenced", 1);
    assert_eq!(stage.queue.count(), 1);
}

fn sas_without_table_rights_is_refused_and_the_log_names_the_needed_rights(world: &World) {
    const NEEDS: &str = "lacks `t` in ss; make a SAS with ss=qt, srt=co, sp=rdacup";
    let azurite = world.azurite();
    let sas = account_sas("q", "sco", "rwdlacup");
    let connection = sas::connection_string(&azurite.queue_authority(), &azurite.table_authority(), &sas);
    let stage = alerts::script(world).variable("storageconnection", &connection).start();
    let envelope = crate::draining::envelope(&stage, "waiting", "a:2", "waiting");
    stage.queue.put_json(&envelope);
    expect_unavailable(&stage, "1");
    assert_eq!(stage.queue.envelopes(), [envelope]);
    for (event, field) in [
        ("conversation.not-stored", "reason"),
        ("ledger.accept.failed", "reason"),
        ("request.rejected", "reason"),
        ("drain", "error"),
    ] {
        let lines = stage.wait_for_events(event, 1);
        let is_named = lines.iter().any(|line| line[field].as_str().unwrap_or_default().contains(NEEDS));
        assert!(is_named, "{event}: {lines:?}");
    }
    let signature = sas.split("sig=").nth(1).unwrap();
    assert!(!stage.host_log().contains(signature), "the signature is in the log");
}

/// Puts an entity with these properties into a table.
#[track_caller]
fn plant(table: &Table, partition: &str, row: &str, properties: Value) {
    let properties = properties.as_object().unwrap().clone();
    table.put(&Entity { key: Key::new(partition, row), properties });
}

fn foreign_entities_are_skipped(world: &World) {
    let stage = alerts::script(world).variable("pace", "0").start();
    let key = known(&stage, "a:1", "subscribe news");
    let broken = known(&stage, "a:broken", "hello");
    // The bot accepts one alert, and creates a record in the ledger (the table of alerts). The poller
    // delivers the alert, and creates the record of the run lock.
    queued(&stage, &to_conversation(&key, "first"));
    assert_eq!(stage.poll()["delivered"], 1);
    stage.connector.forget();

    let conversations = table(world, &stage, "conversations");
    let (user, entra) = {
        let from = message("", "", "")["from"].take();
        (from["id"].as_str().unwrap().to_owned(), from["aadObjectId"].as_str().unwrap().to_owned())
    };
    let by_user = format!("u.msteams.{}", user.replace('.', "!2e"));
    for partition in [
        "",
        "foreign",
        "c",
        "c0",
        &format!("c{}", &key[..1]),
        "t.news",
        &by_user,
        &format!("e.{entra}"),
        "n.11111111-2222-3333-4444-555555555555",
    ] {
        for row in [
            "",
            "0",
            "foreign",
            "zzz",
            &format!("{key}.x"),
            &format!("{key}.t."),
            &"f".repeat(32),
            &"x".repeat(512),
        ] {
            plant(
                &conversations,
                partition,
                row,
                json!({"seenAt": true, "at": "x", "address": 7, "version": "one"}),
            );
        }
    }
    plant(&conversations, &format!("c{}", &key[..1]), &format!("{key}.t.two words"), json!({"at": false}));
    plant(
        &conversations,
        &format!("c{}", &broken[..1]),
        &broken,
        json!({"version": true, "address": 7, "seenAt": "yesterday", "pausedUntil": "soon"}),
    );

    let ledger = table(world, &stage, "ledger");
    let cancelled = queued(&stage, &to_conversation(&key, "cancelled"));
    // This alert has an idempotency key, so the program can repeat the call, and the queue can hold two
    // messages of the alert. So the poller reads the alert's record in the ledger before it sends the alert.
    // This test overwrites the record below.
    let mut strange = to_conversation(&key, "strange");
    strange["idempotencyKey"] = "strange".into();
    let strange = queued(&stage, &strange);
    for entity in ledger.entities() {
        plant(
            &ledger,
            &entity.key.partition,
            "foreign",
            json!({"status": 7, "endsAt": "x", "acceptedAt": false}),
        );
        if entity.key.row == strange {
            let wrong = json!({
                "status": 7, "version": "one", "acceptedAt": "x", "endsAt": true, "conversation": 7, "cancelledAt": "x",
            });
            plant(&ledger, &entity.key.partition, &entity.key.row, wrong);
        }
    }

    let runs = table(world, &stage, "runs");
    let queue = stage.queue.name();
    plant(
        &runs,
        queue,
        "run",
        json!({"run": 7, "fence": "many", "why": true, "pausedUntil": "x", "hand0": "{", "hand1": 7}),
    );
    for row in
        ["line.", "line.x", "line.0123456789abcdef", "since.", "since.x", "since.99999999999999.x", "foreign"]
    {
        plant(&runs, queue, row, json!({"line": 7, "endsAt": "x", "kind": 7, "subject": true}));
        plant(&runs, "foreign", row, json!({}));
    }

    let shown: Vec<_> = targets(&stage).iter().map(|target| target["conversation"].clone()).collect();
    assert_eq!(shown, [key.as_str()]);
    for to in [
        json!({"tag": "news"}),
        json!({"user": format!("msteams/{user}")}),
        json!({"user": entra}),
        json!({"conversation": key}),
    ] {
        let body = json!({"to": to, "text": "hello"});
        queued(&stage, &body);
    }
    call(&stage, "DELETE", &format!("/api/alerts/{cancelled}"), &Value::Null).expect_status(202);
    let counts = stage.poll();
    assert_eq!((&counts["delivered"], &counts["cancelled"]), (&5.into(), &1.into()), "{counts}");
    assert_eq!((stage.queue.count(), stage.queue.poison().count()), (0, 0), "expected empty queues");
    assert!(
        !stage.events("conversation.entity-skipped").is_empty(),
        "expected log lines about the skipped entities"
    );
    let mut skipped: Vec<_> =
        stage.events("table.entity-skipped").iter().map(|line| line["table"].clone()).collect();
    skipped.sort_by_key(Value::to_string);
    assert_eq!(skipped, ["ledger", "runs"].map(|rest| format!("{}{rest}", stage.table_prefix)));

    // For each stored conversation, the key-value store has a *fingerprint*: hashes of the conversation's
    // address. The test has overwritten the row of the conversation `a:broken`. The person in this
    // conversation now writes two messages:
    //
    // 1. The address in the first message matches the fingerprint. So the bot does not write a new row. The
    //    command `subscribe` needs the row, and fails. Then the bot deletes the fingerprint.
    // 2. When the second message arrives, the bot finds no fingerprint. So the bot stores the conversation
    //    again.
    stage.say(&message("a:broken", "not done", "subscribe news"));
    assert_eq!(stage.connector.received().last().unwrap().text().split(':').next(), Some("Not done"));
    stage.say(&message("a:broken", "again", "subscribe news"));
    let shown: std::collections::BTreeSet<_> =
        targets(&stage).iter().map(|target| target["conversation"].as_str().unwrap().to_owned()).collect();
    assert_eq!(shown, [key, broken].into());
}

fn record_of_a_newer_version_is_not_changed(world: &World) {
    let stage = alerts::script(world).variable("pace", "0").start();
    let key = known(&stage, "a:1", "hello");
    let newer = known(&stage, "a:newer", "hello");
    let conversations = table(world, &stage, "conversations");
    let shard = format!("c{}", &newer[..1]);
    plant(
        &conversations,
        &shard,
        &newer,
        json!({"version": 99, "address": "in a form of the future", "seenAt": "1"}),
    );
    let before = conversations.get(&shard, &newer);

    // For each stored conversation, the key-value store has a *fingerprint*: hashes of the conversation's
    // address. The next message has another locale, which is a part of the address. So the address in the
    // message does not match the fingerprint, and the bot reads the table.
    let mut again = message("a:newer", "2", "hello again");
    again["locale"] = "fr-FR".into();
    stage.say(&again);
    alert(&stage, &to_conversation(&newer, "x")).expect_error(404, "TargetNotFound");
    let id = queued(&stage, &to_conversation(&key, "newer record"));
    let ledger = table(world, &stage, "ledger");
    let record = ledger.entities().into_iter().find(|entity| entity.key.row == id).unwrap();
    plant(
        &ledger,
        &record.key.partition,
        &id,
        json!({"version": 99, "status": "a word of the future", "acceptedAt": "soon", "form": "new"}),
    );
    assert_eq!(stage.poll()["delivered"], 2);
    let texts: Vec<_> = stage.connector.received().iter().map(|seen| seen.text().to_owned()).collect();
    for text in ["Queued: hello again", "Alert: hello again", "Alert: newer record"] {
        assert_eq!(texts.iter().filter(|seen| *seen == text).count(), 1, "{text}: {texts:?}");
    }
    assert_eq!(conversations.get(&shard, &newer), before);
    let record = ledger.get(&record.key.partition, &id).unwrap();
    assert_eq!(
        (record.int("version"), record.str("status"), record.str("form")),
        (Some(99), Some("delivered"), Some("new")),
        "expected that the record has the new status, and still has version 99 and the property `form`"
    );
    assert_eq!(stage.queue.count(), 0);
}

fn conversation_with_ids_too_long_for_a_table_key_is_alerted(world: &World) {
    // Each long id repeats a short text. A partition key contains a prefix and the escaped user id. With 23
    // repeats, the escaped id alone would fit into a partition key, but the id and the prefix together do not
    // fit. With 60 repeats, even the escaped id alone does not fit.
    for repeats in [23, 60] {
        expect_alerted_with_long_ids(world, repeats);
    }
}

fn expect_alerted_with_long_ids(world: &World, repeats: usize) {
    let stage = alerts::script(world).variable("pace", "0").start();
    let long = |what: &str| format!("{what}/\\#?ü'%🍕").repeat(repeats);
    let (conversation, user, tenant) = (long("a:"), long("29:"), long("tenant"));
    // The object id (the person's id in Microsoft Entra) has no slash. In an alert's `to`, a `user` with a
    // slash means `<channel>/<id of the user>`.
    let entra = "entra?ü'%🍕".repeat(repeats);
    let mut activity = message(&conversation, &long("id"), "subscribe news");
    activity["from"] = json!({"id": user, "aadObjectId": entra, "name": "Long"});
    activity["conversation"]["tenantId"] = tenant.as_str().into();
    stage.say(&activity);
    stage.connector.forget();
    let key = key_of("msteams", &conversation);
    for to in [
        json!({"conversation": key}),
        json!({"user": format!("msteams/{user}")}),
        json!({"user": entra}),
        json!({"tag": "news"}),
    ] {
        queued(
            &stage,
            &json!({"to": to, "text": "hello", "idempotencyKey": to.to_string().chars().take(64).collect::<String>()}),
        );
    }
    activity["text"] = "hello".into();
    activity["id"] = long("another").into();
    stage.say(&activity);
    assert_eq!(stage.poll()["delivered"], 5);
    assert!(
        stage.connector.received().iter().all(|seen| seen.conversation().as_deref() == Some(&conversation))
    );
    assert_eq!((stage.queue.count(), stage.queue.poison().count()), (0, 0), "expected empty queues");
    assert_eq!(targets(&stage)[0]["tags"], json!(["news"]));
}
