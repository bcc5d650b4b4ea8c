//! Reads `allowed_outbound_hosts` of a Spin manifest, and decides which URLs a component is allowed to call.
//! `allowed_outbound_hosts` is a list of entries. An entry has the form `scheme://host[:port]`, and allows
//! the calls to matching URLs. All other calls are denied. This crate does no input or output.
//!
//! Two programs use this crate. The *embedded host* (`crates/local-host`, which replaces `spin up` in
//! development and tests) refuses calls that no entry allows. `cargo dev doctor` names the entries that are
//! missing in the manifest.
//!
//! This crate parses an entry as Spin does, with all special cases (in Spin's repository:
//! `crates/outbound-networking-config/src/allowed_hosts.rs`). There is one difference, in entries with the
//! host `self` or `self.alt`. In Spin, such an entry allows a component to call its own application. In this
//! crate, such an entry allows nothing.

#![warn(missing_docs)]

use std::net::IpAddr;
use std::ops::Range;

use anyhow::{Context as _, Result, bail, ensure};

/// The target of a request: the scheme, the host and the port of its URL.
#[derive(Debug)]
pub struct Target {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Target {
    /// Makes a target. Like Spin, this function reads the host by the URL standard: the host becomes lower
    /// case, and `127.1` is 127.0.0.1.
    pub fn new(scheme: &str, host: &str, port: Option<u16>) -> Result<Self> {
        let host = url::Host::parse(host).with_context(|| format!("{host:?}: expected a host"))?.to_string();
        let scheme = scheme.to_ascii_lowercase();
        let port = port.or_else(|| default_port(&scheme));
        Ok(Self { scheme, host, port })
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        match self.port {
            Some(port) if self.port != default_port(&self.scheme) => write!(f, ":{port}"),
            _ => Ok(()),
        }
    }
}

/// The suffix of the host names by which the components of one application call each other.
const CHAINING: &str = ".spin.internal";

/// Returns the component that a request to `http://<component>.spin.internal/` calls. Returns `None` for
/// every other host. Spin does the same (`parse_service_chaining_target`).
pub fn chained_component(uri: &http::Uri) -> Option<&str> {
    uri.host()?.strip_suffix(CHAINING)
}

/// The entries of `allowed_outbound_hosts` of one component.
#[derive(Debug)]
pub struct AllowedHosts(Vec<Entry>);

impl AllowedHosts {
    /// Parses all entries. The function fails if an entry is malformed. If the function skipped a malformed
    /// entry, requests would be denied later, and no error would name the entry.
    pub fn parse<S: AsRef<str>>(entries: impl IntoIterator<Item = S>) -> Result<Self> {
        entries.into_iter().map(|entry| Entry::parse(entry.as_ref())).collect::<Result<_>>().map(Self)
    }

    /// Whether an entry allows the target.
    pub fn allows(&self, target: &Target) -> bool {
        self.0.iter().any(|entry| entry.allows(target))
    }

    /// Whether an entry has the host `self` (the application itself). Such an entry allows nothing here.
    pub fn names_self(&self) -> bool {
        self.0.iter().any(|entry| matches!(entry.host, Host::Application))
    }
}

#[derive(Debug)]
struct Entry {
    /// The scheme; `None` means any scheme.
    scheme: Option<String>,
    host: Host,
    /// The ports; `None` means any port.
    ports: Option<Range<u32>>,
}

#[derive(Debug)]
enum Host {
    Any,
    Exact(String),
    /// Every name below this domain, at any depth. The text begins with a dot.
    Below(String),
    Network(IpAddr, u8),
    /// The application itself (`self`). An entry with this host allows nothing.
    Application,
}

impl Entry {
    fn parse(entry: &str) -> Result<Self> {
        Self::parts(entry.trim()).with_context(|| format!("{entry:?}: expected scheme://host[:port]"))
    }

