//! Runs `deploy/fermyon-cloud/deploy.sh`. A stub replaces Spin and its plugin `cloud`, which deploys to
//! Fermyon Cloud.

use std::os::unix::fs::PermissionsExt;

use super::stage::Stage;

const SCRIPT: &str = "deploy/fermyon-cloud/deploy.sh";

/// Makes a stage (a copy of `deploy/` with stubs) with a stub of Spin. The stub prints texts in the form that
/// the source code of the plugin `cloud` shows. `kept` lists the variables that an earlier deployment has
/// set.
fn with_variables(kept: &str) -> Stage {
    let stage = Stage::new();
    stage.stub(
        "spin",
        &format!(
            "'cloud --version' | 'cloud apps list') ;;\n\
             'cloud deploy '*) ;;\n\
             'cloud variables list --app proactive-bot') printf '{kept}';;\n\
             'cloud variables delete '*' --app proactive-bot') ;;\n\
             'cloud apps info proactive-bot')\n\
               printf 'Name: proactive-bot\\nDescription: x\\nURL: https://proactive-bot-abc.fermyon.app\\n';;"
        ),
    );
    stage
}

#[test]
fn run_deploys_every_variable_and_writes_the_curl_configuration_for_cron() {
    let stage = with_variables("pollkey\\nmicrosoftappid\\n");
    let ran = stage.run(SCRIPT, &[]).expect_success();
    let manifest = stage.path("deploy/spin.http.nokick.toml");
    let deployment = format!(
        "spin cloud deploy --from {} --link kv:default=proactive-bot \
         --variable microsoftappid=00000000-0000-0000-0000-000000000001 \
         --variable microsoftapppassword=a$secret\"with\\~signs \
         --variable storageconnection=AccountName=store;AccountKey=c2VjcmV0a2V5==;EndpointSuffix=core.windows.net \
         --variable pollkey=a&poll\"key+of 20 ?",
        manifest.display()
    );
    let ran = ran.expect_calls(&[
        "spin cloud --version",
        "spin cloud apps list",
        "cargo dev build",
        &deployment,
        "spin cloud variables list --app proactive-bot",
        "spin cloud apps info proactive-bot",
    ]);
    let file = stage.path(".poll.curl");
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        "url = \"https://proactive-bot-abc.fermyon.app/internal/poll\"\nrequest = \"POST\"\n\
         header = \"Authorization: Bearer a&poll\\\"key+of 20 ?\"\n"
    );
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(ran.stdout.contains("deploy.sh --url https://proactive-bot-abc.fermyon.app"), "{}", ran.stdout);
    assert!(ran.stdout.contains("* * * * * curl -fsS -m 40 -o /dev/null -K "), "{}", ran.stdout);
}

#[test]
fn variables_that_env_no_longer_sets_are_deleted() {
    let stage = with_variables("pollkey\\npace\\nalertkey\\n");
    let ran = stage.run(SCRIPT, &["--no-build"]).expect_success();
    assert_eq!(ran.calls_with("delete"), ["spin cloud variables delete pace alertkey --app proactive-bot"]);
}

#[test]
fn failure_before_the_deployment_changes_nothing_and_names_the_remedy() {
    let case = |change: &dyn Fn(&Stage), arguments: &[&str], text: &str| {
        let stage = with_variables("");
        change(&stage);
        let ran = stage.run(SCRIPT, arguments).expect_failure(text);
        assert!(ran.calls_with("deploy ").is_empty(), "{:?}", ran.calls);
        assert!(!stage.path(".poll.curl").exists());
    };
    case(&|stage| stage.remove_stub("spin"), &[], "spin: not found; install Spin 4");
    case(&|stage| stage.stub("spin", "'cloud --version') exit 1;;"), &[], "spin plugins install cloud");
    case(
        &|stage| stage.stub("spin", "'cloud --version') ;;\n'cloud apps list') exit 1;;"),
        &[],
        "log in with: spin cloud login",
    );
    case(
        &|stage| stage.write_env(&format!("{}SPIN_VARIABLE_KICK=on\n", super::stage::ENV)),
        &[],
        "nothing was done; correct",
    );
    case(&|_| {}, &["--env"], "--env: a value is missing; usage:");
    case(&|_| {}, &["--name", "x"], "--name: unknown option; usage:");
}

#[test]
fn failure_of_a_later_call_names_the_remedy() {
    for (arms, text) in [
        ("'cloud deploy '*) exit 1;;", "the deployment failed; read the plugin's message above"),
        (
            "'cloud deploy '*) ;;\n'cloud variables list '*) exit 1;;",
            "the variables cannot be listed; run this again",
        ),
        (
            "'cloud deploy '*) ;;\n'cloud variables list '*) echo pace;;\n'cloud variables delete '*) exit 1;;",
            "variables were not deleted; run this again",
        ),
        (
            "'cloud deploy '*) ;;\n'cloud variables list '*) ;;\n'cloud apps info '*) echo 'Name: x';;",
            "spin cloud apps info prints no URL",
        ),
    ] {
        let stage = Stage::new();
        stage.stub("spin", &format!("'cloud --version' | 'cloud apps list') ;;\n{arms}"));
        stage.run(SCRIPT, &[]).expect_failure(text);
    }
}
