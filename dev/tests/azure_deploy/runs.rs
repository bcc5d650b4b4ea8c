//! Tests in which `deploy/azure/deploy.sh` succeeds. The tests check the script's calls to `az` (the Azure
//! CLI), and the `.env` file that the script writes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Map, Value};

use crate::stage::{APP, BOT, PRINCIPAL, SECRET, STORAGE, STORAGE_KEY, Stage, TENANT, shells};

fn template() -> String {
    dev::workspace::root().join("deploy/azure/azuredeploy.json").display().to_string()
}

/// The option `--parameters` of a deployment with default names. `rest` has the parameters that differ
/// between the tests.
fn parameters(rest: &str) -> String {
    format!(
        "--parameters appId={APP} appTenantId={TENANT} botName={BOT} displayName=Proactive bot sku=F0 \
         storageAccountName={STORAGE} queueName=bot-queue tablePrefix=proactivebot {rest}"
    )
}

fn deployment(rest: &str) -> String {
    let (template, parameters) = (template(), parameters(rest));
    format!(
        "deployment group create -g proactive-bot -n proactive-bot --mode Incremental --template-file {template} \
         {parameters}"
    )
}

#[test]
fn first_run_makes_everything_in_every_shell() {
    for shell in shells() {
        let stage = Stage::new().with_shell(shell);
        let stdout = stage.succeed(&[]);
        let expected = [
            "group create -n proactive-bot -l westeurope".to_owned(),
            format!("ad app create --display-name {BOT} --sign-in-audience AzureADMyOrg"),
            format!("ad sp create --id {APP}"),
            format!("ad app credential reset --id {APP} --append --display-name {BOT} --years 1"),
            deployment(&format!("allowSharedKeyAccess=false principalId={PRINCIPAL}")),
        ];
        assert_eq!(stage.changes(), expected, "{shell}");
        let env = stage.env();
        let mut values: BTreeMap<_, _> =
            env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let end = values.remove("BOT_CREDENTIALUNTIL").unwrap();
        assert!(end.len() == 10 && end.starts_with("20"), "{shell}: {end}");
        let keys = ["POLLKEY", "SEALKEY", "HOOKKEY", "ALERTKEY"]
            .map(|name| values.remove(format!("SPIN_VARIABLE_{name}").as_str()).unwrap());
        for key in keys {
            assert!(key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{shell}: {key}");
            assert!(!stdout.contains(key), "{shell}: {stdout}");
        }
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len(), "{shell}");
        let connection =
            format!("DefaultEndpointsProtocol=https;AccountName={STORAGE};EndpointSuffix=core.windows.net");
        let expected = [
            ("SPIN_VARIABLE_MICROSOFTAPPID", APP),
            ("SPIN_VARIABLE_MICROSOFTAPPTENANTID", TENANT),
            ("SPIN_VARIABLE_MICROSOFTAPPPASSWORD", SECRET),
            ("SPIN_VARIABLE_STORAGECONNECTION", &connection),
            ("SPIN_VARIABLE_QUEUENAME", "bot-queue"),
            ("SPIN_VARIABLE_TABLEPREFIX", "proactivebot"),
            ("BOT_GROUP", "proactive-bot"),
            ("BOT_NAME", BOT),
            ("BOT_DISPLAYNAME", "Proactive bot"),
            ("BOT_SKU", "F0"),
            ("BOT_STORAGEACCOUNT", STORAGE),
            ("BOT_ACCESS", "roles"),
        ];
        assert_eq!(values, expected.into_iter().collect(), "{shell}");
        assert_eq!(stage.mode(), 0o600, "{shell}");
        assert!(!stdout.contains(SECRET), "{shell}: {stdout}");
    }
}

#[test]
fn every_variable_of_the_env_file_is_in_the_manifest() {
    let stage = Stage::new();
    stage.succeed(&["--access", "sas", "--keda", "--url", "https://bot.example"]);
    let manifest = fs::read_to_string(dev::workspace::root().join("spin.toml")).unwrap();
    for name in stage.env().keys().filter_map(|name| name.strip_prefix("SPIN_VARIABLE_")) {
        let line = format!("\n{} = {{ default", name.to_lowercase());
        assert!(manifest.contains(&line), "{name}");
    }
}

