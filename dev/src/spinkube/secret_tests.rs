//! Tests of `make-secret.sh`. This script reads an env file, and makes a bot's Secret in Kubernetes. The
//! tests run the script with a fake kubectl. The fake kubectl records each call, and refuses a call that it
//! does not know.
// Clippy does not see from the condition `cfg(all(test, unix))` that this module is for tests.
#![allow(clippy::unwrap_used)]

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::workspace::root;

/// The fake kubectl. Its folder `$STUB` has the file `calls`, and a file for each Kubernetes object that
/// `make-secret.sh` has made. A test can write a command, e.g. `create`, into the file `failing`. Then this
/// command fails.
const KUBECTL: &str = r#"#!/bin/sh
echo "$*" >>"$STUB/calls"
if [ -e "$STUB/failing" ] && [ "$1" = "$(cat "$STUB/failing")" ]; then
    echo "error: refused" >&2
    exit 1
fi
case $* in
"config current-context") echo test-cluster ;;
"get namespace $NAMESPACE --ignore-not-found --output name") cat "$STUB/namespace" 2>/dev/null || : ;;
"create namespace $NAMESPACE --save-config") echo namespace/made >"$STUB/namespace" ;;
"get secret proactive-bot --namespace $NAMESPACE --ignore-not-found --output name" | \
    "get secret proactive-bot-keda --namespace $NAMESPACE --ignore-not-found --output name")
    if [ -e "$STUB/$3.json" ]; then echo "secret/$3"; fi ;;
"create --filename "* | "replace --filename "*)
    cp "$3" "$STUB/$(sed -n 's/.*"metadata":{"name":"\([a-z-]*\)".*/\1/p' "$3").json" ;;
*) echo "unexpected call: $*" >&2 && exit 97 ;;
esac
"#;

const GOOD: &str = r#"# Lines of a working bot.
SPIN_VARIABLE_MICROSOFTAPPID=00000000-0000-0000-0000-000000000001
SPIN_VARIABLE_MICROSOFTAPPPASSWORD='a b$c"d\e'
SPIN_VARIABLE_STORAGECONNECTION='QueueEndpoint=https://a.queue.core.windows.net/;SharedAccessSignature=sv=1&sig=%2B'
SPIN_VARIABLE_POLLKEY=0123456789abcdef
"#;

struct Script {
    folder: TempDir,
    namespace: &'static str,
}

struct Outcome {
    is_success: bool,
    stdout: String,
    stderr: String,
}

