//! Whom a token may be sent to: what is agreed to has a trusted host by the plainest reading, too.
#![no_main]

use bot_framework::{AuthMode, TrustPolicy};
use libfuzzer_sys::fuzz_target;
use platform::testing::FakeHost;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let settings = FakeHost::default();
    let policy = |mode| TrustPolicy::read(mode, &settings).expect("no settings");
    if let Ok(agreed) = policy(AuthMode::Required).check(text) {
        let agreed = agreed.to_string();
        let host = agreed.strip_prefix("https://").expect("https").split('/').next().unwrap_or_default();
        let is_listed = host == "smba.trafficmanager.net"
            || host.ends_with(".botframework.com")
            || (host.starts_with("smba.") && host.ends_with(".teams.microsoft.com"));
        let is_plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
        assert!(is_listed && is_plain, "{text:?} became {agreed}");
    }
    if let Ok(agreed) = policy(AuthMode::Anonymous).check(text) {
        let agreed = agreed.to_string();
        let (_, rest) = agreed.split_once("://").expect("a scheme");
        let host = rest.split('/').next().unwrap_or_default();
        let is_local = ["localhost", "127.", "[::1]"].iter().any(|name| host.starts_with(name));
        assert!(is_local && !host.contains('@'), "{text:?} became {agreed}");
    }
});
