//! The dead letters of a bot, through its routes `/api/dead`: the messages that the poller could not deliver.

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::back_end::BackEnd;

/// The most ids of one call.
const MAX_IDS: usize = 100;
/// The most calls of one replay or drop, so that it ends if the bot never finishes.
const MAX_CALLS: usize = 500;
/// A replay ends after this many calls without a result.
const MAX_IDLE_CALLS: usize = 5;
/// How often a drop is repeated at once.
const DROP_CALLS: usize = 3;

/// The dead letters of one bot.
#[derive(Debug)]
pub struct DeadLetters(BackEnd);

/// One page of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// How many messages the poison queue holds, about.
    pub messages: u64,
    /// The dead letters, as `GET /api/dead` returns them.
    pub letters: Vec<Value>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// The dead letters to replay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// These, if there are any. The other members are then ignored.
    pub ids: Vec<String>,
    /// Only dead letters with this outcome.
    pub outcome: Option<String>,
    /// Only dead letters that died at this time or later.
    pub since: Option<String>,
    /// Only dead letters that died before this time.
    pub until: Option<String>,
}

/// The result of a replay.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Replayed {
    /// The ids of the dead letters that are on the queue again.
    pub ids: BTreeSet<String>,
    /// Why the others were not replayed: the id and the reason for people.
    pub refused: Vec<(String, String)>,
    /// Whether dead letters may be left that the bot did not reach.
    pub is_unfinished: bool,
}

impl DeadLetters {
    /// The dead letters of the bot that this back end calls.
    pub fn new(back_end: BackEnd) -> Self {
        Self(back_end)
    }

    /// Reads one page of the list. `parameters` are those of `GET /api/dead`.
    pub fn page(&self, parameters: &[(&str, &str)]) -> anyhow::Result<Page> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let (_, mut answer) = self.0.call("GET", &format!("/api/dead?{query}"), None)?;
        let letters = match answer["dead"].take() {
            Value::Array(letters) => letters,
            _ => bail!("the bot's answer: expected a list of dead letters, found none; compare the versions"),
        };
        let next = answer["next"].as_str().map(str::to_owned);
        Ok(Page { messages: answer["messages"].as_u64().unwrap_or_default(), letters, next })
    }

    /// Finds one dead letter, with its text if the bot shows it.
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

    /// Replays dead letters, with as many calls as it takes.
    pub fn replay(&self, selection: &Selection) -> anyhow::Result<Replayed> {
        let mut replayed = Replayed::default();
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
            self.replay_until_done(&mut replayed, |_| body.clone())?;
        }
        for ids in selection.ids.chunks(MAX_IDS) {
            self.replay_until_done(&mut replayed, |done| {
                let left: Vec<_> = ids.iter().filter(|id| !done.contains(*id)).collect();
                json!({"ids": left})
            })?;
        }
        Ok(replayed)
    }

    fn replay_until_done(
        &self,
        replayed: &mut Replayed,
        body: impl Fn(&BTreeSet<String>) -> Value,
    ) -> anyhow::Result<()> {
        let (mut done, mut idle_calls) = (BTreeSet::new(), 0);
        for _ in 0..MAX_CALLS {
            let (_, answer) = self.0.call("POST", "/api/dead/replay", Some(&body(&done)))?;
            let before = done.len();
            for id in answer["replayed"].as_array().context(BROKEN)? {
                let id = id.as_str().context(BROKEN)?.to_owned();
                done.insert(id.clone());
                replayed.ids.insert(id);
            }
            for refused in answer["refused"].as_array().context(BROKEN)? {
                let id = refused["id"].as_str().context(BROKEN)?.to_owned();
                if done.insert(id.clone()) {
                    replayed.refused.push((id, refused["message"].as_str().unwrap_or_default().to_owned()));
                }
            }
            idle_calls = if done.len() > before { 0 } else { idle_calls + 1 };
            if answer["more"] != true {
                return Ok(());
            }
            if idle_calls >= MAX_IDLE_CALLS {
                break;
            }
        }
        replayed.is_unfinished = true;
        Ok(())
    }

    /// Drops one dead letter.
    pub fn drop_letter(&self, id: &str) -> anyhow::Result<()> {
        let id: String = form_urlencoded::byte_serialize(id.as_bytes()).collect();
        for _ in 0..DROP_CALLS {
            if self.0.call("DELETE", &format!("/api/dead/{id}"), None)?.0 == 204 {
                return Ok(());
            }
        }
        bail!(
            "{id}: the bot has not reached the message, or another call has hidden it; try again in a minute"
        )
    }
}

const BROKEN: &str =
    "the bot's answer: expected lists of replayed and refused dead letters; compare the versions";
