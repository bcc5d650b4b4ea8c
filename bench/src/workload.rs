//! Makes requests and queue messages. The requests are activities as Teams posts them, and API calls. The
//! queue messages are *envelopes* (alerts in JSON) as the bot puts them on the queue.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bot_framework::outbound::seal_keys;
use bot_framework::testing::{TestKey, channel_claims};
use bot_framework::{Activity, ConversationReference};
use bytes::Bytes;
use chrono::Utc;
use end_to_end::activity;
use end_to_end::login::SECRET;
use end_to_end::stage::{APP_ID, TENANT};
use envelope::{Envelope, EnvelopeId, SealKey};
use http::Method;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use serde_json::{Value, json};
use state::ConversationKey;

use crate::host_calls::HostCalls;
use crate::native::Variables;
use crate::stubs::{Queue, Stubs};

/// The API key that a call of `POST /internal/poll` needs (the variable `pollkey`).
const POLL_KEY: &str = "a-poll-key-for-benchmarks";

/// The API key that a call of `POST /api/alerts` needs (the variable `alertkey`).
const ALERT_KEY: &str = "an-alert-key-for-benchmarks";

/// The number of tokens for [`Tokens::Each`]. The activities use these tokens in turn. The bot remembers far
/// fewer tokens, and forgets a token before the token is used again. So the bot has to check each token's
/// signature again.
const NEW_TOKENS: usize = 1_000;

/// Makes requests and queue messages. Each activity and each envelope has its own id.
#[derive(Debug)]
pub struct Workload {
    connector: String,
    queue: String,
    tokens: OnceLock<Vec<String>>,
    seal_key: Option<SealKey>,
    variables: BTreeMap<String, String>,
    sequence: AtomicU64,
}

/// The number of conversations that the workload uses again and again. The bot knows each of these
/// conversations after the first activity in this conversation.
pub const KNOWN: usize = 200;

/// A person, and this person's conversation with the bot. The ids are as long as the ids of Teams.
struct Person {
    id: String,
    object_id: String,
    conversation: String,
}

impl Person {
    fn known(index: usize) -> Self {
        Self::number("old", index as u64)
    }

    fn number(kind: &str, number: u64) -> Self {
        Self {
            id: format!("29:1bSnHZ7Js2STWrgk6ScEErLk1Lp2zQuD5H2qQ9l8wqMZ1kbg3V-{kind}-{number:08}"),
            object_id: format!("e5e0a3b6-5f2c-4f1c-8a9e-{number:012}"),
            conversation: format!(
                "a:1pL6i0oY3C0K8oVxA4gJ9mN2bQwErTyUiOpAsDfGhJkLzXcVbNm1234567890-{kind}-{number:08}"
            ),
        }
    }
}

/// The choice of the tokens in activities. With each activity, a channel (such as Teams) sends a token to the
/// bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens {
    /// One token for all activities. A real channel also uses one token for about an hour.
    One,
    /// Many different tokens, which the activities use in turn. The bot has to check the signature of the
    /// token for each activity.
    Each,
}

impl Workload {
    /// Makes the workload for components that call these stubs in place of the real services.
    pub fn new(stubs: &Stubs) -> Self {
        let variables = [
            ("authmode", "required"),
            ("microsoftappid", APP_ID),
            ("microsoftapptenantid", TENANT),
            ("microsoftapppassword", SECRET),
            ("loginendpoint", &stubs.login.endpoint()),
            ("openidmetadata", &stubs.open_id.metadata_url()),
            ("servicehosts", &format!("http://{}", stubs.connector.authority())),
            ("storageconnection", &stubs.connection_string()),
            ("queuename", Queue::NAME),
            ("pollkey", POLL_KEY),
            ("alertkey", ALERT_KEY),
            ("pace", "0"),
            ("sealkey", "a seal key for benchmarks"),
        ];
        let variables: BTreeMap<_, _> = variables.map(|(name, value)| (name.into(), value.into())).into();
        let seal_keys =
            seal_keys(&Variables(variables.clone()), None, Queue::NAME).expect("a proper seal key");
        Self {
            connector: stubs.connector.authority().to_owned(),
            queue: stubs.queue.messages_url(),
            tokens: OnceLock::new(),
            seal_key: SealKey::of(&seal_keys),
            variables,
            sequence: AtomicU64::new(0),
        }
    }

