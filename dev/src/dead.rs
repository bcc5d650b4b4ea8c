//! `cargo dev dead`: lists, shows, replays and drops dead letters, from a shell. A dead letter is a queue
//! message that the poller could not deliver and has moved to the poison queue. A replay puts a dead letter
//! on the queue again. A drop deletes a dead letter.

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use dev::back_end::BackEnd;
use dev::dead_letters::{DeadLetters, Done, Selection};
use dev::playground::Playground;
use serde_json::Value;

/// The environment variable with the API key of the bot at `--url`.
const KEY: &str = "ALERTKEY";

#[derive(Debug, Args)]
pub(crate) struct Dead {
    #[command(subcommand)]
    action: Action,
    /// The address of a deployed bot, https://<host>; the environment variable ALERTKEY has the bot's API key
    /// [default: the bot of `cargo dev up`]
    #[arg(long, global = true)]
    url: Option<String>,
    /// The port of the chat page of `cargo dev up`
    #[arg(long, global = true, default_value_t = Playground::PORT)]
    playground_port: u16,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists the dead letters, the newest first
    List {
        /// Lists only dead letters with this outcome (the kind of failure), e.g. destinationGone
        #[arg(long)]
        outcome: Option<String>,
        /// Lists only dead letters to the conversation with this conversation key; the list shows these keys
        #[arg(long, value_name = "KEY")]
        conversation: Option<String>,
        /// Also reads the 32 oldest messages on the poison queue: shows their texts, and lists the messages
        /// that are missing in the bot's table of dead letters
        #[arg(long)]
        text: bool,
        /// The maximum number of dead letters to list
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Shows one dead letter
    Show {
        /// The id, from the list
        id: String,
    },
    /// Puts dead letters on the queue again; after two replays of a dead letter, its alert is still delivered
    /// only once
    Replay(Chosen),
    /// Deletes dead letters; in the ledger (the bot's record of alerts), their alerts keep the status `dead`
    Drop(Chosen),
}

/// The dead letters to replay or drop.
#[derive(Debug, Args)]
struct Chosen {
    /// The ids, from the list
    #[arg(required_unless_present_any = ["outcome", "all"], conflicts_with_all = ["outcome", "all", "since", "until"])]
    ids: Vec<String>,
    /// Chooses all dead letters with this outcome, e.g. destinationGone
    #[arg(long)]
    outcome: Option<String>,
    /// Chooses all dead letters
    #[arg(long)]
    all: bool,
    /// With --outcome or --all: only dead letters that the poller moved to the poison queue at this time or
    /// later, e.g. 2027-01-31T12:00:00Z
    #[arg(long)]
    since: Option<String>,
    /// With --outcome or --all: only dead letters that the poller moved to the poison queue before this time
    #[arg(long)]
    until: Option<String>,
}

impl Chosen {
    fn selection(self) -> Selection {
        let Self { ids, outcome, all: _, since, until } = self;
        Selection { ids, outcome, since, until }
    }
}

impl Dead {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let letters = DeadLetters::new(match &self.url {
            None => BackEnd::find(self.playground_port)?,
            Some(url) => {
                let key = std::env::var(KEY);
                BackEnd::at_address(
                    url,
                    &key.with_context(|| {
                        format!("{KEY}: not set; set it to an API key with the scope `operate`")
                    })?,
                )?
            }
        });
        match self.action {
            Action::List { outcome, conversation, text, limit } => {
                list(&letters, outcome.as_deref(), conversation.as_deref(), text, limit)
            }
            Action::Show { id } => {
                println!("{}", serde_json::to_string_pretty(&letters.find(&id)?)?);
                Ok(())
            }
            Action::Replay(chosen) => report(&letters.replay(&chosen.selection())?, "on the queue again"),
            Action::Drop(chosen) => report(&letters.drop(&chosen.selection())?, "dropped"),
        }
    }
}