#[test]
fn template_takes_the_parameters_of_the_script() {
    for (arguments, connection) in
        [(&["--url", "https://bot.example"][..], true), (&["--access", "sas"], false)]
    {
        let stage = Stage::new();
        stage.succeed(arguments);
        let calls = stage.calls();
        let call = calls.iter().find(|call| call.starts_with(&["deployment".to_owned()])).unwrap();
        let parameters = call.iter().skip_while(|word| *word != "--parameters").skip(1);
        let parameters = parameters.take_while(|word| !word.starts_with("--")).map(|word| {
            let (name, value) = word.split_once('=').unwrap();
            // `az` converts the text into the type of the parameter, e.g. into a boolean.
            let value = value.parse::<bool>().map_or_else(|_| Value::from(value), Value::from);
            (name.to_owned(), value)
        });
        let outputs = dev::arm::outputs(&parameters.collect::<Map<_, _>>().into()).unwrap();
        let env = stage.env();
        assert_eq!(outputs["microsoftappid"], env["SPIN_VARIABLE_MICROSOFTAPPID"].as_str());
        assert_eq!(outputs["queuename"], env["SPIN_VARIABLE_QUEUENAME"].as_str());
        assert_eq!(
            outputs["storageconnection"] == env["SPIN_VARIABLE_STORAGECONNECTION"].as_str(),
            connection
        );
        let query = call.iter().skip_while(|word| *word != "--query").nth(1).unwrap();
        assert_eq!(query, "properties.outputs.storageconnection.value");
    }
}

#[test]
fn later_run_deploys_again_and_adds_only_a_given_url() {
    let stage = Stage::new();
    stage.succeed(&["--access", "sas", "--keda"]);
    stage.changes();
    let first = fs::read_to_string(stage.env_file()).unwrap();
    stage.succeed(&[]);
    assert_eq!(stage.changes(), [deployment("allowSharedKeyAccess=true")]);
    assert_eq!(fs::read_to_string(stage.env_file()).unwrap(), first);
    stage.succeed(&["--url", "https://bot.example/"]);
    let expected = deployment("allowSharedKeyAccess=true appUrl=https://bot.example");
    assert_eq!(stage.changes(), std::slice::from_ref(&expected));
    let with_url = fs::read_to_string(stage.env_file()).unwrap();
    assert_eq!(with_url, first + "BOT_URL=https://bot.example\n");
    stage.succeed(&[]);
    assert_eq!(stage.changes(), [expected]);
    assert_eq!(fs::read_to_string(stage.env_file()).unwrap(), with_url);
}

/// The calls that make something or read a key, in the order of the script. Each entry is the beginning of a
/// call.
const STEPS: [&str; 7] = [
    "group create",
    "ad app create",
    "ad sp create",
    "ad app credential reset",
    "deployment group create",
    "storage account keys",
    "storage account generate-sas",
];

#[test]
fn run_after_a_failure_at_each_step_completes_the_deployment() {
    let names = |stage: &Stage| -> Vec<String> { stage.env().into_keys().collect() };
    let arguments = ["--access", "sas", "--keda", "--url", "https://bot.example"];
    let (stage, expected) = (Stage::new(), Stage::new());
    expected.succeed(&arguments);
    for step in STEPS {
        // The call takes effect in the stub of `az`, but the script gets an error.
        stage.set("fail-after", &format!("{step}\nERROR: the connection was closed\n"));
        let run = stage.run(&arguments);
        assert!(!run.is_success, "{step}: {run:?}");
        assert!(run.stderr.contains("failed: az gives the reason below"), "{step}: {run:?}");
    }
    stage.succeed(&arguments);
    assert_eq!(names(&stage), names(&expected));
    assert_eq!(stage.mode(), 0o600);
    for made in ["apps", "sp", "group", "bot", "storage"] {
        assert_eq!(stage.state(made), expected.state(made), "{made}");
    }
}

#[test]
fn call_is_repeated_if_azure_does_not_know_the_new_app_yet() {
    let stage = Stage::new();
    let message = "ERROR: The appId 'x' does not reference a valid application object.";
    stage.set("fail-before", &format!("ad sp create\n{message}\n"));
    stage.succeed(&[]);
    assert_eq!(stage.state("sp").trim(), PRINCIPAL);
}

