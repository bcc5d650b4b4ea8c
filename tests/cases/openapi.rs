//! Compares the API description `docs/openapi.yaml` with the running components. The tool schemathesis reads
//! the description, makes valid and invalid calls, and fails if it gets a response that is not in the
//! description.

use std::ffi::OsString;
use std::process::Command;

use end_to_end::activity::fixture;
use end_to_end::alerts;
use end_to_end::stage::POLL_KEY;
use end_to_end::suite::World;

end_to_end::cases!(openapi_description_matches_the_running_components);

/// The reason that the test run shows if it skips this case. `cargo dev test` installs schemathesis, and sets
/// the environment variable `SCHEMATHESIS`. If the installation fails, the summary of `cargo dev test` names
/// the reason.
pub(crate) const MISSING: &str = "SCHEMATHESIS: is not set; run `cargo dev test`";

/// The path of schemathesis: the value of `SCHEMATHESIS`.
pub(crate) fn schemathesis() -> Option<OsString> {
    std::env::var_os("SCHEMATHESIS").filter(|path| !path.is_empty())
}

fn openapi_description_matches_the_running_components(world: &World) {
    let program = schemathesis().expect(MISSING);
    // The tool sends the same header `Authorization` to all routes, so `alertkey` and `pollkey` have the same
    // value.
    let stage = alerts::script(world).variable("alertkey", POLL_KEY).start();
    // The examples in the description name this conversation, so the bot has to store the conversation.
    stage.say(&fixture("teams-personal.json"));
    let folder = tempfile::tempdir().unwrap();
    let root = dev::workspace::root();
    let output = Command::new(program)
        .arg("--config-file")
        .arg(root.join("tests/schemathesis.toml"))
        .arg("run")
        .arg(root.join("docs/openapi.yaml"))
        .args(["--url", stage.url("").trim_end_matches('/')])
        .args(["--header", &format!("Authorization: Bearer {POLL_KEY}")])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "60", "--request-timeout", "30"])
        .args(["--seed", "42", "--generation-database", "none", "--no-color", "--continue-on-failure"])
        .env("NO_PROXY", "127.0.0.1")
        .current_dir(folder.path())
        .output()
        .expect("schemathesis starts");
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
