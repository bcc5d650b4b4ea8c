//! Fuzz target (a test with random input): gives the input to the bot's check of a `serviceUrl`, the address
//! to which the bot sends messages and its token.
//!
//! If the bot accepts a URL, the target reads the host of the URL with a simple parser of its own. The target
//! fails if this host is not trusted. Such a failure shows that the bot's parser has found another host in
//! the URL. The bot could then send its token to a stranger.
#![no_main]

use bot_framework::{AuthMode, TrustPolicy};
use libfuzzer_sys::fuzz_target;
use platform::testing::FakeHost;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let settings = FakeHost::default();
    let policy = |mode| TrustPolicy::read(mode, &settings).expect("empty settings are valid");
    if let Ok(accepted) = policy(AuthMode::Required).check(text) {
        let accepted = accepted.to_string();
        let rest = accepted.strip_prefix("https://").expect("the scheme is https");
        let host = rest.split('/').next().unwrap_or_default();
        let is_listed = host == "smba.trafficmanager.net"
            || host.ends_with(".botframework.com")
            || (host.starts_with("smba.") && host.ends_with(".teams.microsoft.com"));
        let is_plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
        assert!(is_listed && is_plain, "{text:?} was accepted as {accepted}");
    }
    if let Ok(accepted) = policy(AuthMode::Anonymous).check(text) {
        let accepted = accepted.to_string();
        let (_, rest) = accepted.split_once("://").expect("the URL has a scheme");
        let host = rest.split('/').next().unwrap_or_default();
        let is_local = ["localhost", "127.", "[::1]"].iter().any(|name| host.starts_with(name));
        assert!(is_local && !host.contains('@'), "{text:?} was accepted as {accepted}");
    }
});