    /// The Spin variables of the components, with their values.
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// Makes `count` activities in the [`KNOWN`] conversations. The activities use these conversations in
    /// turn.
    pub fn activities(&self, count: usize, tokens: Tokens) -> Vec<http::Request<Bytes>> {
        (0..count).map(|index| self.activity(&Person::known(index % KNOWN), tokens, index)).collect()
    }

    /// Makes `count` activities. Each activity comes from a new person, in a new conversation.
    pub fn first_activities(&self, count: usize, tokens: Tokens) -> Vec<http::Request<Bytes>> {
        (0..count).map(|index| self.activity(&self.next_person(), tokens, index)).collect()
    }

    /// Makes an activity in one of the [`KNOWN`] conversations. Returns the percent-encoded id of the
    /// conversation, and the activity.
    pub fn lone_activity(&self, index: usize) -> (String, http::Request<Bytes>) {
        let person = Person::known(index % KNOWN);
        (person.conversation.replace(':', "%3A"), self.activity(&person, Tokens::One, index))
    }

    /// Makes `count` API calls (`POST /api/alerts`). Each call sends an alert to `targets` conversations. The
    /// calls use the [`KNOWN`] conversations in turn.
    pub fn api_calls(&self, count: usize, targets: usize) -> Vec<http::Request<Bytes>> {
        let key = |index: usize| self.key_of_known(index % KNOWN).to_string();
        let call = |number: usize| {
            let to: Vec<_> =
                (0..targets).map(|index| json!({"conversation": key(number * targets + index)})).collect();
            let body = json!({"to": to, "text": "Your expense report was approved"});
            http::Request::post("/api/alerts")
                .header(CONTENT_TYPE, "application/json")
                .header(AUTHORIZATION, format!("Bearer {ALERT_KEY}"))
                .body(body.to_string().into())
                .expect("a well-formed request")
        };
        (0..count).map(call).collect()
    }

    /// The conversation key of one of the [`KNOWN`] conversations.
    pub fn key_of_known(&self, index: usize) -> ConversationKey {
        ConversationKey::of(&self.address(&Person::known(index)))
    }

    /// An API call without a body, with the API key `ALERT_KEY`.
    pub fn api_request(&self, method: Method, path: &str) -> http::Request<Bytes> {
        let request = http::Request::builder().method(method).uri(path);
        let request = request.header(AUTHORIZATION, format!("Bearer {ALERT_KEY}"));
        request.body(Bytes::new()).expect("a well-formed request")
    }

    /// The tenant of every conversation.
    pub fn tenant(&self) -> String {
        let address = self.address(&Person::known(0));
        address.conversation.tenant_id().unwrap_or_default().to_owned()
    }

    /// Makes `count` activities without a token.
    pub fn activities_without_token(&self, count: usize) -> Vec<http::Request<Bytes>> {
        let without = |mut request: http::Request<Bytes>| {
            request.headers_mut().remove(AUTHORIZATION);
            request
        };
        self.activities(count, Tokens::One).into_iter().map(without).collect()
    }

    fn activity(&self, person: &Person, tokens: Tokens, index: usize) -> http::Request<Bytes> {
        let all = self.tokens.get_or_init(|| (0..NEW_TOKENS).map(|index| self.token(index)).collect());
        let token = match tokens {
            Tokens::One => &all[0],
            Tokens::Each => &all[index % NEW_TOKENS],
        };
        self.activity_request(person, token)
    }

