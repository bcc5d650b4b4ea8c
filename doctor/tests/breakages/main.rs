//! The tests break a deployment in many ways. The services of the deployment are fakes. The *doctor* (the
//! program `cargo dev doctor`) has to report every fault of a deployment in one run, and nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod world;

use chrono::TimeDelta;
use doctor::{Manifest, Report, Status};

use world::{Deployment, OTHER_APP_ID, SAS, SECRET, TENANT};

fn texts(report: &Report, status: Status) -> Vec<String> {
    report.with(status).map(|line| format!("{}: {}", line.section, line.text)).collect()
}

/// Changes a good deployment, and lets the doctor examine the changed deployment. Every expected text must be
/// in a problem of the report. The report must have no other problems.
#[track_caller]
fn expect(name: &str, change: impl FnOnce(&mut Deployment), expected: &[&str]) {
    let mut deployment = Deployment::default();
    change(&mut deployment);
    let report = deployment.examine();
    let problems = texts(&report, Status::Problem);
    for text in expected {
        assert!(
            problems.iter().any(|problem| problem.contains(text)),
            "{name}: `{text}` is not named:\n{report}"
        );
    }
    for problem in &problems {
        assert!(
            expected.iter().any(|text| problem.contains(text)),
            "{name}: `{problem}` is not expected:\n{report}"
        );
    }
    assert_eq!(report.is_fine(), expected.is_empty(), "{name}");
}

fn set(deployment: &mut Deployment, name: &'static str, value: impl Into<String>) {
    deployment.env.insert(name, value.into());
}

fn set_sas(deployment: &mut Deployment, from: &str, to: &str) {
    let connection = format!("AccountName=contoso;SharedAccessSignature={}", SAS.replace(from, to));
    set(deployment, "STORAGECONNECTION", connection);
}

/// Removes every host that contains `part` from a component's list of allowed hosts.
fn without_host(manifest: &mut Manifest, component: &str, part: &str) {
    manifest.hosts.get_mut(component).unwrap().retain(|host| !host.contains(part));
}

#[test]
fn good_deployment_has_no_problem_and_no_warning() {
    let report = Deployment::default().examine();
    assert_eq!(texts(&report, Status::Problem), [""; 0], "{report}");
    assert_eq!(texts(&report, Status::Warning), [""; 0], "{report}");
    assert_eq!(texts(&report, Status::Skipped), [""; 0], "{report}");
    assert!(texts(&report, Status::Fine).len() > 12, "{report}");
}

#[test]
fn each_of_ten_faults_is_named_and_nothing_else() {
    expect(
        "wrong tenant",
        |deployment| set(deployment, "MICROSOFTAPPTENANTID", TENANT.replace('6', "7")),
        &["login: AADSTS90002: this cloud has no such tenant; check microsoftapptenantid"],
    );
    expect(
        "expired secret",
        |deployment| deployment.world.secret_has_expired = true,
        &["login: AADSTS7000222: the client secret has expired; create a new one"],
    );
    expect(
        "SAS without p",
        |deployment| set_sas(deployment, "rdacup", "rdacu"),
        &["storage: SAS: `p` (process) is missing in sp"],
    );
    expect(
        "clock 20 minutes off",
        |deployment| deployment.world.ahead = TimeDelta::minutes(20),
        &["clock: this machine's clock is 20 minutes behind"],
    );
    expect(
        "endpoint with a typo",
        |deployment| deployment.url = Some("https://bot.example.com/api/mesages"),
        &["application: messaging endpoint: expected the path /api/messages, found /api/mesages"],
    );
    expect(
        "app id of another bot",
        |deployment| {
            set(deployment, "MICROSOFTAPPID", OTHER_APP_ID);
            deployment.package_of = OTHER_APP_ID;
        },
        &["microsoftappid is the app id of another bot"],
    );
    expect(
        "missing host in the manifest",
        |deployment| without_host(&mut deployment.manifest, "poller", "table.core.windows.net"),
        &[
            "allowed hosts: https://contoso.table.core.windows.net (tables of storageconnection) is not in allowed_outbound_hosts of poller",
        ],
    );
    expect(
        "missing table right",
        |deployment| set_sas(deployment, "ss=qt", "ss=q"),
        &["storage: SAS: `t` is missing in ss, so the SAS is not for tables"],
    );
    expect(
        "poll key with a line end",
        |deployment| set(deployment, "POLLKEY", format!("{}\\n", world::POLL_KEY)),
        &["variables: pollkey: begins or ends with a line end"],
    );
    expect(
        "package of another bot",
        |deployment| deployment.package_of = OTHER_APP_ID,
        &["Teams package: the package is for another bot"],
    );
}

