//! Tests how the scripts read `.env`. Spin reads the file with dotenvy. A script has to read the same values,
//! or refuse the file with a sentence that says what to do.

use std::process::{Command, Stdio};

use dev::workspace::root;

use super::stage::{ENV, Stage};

/// Reads a `.env` with `deploy/env.awk`, as the scripts do. Returns the variables as JSON, or the error
/// messages. `needed` lists the variables that the file must set. If `SPIN_VARIABLE_KICK` is `on`, the bot
/// calls the poller. On some platforms, the bot cannot do this. For these platforms, the scripts pass
/// `kick=off` to awk, and awk refuses a file that sets `SPIN_VARIABLE_KICK` to `on`.
fn read(text: &str, needed: &str, kick: &str) -> Result<serde_json::Value, String> {
    let folder = tempfile::tempdir().unwrap();
    let env = folder.path().join(".env");
    std::fs::write(&env, text).unwrap();
    let output = Command::new("awk")
        .args(["-v", "format=json", "-v", &format!("needed={needed}"), "-v", &format!("kick={kick}")])
        .arg("-f")
        .arg(root().join("deploy/env.awk"))
        .arg(root().join("deploy/spin.http.toml"))
        .arg(&env)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    if output.status.success() {
        assert_eq!(stderr, "");
        Ok(serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {text}")))
    } else {
        assert!(output.stdout.is_empty(), "awk refused the file, but printed something");
        Err(stderr.replace(&env.display().to_string(), ".env"))
    }
}

#[test]
fn env_file_is_read_as_dotenvy_reads_it() {
    for text in [
        ENV,
        "SPIN_VARIABLE_TENANTS=any",
        "SPIN_VARIABLE_TENANTS=\n",
        "SPIN_VARIABLE_TENANTS=''\n",
        "SPIN_VARIABLE_TENANTS=a#b\n",
        "SPIN_VARIABLE_CERTIFICATE=\"-----BEGIN X-----\\nabc=\\n-----END X-----\\n\"\n",
        "SPIN_VARIABLE_CERTIFICATE=\"a \\\"quoted\\\" \\$5 \\\\ word\"\n",
        "SPIN_VARIABLE_POLLKEY='$(touch /tmp/x);`id`\"\\n 16 and more'\n",
        "SPIN_VARIABLE_QUEUENAME=bot-queue\n\n  # a comment\nSPIN_VARIABLE_SEALKEY='ключ-of-16-chars'\n",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".env");
        std::fs::write(&file, text).unwrap();
        let expected: serde_json::Map<String, serde_json::Value> = dotenvy::from_path_iter(&file)
            .unwrap()
            .map_while(Result::ok)
            .filter_map(|(name, value)| {
                Some((name.strip_prefix("SPIN_VARIABLE_")?.to_lowercase(), value.into()))
            })
            .collect();
        assert!(!expected.is_empty(), "{text}");
        assert_eq!(read(text, "", ""), Ok(expected.into()), "{text}");
    }
}

