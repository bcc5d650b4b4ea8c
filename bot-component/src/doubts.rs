//! Tests of a *Put* with an unknown result. A Put is a call to Put Message, which puts a message on the Azure
//! Storage Queue. The result is unknown, for example, if the response is lost. If the bot then repeats the
//! Put, the queue perhaps holds the message twice.
//!
//! The tests check the reply to the person, the response to a calling program, and the mark `once` in a queue
//! message. For a message with this mark, the poller first checks whether the alert was already sent.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use platform::TransportError;
use platform::testing::{FakeHost, response, run};
use platform::{Clock, name_of};
use serde_json::{Value, json};
use storage_table::testing::FakeTables;

const KEY: &str = "an-alert-key-for-tests";

type PutResult = Result<Response<Bytes>, TransportError>;

fn lost() -> PutResult {
    Err(TransportError::ResponseLost("cut".into()))
}

fn not_sent() -> PutResult {
    Err(TransportError::NotSent("refused".into()))
}

fn status(status: u16) -> PutResult {
    Ok(response(status, ""))
}

/// A bot with a fake queue service and a fake table service. A test sets the results of the Puts, and can
/// make the table service refuse every call.
struct Bot {
    host: FakeHost,
    tables: Rc<RefCell<FakeTables>>,
    /// The results of the next Puts. All later Puts succeed.
    puts: Rc<RefCell<Vec<PutResult>>>,
    has_tables: Rc<Cell<bool>>,
    /// The number of messages that the queue service reports for the queue.
    waiting: Rc<Cell<usize>>,
}

impl Bot {
    fn new() -> Self {
        let host = FakeHost::with_settings([
            ("authmode", "anonymous"),
            ("storageconnection", "UseDevelopmentStorage=true"),
            ("queuename", "bot-queue"),
            ("kick", "off"),
            ("alertkey", KEY),
        ]);
        let (tables, puts) =
            (Rc::new(RefCell::new(FakeTables::default())), Rc::new(RefCell::new(Vec::new())));
        let (has_tables, waiting) = (Rc::new(Cell::new(true)), Rc::new(Cell::new(1)));
        let (service, answers, is_there, count) =
            (tables.clone(), puts.clone(), has_tables.clone(), waiting.clone());
        let now = host.now();
        host.answers(move |request| {
            Some(match (request.uri().port_u16(), request.method().as_str()) {
                (Some(10_001), "POST") if !answers.borrow().is_empty() => answers.borrow_mut().remove(0),
                (Some(10_001), "GET") => Ok(Response::builder()
                    .header("x-ms-approximate-messages-count", count.get())
                    .body(Bytes::new())
                    .unwrap()),
                (Some(10_002), _) if is_there.get() => Ok(service.borrow_mut().response(request, now)?),
                (Some(10_002), _) => status(403),
                _ => status(201),
            })
        });
        let bot = Self { host, tables, puts, has_tables, waiting };
        bot.say("first");
        bot.take_said();
        bot
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = Request::builder().method(method).uri(path).header("host", "localhost");
        let request = request
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {KEY}"));
        let request = request.body(Bytes::from(body.to_string())).unwrap();
        let answer = run(crate::handle(&self.host, request)).response;
        (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap())
    }

    fn say(&self, text: &str) -> u16 {
        let activity = json!({
            "type": "message", "id": text, "channelId": "emulator", "serviceUrl": "http://127.0.0.1:9200/",
            "from": {"id": "u"}, "conversation": {"id": "c"}, "recipient": {"id": "b"}, "text": text,
        });
        self.call("POST", "/api/messages", &activity).0
    }

    fn alert(&self, change: &Value) -> (u16, Value) {
        let mut body = json!({"to": {"conversation": name_of(&["emulator", "c"])}, "text": "pizza"});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        self.call("POST", "/api/alerts", &body)
    }

    /// The bodies of the POST requests to a port. The method `take_said` deletes all earlier requests.
    fn sent(&self, port: u16) -> Vec<String> {
        let sent = self.host.sent.borrow();
        let to_port = |request: &&Request<Bytes>| {
            request.uri().port_u16() == Some(port) && request.method() == http::Method::POST
        };
        sent.iter()
            .filter(to_port)
            .map(|request| String::from_utf8_lossy(request.body()).into_owned())
            .collect()
    }