#[test]
fn breakages_at_the_same_time_are_all_named() {
    expect(
        "nine at once",
        |deployment| {
            deployment.world.secret_has_expired = true;
            set_sas(deployment, "ss=qt&srt=co&sp=rdacup", "ss=q&srt=co&sp=rdacu");
            deployment.world.ahead = TimeDelta::minutes(-20);
            deployment.url = Some("https://bot.example.com/api/mesages");
            without_host(&mut deployment.manifest, "bot", "login.microsoftonline.com");
            set(deployment, "POLLKEY", format!("{}\\n", world::POLL_KEY));
            deployment.world.poll_key = "the key of an older deployment";
            deployment.package_of = OTHER_APP_ID;
        },
        &[
            "AADSTS7000222",
            "`p` (process) is missing",
            "`t` is missing in ss",
            "20 minutes ahead",
            "found /api/mesages",
            "https://login.microsoftonline.com (login host) is not in allowed_outbound_hosts of bot;",
            "pollkey: begins or ends with a line end",
            "401 with pollkey, so the application has another pollkey",
            "the package is for another bot",
        ],
    );
}

#[test]
fn missing_right_is_named_by_letter_or_role() {
    expect(
        "missing right `u` for tables",
        |deployment| deployment.world.rights[1] = "rdac",
        &["tables: the SAS does not permit update (`u`)"],
    );
    expect(
        "missing right `p` for queues",
        |deployment| deployment.world.rights[0] = "rdacu",
        &["queues: the SAS does not permit process (`p`)"],
    );
    expect(
        "two missing rights for queues",
        |deployment| deployment.world.rights[0] = "acup",
        &["read (`r`)", "delete (`d`)"],
    );
    let role = |deployment: &mut Deployment| set(deployment, "STORAGECONNECTION", "AccountName=contoso");
    expect(
        "role of tables is missing",
        |deployment| {
            role(deployment);
            deployment.world.rights[1] = "";
        },
        &["tables: the bot's identity lacks the role Storage Table Data Contributor"],
    );
    expect(
        "role that only reads queues",
        |deployment| {
            role(deployment);
            deployment.world.rights[0] = "r";
        },
        &["queues: the role of the bot's identity does not permit"],
    );
    expect("both roles", role, &[]);
    let needs_token = "the account needs a token of the bot";
    let mut deployment = Deployment::default();
    role(&mut deployment);
    deployment.world.login_refusal = Some(53_003);
    let report = deployment.examine();
    assert!(texts(&report, Status::Skipped).iter().any(|text| text.contains(needs_token)), "{report}");
    assert!(texts(&report, Status::Problem)[0].contains("Conditional Access"), "{report}");
}