    fn parts(entry: &str) -> Result<Self> {
        let (scheme, rest) = entry
            .split_once("://")
            .context("the scheme is missing; add one, such as `https://` or `*://`")?;
        // The port follows the last colon. In `http://[::1]`, the last colon is a part of the host, so this
        // function reads `1]` as the port, and refuses the entry. An entry with an IPv6 host needs a port.
        let (host, port) = rest.rsplit_once(':').unwrap_or((rest, ""));
        let port = match port.split_once('/') {
            Some((_, path)) if !path.is_empty() => bail!("a path is not allowed"),
            Some((port, _)) => port,
            None => port,
        };
        let any_scheme = scheme == "*";
        ensure!(any_scheme || scheme.chars().all(char::is_alphabetic), "the scheme is not alphabetic");
        Ok(Self {
            scheme: (!any_scheme).then(|| scheme.to_owned()),
            host: Host::parse(host.trim())?,
            ports: parse_ports(port, scheme)?,
        })
    }

    fn allows(&self, target: &Target) -> bool {
        self.scheme.as_ref().is_none_or(|scheme| *scheme == target.scheme)
            && self.host.allows(&target.host)
            && self
                .ports
                .as_ref()
                .is_none_or(|ports| target.port.is_some_and(|port| ports.contains(&port.into())))
    }
}

impl Host {
    fn parse(host: &str) -> Result<Self> {
        if host == "*" {
            return Ok(Self::Any);
        }
        if host == "self" || host == "self.alt" {
            return Ok(Self::Application);
        }
        ensure!(!host.starts_with('{'), "lists in braces are not supported");
        if let Some((address, bits)) = host.split_once('/')
            && let (Ok(address), Ok(bits)) = (address.parse::<IpAddr>(), bits.parse())
        {
            ensure!(
                bits <= if address.is_ipv4() { 32 } else { 128 },
                "/{bits}: expected at most 32 bits for IPv4, and at most 128 for IPv6"
            );
            return Ok(Self::Network(address, bits));
        }
        let host = host.trim_end_matches('/');
        ensure!(!host.contains('/'), "a path is not allowed");
        let (below, name) = match host.strip_prefix("*.") {
            Some(domain) => (true, domain),
            None => (false, host),
        };
        ensure!(!name.contains('*'), "`*` may only be the first label");
        Ok(if below { Self::Below(format!(".{name}")) } else { Self::Exact(name.to_owned()) })
    }

    fn allows(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => name == host,
            Self::Below(suffix) => host.ends_with(suffix),
            // In a URL, an IPv6 host has brackets, and a text with brackets does not parse as an IP address.
            // So an entry for a network allows no IPv6 host. In Spin, too, such an entry allows no IPv6 host.
            Self::Network(network, bits) => host.parse().is_ok_and(|ip| contains(*network, *bits, ip)),
            Self::Application => false,
        }
    }
}

fn contains(network: IpAddr, bits: u8, ip: IpAddr) -> bool {
    match (network, ip) {
        (IpAddr::V4(network), IpAddr::V4(ip)) => {
            (network.to_bits() ^ ip.to_bits()).checked_shr(32 - u32::from(bits)).unwrap_or(0) == 0
        }
        (IpAddr::V6(network), IpAddr::V6(ip)) => {
            (network.to_bits() ^ ip.to_bits()).checked_shr(128 - u32::from(bits)).unwrap_or(0) == 0
        }
        _ => false,
    }
}

fn parse_ports(port: &str, scheme: &str) -> Result<Option<Range<u32>>> {
    let number = |text: &str| text.parse::<u16>().map(u32::from).with_context(|| format!("port {text:?}"));
    Ok(match port {
        "*" => None,
        "" => {
            let port = default_port(scheme)
                .with_context(|| format!("{scheme:?} has no default port; add a port"))?;
            Some(port.into()..u32::from(port) + 1)
        }
        _ => Some(match port.split_once("..") {
            // The end of a range is exclusive, and an empty range is no error.
            Some((start, end)) => number(start)?..number(end)?,
            None => number(port)?..number(port)? + 1,
        }),
    })
}

