//! Tests of the rules that decide whether the bot trusts a `serviceUrl`. The bot sends its access token only
//! to a URL that it trusts. Each row of a table has a URL and the expected result of the check.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bot_framework::{AuthMode, NotTrusted, ServiceHosts, TrustPolicy};
use platform::testing::FakeHost;

const NOT_A_URL: Result<(), NotTrusted> = Err(NotTrusted::NotAUrl);
const UNKNOWN: Result<(), NotTrusted> = Err(NotTrusted::UnknownHost);
const INSECURE: Result<(), NotTrusted> = Err(NotTrusted::NotSecure);
const IP: Result<(), NotTrusted> = Err(NotTrusted::IpLiteral);
const NOT_LOOPBACK: Result<(), NotTrusted> = Err(NotTrusted::NotLoopback);

fn policy(mode: AuthMode, cloud: &str, hosts: &str) -> TrustPolicy {
    let settings = FakeHost::with_settings([("channelservice", cloud), ("servicehosts", hosts)]);
    TrustPolicy::read(mode, &settings).unwrap()
}

fn check(policy: &TrustPolicy, table: &[(&str, Result<(), NotTrusted>)]) {
    for (service_url, expected) in table {
        assert_eq!(policy.check(service_url).map(drop), *expected, "{service_url:?}");
    }
}

