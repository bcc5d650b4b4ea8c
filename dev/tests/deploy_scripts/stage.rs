//! A *stage*: a temporary folder with a copy of `deploy/`, and with stubs (small scripts in place of
//! programs). The tests run a script of the copy in this folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dev::workspace::root;
use tempfile::TempDir;

/// A `.env` that every script accepts. `pollkey` has characters that a URL, a shell and JSON each treat in
/// their own way.
pub(crate) const ENV: &str = "\
# Written by deploy/azure/deploy.sh.
SPIN_VARIABLE_MICROSOFTAPPID=00000000-0000-0000-0000-000000000001
SPIN_VARIABLE_MICROSOFTAPPPASSWORD='a$secret\"with\\~signs'
SPIN_VARIABLE_STORAGECONNECTION=AccountName=store;AccountKey=c2VjcmV0a2V5==;EndpointSuffix=core.windows.net

SPIN_VARIABLE_POLLKEY='a&poll\"key+of 20 ?'
OTHER_NAME=for another program
";

/// A part of each secret value in [`ENV`].
pub(crate) const SECRETS: [&str; 3] = ["a$secret", "c2VjcmV0a2V5", "a&poll"];

pub(crate) struct Stage {
    folder: TempDir,
}

/// The result of a run of a script.
pub(crate) struct Ran {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) is_success: bool,
    /// The calls to stubs. Each call is the name of the stub and its arguments, separated by spaces.
    pub(crate) calls: Vec<String>,
}

impl Stage {
    /// Makes a stage with a `.env` from [`ENV`], with placeholders for the built components, and with a stub
    /// of cargo.
    pub(crate) fn new() -> Self {
        let stage = Self { folder: tempfile::tempdir().unwrap() };
        copy_folder(&root().join("deploy"), &stage.path("deploy"));
        stage.write("target/wasm32-wasip2/release/bot_component.wasm", "bot");
        stage.write("target/wasm32-wasip2/release/trigger_component.wasm", "poller");
        stage.write_env(ENV);
        stage.stub("cargo", "");
        stage
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn write_env(&self, text: &str) {
        self.write(".env", text);
        fs::set_permissions(self.path(".env"), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Puts a stub on the PATH. The stub records its arguments, and then compares them with the `arms` of a
    /// shell `case`. An arm has the form `'--version') echo 4.0;;`. If no arm matches a call, the call fails.
    /// If `arms` is empty, every call succeeds.
    pub(crate) fn stub(&self, name: &str, arms: &str) {
        let arms = if arms.is_empty() { "*) ;;" } else { arms };
        let log = self.path("calls");
        let kept = self.path("kept.json");
        let text = format!(
            "#!/bin/sh\n\
             printf '%s\\n' \"{name} $*\" >>'{log}'\n\
             for word in \"$@\"; do case $word in @*.json) cp \"${{word#@}}\" '{kept}';; esac; done\n\
             case \"$*\" in\n{arms}\n\
             *) echo \"the stub of {name} does not expect: $*\" >&2; exit 97;;\nesac\n",
            log = log.display(),
            kept = kept.display(),
        );
        self.write(&format!("bin/{name}"), &text);
        fs::set_permissions(self.path(&format!("bin/{name}")), fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn remove_stub(&self, name: &str) {
        fs::remove_file(self.path(&format!("bin/{name}"))).unwrap();
    }

    /// Runs a script of the copy. The test fails if the script leaves a temporary file, or prints a secret.
    pub(crate) fn run(&self, script: &str, arguments: &[&str]) -> Ran {
        self.run_with(script, arguments, &[])
    }

    pub(crate) fn run_with(&self, script: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
        let _ = fs::remove_file(self.path("calls"));
        fs::create_dir_all(self.path("tmp")).unwrap();
        let Output { status, stdout, stderr } = Command::new("sh")
            .arg(self.path(script))
            .args(arguments)
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()))
            .env("TMPDIR", self.path("tmp"))
            .envs(environment.iter().copied())
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let left: Vec<_> = fs::read_dir(self.path("tmp")).unwrap().collect();
        assert!(left.is_empty(), "the script left temporary files: {left:?}");
        let ran = Ran {
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
            is_success: status.success(),
            calls: fs::read_to_string(self.path("calls"))
                .unwrap_or_default()
                .lines()
                .map(str::to_owned)
                .collect(),
        };
        for secret in SECRETS {
            let shown = format!("{}{}", ran.stdout, ran.stderr);
            assert!(!shown.contains(secret), "the script shows the secret {secret}:\n{shown}");
        }
        ran
    }

    /// The variables in the JSON file that a script gave to a stub as `@file.json`.
    pub(crate) fn variables(&self) -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(self.path("kept.json")).unwrap()).unwrap()
    }
}

impl Ran {
    #[track_caller]
    pub(crate) fn expect_success(self) -> Self {
        assert!(self.is_success, "{}{}", self.stdout, self.stderr);
        self
    }

    /// Expects that the script failed, and that the last line on stderr contains `text`. Also expects that
    /// each call matched an arm of its stub.
    #[track_caller]
    pub(crate) fn expect_failure(self, text: &str) -> Self {
        assert!(!self.is_success, "expected a failure: {}", self.stdout);
        assert!(!self.stderr.contains("does not expect"), "{}", self.stderr);
        let last = self.stderr.lines().last().unwrap_or_default();
        assert!(last.contains(text), "expected: {text}\nfound: {}", self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn expect_calls(self, expected: &[&str]) -> Self {
        assert_eq!(self.calls, expected);
        self
    }

    /// The calls that contain this text.
    pub(crate) fn calls_with(&self, text: &str) -> Vec<&String> {
        self.calls.iter().filter(|call| call.contains(text)).collect()
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
