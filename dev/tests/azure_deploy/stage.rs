//! A *stage*: a temporary folder in which one test runs `deploy/azure/deploy.sh` with the stub of `az`. The
//! script runs in the subfolder `work`, and writes `.env` there. The subfolder `state` holds the state of the
//! stub. The subfolder `bin` holds the stub and the tools that the script is allowed to call. The script's
//! PATH names only `bin`, so a call to any other program fails.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use dev::workspace::root;
use tempfile::TempDir;

/// All programs that the script and the stub call, except `az`.
const TOOLS: [&str; 22] = [
    "awk", "cat", "chmod", "cksum", "cp", "cut", "date", "dirname", "grep", "head", "mktemp", "mv", "od",
    "openssl", "rm", "sed", "sh", "sleep", "sort", "tail", "tr", "wc",
];

pub(crate) const SUBSCRIPTION: &str = "aaaaaaaa-0000-0000-0000-000000000001";
pub(crate) const TENANT: &str = "99999999-0000-0000-0000-000000000002";
/// The id of the first app that the stub makes.
pub(crate) const APP: &str = "00000000-0000-0000-0000-000000000001";
/// The id of the service principal that the stub makes.
pub(crate) const PRINCIPAL: &str = "11111111-2222-3333-4444-555555555555";
/// The first secret that the stub makes.
pub(crate) const SECRET: &str = "sec~ret.1_of-app";
pub(crate) const STORAGE_KEY: &str = "c2VjcmV0LWtleQ==";

/// The bot name that the script derives from [`SUBSCRIPTION`] and the default resource group.
pub(crate) const BOT: &str = "proactive-bot-3921224391";
/// The storage account name that the script derives from [`SUBSCRIPTION`] and the default resource group.
pub(crate) const STORAGE: &str = "proactive3921224391";

#[derive(Debug)]
pub(crate) struct Stage {
    folder: TempDir,
    shell: &'static str,
}

#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) is_success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Stage {
    /// Makes a stage in which `az` is logged in to a subscription without any resource.
    pub(crate) fn new() -> Self {
        let stage = Self { folder: TempDir::new().unwrap(), shell: "sh" };
        for folder in ["bin", "state", "tmp", "work"] {
            fs::create_dir(stage.folder.path().join(folder)).unwrap();
        }
        let path = std::env::var_os("PATH").unwrap();
        for tool in TOOLS {
            let found =
                std::env::split_paths(&path).map(|folder| folder.join(tool)).find(|file| file.is_file());
            symlink(found.unwrap_or_else(|| panic!("{tool} is missing")), stage.path("bin").join(tool))
                .unwrap();
        }
        symlink(root().join("dev/tests/azure_deploy/az.sh"), stage.path("bin/az")).unwrap();
        stage.set("login", &format!("{SUBSCRIPTION} {TENANT} AzureCloud\n"));
        stage
    }

    pub(crate) fn with_shell(mut self, shell: &'static str) -> Self {
        self.shell = shell;
        self
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Writes a file of the stub's state.
    pub(crate) fn set(&self, name: &str, text: &str) {
        fs::write(self.path("state").join(name), text).unwrap();
    }

    /// The text of a file of the stub's state; empty if the file does not exist.
    pub(crate) fn state(&self, name: &str) -> String {
        fs::read_to_string(self.path("state").join(name)).unwrap_or_default()
    }

    pub(crate) fn env_file(&self) -> PathBuf {
        self.path("work/.env")
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        let output = Command::new(shell(self.shell))
            .arg(root().join("deploy/azure/deploy.sh"))
            .args(arguments)
            .current_dir(self.path("work"))
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("AZ_STUB", self.path("state"))
            .env("DEPLOY_PAUSE_SECONDS", "0")
            .env("TMPDIR", self.path("tmp"))
            .output()
            .unwrap();
        let files =
            |folder: &str| fs::read_dir(self.path(folder)).unwrap().map(|file| file.unwrap().file_name());
        assert_eq!(
            files("tmp").count(),
            0,
            "the script left temporary files, perhaps with the private key: {arguments:?}"
        );
        assert!(files("work").all(|file| file == ".env"), "{arguments:?}");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let is_success = output.status.success();
        Run { is_success, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Runs the script, and expects success and no text on stderr. Returns the text on stdout.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> String {
        let run = self.run(arguments);
        assert!(run.is_success && run.stderr.is_empty(), "{arguments:?}: {run:?}");
        run.stdout
    }

    /// Returns the arguments of each call to `az` that the stub has recorded, and deletes the record.
    pub(crate) fn calls(&self) -> Vec<Vec<String>> {
        let calls = self.state("calls");
        self.set("calls", "");
        let arguments = |call: &str| call.split_terminator('\u{1f}').map(str::to_owned).collect();
        calls.lines().map(arguments).collect()
    }

    /// Like [`Stage::calls`], but leaves out the calls that only read. Each call is one line without the
    /// options for the output.
    pub(crate) fn changes(&self) -> Vec<String> {
        let reads = ["show", "list", "exists", "check-name", "what-if"];
        let is_change = |call: &Vec<String>| {
            let verb = call.iter().take_while(|word| !word.starts_with('-')).last();
            !verb.is_some_and(|verb| reads.contains(&verb.as_str()))
        };
        let shown = |call: Vec<String>| {
            let end = call.iter().position(|word| word == "--query" || word == "-o").unwrap_or(call.len());
            call[..end].join(" ")
        };
        self.calls().into_iter().filter(is_change).map(shown).collect()
    }

    /// The names and values of the `.env` file, as Spin and `cargo dev` read them.
    pub(crate) fn env(&self) -> BTreeMap<String, String> {
        dotenvy::from_path_iter(self.env_file()).unwrap().map(Result::unwrap).collect()
    }

    /// The names and values of the `.env` file, as a shell reads them.
    pub(crate) fn env_of_shell(&self, shell_name: &str) -> BTreeMap<String, String> {
        let script = "set -a; . ./.env; set +a; exec env";
        let output = Command::new(shell(shell_name))
            .args(["-c", script])
            .current_dir(self.path("work"))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let is_ours = |name: &str| ["SPIN_", "BOT_", "KEDA_"].iter().any(|prefix| name.starts_with(prefix));
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs.filter(|(name, _)| is_ours(name)).map(|(name, value)| (name.into(), value.into())).collect()
    }

    /// The mode of the `.env` file.
    pub(crate) fn mode(&self) -> u32 {
        fs::metadata(self.env_file()).unwrap().permissions().mode() & 0o777
    }
}

/// The path of a shell.
fn shell(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file()).unwrap()
}

/// The shells with which the tests run the script. The result has only shells that this machine has. If two
/// names lead to the same program, e.g. `sh` and `dash`, the result has only the first name.
pub(crate) fn shells() -> impl Iterator<Item = &'static str> {
    let path = std::env::var_os("PATH").unwrap();
    let mut seen = BTreeSet::new();
    ["sh", "dash", "bash", "ksh"].into_iter().filter(move |name| {
        let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
        found.is_some_and(|file| seen.insert(file.canonicalize().unwrap()))
    })
}