    /// Returns two lists: the texts that the bot has sent to the chat; and for each Put, whether the message
    /// has the mark `once`. Then forgets all requests, so that the next call returns only new texts and Puts.
    fn take_said(&self) -> (Vec<String>, Vec<bool>) {
        let texts = self.sent(9200).into_iter().map(|body| {
            let json: Value = serde_json::from_str(&body).unwrap();
            json["text"].as_str().unwrap().to_owned()
        });
        let marks = self.sent(10_001).into_iter().map(|xml| {
            let text = xml.split_once("<MessageText>").unwrap().1.split_once("</MessageText>").unwrap().0;
            let json: Value = serde_json::from_slice(&STANDARD.decode(text).unwrap()).unwrap();
            json["once"] == true
        });
        let said = (texts.collect(), marks.collect());
        self.host.sent.borrow_mut().clear();
        said
    }

    /// Whether the bot has stored a row of the kind `doubled`. This row tells the poller that the queue
    /// perhaps holds a message twice. The method then deletes all rows of the table.
    fn take_doubled_row(&self) -> bool {
        let mut tables = self.tables.borrow_mut();
        let rows = tables.entities_mut("proactivebotruns");
        let has_row = rows.values().any(|row| row["kind"] == "doubled");
        rows.clear();
        has_row
    }
}