#[test]
fn env_file_with_a_fault_is_refused_with_the_line_and_the_remedy() {
    for (text, expected) in [
        (
            "SPIN_VARIABLE_TENANTS=any\r\nSPIN_VARIABLE_PACE=1\r\n",
            ".env:1: the line ends in CR LF, as on Windows; run: umask 077; tr -d",
        ),
        ("\u{feff}SPIN_VARIABLE_TENANTS=any\n", ".env:1: the file begins with a byte order mark"),
        ("SPIN_VARIABLE_TENANTS =any\n", ".env:1: a blank is before the ="),
        ("SPIN_VARIABLE_TENANTS= any\n", ".env:1: SPIN_VARIABLE_TENANTS: the value has a blank; remove it"),
        ("SPIN_VARIABLE_TENANTS=any \n", ".env:1: SPIN_VARIABLE_TENANTS: the value has a blank; remove it"),
        (
            "SPIN_VARIABLE_TENANTS='any '\n",
            ".env:1: SPIN_VARIABLE_TENANTS: the value begins or ends with a blank",
        ),
        ("SPIN_VARIABLE_TENANTS=\"any\n", ".env:1: SPIN_VARIABLE_TENANTS: the value has no closing quote"),
        ("SPIN_VARIABLE_TENANTS='any' x\n", ".env:1: SPIN_VARIABLE_TENANTS: the value has no closing quote"),
        ("SPIN_VARIABLE_TENANTS=a$b\n", ".env:1: SPIN_VARIABLE_TENANTS: the value has a quote, a backslash"),
        (
            "SPIN_VARIABLE_TENANTS=\"a\\tb\"\n",
            ".env:1: SPIN_VARIABLE_TENANTS: the value has a backslash before",
        ),
        ("SPIN_VARIABLE_TENANTS=\"a$b\"\n", ".env:1: SPIN_VARIABLE_TENANTS: the value has \" or $ within"),
        (
            "SPIN_VARIABLE_TENANTS=any\nSPIN_VARIABLE_tenants=x\n",
            ".env:2: SPIN_VARIABLE_TENANTS is set twice",
        ),
        (
            "\n# x\nSPIN_VARIABLE_TENNANTS=any\n",
            ".env:3: SPIN_VARIABLE_TENNANTS is no variable of the manifest",
        ),
        ("export SPIN_VARIABLE_TENANTS=any\n", ".env:1: SPIN_VARIABLE_ is not at the beginning of the line"),
        (" SPIN_VARIABLE_TENANTS=any\n", ".env:1: SPIN_VARIABLE_ is not at the beginning of the line"),
        ("SPIN_VARIABLE_TENANTS\n", ".env:1: expected SPIN_VARIABLE_<NAME>=<value>, found no =; add it"),
        ("-----BEGIN X-----\n", ".env:1: expected SPIN_VARIABLE_<NAME>=<value>; a value of several lines"),
    ] {
        let found = read(text, "", "").expect_err(text);
        assert!(found.starts_with(expected), "expected: {expected}\nfound: {found}");
        assert_eq!(found.lines().count(), 1, "{found}");
    }
}

#[test]
fn env_file_that_cannot_work_on_a_platform_is_refused() {
    let needed = "microsoftappid storageconnection pollkey";
    for (text, expected) in [
        ("", vec!["MICROSOFTAPPID is missing", "STORAGECONNECTION is missing", "POLLKEY is missing"]),
        (&ENV.replace("'a&poll\"key+of 20 ?'", "short"), vec!["POLLKEY has less than 16 characters"]),
        (&format!("{ENV}SPIN_VARIABLE_AUTHMODE=anonymous\n"), vec!["AUTHMODE is anonymous"]),
        (&format!("{ENV}SPIN_VARIABLE_KICK=on\n"), vec!["KICK is on, but this platform"]),
        (
            &ENV.replace("AccountName=store", "UseDevelopmentStorage=true"),
            vec!["leads to the local emulator"],
        ),
    ] {
        let found = read(text, needed, "off").expect_err(text);
        let lines: Vec<_> = found.lines().collect();
        assert_eq!(lines.len(), expected.len(), "{found}");
        for (line, expected) in lines.iter().zip(expected) {
            assert!(line.starts_with(".env: SPIN_VARIABLE_") && line.contains(expected), "{found}");
        }
    }
}

#[test]
fn env_file_that_others_can_read_gives_a_warning() {
    use std::os::unix::fs::PermissionsExt;

    let stage = Stage::new();
    super::akamai::stub_account(&stage, "");
    std::fs::set_permissions(stage.path(".env"), std::fs::Permissions::from_mode(0o640)).unwrap();
    let ran = stage.run("deploy/akamai/deploy.sh", &[]);
    assert!(
        ran.stderr.contains("other users can read it; to keep its secrets, run: chmod 600"),
        "{}",
        ran.stderr
    );
}
