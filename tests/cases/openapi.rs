//! `docs/openapi.yaml` against the running components, by schemathesis: it makes calls out of the description, proper and
//! improper ones, and complains of every answer that is not as described.

use std::ffi::OsString;
use std::process::Command;

use end_to_end::activity::fixture;
use end_to_end::alerts;
use end_to_end::stage::POLL_KEY;
use end_to_end::suite::World;

end_to_end::cases!(the_description_is_true);

/// What is missing where these cases are skipped. `cargo dev test` installs it, and says in its summary where it cannot.
pub(crate) const MISSING: &str = "SCHEMATHESIS names no program";

/// Where schemathesis is.
pub(crate) fn schemathesis() -> Option<OsString> {
    std::env::var_os("SCHEMATHESIS").filter(|path| !path.is_empty())
}

fn the_description_is_true(world: &World) {
    let program = schemathesis().expect(MISSING);
    // One key for all routes: the tool has one header for all.
    let stage = alerts::script(world).variable("alertkey", POLL_KEY).start();
    // The conversation that the examples name.
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
