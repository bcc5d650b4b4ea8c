//! Reads the events that GitHub posts to a webhook.

use serde_json::Value;

use crate::draft::{Draft, Tone};
use crate::incoming::{Content, Incoming};
use crate::{Shape, ShapeError, State, cut, json, link, markdown};

const SHAPE: Shape = Shape::GitHub;
const MAX_COMMITS: usize = 8;

/// Reads an event. The result is `None` for the ping that GitHub sends to a new webhook.
pub(crate) fn read(incoming: &Incoming<'_>, content: &Content) -> Result<Option<Draft>, ShapeError> {
    let event = incoming.header("x-github-event");
    let event = event.ok_or(ShapeError::Missing { shape: SHAPE, member: "header X-GitHub-Event" })?;
    if event == "ping" {
        return Ok(None);
    }
    let body = content.json();
    if !body.is_object() {
        return Err(ShapeError::Missing { shape: SHAPE, member: "repository" });
    }
    let mut draft = match event {
        "push" => push(body),
        "pull_request" => ticket(body, "pull_request", "Pull request"),
        "issues" => ticket(body, "issue", "Issue"),
        "release" => release(body),
        "workflow_run" => run(body, "workflow_run"),
        "check_run" => run(body, "check_run"),
        other => general(body, other),
    };
    draft.idempotency_key = incoming.header("x-github-delivery").map(str::to_owned);
    Ok(Some(draft))
}

fn repository(body: &Value) -> &str {
    json::first(&body["repository"], &["full_name", "name"])
        .or_else(|| json::text(&body["organization"], "login"))
        .unwrap_or("GitHub")
}

fn sender(body: &Value) -> &str {
    json::text(&body["sender"], "login").or_else(|| json::text(&body["pusher"], "name")).unwrap_or("GitHub")
}

fn action(body: &Value) -> String {
    json::text(body, "action").unwrap_or_default().replace('_', " ")
}

/// Makes facts (rows of the card) from pairs of a name and a value. The function skips a pair without a
/// value.
fn facts(pairs: &[(&str, Option<String>)]) -> Vec<(String, String)> {
    pairs.iter().filter_map(|(title, value)| Some(((*title).to_owned(), value.clone()?))).collect()
}

fn push(body: &Value) -> Draft {
    let whole = json::text(body, "ref").unwrap_or_default();
    let name = whole.strip_prefix("refs/heads/").or(whole.strip_prefix("refs/tags/")).unwrap_or(whole);
    let commits = json::list(body, "commits");
    let is = |member: &str| body[member].as_bool() == Some(true);
    let (sender, repository) = (sender(body), repository(body));
    let title = match () {
        () if is("deleted") => format!("{sender} deleted {name} in {repository}"),
        () if is("created") && commits.is_empty() => format!("{sender} created {name} in {repository}"),
        () => {
            let how = if is("forced") { "force-pushed" } else { "pushed" };
            let s = if commits.len() == 1 { "" } else { "s" };
            format!("{sender} {how} {} commit{s} to {name} in {repository}", commits.len())
        }
    };
    let mut draft = Draft::new(SHAPE, title);
    draft.tone = Tone::Accent;
    let lines = commits.iter().take(MAX_COMMITS).map(|commit| {
        let id = json::text(commit, "id").unwrap_or_default();
        let message = json::text(commit, "message").unwrap_or_default().lines().next().unwrap_or_default();
        let id = link::markdown(cut::prefix(id, 7), json::text(commit, "url").unwrap_or_default());
        format!("- {id} {}", cut::line(message, 150))
    });
    let mut lines: Vec<_> = lines.collect();
    if let more @ 1.. = commits.len().saturating_sub(MAX_COMMITS) {
        lines.push(format!("- … and {more} more"));
    }
    draft.text(lines.join("\n"));
    if let Some(address) = json::text(body, "compare") {
        draft.link("Compare", address);
    }
    draft
}

/// Makes the draft for an issue or a pull request. All events of one issue or pull request have the same
/// alert key. Alerts with the same alert key share a chat message, so each later event changes the message of
/// the first event. If the issue or pull request is closed, the draft has the state [`State::Resolved`].
/// After this state, the next event (such as `reopened`) makes a new chat message.
fn ticket(body: &Value, member: &str, name: &str) -> Draft {
    let ticket = &body[member];
    let number = json::shown(ticket, "number").unwrap_or_default();
    let is_merged = ticket["merged"].as_bool() == Some(true);
    let is_closed = ticket["state"] == "closed";
    let action = if is_merged && body["action"] == "closed" { "merged".to_owned() } else { action(body) };
    let title = json::text(ticket, "title").unwrap_or_default();
    let mut draft = Draft::new(SHAPE, format!("{name} #{number} {action}: {title}"));
    draft.tone = match (is_merged, is_closed) {
        (true, _) => Tone::Good,
        (false, true) if member == "issue" => Tone::Good,
        (false, true) => Tone::Neutral,
        (false, false) => Tone::Accent,
    };
    draft.state = if is_closed { State::Resolved } else { State::Firing };
    draft.key = json::shown(ticket, "id").map(|id| format!("github {} {member} {id}", repository(body)));
    let branches = json::text(&ticket["head"], "ref").zip(json::text(&ticket["base"], "ref"));
    let labels: Vec<_> =
        json::list(ticket, "labels").iter().filter_map(|label| json::text(label, "name")).collect();
    draft.facts(facts(&[
        ("Repository", Some(repository(body).to_owned())),
        ("By", Some(sender(body).to_owned())),
        ("Branches", branches.map(|(head, base)| format!("{head} → {base}"))),
        ("Labels", Some(labels.join(", ")).filter(|labels| !labels.is_empty())),
    ]));
    // Every event has the whole text of the issue or pull request, which is long. So the card shows the text
    // only for the events `opened` and `reopened`.
    if let Some(text) =
        json::text(ticket, "body").filter(|_| matches!(action.as_str(), "opened" | "reopened"))
    {
        draft.text(markdown::block(text, 1_500));
    }
    open(&mut draft, ticket);
    draft
}