#[test]
fn public_cloud_trusts_its_connectors_only() {
    check(
        &policy(AuthMode::Required, "", ""),
        &[
            ("https://smba.trafficmanager.net/amer/", Ok(())),
            ("https://smba.trafficmanager.net", Ok(())),
            ("https://smba.trafficmanager.net:443/teams/", Ok(())),
            ("https://SMBA.TrafficManager.NET/amer/", Ok(())),
            ("HTTPS://smba.trafficmanager.net/amer/", Ok(())),
            ("https://smba.trafficmanager.net/amer/11111111-2222-3333-4444-555555555555/", Ok(())),
            ("https://webchat.botframework.com/", Ok(())),
            ("https://a.b.botframework.com/", Ok(())),
            ("https://smba.infra.gcc.teams.microsoft.com/teams", Ok(())),
            ("https://smba.emea.teams.microsoft.com/", Ok(())),
            // Hosts that the bot does not trust. Their names resemble the names of trusted hosts.
            ("https://evil.trafficmanager.net/", UNKNOWN),
            ("https://xsmba.trafficmanager.net/", UNKNOWN),
            ("https://x.smba.trafficmanager.net/", UNKNOWN),
            ("https://trafficmanager.net/", UNKNOWN),
            ("https://smba.trafficmanager.net.evil.com/", UNKNOWN),
            ("https://smba.trafficmanager.net.", UNKNOWN),
            ("https://smba.trafficmanager.net./amer/", UNKNOWN),
            ("https://botframework.com/", UNKNOWN),
            ("https://.botframework.com/", UNKNOWN),
            ("https://..botframework.com/", UNKNOWN),
            ("https://a..b.botframework.com/", UNKNOWN),
            // A fuzz test found that the crate `url` accepts characters such as `&`, `_` and `!` in a host
            // name.
            ("https://webchat&&.botframework.com:443/", UNKNOWN),
            ("https://a_b.botframework.com/", UNKNOWN),
            ("https://smba.!$'()*+,;=.teams.microsoft.com/", UNKNOWN),
            ("https://evilbotframework.com/", UNKNOWN),
            ("https://webchat.botframework.com.evil.com/", UNKNOWN),
            ("https://webchat.botframework.com.", UNKNOWN),
            ("https://teams.microsoft.com/", UNKNOWN),
            ("https://evil.teams.microsoft.com/", UNKNOWN),
            ("https://smba.teams.microsoft.com.evil.com/", UNKNOWN),
            ("https://evil.example/smba.trafficmanager.net/", UNKNOWN),
            ("https://smba..teams.microsoft.com/", UNKNOWN),
            ("https://smba.infra.gcc.teams.microsoft.com.evil.com/", UNKNOWN),
            ("https://xsmba.infra.gcc.teams.microsoft.com/", UNKNOWN),
            ("https://smba-trafficmanager.net/", UNKNOWN),
            ("https://smba.trafficmanager.net.botframework.com.evil.com/", UNKNOWN),
            // Hosts of Microsoft that are not in the list of the public cloud's Connectors. The bot must not
            // send its token to these hosts.
            ("https://graph.microsoft.com/", UNKNOWN),
            ("https://login.microsoftonline.com/", UNKNOWN),
            ("https://contoso.sharepoint.com/", UNKNOWN),
            ("https://contoso.blob.core.windows.net/", UNKNOWN),
            ("https://canary.botapi.skype.com/amer/", UNKNOWN),
            ("https://webchat.botframework.azure.us/", UNKNOWN),
            // URLs with a user, a port or another scheme, and texts that are no absolute URL.
            ("https://smba.trafficmanager.net@evil.com/", NOT_A_URL),
            ("https://user:pass@smba.trafficmanager.net/", NOT_A_URL),
            ("https://@smba.trafficmanager.net/", NOT_A_URL),
            ("https://smba.trafficmanager.net:443@evil.com/", NOT_A_URL),
            ("https://smba.trafficmanager.net%40evil.com/", NOT_A_URL),
            ("https://smba.trafficmanager.net;evil.com/", UNKNOWN),
            ("https://smba.trafficmanager.net,evil.com/", UNKNOWN),
            ("https://smba.trafficmanager.net:8443/", INSECURE),
            ("https://smba.trafficmanager.net:65536/", NOT_A_URL),
            ("https://smba.trafficmanager.net:443:443/", NOT_A_URL),
            ("https://smba.trafficmanager.net:80/", INSECURE),
            ("https://smba.trafficmanager.net:0443/", NOT_A_URL),
            ("https://smba.trafficmanager.net:/", NOT_A_URL),
            ("http://smba.trafficmanager.net/amer/", INSECURE),
            ("http://smba.trafficmanager.net:443/amer/", INSECURE),
            ("ftp://smba.trafficmanager.net/", NOT_A_URL),
            ("wss://smba.trafficmanager.net/", NOT_A_URL),
            ("javascript:alert(1)", NOT_A_URL),
            ("//smba.trafficmanager.net/", NOT_A_URL),
            ("https:smba.trafficmanager.net/", NOT_A_URL),
            ("https:/smba.trafficmanager.net/", NOT_A_URL),
            ("https:///smba.trafficmanager.net/", NOT_A_URL),
            ("smba.trafficmanager.net", NOT_A_URL),
            ("", NOT_A_URL),
            // IP addresses in several forms, and host names that stand for two of these addresses.
            ("https://127.0.0.1/", IP),
            ("https://169.254.169.254/", IP),
            ("https://[::1]/", IP),
            ("https://[::ffff:169.254.169.254]/", NOT_A_URL),
            ("https://2130706433/", NOT_A_URL),
            ("https://0x7f.1/", NOT_A_URL),
            ("https://0177.0.0.1/", NOT_A_URL),
            ("https://0x7f000001/", NOT_A_URL),
            ("https://127.1/", NOT_A_URL),
            ("https://0/", NOT_A_URL),
            ("https://[::1%25lo]/", NOT_A_URL),
            ("https://169.254.169.254.nip.io/", UNKNOWN),
            ("https://localhost/", UNKNOWN),
            ("http://localhost:9200/", INSECURE),
            // Queries, fragments, and characters about which parsers of URLs disagree.
            ("https://smba.trafficmanager.net\\@evil.com/", NOT_A_URL),
            ("https://evil.com\\.botframework.com/", NOT_A_URL),
            ("https:\\\\smba.trafficmanager.net/", NOT_A_URL),
            ("https://smba.trafficmanager.net#.evil.com/", NOT_A_URL),
            ("https://evil.com#.botframework.com/", NOT_A_URL),
            ("https://smba.trafficmanager.net/?x=1", NOT_A_URL),
            ("https://evil.com?.botframework.com/", NOT_A_URL),
            ("https://smba%2Etrafficmanager.net/", NOT_A_URL),
            ("https://evil.com%2F.botframework.com/", NOT_A_URL),
            // A fuzz test found the host `D%cbafhs`. In debug builds, an assertion of `idna_adapter` failed
            // for this host, so the parser of the crate `url` panicked.
            ("https://D%cbafhs", NOT_A_URL),
            ("http:D%cbafhs", NOT_A_URL),
            ("https:/D%cbafhs/0://", NOT_A_URL),
            ("https:///D%cbafhs/", NOT_A_URL),
            ("https://evil.com%00.botframework.com/", NOT_A_URL),
            (" https://smba.trafficmanager.net/", NOT_A_URL),
            ("https://smba.trafficmanager.net/ ", NOT_A_URL),
            ("https://smba.\ttrafficmanager.net/", NOT_A_URL),
            ("https://smba.trafficmanager.net/\r\nHost: evil.com", NOT_A_URL),
            // Characters that look like ASCII: a Cyrillic `а`, an ideographic full stop (`。`), and the
            // Cyrillic `а` in punycode.
            ("https://smbа.trafficmanager.net/", NOT_A_URL),
            ("https://smba。trafficmanager.net/", NOT_A_URL),
            ("https://xn--smb-7cd.trafficmanager.net/", UNKNOWN),
        ],
    );
}