#[test]
fn what_if_changes_nothing() {
    let stage = Stage::new();
    let arguments = ["--what-if", "--access", "sas", "--keda"];
    let stdout = stage.succeed(&arguments);
    assert_eq!(stage.changes(), [""; 0]);
    assert!(!stage.env_file().exists());
    let expected = format!(
        "would make the resource group proactive-bot in westeurope\n\
         would make the app registration {BOT} (single tenant)\n\
         would make the service principal of the app\n\
         would make a secret for the app, valid for a year\n\
         would make a random key: POLLKEY\n\
         would make a random key: SEALKEY\n\
         would make a random key: HOOKKEY\n\
         would make a random key: ALERTKEY\n\
         would deploy the bot {BOT} and the storage account {STORAGE} into proactive-bot\n\
         would make a SAS for the bot and the poller, valid for a year\n\
         would make a SAS with which KEDA counts the queue, valid for a year\n\
         Nothing was changed.\n"
    );
    assert_eq!(stdout, expected);

    stage.succeed(&[]);
    let before = fs::read(stage.env_file()).unwrap();
    stage.changes();
    let stdout = stage.succeed(&["--what-if", "--renew"]);
    assert_eq!(stage.changes(), [""; 0]);
    assert_eq!(fs::read(stage.env_file()).unwrap(), before);
    let expected = format!(
        "would make a secret for the app, valid for a year\n\
         would deploy the bot {BOT} and the storage account {STORAGE} into proactive-bot\n\
         a forecast\n\
         Nothing was changed.\n"
    );
    assert_eq!(stdout, expected);
}

#[test]
fn both_sas_have_the_needed_services_and_permissions_and_renew_makes_both_again() {
    let stage = Stage::new();
    stage.succeed(&["--access", "sas", "--keda"]);
    let env = stage.env();
    let endpoint =
        |service: &str, kind: &str| format!("{service}=https://{STORAGE}.{kind}.core.windows.net/");
    let (queue, table) = (endpoint("QueueEndpoint", "queue"), endpoint("TableEndpoint", "table"));
    for (name, begin, parts) in [
        (
            "SPIN_VARIABLE_STORAGECONNECTION",
            format!("{queue};{table};SharedAccessSignature=se="),
            ["ss=qt", "srt=o", "sp=rdaup"],
        ),
        ("KEDA_STORAGECONNECTION", format!("{queue};SharedAccessSignature=se="), ["ss=q", "srt=co", "sp=r"]),
    ] {
        let value = &env[name];
        assert!(value.starts_with(&begin), "{name}: {value}");
        for part in parts.into_iter().chain(["spr=https"]) {
            assert!(value.split('&').any(|found| found == part), "{name}: {part}: {value}");
        }
    }
    stage.changes();
    stage.succeed(&["--renew"]);
    let made = |call: &&String| call.contains("generate-sas");
    assert_eq!(stage.changes().iter().filter(made).count(), 2);
    assert_eq!(stage.env()["SPIN_VARIABLE_MICROSOFTAPPPASSWORD"], "sec~ret.2_of-app");
    assert_eq!(stage.env()["SPIN_VARIABLE_SEALKEY"], env["SPIN_VARIABLE_SEALKEY"]);
}

#[test]
fn soon_expiring_sas_or_credential_gives_a_note() {
    let stage = Stage::new();
    assert!(!stage.succeed(&["--access", "sas"]).contains("Note:"));
    let mut text = fs::read_to_string(stage.env_file()).unwrap();
    for (mark, day) in [("SharedAccessSignature=se=", "2026-01-02"), ("BOT_CREDENTIALUNTIL=", "2026-01-03")] {
        let at = text.find(mark).unwrap() + mark.len();
        text.replace_range(at..at + day.len(), day);
    }
    fs::write(stage.env_file(), text).unwrap();
    let stdout = stage.succeed(&[]);
    for expected in [
        "Note: the SAS in SPIN_VARIABLE_STORAGECONNECTION ends on 2026-01-02;",
        "Note: the credential of the app ends on 2026-01-03;",
    ] {
        assert!(stdout.contains(expected), "{stdout}");
    }
    assert!(!stage.succeed(&["--renew"]).contains("Note:"));
}

#[test]
fn certificate_takes_the_place_of_the_secret() {
    let stage = Stage::new();
    stage.succeed(&[]);
    stage.succeed(&["--credential", "certificate"]);
    let env = stage.env();
    assert!(!env.contains_key("SPIN_VARIABLE_MICROSOFTAPPPASSWORD"));
    let pem = env["SPIN_VARIABLE_CERTIFICATE"].replace("\\n", "\n");
    let certificate = stage.state("certificate.pem");
    assert!(
        pem.starts_with("-----BEGIN PRIVATE KEY-----\n") && pem.ends_with(&certificate),
        "expected the private key and then the certificate, as PEM"
    );
    assert!(certificate.starts_with("-----BEGIN CERTIFICATE-----\n"), "{certificate}");
    stage.changes();
    stage.succeed(&[]);
    assert_eq!(stage.env(), env, "a later run without options changed the variables");
    assert_eq!(stage.changes().len(), 1);
}