    /// Adds headers to requests for the *floor*. The floor is the component in `bench/guest`, and does only
    /// the work that the headers describe. The headers name the variables that the floor must read, and
    /// contain the numbers of key-value reads, key-value writes and outbound calls. For the outbound calls,
    /// the headers contain the URLs of the queue and of the Connector.
    pub fn floor_of(
        &self,
        requests: Vec<http::Request<Bytes>>,
        variables: &str,
        calls: &HostCalls,
    ) -> Vec<http::Request<Bytes>> {
        let with_calls = |mut request: http::Request<Bytes>| {
            for (name, value) in [
                ("x-variables", variables),
                ("x-reads", &calls.key_value_reads.to_string()),
                ("x-writes", &calls.key_value_writes.to_string()),
                ("x-outbound", &calls.outbound_calls.to_string()),
                ("x-queue", &self.queue),
                ("x-connector", &format!("http://{}/v3/conversations/a/activities", self.connector)),
            ] {
                request.headers_mut().insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
            }
            request
        };
        requests.into_iter().map(with_calls).collect()
    }

    fn token(&self, index: usize) -> String {
        let service_url = self.json(&Person::known(0))["serviceUrl"].as_str().unwrap_or_default().to_owned();
        let mut claims = channel_claims(APP_ID, &service_url, Utc::now().timestamp());
        claims["jti"] = index.into();
        TestKey::issuer().sign(&claims)
    }

    /// `POST /internal/poll`.
    pub fn poll(&self) -> http::Request<Bytes> {
        let request =
            http::Request::post("/internal/poll").header(AUTHORIZATION, format!("Bearer {POLL_KEY}"));
        request.body(Bytes::new()).expect("a well-formed request")
    }

    /// `GET {path}`
    pub fn get_request(path: &str) -> http::Request<Bytes> {
        http::Request::get(path).body(Bytes::new()).expect("a well-formed request")
    }

    /// Makes the texts of `count` queue messages for new conversations. `conversations` is the number of new
    /// conversations. The messages use these conversations in turn.
    pub fn messages(&self, count: usize, conversations: usize) -> Vec<String> {
        let conversations: Vec<_> =
            (0..count.min(conversations)).map(|_| self.address(&self.next_person())).collect();
        let in_turn = (0..count).map(|index| &conversations[index % conversations.len()]);
        in_turn.map(|address| self.message(address.clone())).collect()
    }

    /// Makes a queue message for a new conversation. Returns the percent-encoded id of the conversation, and
    /// the text of the message.
    pub fn lone_message(&self) -> (String, String) {
        let person = self.next_person();
        (person.conversation.replace(':', "%3A"), self.message(self.address(&person)))
    }

    fn message(&self, address: ConversationReference) -> String {
        let id = EnvelopeId::random(u128::from(self.next()).to_be_bytes());
        let envelope = Envelope::new(id, address, "Remind me to file the expense report", Utc::now());
        envelope.encode(self.seal_key.as_ref()).expect("a short envelope fits")
    }

    fn address(&self, person: &Person) -> ConversationReference {
        let activity = Activity::parse(self.json(person).to_string().as_bytes()).expect("a proper activity");
        ConversationReference::of(&activity).expect("an addressed activity")
    }

    fn json(&self, person: &Person) -> Value {
        let id = format!("17951670{:08}", self.next());
        let mut message =
            activity::message(&person.conversation, &id, "Remind me to file the expense report");
        // Each conversation has a different person. The bot stores a list of each person's conversations.
        // With the same person in all conversations, this list would be far longer than the list of a real
        // person.
        message["from"]["id"] = person.id.as_str().into();
        message["from"]["aadObjectId"] = person.object_id.as_str().into();
        activity::at_service(&message, &self.connector)
    }

    fn activity_request(&self, person: &Person, token: &str) -> http::Request<Bytes> {
        let request = http::Request::post("/api/messages")
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, format!("Bearer {token}"));
        request.body(self.json(person).to_string().into()).expect("a well-formed request")
    }

    /// Makes a person whom the bot does not know.
    fn next_person(&self) -> Person {
        Person::number("new", self.next())
    }

    fn next(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::Relaxed)
    }
}