#[test]
fn reply_to_the_person_matches_the_result_of_the_puts() {
    const NOT: &str = "Not accepted: ";
    const PERHAPS: &str = "Perhaps accepted: ";
    const QUEUED: &str = "Queued: ";
    // Each `Row` of this test holds: the results of the Puts of one message; the first words of the reply to
    // the person; for each Put, whether the message has the mark `once`; and the expected result of
    // `take_doubled_row`.
    type Row = (Vec<PutResult>, &'static str, Vec<bool>, bool);
    let rows: [Row; 8] = [
        (vec![], QUEUED, vec![false], false),
        (vec![lost()], QUEUED, vec![false, true], true),
        (vec![lost(), lost(), lost()], PERHAPS, vec![false, true, true], true),
        (vec![not_sent(), lost(), not_sent()], PERHAPS, vec![false, true, true], true),
        (vec![status(500), status(503), status(503)], PERHAPS, vec![false, true, true], true),
        (vec![status(503), status(503), status(503)], NOT, vec![false, true, true], false),
        (vec![not_sent(), not_sent(), not_sent()], NOT, vec![false, true, true], false),
        (vec![status(403)], NOT, vec![false], false),
    ];
    for (number, (answers, words, marks, has_row)) in rows.into_iter().enumerate() {
        let bot = Bot::new();
        let shown = format!("{number}: {answers:?}");
        *bot.puts.borrow_mut() = answers;
        assert_eq!(bot.say("hello"), if words == QUEUED { 202 } else { 503 }, "{shown}");
        let (said, marked) = bot.take_said();
        assert!(said.len() == 1 && said[0].starts_with(words), "{shown}: {said:?}");
        assert_eq!((marked, bot.take_doubled_row()), (marks, has_row), "{shown}");
        if words == QUEUED {
            continue;
        }
        // The channel sends the activity again. The queue service refuses the Put with 403, so this Put
        // stores nothing.
        *bot.puts.borrow_mut() = vec![status(403)];
        assert_eq!(bot.say("hello"), 503, "{shown}");
        let (said, marked) = bot.take_said();
        assert!(
            said[0].starts_with(words),
            "{shown}: expected the first reply again, because a refused Put does not show whether the earlier Puts \
             stored the message: {said:?}"
        );
        assert_eq!(marked, [true], "{shown}");
        // The channel sends the activity a third time, and the queue takes the message.
        assert_eq!(
            (bot.say("hello"), bot.take_said()),
            (202, (vec!["Queued: hello".into()], vec![true])),
            "{shown}"
        );
    }
}

#[test]
fn repeated_message_gets_at_most_repliesperminute_replies_while_the_tables_refuse_access() {
    let bot = Bot::new();
    assert_eq!(bot.say("hello"), 202);
    bot.take_said();
    bot.has_tables.set(false);
    // The channel sends the activity again. The message is on the queue, but the bot cannot know this without
    // the tables. The test does not set the variable `repliesperminute`, so the limit is 20 replies a minute.
    for _ in 0..25 {
        assert_eq!(bot.say("hello"), 503);
    }
    let (said, marked) = bot.take_said();
    assert!(said.iter().all(|text| text.starts_with("Not accepted this time: ")), "{said:?}");
    assert_eq!((said.len(), marked.len()), (20, 0), "repliesperminute");
    assert_eq!(bot.host.events("conversation.silenced").len(), 1);
}

#[test]
fn alert_that_is_perhaps_on_the_queue_is_unconfirmed_in_the_response() {
    for (answers, expected) in [
        (vec![lost(), lost(), lost()], "unconfirmed"),
        (vec![status(500), status(503), status(503)], "unconfirmed"),
        (vec![status(503), status(503), status(503)], "failed"),
        (vec![lost()], "queued"),
    ] {
        for key in [Value::Null, json!("k")] {
            let bot = Bot::new();
            let shown = format!("{answers:?} {key}");
            *bot.puts.borrow_mut() = answers.clone();
            let (status, body) = bot.alert(&json!({"idempotencyKey": key}));
            assert_eq!(status, if expected == "queued" { 202 } else { 503 }, "{shown}: {body}");
            assert_eq!(body["alerts"][0]["status"], expected, "{shown}");
            let (_, marked) = bot.take_said();
            assert_eq!(
                marked[0],
                !key.is_null(),
                "{shown}: expected the mark on the first Put if the call has an idempotency key"
            );
            assert!(marked[1..].iter().all(|mark| *mark), "{shown}: {marked:?}");
            // If the queue refuses the Put of a repeated API call, the alert's status does not change.
            if expected != "queued" && !key.is_null() {
                *bot.puts.borrow_mut() = vec![self::status(403)];
                let (_, body) = bot.alert(&json!({"idempotencyKey": key}));
                assert_eq!(body["alerts"][0]["status"], expected, "{shown}");
                assert_eq!(bot.alert(&json!({"idempotencyKey": key})).0, 202, "{shown}");
            }
        }
    }
}

#[test]
fn cancel_gets_a_final_result_only_if_the_alert_is_certainly_not_on_the_queue() {
    let bot = Bot::new();
    let cancel = |id: &str| {
        let (status, body) = bot.call("DELETE", &format!("/api/alerts/{id}"), &Value::Null);
        let said = body["status"].as_str().or(body["error"]["message"].as_str()).unwrap().to_owned();
        (status, said)
    };
    let alert = |answers: Vec<PutResult>| {
        *bot.puts.borrow_mut() = answers;
        let body = bot.alert(&json!({"expires": "2027-11-23T22:00:00Z"})).1;
        body["alerts"][0]["id"].as_str().unwrap().to_owned()
    };
    let (waiting, failed) = (alert(vec![]), alert(vec![status(403)]));
    assert_eq!(cancel(&waiting), (202, "cancelling".into()));
    assert_eq!(cancel(&failed), (202, "cancelled".into()), "the queue does not hold the alert");
    // This test has no poller, so no run of the poller records a result for the next two alerts. A killed run
    // would not record a result either.
    let (sent, perhaps) = (alert(vec![]), alert(vec![lost(), lost(), lost()]));
    bot.waiting.set(0);
    for _ in 0..2 {
        assert_eq!(cancel(&sent), (202, "cancelling".into()));
        assert_eq!(
            cancel(&perhaps),
            (202, "cancelled".into()),
            "the queue confirmed no Put of the alert, and is empty"
        );
    }
    bot.host.elapsed.set(bot.host.elapsed.get() + Duration::from_secs(61));
    let delivered = "id: the alert is already delivered; only an alert that waits can be cancelled";
    assert_eq!(cancel(&sent), (409, delivered.into()));
    // The queue has a message again. This message is perhaps the alert `sent`.
    bot.waiting.set(1);
    assert_eq!(cancel(&sent), (202, "cancelling".into()));
}