#[test]
fn each_further_fault_is_named_and_nothing_else() {
    expect("changed signature", |deployment| deployment.world.accepts_signature = false, &["make a new SAS"]);
    expect(
        "expired SAS",
        |deployment| set_sas(deployment, "2027-11-29T00", "2025-11-29T00"),
        &["SAS: has expired (se=2025-11-29T00:00:00Z)"],
    );
    expect(
        "account that does not exist",
        |deployment| deployment.world.unreachable = vec!["contoso.queue.core.windows.net"],
        &["https://contoso.queue.core.windows.net: cannot be reached"],
    );
    expect(
        "missing queue, and a SAS without the right to create it",
        |deployment| {
            deployment.world.existing.retain(|name| *name != "bot-queue");
            set_sas(deployment, "sp=rdacup", "sp=rdaup");
        },
        &["az storage queue create -n bot-queue"],
    );
    expect(
        "missing table",
        |deployment| deployment.world.existing.retain(|name| *name != "proactivebotruns"),
        &[],
    );
    expect(
        "wrong secret",
        |deployment| set(deployment, "MICROSOFTAPPPASSWORD", "another-secret"),
        &["AADSTS7000215"],
    );
    expect(
        "unknown app",
        |deployment| {
            set(deployment, "MICROSOFTAPPID", OTHER_APP_ID.replace('9', "8"));
            deployment.package_of = "88888888-2222-3333-4444-555555555555";
        },
        &["AADSTS700016"],
    );
    expect(
        "no service principal",
        |deployment| deployment.world.login_refusal = Some(7_000_229),
        &["az ad sp create"],
    );
    expect(
        "unexplained refusal",
        |deployment| deployment.world.login_refusal = Some(50_034),
        &["AADSTS50034"],
    );
    expect(
        "login host that cannot be reached",
        |deployment| deployment.world.unreachable = vec!["login.microsoftonline.com"],
        &["login host: no token (nothing was sent: no such host"],
    );
    expect(
        "keys that cannot be fetched",
        |deployment| deployment.world.unreachable = vec!["login.botframework.com"],
        &["signing keys: the keys of the channels cannot be fetched"],
    );
    expect(
        "application that accepts a call without a token",
        |deployment| deployment.world.endpoint = (202, ""),
        &["everybody can call the bot"],
    );
    expect(
        "wrong variable of the application",
        |deployment| deployment.world.endpoint = (500, "Misconfigured"),
        &["500, because a variable is wrong"],
    );
    expect(
        "anonymous application",
        |deployment| deployment.world.endpoint = (403, "HostNotAllowed"),
        &["the bot runs with authmode=anonymous"],
    );
    expect("old poll key", |deployment| deployment.world.poll_key = "old", &["401 with pollkey"]);
    expect(
        "credentials that the Connector refuses",
        |deployment| deployment.world.skipped = "credentialsRefused",
        &["the poller sends nothing, because the bot's credentials were refused"],
    );
    expect("another run is active", |deployment| deployment.world.skipped = "anotherRun", &[]);
    expect(
        "no application",
        |deployment| deployment.world.unreachable = vec!["bot.example.com"],
        &["https://bot.example.com: cannot be reached"],
    );
}

#[test]
fn wrong_variables_are_named_and_nothing_else() {
    expect(
        "short seal key",
        |deployment| set(deployment, "SEALKEY", "short"),
        &["sealkey: must be at least 16"],
    );
    expect(
        "no registration",
        |deployment| {
            for name in ["MICROSOFTAPPID", "MICROSOFTAPPPASSWORD", "MICROSOFTAPPTENANTID"] {
                deployment.env.remove(name);
            }
        },
        &["microsoftappid: must be set", "microsoftapppassword: is empty"],
    );
    expect(
        "misspelt name",
        |deployment| set(deployment, "POLKEY", "x"),
        &["the nearest is SPIN_VARIABLE_POLLKEY"],
    );
    expect(
        "id of a secret",
        |deployment| set(deployment, "MICROSOFTAPPPASSWORD", TENANT),
        &["looks like the id of a secret", "AADSTS7000215"],
    );
    expect(
        "anonymous",
        |deployment| set(deployment, "AUTHMODE", "anonymous"),
        &["authmode: anonymous is for local tests only"],
    );
    expect(
        "emulator",
        |deployment| {
            deployment.env.remove("STORAGECONNECTION");
            deployment.world.unreachable = vec!["127.0.0.1"];
        },
        &["storageconnection: leads to the emulator", "http://127.0.0.1:1000", "cannot be reached"],
    );
    expect(
        "two credentials",
        |deployment| set(deployment, "FEDERATEDTOKEN", "a.b.c"),
        &["microsoftapppassword: is set together with federatedtoken"],
    );
    let mut deployment = Deployment::default();
    set(&mut deployment, "POLLKEY", SECRET);
    deployment.world.poll_key = SECRET;
    let warnings = texts(&deployment.examine(), Status::Warning);
    assert_eq!(
        warnings,
        ["variables: pollkey: has the value of microsoftapppassword; use a random value for each"]
    );
}
