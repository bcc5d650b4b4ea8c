//! Runs `deploy/akamai/deploy.sh`. A stub replaces Spin and its plugin `aka`, which deploys to Akamai
//! Functions.

use super::stage::{Ran, Stage};

const SCRIPT: &str = "deploy/akamai/deploy.sh";
const ID: &str = "79b823de-37b6-4a85-b3cc-16a40738c5a7";
const ENCODED_POLLKEY: &str = "a%26poll%22key%2Bof%2020%20%3F";

/// Puts a stub of Spin on the PATH. The stub prints texts in the form that the documentation of the plugin
/// `aka` shows. `apps` lists the apps of the account. A deployment with `--create-name` adds the app
/// `proactive-bot`.
pub(crate) fn stub_account(stage: &Stage, apps: &str) {
    stage.write("apps", apps);
    stage.write("jobs", "");
    let state = stage.path("");
    let state = state.display();
    stage.stub(
        "spin",
        &format!(
            "'aka --version') ;;\n\
             'aka app list --verbose') cat '{state}apps';;\n\
             'aka deploy '*'--create-name proactive-bot '*) echo 'proactive-bot({ID})' >>'{state}apps';;\n\
             'aka deploy '*'--app-id {ID} '*) ;;\n\
             'aka cron list --app-id {ID}') cat '{state}jobs';;\n\
             'aka cron delete --app-id {ID} '*) ;;\n\
             'aka cron create --app-id {ID} '*) ;;"
        ),
    );
}

fn with_app() -> Stage {
    let stage = Stage::new();
    stub_account(
        &stage,
        &format!("other-app(25a5fd1e-d476-40fd-bc54-6cee0e846540)  \nproactive-bot({ID})  \n"),
    );
    stage
}

fn deployment(ran: &Ran) -> &str {
    let calls = ran.calls_with("aka deploy");
    assert_eq!(calls.len(), 1, "{:?}", ran.calls);
    calls[0]
}

fn created_jobs() -> Vec<String> {
    ["*/5", "1-59/5", "2-59/5", "3-59/5", "4-59/5"]
        .iter()
        .enumerate()
        .map(|(minute, minutes)| {
            format!(
                "spin aka cron create --app-id {ID} --schedule {minutes} * * * * --path-and-query \
                 /internal/poll?key={ENCODED_POLLKEY} --name poll-{minute}"
            )
        })
        .collect()
}

#[test]
fn first_run_builds_creates_the_app_and_makes_five_jobs() {
    let stage = Stage::new();
    stub_account(
        &stage,
        "my-proactive-bot(8d8ffd7d-57fe-4c0e-b982-251542db8792)\nproactive-bot-2(b6cc1427-392c-4f96-859d-bb4d0adc216c)\n",
    );
    let ran = stage.run(SCRIPT, &[]).expect_success();
    assert_eq!(ran.calls[0], "spin aka --version");
    assert_eq!(ran.calls[2], "cargo dev build");
    let deployment = deployment(&ran);
    let manifest = stage.path("deploy/spin.http.toml");
    assert!(deployment.starts_with(&format!(
        "spin aka deploy --from {} --no-confirm --create-name proactive-bot --variable @",
        manifest.display()
    )));
    assert_eq!(
        stage.variables(),
        serde_json::json!({
            "microsoftappid": "00000000-0000-0000-0000-000000000001",
            "microsoftapppassword": "a$secret\"with\\~signs",
            "storageconnection": "AccountName=store;AccountKey=c2VjcmV0a2V5==;EndpointSuffix=core.windows.net",
            "pollkey": "a&poll\"key+of 20 ?",
        })
    );
    assert_eq!(ran.calls[ran.calls.len() - 5..], created_jobs());
    assert!(
        ran.stdout.contains(&format!("deploy/azure/deploy.sh --url https://{ID}.fwf.app")),
        "{}",
        ran.stdout
    );
    // Akamai's scheduler calls the poller. The scheduler can send the poll key only in the path and query of
    // the request. So the script has to pass this key as an argument of `spin aka cron create`. The script
    // must not pass any other secret as an argument.
    for secret in ["a$secret", "c2VjcmV0a2V5"] {
        assert!(ran.calls_with(secret).is_empty(), "{:?}", ran.calls);
    }
}

