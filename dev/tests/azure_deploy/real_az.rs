//! Checks that the real `az` (the Azure CLI) accepts the arguments in the calls of `deploy/azure/deploy.sh`.

use std::process::Command;

use crate::stage::Stage;

/// `cargo dev test` does not run this test, because the test needs a real az that is not logged in. Run the
/// test with `AZ=/path/to/az cargo test -p dev --test azure_deploy -- --ignored`.
#[test]
#[ignore = "needs a real az (PyPI: azure-cli, 700 MB)"]
fn real_az_accepts_the_arguments() {
    let az = std::env::var_os("AZ").expect("AZ: the path of az");
    let stage = Stage::new();
    stage.succeed(&["--what-if"]);
    for arguments in [&["--access", "sas", "--keda"][..], &["--url", "https://bot.example"], &["--what-if"]] {
        stage.succeed(arguments);
    }
    let mut calls = stage.calls();
    calls.sort();
    calls.dedup();
    for call in calls {
        let output = Command::new(&az)
            .args(&call)
            .env("AZURE_CONFIG_DIR", stage.path("work"))
            .env("AZURE_CORE_COLLECT_TELEMETRY", "no")
            .env("AZURE_STORAGE_KEY", crate::stage::STORAGE_KEY)
            .output()
            .unwrap();
        // If an argument is wrong, `az` exits with the status 2. `generate-sas` needs no login, so its status
        // is 0 here. Every other call fails with the status 1, because `az` is not logged in.
        let expected = if call.contains(&"generate-sas".to_owned()) { 0 } else { 1 };
        assert_eq!(output.status.code(), Some(expected), "{call:?}: {output:?}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(expected == 0 || stderr.contains("az login"), "{call:?}: {stderr}");
    }
}
