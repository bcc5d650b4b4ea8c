//! Messages and replies must not go back and forth without end, even if the bot talks to a program, to
//! itself, to a mailbox that replies to everything, or to many people. In a group, the bot obeys a command
//! only if the message mentions the bot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use chrono::Utc;
use end_to_end::activity::{fixture, message};
use end_to_end::alerts::{self, alert, key_of, queued, targets, to_conversation};
use end_to_end::connector::Received;
use end_to_end::faulty_tables::{Fault, FaultyTables};
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use serde_json::{Value, json};

end_to_end::cases!(
    message_of_a_bot_or_a_skill_gets_no_reply,
    text_that_begins_with_the_bots_own_words_gets_no_reply,
    peer_that_echoes_gets_one_reply,
    peer_that_replies_to_everything_is_silenced_within_a_minute,
    replicas_share_the_reply_limit_of_a_conversation,
    stop_beyond_the_reply_limit_is_obeyed_without_a_reply,
    reply_limit_of_zero_is_no_limit,
    reply_counts_once_against_the_limit_if_a_table_response_is_lost,
    command_in_a_group_needs_a_mention,
    member_of_a_group_cannot_stop_the_alerts_of_the_group,
);

/// The default of the variable `repliesperminute`: the bot replies to at most this number of messages of a
/// conversation in a minute.
const REPLIES_PER_MINUTE: usize = 20;

/// Makes the attempt. If a new minute has begun during the attempt, makes another attempt, because the bot
/// counts replies separately for each minute.
fn within_a_minute<T>(mut attempt: impl FnMut() -> T) -> T {
    let minute = || Utc::now().timestamp() / 60;
    for _ in 0..3 {
        let before = minute();
        let done = attempt();
        if minute() == before {
            return done;
        }
    }
    panic!("the minute changed during each attempt");
}

fn texts(received: &[Received]) -> Vec<&str> {
    received.iter().map(Received::text).collect()
}

fn waiting(stage: &Stage) -> usize {
    usize::try_from(stage.queue.count()).unwrap()
}

/// Sends a message. Expects that the bot writes one log line, does not queue the message, and does not reply.
#[track_caller]
fn expect_ignored(stage: &Stage, activity: &Value) {
    let before = stage.events("message.ignored").len();
    stage.say(activity);
    stage.wait_for_events("message.ignored", before + 1);
    assert_eq!(stage.events("message.ignored").len(), before + 1, "{activity}");
    assert_eq!(stage.queue.count(), 0, "{activity}");
    stage.connector.expect_silence();
}

fn message_of_a_bot_or_a_skill_gets_no_reply(world: &World) {
    let stage = alerts::stage(world);
    for (index, role) in ["bot", "Bot", "BOT", "skill", "Skill"].iter().enumerate() {
        for text in ["hello", "stop", "help", ""] {
            let mut activity = message("a:bot", &format!("{index}-{text}"), text);
            activity["from"]["role"] = (*role).into();
            expect_ignored(&stage, &activity);
        }
    }
    assert_eq!(targets(&stage), [] as [Value; 0], "the bot must not store a conversation with another bot");
    let mut person = message("a:bot", "person", "hello");
    person["from"]["role"] = "user".into();
    stage.say(&person);
    assert_eq!(texts(&stage.connector.wait_for(1)), ["Queued: hello"]);
}

/// Makes the activity that reports that the bot was added to a conversation.
fn joining(conversation: &str) -> Value {
    let mut activity = message(conversation, "joining", "");
    activity["type"] = "conversationUpdate".into();
    activity["membersAdded"] = json!([activity["recipient"]]);
    activity
}