fn release(body: &Value) -> Draft {
    let release = &body["release"];
    let name = json::first(release, &["name", "tag_name"]).unwrap_or_default();
    let mut draft = Draft::new(SHAPE, format!("Release {name} {} in {}", action(body), repository(body)));
    draft.tone = Tone::Accent;
    draft.facts(facts(&[
        ("Tag", json::shown(release, "tag_name")),
        ("By", Some(sender(body).to_owned())),
        ("Pre-release", json::shown(release, "prerelease").filter(|text| text == "true")),
    ]));
    if let Some(text) = json::text(release, "body") {
        draft.text(markdown::block(text, 3_000));
    }
    open(&mut draft, release);
    draft
}

/// Makes the draft for a run of a workflow or of a check. All events of one run have the same alert key, so
/// each later event changes the chat message of the first event. If the run has ended, the draft has the
/// state [`State::Resolved`], and a later event of the same run makes a new chat message. There is one
/// exception: a run that has failed, or that needs an action of a person, keeps the state [`State::Firing`].
fn run(body: &Value, member: &str) -> Draft {
    let run = &body[member];
    let name = json::text(run, "name").unwrap_or("run");
    let conclusion = json::text(run, "conclusion");
    let outcome = conclusion.or(json::text(run, "status")).unwrap_or("requested").replace('_', " ");
    let branch = json::text(run, "head_branch").or_else(|| json::text(&run["check_suite"], "head_branch"));
    let on = branch.map(|branch| format!(" on {branch}")).unwrap_or_default();
    let mut draft = Draft::new(SHAPE, format!("{name}: {outcome}{on} in {}", repository(body)));
    (draft.tone, draft.state) = match conclusion {
        Some("success") => (Tone::Good, State::Resolved),
        Some("failure" | "timed_out" | "startup_failure") => (Tone::Attention, State::Firing),
        Some("action_required") => (Tone::Warning, State::Firing),
        Some(_) => (Tone::Neutral, State::Resolved),
        None => (Tone::Accent, State::Firing),
    };
    draft.key = json::shown(run, "id").map(|id| format!("github {} {member} {id}", repository(body)));
    let commit = json::text(run, "head_sha").map(|sha| cut::prefix(sha, 7).to_owned());
    let message = json::text(&run["head_commit"], "message").and_then(|text| text.lines().next());
    draft.facts(facts(&[
        ("Event", json::shown(run, "event")),
        ("Run", json::shown(run, "run_number")),
        ("By", json::text(&run["actor"], "login").or_else(|| Some(sender(body))).map(str::to_owned)),
        ("Commit", commit.map(|commit| format!("{commit} {}", message.unwrap_or_default()))),
    ]));
    if let Some(text) = json::first(&run["output"], &["summary", "title"]) {
        draft.text(markdown::block(text, 1_500));
    }
    open(&mut draft, run);
    draft
}

/// Makes the draft for an event of any other kind.
fn general(body: &Value, event: &str) -> Draft {
    let name = event.replace('_', " ");
    let subject = &body[event];
    let title = json::first(subject, &["title", "name", "state", "body"]).unwrap_or_default();
    let title = title.lines().next().unwrap_or_default();
    let what = format!("{name} {}", action(body));
    let title = if title.is_empty() { String::new() } else { format!(": {}", cut::line(title, 150)) };
    let mut draft = Draft::new(SHAPE, format!("{}{title} in {}", what.trim(), repository(body)));
    draft.tone =
        match json::first(subject, &["conclusion", "state", "severity"]).or(json::text(body, "state")) {
            Some("failure" | "error" | "critical" | "high") => Tone::Attention,
            Some("success") => Tone::Good,
            _ => Tone::Neutral,
        };
    let comment = json::text(&body["comment"], "body").or_else(|| json::text(&body["review"], "body"));
    if let Some(text) = comment.or_else(|| json::text(body, "description")) {
        draft.text(markdown::block(text, 1_500));
    }
    let about =
        ["issue", "pull_request", "discussion"].iter().find_map(|member| json::text(&body[*member], "title"));
    draft.facts(facts(&[("About", about.map(str::to_owned)), ("By", Some(sender(body).to_owned()))]));
    for place in [subject, &body["comment"], &body["review"], &body["alert"], body, &body["repository"]] {
        if json::first(place, &["html_url", "target_url"]).is_some() {
            open(&mut draft, place);
            break;
        }
    }
    draft
}

fn open(draft: &mut Draft, place: &Value) {
    if let Some(address) = json::first(place, &["html_url", "target_url"]) {
        draft.link("Open on GitHub", address);
    }
}