#[test]
fn shells_and_spin_read_the_same_values() {
    let stage = Stage::new();
    let arguments = [
        "--access",
        "sas",
        "--keda",
        "--credential",
        "certificate",
        "--display-name",
        "Bot \"7\" $HOME #1 é",
    ];
    stage.succeed(&arguments);
    for shell in shells() {
        assert_eq!(stage.env_of_shell(shell), stage.env(), "{shell}");
    }
}

#[test]
fn no_secret_is_on_a_command_line() {
    for credential in ["secret", "certificate"] {
        let stage = Stage::new();
        let stdout = stage.succeed(&["--access", "sas", "--keda", "--credential", credential]);
        let secrets = stage.env().into_iter().filter(|(name, _)| {
            ["KEY", "PASSWORD", "CERTIFICATE", "CONNECTION"].iter().any(|end| name.ends_with(end))
        });
        let secrets: Vec<_> = secrets.map(|(_, value)| value).chain([STORAGE_KEY.to_owned()]).collect();
        assert_eq!(secrets.len(), 8, "{credential}");
        let lines = stage.calls().concat().join("\n") + &stdout;
        for secret in secrets {
            let signature = secret.split("sig=").last().unwrap();
            assert!(!lines.contains(&secret) && !lines.contains(signature), "{credential}: {secret}");
        }
    }
}

#[test]
fn lines_that_a_person_has_added_are_kept() {
    let stage = Stage::new();
    let text = "# mine\n\nSPIN_VARIABLE_TENANTS='any'\nSPIN_VARIABLE_QUEUENAME=own-queue\nSPIN_VARIABLE_ALERTKEY=\"my key of 16 characters\"\n";
    fs::write(stage.env_file(), text).unwrap();
    fs::set_permissions(stage.env_file(), fs::Permissions::from_mode(0o644)).unwrap();
    stage.succeed(&[]);
    let found = fs::read_to_string(stage.env_file()).unwrap();
    assert!(found.starts_with(text), "{found}");
    // A run sets the mode of the file to 600, even if the run changes no value.
    fs::set_permissions(stage.env_file(), fs::Permissions::from_mode(0o644)).unwrap();
    stage.succeed(&[]);
    assert_eq!(stage.mode(), 0o600);
    assert!(stage.changes().last().unwrap().contains("queueName=own-queue"));
}

#[test]
fn run_after_the_env_file_was_lost_finds_the_app_of_the_existing_bot() {
    let stage = Stage::new();
    stage.succeed(&[]);
    fs::remove_file(stage.env_file()).unwrap();
    stage.set("apps", &format!("{APP} a-name-that-was-changed\n"));
    stage.changes();
    stage.succeed(&[]);
    let changes = stage.changes();
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert!(changes[0].starts_with(&format!("ad app credential reset --id {APP} --append")), "{changes:?}");
    assert_eq!(stage.env()["SPIN_VARIABLE_MICROSOFTAPPID"], APP);
}

#[test]
fn derived_names_ignore_the_case_of_group_and_subscription() {
    let name = |group: &str, subscription: &str| {
        let stage = Stage::new();
        stage.set("login", &format!("{subscription} {TENANT} AzureCloud\n"));
        stage.succeed(&["--group", group]);
        stage.env()["BOT_NAME"].clone()
    };
    assert_eq!(name("Alerts", "AAAA"), name("alerts", "aaaa"));
    assert_ne!(name("alerts", "aaaa"), name("alerts", "bbbb"));
}

#[test]
fn every_option_of_the_readme_is_in_the_help() {
    let readme = fs::read_to_string(dev::workspace::root().join("deploy/azure/README.md")).unwrap();
    let help = Stage::new().succeed(&["--help"]);
    let options = readme.lines().filter(|line| !line.contains("az ") && !line.contains("button.sh"));
    let options = options.flat_map(|line| line.split(['`', ' ']));
    let options: Vec<_> = options.filter(|word| word.starts_with("--") && word.len() > 2).collect();
    assert!(options.len() > 10, "{options:?}");
    for option in options {
        assert!(help.contains(&format!("  {option}")), "{option}");
    }
}