impl Script {
    fn new(namespace: &'static str, env: &str) -> Self {
        let script = Self { folder: tempfile::tempdir().unwrap(), namespace };
        script.write("env", env);
        script.write("kubectl", KUBECTL);
        let set_mode = |name, mode| {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(script.path().join(name), permissions).unwrap();
        };
        set_mode("env", 0o600);
        set_mode("kubectl", 0o755);
        script
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    fn calls(&self) -> Vec<String> {
        let calls = std::fs::read_to_string(self.path().join("calls")).unwrap_or_default();
        calls.lines().map(|call| call.split("/secret.json").next().unwrap().to_owned()).collect()
    }

    fn secret(&self) -> Value {
        self.secret_named("proactive-bot").unwrap()
    }

    fn secret_named(&self, name: &str) -> Option<Value> {
        let file = std::fs::read(self.path().join(format!("{name}.json"))).ok()?;
        Some(serde_json::from_slice(&file).unwrap())
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let mut path = OsString::from(self.path());
        path.push(":/usr/bin:/bin");
        self.run_with_path(&path, arguments)
    }

    fn run_with_path(&self, path: &std::ffi::OsStr, arguments: &[&str]) -> Outcome {
        let mut command = Command::new("/bin/sh");
        command
            .arg(root().join("deploy/spinkube/make-secret.sh"))
            .args(["--namespace", self.namespace, "--env"])
            .arg(self.path().join("env"))
            .args(arguments)
            .env("PATH", path)
            .env("STUB", self.path())
            .env("NAMESPACE", self.namespace)
            .env("TMPDIR", self.path());
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let leftover = |name: &std::fs::DirEntry| name.file_name().to_string_lossy().starts_with("tmp.");
        let folder = std::fs::read_dir(self.path()).unwrap().map(Result::unwrap);
        assert_eq!(
            folder.filter(leftover).count(),
            0,
            "the script left a temporary file, which can contain secrets"
        );
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        for secret in ["0123456789abcdef", "a b$c", "sig=%2B"] {
            assert!(!format!("{stdout}{stderr}").contains(secret), "a secret is printed: {stdout}{stderr}");
            assert!(!self.calls().concat().contains(secret), "a secret is an argument: {:?}", self.calls());
        }
        assert!(!stderr.contains("unexpected call"), "{stderr}");
        Outcome { is_success: output.status.success(), stdout, stderr }
    }
}

#[test]
fn first_run_creates_namespace_and_secret_and_second_run_replaces_the_secret() {
    let script = Script::new("proactive-bot", GOOD);
    let first = script.run(&[]);
    assert!(first.is_success, "{}", first.stderr);
    let expected = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": "proactive-bot", "namespace": "proactive-bot"},
        "stringData": {
            "microsoftappid": "00000000-0000-0000-0000-000000000001",
            "microsoftapppassword": "a b$c\"d\\e",
            "storageconnection": "QueueEndpoint=https://a.queue.core.windows.net/;SharedAccessSignature=sv=1&sig=%2B",
            "pollkey": "0123456789abcdef",
        },
    });
    assert_eq!(script.secret(), expected);
    let calls = script.calls();
    let verbs: Vec<&str> = calls.iter().filter_map(|call| call.split(' ').next()).collect();
    assert_eq!(verbs, ["config", "get", "create", "get", "create"], "{calls:?}");
    assert_eq!(script.secret_named("proactive-bot-keda"), None, "the env file has no SAS for KEDA");
    assert!(!first.stdout.contains("rollout restart"), "no pod runs yet: {}", first.stdout);

    let second = script.run(&[]);
    assert!(second.is_success, "{}", second.stderr);
    assert!(second.stdout.contains("kubectl rollout restart deployment/proactive-bot"), "{}", second.stdout);
    let calls = script.calls().split_off(calls.len());
    let verbs: Vec<&str> = calls.iter().filter_map(|call| call.split(' ').next()).collect();
    assert_eq!(verbs, ["config", "get", "get", "replace"], "{calls:?}");
    assert_eq!(script.secret(), expected);
}

#[test]
fn sas_of_keda_is_stored_in_a_separate_secret() {
    let keda = "QueueEndpoint=https://a.queue.core.windows.net/;SharedAccessSignature=sp=r&sig=%2Bkeda";
    let script = Script::new("proactive-bot", &format!("{GOOD}KEDA_STORAGECONNECTION='{keda}'\n"));
    for verb in ["create", "replace"] {
        let before = script.calls().len();
        let outcome = script.run(&[]);
        assert!(outcome.is_success, "{}", outcome.stderr);
        assert!(outcome.stdout.contains("proactive-bot-keda"), "{}", outcome.stdout);
        let calls = script.calls().split_off(before);
        let stored = calls.iter().filter(|call| call.starts_with(&format!("{verb} --filename"))).count();
        assert_eq!(stored, 2, "{calls:?}");
    }
    let secret = script.secret_named("proactive-bot-keda").unwrap();
    assert_eq!(secret["metadata"], json!({"name": "proactive-bot-keda", "namespace": "proactive-bot"}));
    assert_eq!(secret["stringData"], json!({"connection": keda}));
    let of_bot = script.secret()["stringData"].to_string();
    assert!(!of_bot.contains("keda"), "the bot's Secret has no SAS of KEDA");
}

#[test]
fn certificate_of_several_lines_keeps_the_line_ends_in_the_secret() {
    let certificate = "SPIN_VARIABLE_CERTIFICATE=\"-----BEGIN KEY-----\\nabc\\n-----END KEY-----\\n\"\n";
    let script = Script::new("proactive-bot", &format!("{GOOD}{certificate}"));
    let outcome = script.run(&[]);
    assert!(outcome.is_success, "{}", outcome.stderr);
    assert_eq!(script.secret()["stringData"]["certificate"], "-----BEGIN KEY-----\nabc\n-----END KEY-----\n");
}

