//! Tests in which `deploy/azure/deploy.sh` fails. The script has to print one sentence with the remedy. Some
//! tests also check that a later run with another option succeeds.

use std::fs;

use crate::stage::{APP, BOT, STORAGE, Stage, TENANT};

/// Runs the script, and expects the script to fail with one sentence. Returns this sentence.
fn sentence(stage: &Stage, arguments: &[&str]) -> String {
    let run = stage.run(arguments);
    assert!(!run.is_success, "{arguments:?}: {run:?}");
    let of_az = |line: &&str| line.starts_with("  az: ");
    let sentences: Vec<_> = run.stderr.lines().filter(|line| !of_az(line)).collect();
    let [sentence] = sentences.as_slice() else {
        panic!("{arguments:?}: expected one sentence, found {run:?}")
    };
    let sentence = sentence.strip_prefix("deploy.sh: ").unwrap_or_else(|| panic!("{run:?}"));
    assert!(sentence.contains("; "), "no remedy: {sentence}");
    sentence.to_owned()
}

#[test]
fn wrong_option_is_refused_before_any_call_of_az() {
    for (arguments, expected) in [
        (&["--grupp", "x"][..], "--grupp: is not an option; run deploy.sh --help"),
        (&["--group"], "--group: the value is missing; "),
        (&["--group", ""], "--group: the value is missing; "),
        (&["--bot", "bot"], "--bot: expected 4 to 42 letters"),
        (&["--bot", "my bot"], "--bot: expected 4 to 42 letters"),
        (&["--storage-account", "My-Account"], "--storage-account: expected 3 to 24 lower-case"),
        (&["--queue", "bot--queue"], "--queue: expected lower-case letters"),
        (&["--queue", "ab"], "--queue: expected 3 to 55"),
        (&["--table-prefix", "7bot"], "--table-prefix: expected up to 40"),
        (&["--sku", "F9"], "--sku: expected F0 or S1, found 'F9'"),
        (&["--access", "key"], "--access: expected roles or sas"),
        (&["--credential", "token"], "--credential: expected secret or certificate"),
        (&["--app-id", "my-app"], "--app-id: expected an app id"),
        (&["--url", "http://bot.example"], "--url: expected https://"),
        (
            &["--url", "https://bot.example/api/messages"],
            "--url: expected https:// and a host, without a path",
        ),
        (&["--display-name", "the bot's"], "--display-name: expected up to 35 characters"),
    ] {
        let stage = Stage::new();
        let run = stage.run(arguments);
        let found = run.stderr.strip_prefix("deploy.sh: ").unwrap_or_else(|| panic!("{run:?}"));
        assert!(!run.is_success && found.starts_with(expected) && found.lines().count() == 1, "{run:?}");
        assert_eq!(stage.calls().len(), 0, "{arguments:?}");
        assert!(!stage.env_file().exists(), "{arguments:?}");
    }
}

#[test]
fn missing_az_or_login_is_named() {
    let stage = Stage::new();
    fs::remove_file(stage.path("state/login")).unwrap();
    let found = sentence(&stage, &[]);
    assert!(found.contains("az is not logged in, or its login has ended; run az login"), "{found}");
    fs::remove_file(stage.path("bin/az")).unwrap();
    let found = sentence(&stage, &[]);
    assert!(found.starts_with("az: not found; install the Azure CLI"), "{found}");
    assert!(!stage.env_file().exists());
}

#[test]
fn cloud_other_than_azure_cloud_is_refused() {
    let stage = Stage::new();
    stage.set("login", &format!("a {TENANT} AzureUSGovernment\n"));
    let found = sentence(&stage, &[]);
    assert!(found.starts_with("az: the cloud is AzureUSGovernment"), "{found}");
}

#[test]
fn taken_name_of_a_storage_account_is_reported_before_any_change() {
    let stage = Stage::new();
    stage.set("taken", &format!("{STORAGE}\n"));
    let found = sentence(&stage, &[]);
    assert!(
        found.starts_with(&format!("--storage-account: another account in Azure has the name {STORAGE}; ")),
        "{found}"
    );
    assert_eq!(stage.changes(), [""; 0]);
    stage.succeed(&["--storage-account", "contoso7"]);
    assert_eq!(stage.env()["BOT_STORAGEACCOUNT"], "contoso7");
    // The next run needs no option, because the name is now in the `.env` file.
    stage.succeed(&[]);
}

