//! Runs the *doctor* (the program behind `cargo dev doctor`, which checks a deployment). The tests check the
//! doctor's exit status and output. The tests use real connections to a server on loopback, which responds
//! like the bot.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Output};

const KEY: &str = "poll-key-of-32-random-characters";

fn doctor(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_doctor")).args(arguments).output().unwrap();
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

/// Starts a server that responds like the bot, and returns the server's address. The server ends with the
/// process of the test.
fn fake_bot() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let lines: Vec<_> =
                reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let has_key = lines.iter().any(|line| line.ends_with(KEY));
            let status = match lines.first().map(String::as_str) {
                Some("GET /healthz HTTP/1.1") => "200 OK",
                Some("POST /internal/poll HTTP/1.1") if has_key => "200 OK",
                Some("POST /missing HTTP/1.1") => "404 Not Found",
                _ => "401 Unauthorized",
            };
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}")
                .unwrap();
        }
    });
    origin
}

#[test]
fn exit_status_0_means_no_problem_1_means_a_problem_and_2_means_nothing_was_examined() {
    let origin = fake_bot();
    let (status, text) = doctor(&["--url", &origin]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("/api/messages: 401 without a token, as it should be"), "{text}");
    assert!(text.ends_with("0 problems, 0 warnings\n"), "{text}");

    let (status, text) = doctor(&["--url", &format!("{origin}/api/message")]);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("PROBLEM  messaging endpoint: expected the path /api/messages"), "{text}");

    for (arguments, expected) in [
        (&[][..], "nothing to examine"),
        (&["--env", "/there/is/no/such/file"], "/there/is/no/such/file: cannot be read; check --env"),
        (&["--url", "https://x", "--manifest", "/there/is/none"], "check --manifest"),
        (&["--what"], "unexpected argument"),
    ] {
        let (status, text) = doctor(arguments);
        assert_eq!(status, Some(2), "{arguments:?}: {text}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
}

#[test]
fn refused_connection_is_reported_with_the_address() {
    // Rust drops the listener at the end of the next line, so no server listens on this port.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let (status, text) = doctor(&["--url", &format!("http://127.0.0.1:{port}")]);
    assert_eq!(status, Some(1), "{text}");
    assert!(
        text.contains(&format!("http://127.0.0.1:{port}: cannot be reached (nothing was sent")),
        "{text}"
    );
}

#[test]
fn poll_key_from_the_env_file_is_tried_and_never_shown() {
    let origin = fake_bot();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(".env");
    // With `AUTHMODE=anonymous`, the doctor needs no token. This connection string has no credential for the
    // storage account. So the doctor makes no call to the internet.
    let lines = format!(
        "SPIN_VARIABLE_POLLKEY={KEY}\nSPIN_VARIABLE_AUTHMODE=anonymous\nSPIN_VARIABLE_STORAGECONNECTION=AccountName=A\n"
    );
    std::fs::write(&file, lines).unwrap();
    let (status, text) = doctor(&["--env", file.to_str().unwrap(), "--url", &origin]);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("/internal/poll: the key works"), "{text}");
    assert!(text.contains("authmode: anonymous is for local tests only"), "{text}");
    assert!(!text.contains(KEY), "{text}");
}