#[test]
fn env_with_a_mistake_is_refused_with_a_remedy_before_any_call() {
    let without = |name: &str| {
        let lines = GOOD.lines().filter(|line| !line.contains(name));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    for (env, expected) in [
        (GOOD.replace('\n', "\r\n"), "CR LF"),
        (GOOD.replace("POLLKEY=0123456789abcdef", "POLLKEY=0123456789abcdef "), "blank"),
        (GOOD.replace("POLLKEY=0123456789abcdef", "POLLKEY='0123456789abcdef '"), "blank"),
        (GOOD.replace("POLLKEY=0123456789abcdef", "POLLKEY='0123456789abcdef"), "closing quote"),
        (GOOD.replace("POLLKEY=0123456789abcdef", "POLKEY=0123456789abcdef"), "SPIN_VARIABLE_POLKEY"),
        (GOOD.replace("POLLKEY=0123456789abcdef", "POLLKEY=0123456"), "openssl rand -hex 32"),
        (format!("{GOOD}SPIN_VARIABLE_POLLKEY=0123456789abcdef\n"), "twice"),
        (format!("{GOOD}KEDA_STORAGECONNECTION=a b\n"), "KEDA_STORAGECONNECTION: the value has a blank"),
        (
            format!("{GOOD}KEDA_STORAGECONNECTION=a\nKEDA_STORAGECONNECTION=b\n"),
            "KEDA_STORAGECONNECTION is set twice",
        ),
        (without("POLLKEY"), "SPIN_VARIABLE_POLLKEY is missing or empty"),
        (without("APPID"), "SPIN_VARIABLE_MICROSOFTAPPID is missing or empty"),
        (without("STORAGE"), "SPIN_VARIABLE_STORAGECONNECTION is missing or empty"),
        (String::new(), "is missing or empty"),
    ] {
        let script = Script::new("proactive-bot", &env);
        let outcome = script.run(&[]);
        assert!(!outcome.is_success && outcome.stderr.contains(expected), "{expected}: {}", outcome.stderr);
        assert_eq!(script.calls(), Vec::<String>::new(), "{expected}");
    }
}

#[test]
fn namespace_other_than_the_default_requires_queue_name_and_table_prefix() {
    let outcome = Script::new("orders-bot", GOOD).run(&[]);
    assert!(!outcome.is_success && outcome.stderr.contains("SPIN_VARIABLE_QUEUENAME="), "{}", outcome.stderr);
    let names = "SPIN_VARIABLE_QUEUENAME=orders-queue\nSPIN_VARIABLE_TABLEPREFIX=ordersbot\n";
    let script = Script::new("orders-bot", &format!("{GOOD}{names}"));
    let outcome = script.run(&[]);
    assert!(outcome.is_success, "{}", outcome.stderr);
    assert_eq!(script.secret()["metadata"]["namespace"], "orders-bot");
    assert_eq!(script.secret()["stringData"]["queuename"], "orders-queue");
}

#[test]
fn failure_of_kubectl_is_reported_and_a_second_run_succeeds() {
    for (failing, expected) in [
        ("config", "kubectl config use-context"),
        ("get", "log in, or choose another context"),
        ("create", "ask for the right to create it"),
    ] {
        let script = Script::new("proactive-bot", GOOD);
        script.write("failing", failing);
        let outcome = script.run(&[]);
        assert!(!outcome.is_success && outcome.stderr.contains(expected), "{failing}: {}", outcome.stderr);
        std::fs::remove_file(script.path().join("failing")).unwrap();
        assert!(script.run(&[]).is_success, "{failing}: the rerun");
    }
    let script = Script::new("proactive-bot", GOOD);
    assert!(script.run(&[]).is_success);
    script.write("failing", "replace");
    let outcome = script.run(&[]);
    assert!(!outcome.is_success && outcome.stderr.contains("former one is unchanged"), "{}", outcome.stderr);
}

#[test]
fn dry_run_does_not_call_kubectl_and_a_real_run_without_kubectl_is_refused() {
    let script = Script::new("proactive-bot", GOOD);
    let outcome = script.run(&["--dry-run"]);
    assert!(outcome.is_success, "{}", outcome.stderr);
    assert!(outcome.stdout.contains("microsoftappid microsoftapppassword storageconnection pollkey"));
    assert_eq!(script.calls(), Vec::<String>::new());

    // A folder with the programs that the script needs, except kubectl.
    let programs = script.path().join("programs");
    std::fs::create_dir(&programs).unwrap();
    for name in ["awk", "cat", "cut", "dirname", "ls", "mktemp", "rm"] {
        let found = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(name));
        let found = found.iter().find(|path| path.exists()).unwrap();
        std::os::unix::fs::symlink(found, programs.join(name)).unwrap();
    }
    let outcome = script.run_with_path(programs.as_os_str(), &[]);
    assert!(!outcome.is_success && outcome.stderr.contains("kubectl: not found"), "{}", outcome.stderr);
}