fn list(
    letters: &DeadLetters,
    outcome: Option<&str>,
    conversation: Option<&str>,
    text: bool,
    limit: usize,
) -> anyhow::Result<()> {
    let (mut shown, mut after) = (0, None::<String>);
    loop {
        let at_once = limit.saturating_sub(shown).clamp(1, 100).to_string();
        let mut parameters = vec![("limit", at_once.as_str())];
        parameters.extend(outcome.map(|outcome| ("outcome", outcome)));
        parameters.extend(conversation.map(|key| ("conversation", key)));
        parameters.extend(after.as_deref().map(|after| ("after", after)));
        parameters.extend(text.then_some(("text", "true")));
        let page = letters.page(&parameters)?;
        if after.is_none() {
            println!("The poison queue holds about {} messages.", page.messages);
        }
        for letter in &page.letters {
            println!("\n{}", description(letter));
        }
        shown += page.letters.len();
        match page.next {
            Some(next) if shown < limit => after = Some(next),
            Some(_) => {
                println!("\nThere are more; list them with a larger --limit");
                return Ok(());
            }
            None => return Ok(()),
        }
    }
}

/// Describes a dead letter in some lines.
fn description(letter: &Value) -> String {
    let text = |name: &str| plain(letter[name].as_str().unwrap_or_default());
    let status = letter["status"].as_u64().map(|status| format!(" {status}")).unwrap_or_default();
    let replayable = if letter["replayable"] == true { "" } else { ", cannot be replayed" };
    let mut lines = vec![
        text("id"),
        format!("  {}{status} at {}{replayable}", text("outcome"), text("diedAt")),
        format!("  {}", text("reason")),
    ];
    for (name, what) in [("alert", "alert"), ("conversation", "conversation"), ("text", "text")] {
        if !text(name).is_empty() {
            lines.push(format!("  {what} {}", text(name)));
        }
    }
    lines.join("\n")
}

/// Replaces control characters by blanks, because a control character could e.g. clear the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

fn report(done: &Done, what: &str) -> anyhow::Result<()> {
    let Done { ids, refused, is_unfinished } = done;
    println!("{} {what}", ids.len());
    for (id, message) in refused {
        println!("{}: {}", plain(id), plain(message));
    }
    ensure!(
        !is_unfinished,
        "the bot has not reached all dead letters, perhaps because another API call works on them and hides their \
         messages; try again in a minute"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        dead: Dead,
    }

    #[test]
    fn command_with_missing_or_contradictory_arguments_is_refused() {
        for (arguments, expected) in [
            (&["list"][..], true),
            (&["list", "--outcome", "permanent", "--url", "https://bot.example"], true),
            (&["show", "a"], true),
            (&["show"], false),
            (&["replay", "a", "b"], true),
            (&["replay", "--outcome", "permanent", "--since", "2027-01-31T12:00:00Z"], true),
            (&["replay", "--all"], true),
            (&["replay"], false),
            (&["replay", "--since", "2027-01-31T12:00:00Z"], false),
            (&["replay", "a", "--all"], false),
            (&["drop", "a"], true),
            (&["drop", "--outcome", "permanent"], true),
            (&["drop", "a", "--all"], false),
            (&["drop"], false),
            (&[], false),
        ] {
            let parsed = Cli::try_parse_from([&["dead"], arguments].concat());
            assert_eq!(parsed.is_ok(), expected, "{arguments:?}: {parsed:?}");
        }
    }

    #[test]
    fn dead_letter_is_described_without_control_characters() {
        let letter = json!({
            "id": "98204528799999.m", "alert": "a", "outcome": "permanent", "reason": "x\u{1b}[2Jy", "status": 400,
            "diedAt": "2026-11-23T22:00:00.000Z", "replayable": false, "text": "\u{7}hi\n",
        });
        let expected = "98204528799999.m\n  permanent 400 at 2026-11-23T22:00:00.000Z, cannot be replayed\n  x [2Jy\n  \
                        alert a\n  text  hi ";
        assert_eq!(description(&letter), expected);
    }
}