fn text_that_begins_with_the_bots_own_words_gets_no_reply(world: &World) {
    let stage = alerts::stage(world);
    // The bot's texts of all kinds: an acknowledgement, an alert, a greeting, and the replies to the messages
    // below.
    let mut bot_texts = vec!["Queued: tea".to_owned(), "Alert: tea".to_owned()];
    stage.post(&stage.connector.host(&joining("a:words"))).expect_status(200);
    for (index, text) in [
        "help",
        "stop",
        "start",
        "subscribe x",
        "unsubscribe x",
        "subscribe <b>",
        "",
        "remind me in 367 days tea",
    ]
    .iter()
    .enumerate()
    {
        stage.say(&message("a:words", &index.to_string(), text));
    }
    bot_texts.extend(stage.connector.wait_for(9).iter().map(|reply| reply.text().to_owned()));
    stage.connector.forget();
    for (index, words) in bot_texts.iter().enumerate() {
        for before in ["", " \n", "> ", "> > ", "\u{feff}"] {
            expect_ignored(
                &stage,
                &message("a:echo", &format!("{index}{before}"), &format!("{before}{words}")),
            );
        }
        let mut mentioned = fixture("teams-channel.json");
        mentioned["text"] = format!("<at>Proactive Bot</at>\u{a0}> {}", words.to_uppercase()).into();
        expect_ignored(&stage, &mentioned);
    }
    stage.say(&message("a:echo", "person", "You said Queued: tea"));
    assert_eq!(texts(&stage.connector.wait_for(1)), ["Queued: You said Queued: tea"]);
}

/// Sends `hello` to the bot, and then sends `reply(text)` after each message of the bot. `text` is the text
/// of the bot's message. Ends when the bot sends nothing more. Returns the texts of the bot's messages, and
/// the duration.
fn talk_to(stage: &Stage, conversation: &str, reply: impl Fn(&str) -> String) -> (Vec<String>, Duration) {
    const ENDLESS: usize = 10 * REPLIES_PER_MINUTE;
    let begin = Instant::now();
    stage.say(&message(conversation, "first", "hello"));
    let (mut answered, mut polled) = (0, false);
    loop {
        let received = stage.connector.received();
        assert!(
            received.len() < ENDLESS,
            "expected an end of the conversation, found {:#?}",
            texts(&received)
        );
        for activity in &received[answered..] {
            assert_eq!(activity.conversation().as_deref(), Some(conversation));
            stage.say(&message(conversation, &format!("peer-{answered}"), &reply(activity.text())));
            (answered, polled) = (answered + 1, false);
        }
        if received.len() == stage.connector.received().len() {
            if polled {
                let texts = texts(&received).into_iter().map(str::to_owned).collect();
                return (texts, begin.elapsed());
            }
            stage.poll();
            polled = stage.queue.count() == 0;
        }
    }
}

/// The bot replies `Queued: hello` to the message `hello`, and later delivers the alert `Alert: hello`. The
/// peer echoes both messages, and the bot ignores the echoes.
fn peer_that_echoes_gets_one_reply(world: &World) {
    let stage = alerts::stage(world);
    let echoes: [fn(&str) -> String; 3] =
        [str::to_owned, |text| format!("> {text}"), |text| format!("\n>> {}\n", text.to_lowercase())];
    for (index, echo) in echoes.into_iter().enumerate() {
        stage.connector.forget();
        let (got, _) = talk_to(&stage, &format!("a:echo-{index}"), echo);
        assert_eq!(got, ["Queued: hello", "Alert: hello"]);
    }
}

/// After the bot has reached the reply limit, the bot itself is silent in this conversation: the bot sends no
/// more replies, and does not queue the peer's messages.
fn peer_that_replies_to_everything_is_silenced_within_a_minute(world: &World) {
    let stage = alerts::script(world).variable("pace", "0").start();
    let away = |_: &str| "I am away until Monday. Please write to my colleagues.".to_owned();
    let mut number = 0;
    let (got, took) = within_a_minute(|| {
        number += 1;
        stage.connector.forget();
        talk_to(&stage, &format!("a:away-{number}"), away)
    });
    println!("loops: a peer that replies to everything got {} messages in {took:?}", got.len());
    assert!(took < Duration::from_secs(60), "expected the end within a minute, found {took:?}");
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for text in &got {
        *counts.entry(text.split_once(':').unwrap().0).or_default() += 1;
    }
    assert_eq!(counts, BTreeMap::from([("Queued", REPLIES_PER_MINUTE), ("Alert", REPLIES_PER_MINUTE)]));
    expect_one_silenced_line(&[&stage], &format!("a:away-{number}"));
}

