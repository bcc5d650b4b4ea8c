//! Runs `deploy/systemd/install.sh`. Stubs replace the programs that the script calls, such as Spin.

use std::os::unix::fs::PermissionsExt;

use super::stage::{Ran, Stage};

const SCRIPT: &str = "deploy/systemd/install.sh";

fn stage() -> Stage {
    let stage = Stage::new();
    stage.stub(
        "spin",
        "--version) echo 'spin 4.0.2 (abcdef0 2026-06-23)';;\n\
         'plugins install trigger-cron --yes') mkdir -p \"$SPIN_DATA_DIR/plugins/trigger-cron\";;",
    );
    // If the environment variable DESTDIR names a folder, the script writes the files below this folder, and
    // starts no service. Only a run without DESTDIR calls `systemctl` and `curl`. The stubs of these two
    // programs refuse every call.
    stage.stub("systemctl", "never) ;;");
    stage.stub("curl", "never) ;;");
    stage
}

fn install(stage: &Stage, arguments: &[&str]) -> Ran {
    let destdir = stage.path("destdir");
    stage.run_with(SCRIPT, arguments, &[("DESTDIR", destdir.to_str().unwrap())])
}

fn mode(stage: &Stage, name: &str) -> u32 {
    std::fs::metadata(stage.path(name)).unwrap().permissions().mode() & 0o777
}

#[test]
fn installation_writes_the_files_that_the_service_names() {
    let stage = stage();
    install(&stage, &["--listen", "127.0.0.1:8080"])
        .expect_success()
        .expect_calls(&["spin --version", "spin plugins install trigger-cron --yes"]);
    let unit =
        std::fs::read_to_string(stage.path("destdir/etc/systemd/system/proactive-bot.service")).unwrap();
    assert!(unit.contains("--listen 127.0.0.1:8080 "), "{unit}");
    assert!(unit.contains(&format!("ExecStart={} up ", stage.path("bin/spin").display())), "{unit}");
    assert!(!unit.contains("127.0.0.1:3000"), "{unit}");
    let library = "destdir/usr/local/lib/proactive-bot";
    assert!(unit.contains("--from /usr/local/lib/proactive-bot/deploy/spin.cron.toml "), "{unit}");
    let manifest = std::fs::read_to_string(stage.path(&format!("{library}/deploy/spin.cron.toml"))).unwrap();
    let sources = manifest.lines().filter_map(|line| line.strip_prefix("source = \"../")?.strip_suffix('"'));
    let sources: Vec<_> = sources.collect();
    assert_eq!(sources.len(), 3, "{manifest}");
    for source in sources {
        assert_eq!(mode(&stage, &format!("{library}/{source}")), 0o644);
    }
    let variables = "destdir/etc/proactive-bot/variables.json";
    assert_eq!(mode(&stage, variables), 0o600);
    assert_eq!(mode(&stage, "destdir/etc/proactive-bot"), 0o700);
    let variables: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(stage.path(variables)).unwrap()).unwrap();
    assert_eq!(variables["pollkey"], "a&poll\"key+of 20 ?");
    assert_eq!(variables.as_object().unwrap().len(), 4);
}

#[test]
fn second_installation_replaces_the_variables_and_keeps_the_plugin() {
    let stage = stage();
    install(&stage, &[]).expect_success();
    stage.write_env(&format!("{}SPIN_VARIABLE_PACE=5\n", super::stage::ENV));
    install(&stage, &[]).expect_success().expect_calls(&["spin --version"]);
    let variables = std::fs::read_to_string(stage.path("destdir/etc/proactive-bot/variables.json")).unwrap();
    assert!(variables.contains("\"pace\": \"5\""), "{variables}");
}

#[test]
fn failure_names_the_remedy_and_writes_nothing() {
    let case = |change: &dyn Fn(&Stage), arguments: &[&str], text: &str| {
        let stage = stage();
        change(&stage);
        install(&stage, arguments).expect_failure(text);
        assert!(!stage.path("destdir/etc").exists());
    };
    case(&|stage| stage.remove_stub("spin"), &[], "spin: not found; install Spin 4");
    for old in ["spin 2.7.0 (x)", "spin 3.3.1 (x)", "model checker"] {
        case(
            &|stage| stage.stub("spin", &format!("--version) echo '{old}';;")),
            &[],
            "spin: expected version 3.4 or newer",
        );
    }
    case(
        &|stage| std::fs::remove_dir_all(stage.path("target")).unwrap(),
        &[],
        "bot_component.wasm: not found; build it first",
    );
    case(&|stage| stage.write_env("SPIN_VARIABLE_PACE=1 \n"), &[], "nothing was done; correct");
    case(&|_| {}, &["--listen", "3000"], "--listen: expected an address and a port");
    case(&|_| {}, &["--listen", "host:x"], "--listen: expected an address and a port");
    case(&|_| {}, &["--listen", "127.0.0.1:3000|e"], "--listen: expected an address and a port");
}

#[test]
fn installation_needs_root_and_a_spin_that_the_service_can_read() {
    let stage = stage();
    // These runs have no DESTDIR, so a faulty script could install files on this machine. To prevent this,
    // the value of PACE has a mistake: the value ends with a blank. The script first checks for root, then
    // checks for Spin, and then finds the mistake. The script writes files only after these checks.
    stage.write_env("SPIN_VARIABLE_PACE=1 \n");
    stage.stub("id", "-u) echo 1000;;");
    stage
        .run(SCRIPT, &[])
        .expect_failure("root is needed to install a service; run: sudo deploy/systemd/install.sh");
    stage.stub("id", "-u) echo 0;;");
    stage.run(SCRIPT, &[]).expect_failure("install -m 755");
}

#[test]
fn plugin_that_cannot_be_installed_is_named() {
    let stage = stage();
    stage.stub("spin", "--version) echo 'spin 4.2.2 (x)';;\n'plugins install trigger-cron --yes') exit 1;;");
    install(&stage, &[])
        .expect_failure("the plugin trigger-cron of Spin was not installed; check that github.com");
}