#[test]
fn refusal_by_azure_is_reported_with_the_remedy() {
    for (call, message, expected) in [
        (
            "deployment group create",
            "InvalidBotData: Bot is not valid. Errors: The bot name is already registered to another bot application..",
            format!("another bot in Azure has the name {BOT}; choose another name with --bot"),
        ),
        (
            "deployment group create",
            "InvalidBotData: Bot is not valid. Errors: The Microsoft App ID is already registered to another bot \
             application..",
            format!("another bot uses the app id {APP}, and an app id serves one bot; remove"),
        ),
        (
            "deployment group create",
            "InvalidBotData: Bot is not valid. Errors: MsaAppId: MsaAppId is already in use.. ",
            format!("another bot uses the app id {APP}, and an app id serves one bot; remove"),
        ),
        (
            "deployment group create",
            "AuthorizationFailed: The client does not have permission to perform action \
             'Microsoft.Authorization/roleAssignments/write' at scope 'x'.",
            "you are not allowed to assign roles; ask for the role Owner or User Access Administrator, or add --access sas".into(),
        ),
        (
            "deployment group create",
            "RoleAssignmentExists: The role assignment already exists.",
            "the storage account has this role".into(),
        ),
        (
            "group create",
            "AuthorizationFailed: no permission to perform action 'Microsoft.Resources/subscriptions/resourcegroups/write'",
            "you lack a right; ask for the role Contributor".into(),
        ),
        (
            "group create",
            "LocationNotAvailableForResourceGroup: The provided location 'x' is not available for resource group.",
            "Azure has no such region; choose one".into(),
        ),
        (
            "ad app create",
            "Insufficient privileges to complete the operation.",
            "you are not allowed to register apps; ask for the Entra role Application Developer".into(),
        ),
        (
            "ad app credential reset",
            "CredentialTypeNotAllowedAsPerAppPolicy: Credential type not allowed as per assigned policy",
            "the tenant refuses this kind of credential; use the other --credential".into(),
        ),
        (
            "ad app create",
            "AADSTS700082: The refresh token has expired due to inactivity.",
            "az is not logged in, or its login has ended; run az login".into(),
        ),
    ] {
        let stage = Stage::new();
        stage.set("fail-before", &format!("{call}\nERROR: {message}\n"));
        let found = sentence(&stage, &[]);
        assert!(found.contains(&format!("failed: {expected}")), "{message}: {found}");
    }
}

#[test]
fn taken_name_of_a_bot_can_be_changed_in_the_next_run() {
    let stage = Stage::new();
    let message = "ERROR: Errors: The bot name is already registered to another bot application..";
    stage.set("fail-before", &format!("deployment group create\n{message}\n"));
    sentence(&stage, &[]);
    stage.succeed(&["--bot", "contoso-alerts"]);
    assert_eq!(stage.state("bot").trim(), format!("contoso-alerts {APP}"));
    assert_eq!(stage.state("apps").lines().count(), 1);
}

#[test]
fn env_file_of_another_bot_is_refused() {
    let stage = Stage::new();
    stage.succeed(&[]);
    stage.changes();
    let other = "00000000-0000-0000-0000-000000000007";
    for arguments in
        [["--bot", "other-bot"], ["--group", "other"], ["--storage-account", "other"], ["--app-id", other]]
    {
        let found = sentence(&stage, &arguments);
        assert!(found.starts_with(".env: is the file of another bot: "), "{found}");
        assert_eq!(stage.calls().len(), 0);
    }
    stage.set("login", "s other-tenant AzureCloud\n");
    let found = sentence(&stage, &[]);
    assert!(
        found.starts_with(&format!(
            ".env: the app is in the tenant {TENANT}, and az is logged in to other-tenant"
        )),
        "{found}"
    );
    assert_eq!(stage.changes(), [""; 0]);
}

#[test]
fn missing_ambiguous_or_wrong_app_is_refused() {
    let other = "00000000-0000-0000-0000-000000000007";
    let stage = Stage::new();
    let found = sentence(&stage, &["--app-id", other]);
    assert!(found.starts_with(&format!("the tenant {TENANT} has no app registration {other}; ")), "{found}");

    let stage = Stage::new();
    stage.set("apps", &format!("{APP} {BOT}\n{other} {BOT}\n"));
    let found = sentence(&stage, &[]);
    assert!(found.starts_with("the tenant has more than one app registration with the name"), "{found}");

    let stage = Stage::new();
    stage.succeed(&[]);
    fs::remove_file(stage.env_file()).unwrap();
    stage.changes();
    let found = sentence(&stage, &["--app-id", other]);
    assert!(found.starts_with(&format!("--bot: {BOT} exists with the app id {APP}")), "{found}");
    assert_eq!(stage.changes(), [""; 0]);
}

#[test]
fn broken_line_of_the_env_file_is_named_without_the_value() {
    for (text, expected) in [
        ("A=1\nB=hunter2\r\nC=3\r\n", ".env: line 2 ends with CR LF; remove it: tr -d '\\r'"),
        ("A=1\n\n# b = c\nB = hunter2\n", ".env: line 4 has a blank before the =; "),
        ("A= hunter2\n", ".env: line 1 has a blank behind the =; "),
        ("A=hunter2 hunter3\n", ".env: line 1 has a blank in a value without quotes; "),
        ("A=hunter2 \n", ".env: line 1 has a blank in a value without quotes; "),
        ("A='1'\nhunter2\n", ".env: line 2 has no =; "),
    ] {
        let stage = Stage::new();
        fs::write(stage.env_file(), text).unwrap();
        let found = sentence(&stage, &[]);
        assert!(found.starts_with(expected), "{text:?}: {found}");
        assert!(!found.contains("hunter"), "{found}");
        assert_eq!(stage.calls().len(), 0, "{text:?}");
        assert_eq!(fs::read_to_string(stage.env_file()).unwrap(), text);
    }
}

#[test]
fn env_file_that_cannot_be_written_is_named_before_any_call_of_az() {
    let stage = Stage::new();
    let found = sentence(&stage, &["--env", "missing/.env"]);
    assert!(found.starts_with("missing/.env: cannot be written, because missing is no folder"), "{found}");
    let found = sentence(&stage, &["--env", "."]);
    assert!(found.starts_with(".: is no file that you can read and write; "), "{found}");
    assert_eq!(stage.calls().len(), 0);
}