#[track_caller]
fn expect_one_silenced_line(stages: &[&Stage], conversation: &str) {
    let key = key_of("msteams", conversation);
    let lines: Vec<_> = stages.iter().flat_map(|stage| stage.events("conversation.silenced")).collect();
    assert_eq!(lines.iter().filter(|line| line["conversation"] == key).count(), 1, "{lines:?}");
}

fn replicas_share_the_reply_limit_of_a_conversation(world: &World) {
    let first = alerts::script(world).start();
    let second = alerts::script(world).beside(&first).start();
    let both = [&first, &second];
    let mut number = 0;
    let (queued, sent) = within_a_minute(|| {
        number += 1;
        let conversation = format!("a:crowd-{number}");
        first.queue.take_all();
        both.iter().for_each(|stage| stage.connector.forget());
        std::thread::scope(|scope| {
            for (index, stage) in both.into_iter().cycle().take(4).enumerate() {
                let conversation = &conversation;
                scope.spawn(move || {
                    for message_number in 0..REPLIES_PER_MINUTE {
                        let id = format!("{index}-{message_number}");
                        stage.say(&message(conversation, &id, &id));
                    }
                });
            }
        });
        // The bot still replies in another conversation.
        first.say(&message(&format!("a:quiet-{number}"), "1", "hello"));
        (waiting(&first), both.map(|stage| stage.connector.received().len()).iter().sum::<usize>())
    });
    assert_eq!(
        (queued, sent),
        (REPLIES_PER_MINUTE + 1, REPLIES_PER_MINUTE + 1),
        "expected as many queued messages and acknowledgements as the limit, and one more in the quiet conversation"
    );
    expect_one_silenced_line(&both, &format!("a:crowd-{number}"));
}

fn stop_beyond_the_reply_limit_is_obeyed_without_a_reply(world: &World) {
    let stage = alerts::stage(world);
    let mut number = 0;
    let (before, after) = within_a_minute(|| {
        number += 1;
        stage.connector.forget();
        let conversation = format!("a:commands-{number}");
        let long = "x".repeat(49_200);
        for index in 0..REPLIES_PER_MINUTE / 2 {
            for text in ["help", "", "hello", long.as_str()] {
                stage.say(&message(&conversation, &format!("{index}-{}", text.len()), text));
            }
        }
        let before = stage.connector.received().len();
        stage.say(&message(&conversation, "stop", "stop"));
        stage.post(&stage.connector.host(&joining(&conversation))).expect_status(200);
        (before, stage.connector.received().len())
    });
    assert_eq!(
        (before, after),
        (REPLIES_PER_MINUTE, REPLIES_PER_MINUTE),
        "expected no reply to the last command, and no greeting"
    );
    let key = key_of("msteams", &format!("a:commands-{number}"));
    let response = alert(&stage, &to_conversation(&key, "x")).expect_status(202).json();
    assert_eq!(
        response["alerts"][0]["status"], "stopped",
        "expected that the bot obeys the command: {response}"
    );
}

fn reply_limit_of_zero_is_no_limit(world: &World) {
    let stage = alerts::script(world).variable("repliesperminute", "0").start();
    for index in 0..3 * REPLIES_PER_MINUTE {
        stage.say(&message("a:many", &index.to_string(), "hello"));
    }
    assert_eq!(waiting(&stage), 3 * REPLIES_PER_MINUTE);
    stage.connector.wait_for(3 * REPLIES_PER_MINUTE);
    assert!(stage.events("conversation.silenced").is_empty());
    let wrong = alerts::script(world).variable("repliesperminute", "many").start();
    wrong.post(&wrong.connector.host(&message("a:1", "1", "hello"))).expect_error(500, "Misconfigured");
}

