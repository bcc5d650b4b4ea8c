//! Runs the commands of `docs/hooks.md`, unchanged.

use std::process::Command;

use dev::workspace::root;
use end_to_end::alerts::{self, ALERT_KEY, known};
use end_to_end::hooks::hook;
use end_to_end::suite::World;

end_to_end::cases!(every_command_of_the_hooks_document_is_answered_202_or_200);

/// Returns the code blocks of this language in `docs/hooks.md`.
pub(crate) fn blocks(language: &str) -> Vec<String> {
    let path = root().join("docs/hooks.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let begin = format!("```{language}\n");
    page.split(&begin).skip(1).map(|rest| rest.split("\n```").next().unwrap().to_owned()).collect()
}

fn every_command_of_the_hooks_document_is_answered_202_or_200(world: &World) {
    // This shell function replaces `curl` in the commands. The function calls the real `curl`, and prints
    // only the HTTP status of the response.
    const SHOW_STATUS: &str =
        r#"set -eu; curl() { command curl -sS -o /dev/null -w '%{http_code}\n' "$@"; }"#;
    let stage = alerts::stage(world);
    let hook = hook(&stage);
    known(&stage, "a:2", "subscribe ops");
    let blocks = blocks("sh");
    assert!(blocks.len() > 10, "expected a block for each sender, found {}", blocks.len());
    for block in blocks {
        let output = Command::new("bash")
            .args(["-c", &format!("{SHOW_STATUS}\n{block}")])
            .env("HOOK", &hook.url)
            .env("SECRET", &hook.secret)
            .env("BOT", stage.url("").trim_end_matches('/'))
            .env("ALERTKEY", ALERT_KEY)
            .env("CONVERSATION", alerts::key_of("msteams", "a:1"))
            .env("NO_PROXY", "127.0.0.1")
            .output()
            .unwrap();
        let (shown, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let statuses: Vec<_> = shown.lines().collect();
        let expected = if block.contains("-X OPTIONS") || block.contains("/hook\"") { "200" } else { "202" };
        let are_good = statuses.iter().all(|status| *status == "202" || *status == expected);
        assert!(output.status.success() && !statuses.is_empty() && are_good, "{block}\n{shown}{errors}");
    }
    // The poller must not move an alert of these commands to the poison queue.
    let ended = stage.poll();
    assert_eq!(stage.queue.poison().count(), 0, "{ended}");
}