fn default_port(scheme: &str) -> Option<u16> {
    Some(match scheme {
        "http" => 80,
        "https" => 443,
        "redis" => 6379,
        "postgres" => 5432,
        "mysql" => 3306,
        "mqtt" => 1883,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        let (scheme, authority) = url.split_once("://").unwrap();
        let port_at = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
        let (host, port) = match port_at {
            Some(at) => (&authority[..at], Some(authority[at + 1..].parse().unwrap())),
            None => (authority, None),
        };
        Target::new(scheme, host, port).unwrap()
    }

    #[test]
    fn entry_allows_only_targets_that_match_the_entry() {
        for (entries, url, allowed) in [
            // Without an entry, every target is denied.
            (&[][..], "https://example.com", false),
            // Scheme and default ports.
            (&["https://example.com"], "https://example.com", true),
            (&["https://example.com"], "https://example.com:443", true),
            (&["https://example.com:443"], "https://example.com", true),
            (&["https://example.com"], "http://example.com", false),
            (&["https://example.com"], "http://example.com:443", false),
            (&["https://example.com"], "https://example.com:8443", false),
            (&["http://example.com"], "http://example.com", true),
            (&["http://example.com"], "http://example.com:80", true),
            (&["http://example.com"], "https://example.com", false),
            (&["https://my.api.com/"], "https://my.api.com", true),
            (&["http://example.com:4444/"], "http://example.com:4444", true),
            (&["  https://example.com  "], "https://example.com", true),
            (&["redis://example.com"], "redis://example.com:6379", true),
            (&["redis://example.com"], "http://example.com:6379", false),
            // The scheme `*` needs a port.
            (&["*://example.com:7777"], "http://example.com:7777", true),
            (&["*://example.com:7777"], "https://example.com:7777", true),
            (&["*://example.com:443"], "https://example.com", true),
            (&["*://example.com:443"], "http://example.com", false),
            // An entry matches only a whole host name. `Target::new` converts the host of a URL to lower
            // case, so an entry in upper case matches no host.
            (&["https://example.com"], "https://EXAMPLE.com", true),
            (&["https://Example.com"], "https://example.com", false),
            (&["https://example.com"], "https://www.example.com", false),
            (&["https://example.com"], "https://example.com.evil.net", false),
            (&["https://example.com"], "https://example.com.", false),
            (&["https://example.com"], "https://notexample.com", false),
            // `*.` matches names below the domain at any depth, but not the domain itself.
            (&["http://*.example.com"], "http://a.example.com", true),
            (&["http://*.example.com"], "http://a.b.example.com", true),
            (&["http://*.example.com"], "http://example.com", false),
            (&["http://*.example.com"], "http://myexample.com", false),
            (&["http://*.example.com"], "http://a.example.com.evil.net", false),
            (&["http://*.example.com"], "https://a.example.com", false),
            (&["http://*.example2.com:8383"], "http://a.b.example2.com:8383", true),
            (&["http://*.example2.com:8383"], "http://a.b.example2.com", false),
            // Any host.
            (&["https://*"], "https://anything.net", true),
            (&["https://*"], "https://anything.net:444", false),
            (&["*://*:*"], "ftp://anything.net:21", true),
            (&["*://*:*"], "http://[::1]:9", true),
            // Ports.
            (&["http://127.0.0.1:*"], "http://127.0.0.1:9200", true),
            (&["http://127.0.0.1:*"], "http://127.0.0.1", true),
            (&["http://127.0.0.1:*"], "https://127.0.0.1:9200", false),
            (&["http://127.0.0.1:*"], "http://localhost:9200", false),
            (&["http://localhost:*"], "http://localhost:9200", true),
            (&["http://localhost:3001"], "http://localhost:3001", true),
            (&["http://localhost:3001"], "http://localhost", false),
            (&["http://localhost:80..90"], "http://localhost", true),
            (&["http://localhost:81..90"], "http://localhost:89", true),
            (&["http://localhost:81..90"], "http://localhost:90", false),
            (&["http://localhost:90..81"], "http://localhost:85", false),
            (&["http://localhost:0..65535"], "http://localhost:65534", true),
            // IP addresses. The URL standard accepts several spellings of one address.
            (&["http://192.168.1.1"], "http://192.168.1.1", true),
            (&["http://192.168.1.1:3002"], "http://192.168.1.1:3002", true),
            (&["http://127.0.0.1"], "http://127.1", true),
            (&["http://127.0.0.1"], "http://0x7f000001", true),
            (&["http://127.0.0.1"], "http://127.0.0.1.nip.io", false),
            (&["http://[::1]:8001"], "http://[::1]:8001", true),
            (&["http://[::1]:8001"], "http://[0:0::1]:8001", true),
            // Networks.
            (&["*://127.0.0.0/24:80"], "http://127.0.0.7", true),
            (&["*://127.0.0.0/24:80"], "http://127.0.1.7", false),
            (&["*://127.0.0.1/24:63551"], "tcp://127.0.0.1:63551", true),
            (&["http://10.0.0.0/8"], "http://10.255.0.1", true),
            (&["http://10.0.0.0/8"], "http://10.example.com", false),
            (&["http://0.0.0.0/0"], "http://203.0.113.9", true),
            (&["http://10.1.2.3/32"], "http://10.1.2.4", false),
            (&["*://ff00::/8:80"], "http://[ff02::1]", false),
            // The application itself: the entry is parsed, and allows nothing.
            (&["http://self"], "http://self", false),
            (&["http://self.alt"], "http://self.alt", false),
            // Another component of the application: `<component>.spin.internal` is a host name like any
            // other.
            (&["http://other.spin.internal"], "http://other.spin.internal", true),
            (&["http://other.spin.internal"], "http://another.spin.internal", false),
            (&["http://*.spin.internal"], "http://another.spin.internal", true),
            (&["http://*:*"], "http://another.spin.internal", true),
            // One matching entry is enough.
            (&["*://spin.dev:443", "http://example.com:8383"], "http://example.com:8383", true),
            (&["*://spin.dev:443", "http://example.com:8383"], "https://spin.dev", true),
            (&["*://spin.dev:443", "http://example.com:8383"], "http://google.com", false),
        ] {
            let hosts = AllowedHosts::parse(entries).unwrap();
            assert_eq!(hosts.allows(&target(url)), allowed, "{entries:?} {url}");
        }
    }

    #[test]
    fn malformed_entry_is_refused_unless_its_host_is_empty() {
        for entry in [
            "",
            "*",
            ":",
            "?",
            "example.com",
            "example.com:80",
            "localhost",
            "localhost:3001",
            "insecure:allow-all",
            "http://example.com/a",
            "http://example.com:6666/a/b",
            "http://*.example.com/a",
            "*://example.com",
            "ftp://example.com",
            "HTTP://example.com",
            "*://127.0.0.0/24",
            "http://10.0.0.0/33",
            "http://[::1]",
            "http://example.com:http",
            "http://example.com:65536",
            "http://example.com:80..",
            "http://example.com:a..b",
            "http://a.*.com",
            "http://*.*.com",
            "http://*example.com",
            "http://{a,b}.com",
            "{http,https}://example.com:80",
            "http://example.com:{80,81}",
            "h2c://example.com:80",
            "https://",
        ] {
            // The entry `https://` is accepted. Its host is the empty text, and no request has an empty host.
            // Spin before 4.1 accepts this entry, too.
            assert_eq!(AllowedHosts::parse([entry]).is_err(), entry != "https://", "{entry:?}");
        }
        assert!(AllowedHosts::parse(["https://good.example", "bad"]).is_err());
    }

    #[test]
    fn target_is_shown_without_the_default_port() {
        assert_eq!(target("http://127.0.0.1:80").to_string(), "http://127.0.0.1");
        assert_eq!(target("https://a.b:8443").to_string(), "https://a.b:8443");
        assert!(Target::new("http", "", None).is_err());
        assert!(Target::new("http", "a b", None).is_err());
    }
}