#[test]
fn other_clouds_trust_their_own_hosts_only() {
    check(
        &policy(AuthMode::Required, "https://botframework.azure.us", ""),
        &[
            ("https://smba.infra.gov.teams.microsoft.us/teams", Ok(())),
            ("https://smba.infra.dod.teams.microsoft.us/teams", Ok(())),
            ("https://directline.botframework.azure.us/", Ok(())),
            ("https://smba.evil.teams.microsoft.us/", UNKNOWN),
            ("https://smba.trafficmanager.net/amer/", UNKNOWN),
            ("https://webchat.botframework.com/", UNKNOWN),
        ],
    );
    check(
        &policy(AuthMode::Required, "https://botframework.azure.cn/", ""),
        &[
            ("https://webchat.botframework.azure.cn/", Ok(())),
            ("https://webchat.botframework.azure.us/", UNKNOWN),
            ("https://smba.trafficmanager.net/amer/", UNKNOWN),
        ],
    );
}

#[test]
fn policy_with_servicehosts_trusts_exact_hosts_and_loopback_origins() {
    check(
        &policy(AuthMode::Required, "", "canary.botapi.skype.com, http://127.0.0.1:9200"),
        &[
            ("https://canary.botapi.skype.com/amer/", Ok(())),
            ("https://x.canary.botapi.skype.com/", UNKNOWN),
            ("http://canary.botapi.skype.com/", INSECURE),
            ("http://127.0.0.1:9200/amer/", Ok(())),
            ("http://127.0.0.1:9201/", INSECURE),
            ("http://127.0.0.1:9200@evil.com/", NOT_A_URL),
            ("http://localhost:9200/", INSECURE),
            ("https://127.0.0.1:9200/", INSECURE),
            ("http://127.0.0.1:92000/", NOT_A_URL),
        ],
    );
}

#[test]
fn servicehosts_error_for_a_wrong_entry_does_not_repeat_the_entry() {
    for value in [
        "*.example.com",
        "https://example.com",
        "example.com:8443",
        "localhost",
        "10.0.0.1",
        "a..b",
        "http://10.0.0.1:9",
        "http://127.0.0.1:9/x",
        "exa mple.com",
    ] {
        let error = ServiceHosts::read(&FakeHost::with_settings([("servicehosts", value)])).expect_err(value);
        assert_eq!(error.name, "servicehosts");
        assert!(!error.to_string().contains(value), "the value must not be repeated: {error}");
    }
    assert!(
        ServiceHosts::read(&FakeHost::with_settings([("servicehosts", "http://localhost:9")]))
            .unwrap()
            .trusts_loopback()
    );
    assert!(
        !ServiceHosts::read(&FakeHost::with_settings([("servicehosts", " , a.example ,")]))
            .unwrap()
            .trusts_loopback()
    );
}

#[test]
fn anonymous_mode_trusts_loopback_only() {
    check(
        &policy(AuthMode::Anonymous, "", "canary.botapi.skype.com"),
        &[
            ("http://localhost:56150/_connector", Ok(())),
            ("http://127.0.0.1:9200/", Ok(())),
            ("http://127.0.0.1:9200/amer/tenant/", Ok(())),
            ("http://LOCALHOST:1/", Ok(())),
            ("http://[::1]:9200", Ok(())),
            ("https://smba.trafficmanager.net/amer/", NOT_LOOPBACK),
            ("https://canary.botapi.skype.com/", NOT_LOOPBACK),
            ("http://localhost.evil.example/", NOT_LOOPBACK),
            ("http://127.0.0.1.evil.example/", NOT_LOOPBACK),
            ("http://169.254.169.254/", NOT_LOOPBACK),
            ("http://10.0.0.1/", NOT_LOOPBACK),
            ("http://0.0.0.0:9200/", NOT_LOOPBACK),
            ("http://localhost@evil.example/", NOT_A_URL),
            ("http://localhost:9200/?x=1", NOT_A_URL),
            ("file:///etc/passwd", NOT_A_URL),
            ("localhost:9200", NOT_A_URL),
            ("", NOT_A_URL),
        ],
    );
}

#[test]
fn service_url_base_has_no_slash_at_the_end() {
    let policy = policy(AuthMode::Anonymous, "", "");
    for (service_url, base) in [
        ("http://127.0.0.1:9200/", "http://127.0.0.1:9200"),
        ("http://127.0.0.1:9200/amer/tenant/", "http://127.0.0.1:9200/amer/tenant"),
        ("http://LOCALHOST:1/_connector", "http://localhost:1/_connector"),
    ] {
        assert_eq!(policy.check(service_url).unwrap().to_string(), base);
    }
}

#[test]
fn region_of_a_service_url_is_the_origin_and_the_first_segment_of_the_path() {
    for (service_url, expected) in [
        ("http://127.0.0.1:9200", "http://127.0.0.1:9200"),
        ("http://127.0.0.1:9200/", "http://127.0.0.1:9200"),
        ("http://127.0.0.1:9200/amer", "http://127.0.0.1:9200/amer"),
        ("http://127.0.0.1:9200/amer/", "http://127.0.0.1:9200/amer"),
        ("http://127.0.0.1:9200/amer/a-tenant/", "http://127.0.0.1:9200/amer"),
    ] {
        assert_eq!(TrustPolicy::Anonymous.check(service_url).unwrap().region(), expected, "{service_url}");
    }
}