#[test]
fn second_run_updates_the_app_and_replaces_the_poll_jobs() {
    let stage = with_app();
    stage.write(
        "jobs",
        "+--------+----------------+-------------------------+\n\
         | Name   | Schedule       | Next Run                |\n\
         +===================================================+\n\
         | poll   | * * * * *      | 2026-03-12 13:05:00 UTC |\n\
         | poll-0 | */5 * * * *    | 2026-03-12 13:05:00 UTC |\n\
         | poll-3 | 3-59/5 * * * * | 2026-03-12 13:08:00 UTC |\n\
         | report | 0 0 * * *      | 2026-03-13 00:00:00 UTC |\n\
         +--------+----------------+-------------------------+\n",
    );
    let ran = stage.run(SCRIPT, &["--no-build"]).expect_success();
    assert!(ran.calls_with("cargo").is_empty());
    assert!(deployment(&ran).contains(&format!("--no-confirm --app-id {ID} --variable @")));
    let deleted: Vec<_> = ran.calls_with("cron delete").into_iter().map(String::as_str).collect();
    assert_eq!(
        deleted,
        ["poll", "poll-0", "poll-3"].map(|job| format!("spin aka cron delete --app-id {ID} {job}"))
    );
    assert_eq!(ran.calls[ran.calls.len() - 5..], created_jobs());
}

#[test]
fn run_after_an_interrupted_run_makes_all_five_jobs() {
    let stage = with_app();
    stage.write("jobs", "| poll-0 | */5 * * * * | 2026-03-12 13:05:00 UTC |\n");
    let ran = stage.run(SCRIPT, &[]).expect_success();
    assert_eq!(ran.calls_with("cron delete").len(), 1);
    assert_eq!(ran.calls_with("cron create").len(), 5);
}

#[test]
fn name_and_env_options_choose_the_app_and_the_file() {
    let stage = Stage::new();
    stage.stub(
        "spin",
        &format!(
            "'aka --version') ;;\n'aka app list --verbose') echo 'other_bot({ID})';;\n\
             'aka deploy '*'--app-id {ID} '*) ;;\n'aka cron '*) ;;"
        ),
    );
    std::fs::create_dir(stage.path("a=b")).unwrap();
    std::fs::rename(stage.path(".env"), stage.path("a=b/bot.env")).unwrap();
    stage.run(SCRIPT, &["--env", "a=b/bot.env", "--name", "other_bot"]).expect_success();
    assert_eq!(stage.variables()["microsoftappid"], "00000000-0000-0000-0000-000000000001");
}

#[test]
fn failure_before_the_deployment_changes_nothing_and_names_the_remedy() {
    let case = |change: &dyn Fn(&Stage), arguments: &[&str], text: &str| {
        let stage = with_app();
        change(&stage);
        let ran = stage.run(SCRIPT, arguments).expect_failure(text);
        assert!(ran.calls_with("deploy ").is_empty() && ran.calls_with("cron").is_empty(), "{:?}", ran.calls);
    };
    case(&|stage| stage.remove_stub("spin"), &[], "spin: not found; install Spin 4");
    case(&|stage| stage.stub("spin", "'aka --version') exit 1;;"), &[], "spin plugins install aka");
    case(
        &|stage| stage.stub("spin", "'aka --version') ;;\n'aka app list --verbose') exit 1;;"),
        &[],
        "log in with: spin aka login",
    );
    case(&|stage| stage.write("apps", "proactive-bot [unknown form]\n"), &[], "in an unknown form");
    case(&|stage| stage.stub("cargo", "'dev build') exit 101;;"), &[], "the build failed");
    case(
        &|stage| std::fs::remove_dir_all(stage.path("target")).unwrap(),
        &["--no-build"],
        "bot_component.wasm: not found; build it first",
    );
    case(&|stage| std::fs::remove_file(stage.path(".env")).unwrap(), &[], ".env: not found; write it first");
    case(&|stage| stage.write_env("SPIN_VARIABLE_PACE=1\r\n"), &[], "nothing was done; correct");
    case(&|stage| stage.write_env("# empty\n"), &[], "nothing was done; correct");
    case(&|_| {}, &["--name"], "--name: a value is missing; usage:");
    case(&|_| {}, &["--name", "a b"], "choose another name");
    case(&|_| {}, &["--force"], "--force: unknown option; usage:");
}

#[test]
fn failure_of_a_later_call_names_the_remedy() {
    for (arms, text) in [
        ("'aka deploy '*) exit 1;;".to_owned(), "the deployment failed; read the plugin's message above"),
        ("'aka deploy '*) ;;\n'aka cron list '*) exit 1;;".to_owned(), "no job was changed; run this again"),
        (
            "'aka deploy '*) ;;\n'aka cron list '*) echo '| poll-1 |';;\n'aka cron delete '*) exit 1;;"
                .to_owned(),
            "the job poll-1 was not deleted; run this again",
        ),
        (
            "'aka deploy '*) ;;\n'aka cron list '*) ;;\n*'--name poll-2') exit 1;;\n'aka cron create '*) ;;"
                .to_owned(),
            "the job poll-2 was not made; run this again",
        ),
    ] {
        let stage = Stage::new();
        let apps = format!("'aka --version') ;;\n'aka app list --verbose') echo 'proactive-bot({ID})';;\n");
        stage.stub("spin", &(apps + &arms));
        stage.run(SCRIPT, &[]).expect_failure(text);
    }
}
