//! Runs `deploy/release/publish.sh`. Stubs replace `spin`, which publishes a release, and `cosign`, which
//! signs the release.

use super::stage::Stage;

const SCRIPT: &str = "deploy/release/publish.sh";
const IMAGE: &str = "ghcr.io/owner/proactive-bot:0.1.0";
const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn stage() -> Stage {
    let stage = Stage::new();
    stage.stub(
        "spin",
        &format!(
            "'registry push '*) echo 'Pushing app to the Registry...'; echo 'Pushed with digest {DIGEST}';;"
        ),
    );
    stage.stub("cosign", "'sign --yes '* | 'attest --yes '*) ;;");
    stage.write("bot.cdx.json", "{}");
    stage.write("poller.cdx.json", "{}");
    stage
}

#[test]
fn signature_and_sboms_name_the_digest_of_the_release() {
    let stage = stage();
    let ran = stage.run(SCRIPT, &[IMAGE, "bot.cdx.json", "poller.cdx.json"]).expect_success();
    assert_eq!(ran.stdout.lines().last(), Some(format!("digest={DIGEST}").as_str()));
    let manifest = stage.path("deploy/spin.http.toml");
    let app = format!("ghcr.io/owner/proactive-bot@{DIGEST}");
    ran.expect_calls(&[
        &format!("spin registry push --from {} {IMAGE}", manifest.display()),
        &format!("cosign sign --yes {app}"),
        &format!("cosign attest --yes --type cyclonedx --predicate bot.cdx.json {app}"),
        &format!("cosign attest --yes --type cyclonedx --predicate poller.cdx.json {app}"),
    ]);
}

#[test]
fn failure_names_the_remedy_and_signs_nothing() {
    let case = |change: &dyn Fn(&Stage), arguments: &[&str], text: &str| {
        let stage = stage();
        change(&stage);
        let ran = stage.run(SCRIPT, arguments).expect_failure(text);
        assert!(ran.calls_with("cosign").is_empty(), "{:?}", ran.calls);
    };
    let files = [IMAGE, "bot.cdx.json"];
    case(
        &|stage| stage.stub("spin", "'registry push '*) exit 1;;"),
        &files,
        "check the login: spin registry login ghcr.io",
    );
    case(&|stage| stage.stub("spin", "'registry push '*) echo Pushed;;"), &files, "spin printed no digest");
    case(
        &|stage| stage.stub("spin", "'registry push '*) echo Pushed with digest sha256:06b19;;"),
        &files,
        "no digest",
    );
    case(&|stage| stage.write("bot.cdx.json", ""), &files, "bot.cdx.json: not found or empty");
    case(
        &|stage| std::fs::remove_dir_all(stage.path("target")).unwrap(),
        &files,
        "bot_component.wasm: not found; build it first",
    );
    case(&|_| {}, &["ghcr.io/Owner/bot:1", "bot.cdx.json"], "expected a name in lower case");
    case(&|_| {}, &["ghcr.io/owner/bot", "bot.cdx.json"], "expected a name in lower case");
    case(&|_| {}, &["localhost:5000/bot", "bot.cdx.json"], "the tag is missing; add :VERSION");
    case(&|_| {}, &[IMAGE], "usage:");
}

#[test]
fn failed_signature_names_the_remedy() {
    let stage = stage();
    stage.stub("cosign", "'sign --yes '*) exit 1;;");
    stage.run(SCRIPT, &[IMAGE, "bot.cdx.json"]).expect_failure("the job needs id-token: write");
    stage.stub("cosign", "'sign --yes '*) ;;\n'attest --yes '*) exit 1;;");
    stage
        .run(SCRIPT, &[IMAGE, "bot.cdx.json"])
        .expect_failure("bot.cdx.json was not attached; run this again");
}
