//! Lists, replays and drops dead letters through the bot's routes `/api/dead`. A dead letter is a queue
//! message that the poller could not deliver and has moved to the poison queue. To replay a dead letter, the
//! bot puts the message on the main queue again. To drop a dead letter, the bot deletes the message.

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::back_end::BackEnd;

/// The maximum number of ids of dead letters in one API call.
const MAX_IDS: usize = 100;
/// The maximum number of API calls for one search, or for one replay or drop without a list of ids. If a
/// person gives ids, the command splits the ids into groups of at most [`MAX_IDS`] ids, and makes at most
/// [`MAX_CALLS`] calls for each group. Without this limit, a faulty bot could make the command run without
/// end, for example if the bot's list always had a next page.
const MAX_CALLS: usize = 500;
/// The maximum number of API calls in a row without progress. A call makes progress if the bot replays, drops
/// or refuses at least one dead letter that the earlier calls did not replay, drop or refuse. After this
/// number of calls, the command continues with the next group of ids, or ends if no group is left.
const MAX_IDLE_CALLS: usize = 5;

/// The client for the dead letters of one bot.
#[derive(Debug)]
pub struct DeadLetters(BackEnd);

/// One page of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The approximate number of queue messages on the poison queue.
    pub messages: u64,
    /// The dead letters, as `GET /api/dead` returns them.
    pub letters: Vec<Value>,
    /// The value of the parameter `after` for the next page; `None` on the last page.
    pub next: Option<String>,
}

/// The dead letters to replay or drop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// The ids of the dead letters. If `ids` is not empty, the other fields are ignored.
    pub ids: Vec<String>,
    /// Only dead letters with this outcome: the kind of failure, e.g. `destinationGone`.
    pub outcome: Option<String>,
    /// Only dead letters that the poller moved to the poison queue at this time or later.
    pub since: Option<String>,
    /// Only dead letters that the poller moved to the poison queue before this time.
    pub until: Option<String>,
}

/// The result of a replay or a drop.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Done {
    /// The ids of the dead letters that the bot has replayed or dropped.
    pub ids: BTreeSet<String>,
    /// The dead letters that the bot has refused to replay or drop: the id, and the reason in words.
    pub refused: Vec<(String, String)>,
    /// Whether the client stopped because of its limits of calls, although the bot's last response said that
    /// more dead letters of the selection are left.
    pub is_unfinished: bool,
}

impl DeadLetters {
    /// Makes a client that calls the bot through `back_end`.
    pub fn new(back_end: BackEnd) -> Self {
        Self(back_end)
    }

    /// Reads one page of the list. `parameters` are query parameters of `GET /api/dead`.
    pub fn page(&self, parameters: &[(&str, &str)]) -> anyhow::Result<Page> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let (_, mut response) = self.0.call("GET", &format!("/api/dead?{query}"), None)?;
        let letters = match response["dead"].take() {
            Value::Array(letters) => letters,
            _ => bail!(
                "the bot's response: expected a list of dead letters, found none; compare the versions of \
                 `cargo dev` and the bot"
            ),
        };
        let next = response["next"].as_str().map(str::to_owned);
        Ok(Page { messages: response["messages"].as_u64().unwrap_or_default(), letters, next })
    }

    /// Finds one dead letter. The result also has the text of the alert if the queue message is among the 32
    /// oldest messages on the poison queue. The bot does not read the other messages for this response.
    pub fn find(&self, id: &str) -> anyhow::Result<Value> {
        let mut after: Option<String> = None;
        for _ in 0..MAX_CALLS {
            let mut parameters = vec![("text", "true"), ("limit", "100")];
            parameters.extend(after.as_deref().map(|after| ("after", after)));
            let page = self.page(&parameters)?;
            if let Some(letter) = page.letters.into_iter().find(|letter| letter["id"] == id) {
                return Ok(letter);
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        bail!("{id}: no dead letter has this id; list them with `cargo dev dead list`")
    }

    /// Replays dead letters, with as many API calls as necessary.
    pub fn replay(&self, selection: &Selection) -> anyhow::Result<Done> {
        self.act(("/api/dead/replay", "replayed"), selection)
    }

    /// Drops dead letters, with as many API calls as necessary.
    pub fn drop(&self, selection: &Selection) -> anyhow::Result<Done> {
        self.act(("/api/dead/drop", "dropped"), selection)
    }

    /// Calls a route until the bot's response says that no dead letter of the selection is left. Stops
    /// earlier after [`MAX_CALLS`] calls, or after [`MAX_IDLE_CALLS`] calls in a row without progress.
    /// `route` has two parts: the path, and the name of a list in the response. This list has the ids of the
    /// replayed or dropped dead letters.
    fn act(&self, route: (&str, &str), selection: &Selection) -> anyhow::Result<Done> {
        let mut done = Done::default();
        if selection.ids.is_empty() {
            let mut body = match &selection.outcome {
                Some(outcome) => json!({"outcome": outcome}),
                None => json!({"all": true}),
            };
            for (name, time) in [("since", &selection.since), ("until", &selection.until)] {
                if let Some(time) = time {
                    body[name] = time.as_str().into();
                }
            }
            self.act_until_done(route, &mut done, |_| body.clone())?;
        }
        for ids in selection.ids.chunks(MAX_IDS) {
            self.act_until_done(route, &mut done, |handled| {
                let left: Vec<_> = ids.iter().filter(|id| !handled.contains(*id)).collect();
                json!({"ids": left})
            })?;
        }
        Ok(done)
    }

    fn act_until_done(
        &self,
        (path, member): (&str, &str),
        done: &mut Done,
        body: impl Fn(&BTreeSet<String>) -> Value,
    ) -> anyhow::Result<()> {
        let (mut handled, mut idle_calls) = (BTreeSet::new(), 0);
        for _ in 0..MAX_CALLS {
            let (_, response) = self.0.call("POST", path, Some(&body(&handled)))?;
            let before = handled.len();
            for id in response[member].as_array().context(BROKEN)? {
                let id = id.as_str().context(BROKEN)?.to_owned();
                handled.insert(id.clone());
                done.ids.insert(id);
            }
            for refused in response["refused"].as_array().context(BROKEN)? {
                let id = refused["id"].as_str().context(BROKEN)?.to_owned();
                if handled.insert(id.clone()) {
                    done.refused.push((id, refused["message"].as_str().unwrap_or_default().to_owned()));
                }
            }
            idle_calls = if handled.len() > before { 0 } else { idle_calls + 1 };
            if response["more"] != true {
                return Ok(());
            }
            if idle_calls >= MAX_IDLE_CALLS {
                break;
            }
        }
        done.is_unfinished = true;
        Ok(())
    }
}

const BROKEN: &str = "the bot's response: expected lists of finished and refused dead letters; compare the versions of \
     `cargo dev` and the bot";