fn reply_counts_once_against_the_limit_if_a_table_response_is_lost(world: &World) {
    let tables = FaultyTables::start(&world.azurite().table_authority());
    let stage = alerts::script(world).tables_at(tables.authority()).start();
    // The bot writes to the tables in batches. `FaultyTables` is a proxy between the bot and Azurite (the
    // storage emulator). When the bot sends a batch for the first time, Azurite carries the batch out, and
    // the proxy cuts the connection before the bot gets the response. So the bot sends the batch again.
    let seen = Mutex::new(BTreeSet::new());
    tables.fail(move |call| {
        let is_first = call.path == "$batch" && seen.lock().unwrap().insert(call.body.clone().into_owned());
        is_first.then_some(Fault::CutAfter)
    });
    let mut number = 0;
    let (queued, sent) = within_a_minute(|| {
        number += 1;
        stage.queue.take_all();
        stage.connector.forget();
        for index in 0..REPLIES_PER_MINUTE {
            stage.say(&message(&format!("a:lost-{number}"), &index.to_string(), "hello"));
        }
        (waiting(&stage), stage.connector.received())
    });
    assert!(
        tables.notes().iter().filter(|note| note.lost).count() >= REPLIES_PER_MINUTE,
        "{:?}",
        tables.notes()
    );
    assert_eq!(queued, REPLIES_PER_MINUTE, "expected that each message is queued once");
    assert_eq!(
        texts(&sent),
        ["Queued: hello"; REPLIES_PER_MINUTE],
        "expected that each message has one reply"
    );
}

/// Makes a person's message in a channel. If `mentions` is true, the message mentions the bot. Otherwise the
/// message mentions another person.
fn in_channel(id: &str, text: &str, mentions: bool) -> Value {
    let mut activity = fixture("teams-channel.json");
    activity["locale"] = "en-US".into();
    activity["id"] = id.into();
    activity["text"] =
        if mentions { format!("<at>Proactive Bot</at> {text}") } else { text.to_owned() }.into();
    if !mentions {
        activity["entities"] = json!([{
            "type": "mention", "mentioned": {"id": "29:somebody", "name": "Somebody"}, "text": "<at>Somebody</at>",
        }]);
    }
    activity
}

fn command_in_a_group_needs_a_mention(world: &World) {
    let stage = alerts::stage(world);
    for (index, text) in
        ["stop", "start", "help", "subscribe builds", "remind me in 1 hour tea"].iter().enumerate()
    {
        expect_ignored(&stage, &in_channel(&index.to_string(), text, false));
    }
    assert_eq!(targets(&stage), [] as [Value; 0]);
    stage.say(&in_channel("mentioned", "subscribe builds", true));
    assert!(stage.connector.wait_for(1)[0].text().starts_with("Subscribed: "));
    assert_eq!(targets(&stage)[0]["tags"], json!(["builds"]));
    // In a personal chat a command needs no mention.
    stage.say(&message("a:alone", "1", "help"));
    assert!(stage.connector.wait_for(2)[1].text().starts_with("I am a bot that sends alerts."));
}

fn member_of_a_group_cannot_stop_the_alerts_of_the_group(world: &World) {
    let stage = alerts::stage(world);
    let mut chat = in_channel("1", "stop", true);
    for kind in ["channel", "groupChat"] {
        chat["conversation"]["conversationType"] = kind.into();
        chat["conversation"]["id"] = format!("19:{kind}@thread.v2").into();
        stage.connector.forget();
        stage.say(&chat);
        let reply = stage.connector.wait_for(1).remove(0);
        assert!(reply.text().starts_with("Not done: one person cannot stop"), "{reply:?}");
        let key = key_of("msteams", chat["conversation"]["id"].as_str().unwrap());
        queued(&stage, &to_conversation(&key, "still comes"));
        assert_eq!(stage.poll()["delivered"], 1);
        assert_eq!(texts(&stage.connector.wait_for(2))[1], "Alert: still comes");
    }
    // In a personal chat the person can stop the alerts.
    stage.say(&message("a:own", "1", "stop"));
    let own = key_of("msteams", "a:own");
    let response = alert(&stage, &to_conversation(&own, "x")).expect_status(202).json();
    assert_eq!(response["alerts"][0]["status"], "stopped");
}
