//! Questions of a bot that runs on two Spin hosts. The hosts share the queue and the tables. Each host has
//! its own key-value store.

use std::collections::BTreeSet;

use end_to_end::activity::message;
use end_to_end::alerts::{known, script};
use end_to_end::program::Program;
use end_to_end::questions::{SECRET, ask, data, press, question, replies, status};
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use end_to_end::waiting::eventually;
use serde_json::Value;

end_to_end::cases!(
    text_at_the_second_host_answers_a_question_at_once,
    first_of_fifty_presses_at_two_hosts_wins
);

fn hosts(world: &World) -> (Stage, Stage) {
    let first = script(world).variable("callbacksecret", SECRET).start();
    let second = script(world).variable("callbacksecret", SECRET).beside(&first).start();
    (first, second)
}

fn text_at_the_second_host_answers_a_question_at_once(world: &World) {
    let (first, second) = hosts(world);
    // The conversation's record holds the id of the open question, and the serviceUrl. If a message has a new
    // serviceUrl, the bot reads the record, and so finds the question. But all messages in this case have the
    // same serviceUrl. The ledger (the bot's table of alerts and messages) can have a row that says that no
    // question waits for a text. The poller deletes this row when it delivers the question. Only because this
    // row is missing, the second host reads the record.
    let say = |stage: &Stage, id: &str, text: &str| {
        stage.post(&first.connector.host(&message("a:1", id, text))).expect_status(202);
        let said = first.connector.received().pop().unwrap();
        said.text().to_owned()
    };
    let to = known(&first, "a:1", "hello");
    for (stage, id) in [(&first, "1"), (&second, "2"), (&second, "3")] {
        assert_eq!(say(stage, id, "hello"), "Queued: hello", "{id}");
    }
    first.queue.take_all();
    let mut body = question(&to);
    body["reply"] = true.into();
    let (id, _) = ask(&first, &body);
    assert_eq!(
        say(&second, "4", "only after lunch"),
        "Your answer is recorded: only after lunch (Megan Bowen)"
    );
    second.poll();
    assert_eq!(status(&first, &id)["answer"]["input"], "only after lunch");
    assert_eq!(replies(&second).len(), 1);
    // The question has an answer now, so both hosts treat further texts as ordinary messages.
    for (stage, id) in [(&first, "5"), (&second, "6"), (&first, "7"), (&second, "8")] {
        assert_eq!(say(stage, id, "thanks"), "Queued: thanks", "{id}");
    }
}

fn first_of_fifty_presses_at_two_hosts_wins(world: &World) {
    let (first, second) = hosts(world);
    let program = Program::start();
    let to = known(&first, "a:1", "hello");
    let mut body = question(&to);
    body["callback"] = program.url().into();
    let (id, card) = ask(&first, &body);
    let data = data(&card, "approve");
    let responses: Vec<Value> = std::thread::scope(|scope| {
        let press = |number: usize| {
            let stage = [&first, &second][number % 2];
            let activity = press("a:1", &format!("person-{number}"), &format!("p{number}"), data.clone());
            let activity = first.connector.host(&activity);
            move || stage.post(&activity).expect_status(200).json()
        };
        let presses: Vec<_> = (0..50).map(|number| scope.spawn(press(number))).collect();
        presses.into_iter().map(|press| press.join().unwrap()).collect()
    });
    let lines: BTreeSet<_> =
        responses.iter().map(|response| response["value"]["body"][1]["text"].to_string()).collect();
    assert_eq!(lines.len(), 1, "expected the same line on all cards, found {lines:?}");
    eventually("an empty queue", || {
        second.poll();
        (first.queue.count() == 0).then_some(())
    });
    let callback = program.wait_for(1)[0].body();
    let winner = callback["by"]["name"].as_str().unwrap();
    assert!(lines.first().unwrap().contains(&format!("({winner})")), "{lines:?} {callback}");
    assert_eq!(status(&second, &id)["answer"]["by"]["name"], winner);
    assert_eq!(replies(&first).len(), 1);
}
