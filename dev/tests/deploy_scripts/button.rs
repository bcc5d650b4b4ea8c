//! Runs `deploy/azure/button.sh`, which replaces the Deploy-to-Azure button in the README.

use std::fs;

use super::stage::Stage;

const SCRIPT: &str = "deploy/azure/button.sh";
/// The beginning of a button that opens the template of a repository on GitHub.
const BUTTON: &str = "[![Deploy to Azure](https://aka.ms/deploytoazurebutton)]\
    (https://portal.azure.com/#create/Microsoft.Template/uri/https%3A%2F%2Fraw.githubusercontent.com%2F";
/// The button in the README of the project. The project has no public repository from which Azure can read
/// the template. So this button opens Azure's form without the template.
const BUTTON_WITHOUT_ADDRESS: &str = "[![Deploy to Azure](https://aka.ms/deploytoazurebutton)]\
    (https://portal.azure.com/#create/Microsoft.Template)";

fn stage(origin: &str) -> Stage {
    let stage = Stage::new();
    fs::copy(dev::workspace::root().join("README.md"), stage.path("README.md")).unwrap();
    let arm = if origin.is_empty() { "exit 2".to_owned() } else { format!("echo {origin}") };
    stage.stub("git", &format!("*'remote get-url origin') {arm} ;;"));
    stage
}

fn buttons(stage: &Stage) -> Vec<String> {
    let readme = fs::read_to_string(stage.path("README.md")).unwrap();
    readme.lines().filter(|line| line.contains("deploytoazurebutton")).map(str::to_owned).collect()
}

#[test]
fn button_leads_to_the_named_repository_or_else_to_the_repository_of_origin() {
    for (origin, arguments, expected) in [
        ("git@github.com:contoso/alerts.git", &[][..], "contoso%2Falerts%2Fmain"),
        ("https://github.com/contoso/alerts", &[], "contoso%2Falerts%2Fmain"),
        ("", &["--repository", "a/b", "--branch", "v1.0"], "a%2Fb%2Fv1.0"),
    ] {
        let stage = stage(origin);
        let before = fs::read_to_string(stage.path("README.md")).unwrap();
        assert_eq!(buttons(&stage), [BUTTON_WITHOUT_ADDRESS]);
        let expected = format!("{BUTTON}{expected}%2Fdeploy%2Fazure%2Fazuredeploy.json)");
        // The second run has to replace the button of the first run.
        for _ in 0..2 {
            stage.run(SCRIPT, arguments).expect_success();
            assert_eq!(buttons(&stage), [expected.as_str()]);
        }
        let after = fs::read_to_string(stage.path("README.md")).unwrap();
        assert_eq!(
            after.replace(&expected, BUTTON_WITHOUT_ADDRESS),
            before,
            "the script changed more than the button"
        );
    }
}

#[test]
fn failure_leaves_the_readme_unchanged() {
    for (origin, arguments, expected) in [
        ("", &[][..], "--repository OWNER/NAME"),
        ("https://example.com/a/b.git", &[], "--repository OWNER/NAME"),
        ("", &["--repository", "contoso"], "expected OWNER/NAME"),
        ("", &["--repository", "a/b/c"], "expected OWNER/NAME"),
        ("", &["--repository", "a/b)x"], "expected OWNER/NAME"),
        ("", &["--repository", "a/b", "--branch", "a b"], "--branch"),
        ("", &["--repository"], "a value is missing"),
        ("", &["--what"], "unknown option"),
    ] {
        let stage = stage(origin);
        stage.run(SCRIPT, arguments).expect_failure(expected);
        assert_eq!(buttons(&stage), [BUTTON_WITHOUT_ADDRESS]);
    }
    let stage = stage("https://github.com/contoso/alerts");
    stage.write("README.md", "# Another README\n");
    stage.run(SCRIPT, &[]).expect_failure("restore the line");
    assert_eq!(fs::read_to_string(stage.path("README.md")).unwrap(), "# Another README\n");
}
