//! Computes which connections the NetworkPolicies allow, and compares the result with [`TABLE`]. The same
//! table is in `deploy/spinkube/README.md`.
//!
//! Source: <https://kubernetes.io/docs/concepts/services-networking/network-policies/>. A policy is for the
//! connections to a pod (ingress), for the connections from a pod (egress), or for both. If no ingress policy
//! selects a pod, every connection to the pod is allowed. If ingress policies select the pod, a rule of at
//! least one of these policies must allow the connection. Egress policies work in the same way for
//! connections from the pod. A connection is open only if both the caller's egress policies and the called
//! pod's ingress policies allow the connection.

use std::net::IpAddr;

use serde_json::Value;

use super::resource::{Resource, list, text};

/// One end of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) enum Peer {
    /// A pod: its namespace, and its labels.
    Pod(&'static str, &'static [(&'static str, &'static str)]),
    /// An IP address that belongs to no pod of the cluster.
    Address(&'static str),
}

/// One line of the table in the README: a connection, and whether the connection is open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    from: (&'static str, Peer),
    to: (&'static str, Peer),
    port: u16,
    is_open: bool,
}

const BOT: (&str, Peer) =
    ("the bot", Peer::Pod("orders-bot", &[("core.spinkube.dev/app-name", "proactive-bot")]));
const POLL: (&str, Peer) =
    ("the poll Job", Peer::Pod("orders-bot", &[("app.kubernetes.io/component", "poll")]));
const SOLVER: (&str, Peer) =
    ("cert-manager's solver", Peer::Pod("orders-bot", &[("acme.cert-manager.io/http01-solver", "true")]));
const OTHER_POD: (&str, Peer) = ("another pod of the namespace", Peer::Pod("orders-bot", &[("app", "x")]));
const OTHER_BOT: (&str, Peer) =
    ("another bot", Peer::Pod("pizza-bot", &[("core.spinkube.dev/app-name", "proactive-bot")]));
const OTHER_POLL: (&str, Peer) =
    ("another bot's poll Job", Peer::Pod("pizza-bot", &[("app.kubernetes.io/component", "poll")]));
const OTHER_NAMESPACE: (&str, Peer) = ("a pod of another namespace", Peer::Pod("shop", &[("app", "x")]));
const INGRESS: (&str, Peer) = ("the ingress controller", Peer::Pod("ingress-nginx", &[("app", "nginx")]));
const DNS: (&str, Peer) = ("the cluster's DNS", Peer::Pod("kube-system", &[("k8s-app", "kube-dns")]));
const INTERNET: (&str, Peer) = ("the internet", Peer::Address("20.60.1.1"));
const INTERNET_6: (&str, Peer) = ("the internet (IPv6)", Peer::Address("2603:1030::1"));
const PRIVATE: (&str, Peer) = ("a private address", Peer::Address("10.96.0.1"));
const PRIVATE_6: (&str, Peer) = ("a private address (IPv6)", Peer::Address("fd00::1"));
const METADATA: (&str, Peer) = ("the metadata service", Peer::Address("169.254.169.254"));

/// The lines of the table in `deploy/spinkube/README.md`: from, to, port, and whether the connection is open.
pub(super) const TABLE: [Line; 26] = [
    line(INGRESS, BOT, 80, true),
    line(POLL, BOT, 80, true),
    line(OTHER_POD, BOT, 80, false),
    line(OTHER_BOT, BOT, 80, false),
    line(OTHER_POLL, BOT, 80, false),
    line(OTHER_NAMESPACE, BOT, 80, false),
    line(INTERNET, BOT, 80, false),
    line(INGRESS, BOT, 443, false),
    line(INGRESS, POLL, 80, false),
    line(INGRESS, SOLVER, 8089, true),
    line(OTHER_NAMESPACE, SOLVER, 8089, false),
    line(OTHER_NAMESPACE, OTHER_POD, 80, false),
    line(BOT, DNS, 53, true),
    line(BOT, INTERNET, 443, true),
    line(BOT, INTERNET_6, 443, true),
    line(BOT, INTERNET, 80, false),
    line(BOT, PRIVATE, 443, false),
    line(BOT, PRIVATE_6, 443, false),
    line(BOT, METADATA, 80, false),
    line(BOT, METADATA, 443, false),
    line(BOT, OTHER_BOT, 80, false),
    line(BOT, OTHER_NAMESPACE, 443, false),
    line(POLL, DNS, 53, true),
    line(POLL, INTERNET, 443, false),
    line(POLL, OTHER_BOT, 80, false),
    line(OTHER_POD, INTERNET, 443, false),
];

const fn line(from: (&'static str, Peer), to: (&'static str, Peer), port: u16, is_open: bool) -> Line {
    Line { from, to, port, is_open }
}

impl Line {
    /// The line in Markdown: `| from | to | port | yes or no |`.
    pub(super) fn markdown(&self) -> String {
        let yes_or_no = if self.is_open { "yes" } else { "no" };
        format!("| {} | {} | {} | {yes_or_no} |", self.from.0, self.to.0, self.port)
    }

    /// Whether the policies agree with the line. For `yes`, both ends of the connection must allow the
    /// connection. For `no`, both ends must refuse the connection. The refusal of one end would be enough,
    /// but a later change can open this end by mistake. An end outside of the bots' namespaces is ignored,
    /// because `deploy/spinkube/` has no policies for this end.
    fn holds(&self, policies: &[Policy<'_>]) -> bool {
        let (from, to) = (self.from.1, self.to.1);
        let ends = [
            allows(policies, Direction::Egress, from, to, self.port),
            allows(policies, Direction::Ingress, to, from, self.port),
        ];
        ends.iter().any(Option::is_some) && ends.into_iter().flatten().all(|is_open| is_open == self.is_open)
    }
}

/// Compares the table with the policies. `resources` has the policies of one bot. The table has two bots, so
/// the check uses these policies in the namespaces of both bots.
pub(super) fn check(resources: &[Resource]) -> Vec<String> {
    let specs = resources.iter().filter(|resource| resource.kind() == "NetworkPolicy");
    let policies: Vec<Policy<'_>> = specs
        .flat_map(|policy| {
            ["orders-bot", "pizza-bot"].map(|namespace| Policy { namespace, spec: &policy.value["spec"] })
        })
        .collect();
    let broken = TABLE.iter().filter(|line| !line.holds(&policies));
    broken
        .map(|line| {
            format!("NetworkPolicy: expected {}, found another result; correct the policies", line.markdown())
        })
        .collect()
}

#[derive(Debug)]
struct Policy<'r> {
    namespace: &'static str,
    spec: &'r Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Ingress,
    Egress,
}

/// Whether the policies for the pod `own` allow a connection with `other` in this direction. Returns `None`
/// if `own` is an address, or a pod in a namespace that has no policies.
fn allows(policies: &[Policy<'_>], direction: Direction, own: Peer, other: Peer, port: u16) -> Option<bool> {
    let Peer::Pod(namespace, labels) = own else { return None };
    let (word, rules, peers) = match direction {
        Direction::Ingress => ("Ingress", "/ingress", "/from"),
        Direction::Egress => ("Egress", "/egress", "/to"),
    };
    let mut of_namespace = policies.iter().filter(|policy| policy.namespace == namespace).peekable();
    of_namespace.peek()?;
    let selecting: Vec<_> = of_namespace
        .filter(|policy| selects(&policy.spec["podSelector"], labels))
        .filter(|policy| list(policy.spec, "/policyTypes").iter().any(|known| known == word))
        .collect();
    let has_rule = selecting.iter().any(|policy| {
        list(policy.spec, rules).iter().any(|rule| {
            let (peers, ports) = (list(rule, peers), list(rule, "/ports"));
            let fits_peer = peers.is_empty() || peers.iter().any(|peer| is_peer(peer, namespace, other));
            let fits_port = ports.is_empty() || ports.iter().any(|known| known["port"] == port);
            fits_peer && fits_port
        })
    });
    Some(selecting.is_empty() || has_rule)
}

fn is_peer(rule: &Value, own_namespace: &str, other: Peer) -> bool {
    match other {
        Peer::Address(address) => {
            let block = &rule["ipBlock"];
            contains(text(block, "/cidr"), address)
                && !list(block, "/except")
                    .iter()
                    .filter_map(Value::as_str)
                    .any(|range| contains(range, address))
        }
        Peer::Pod(namespace, labels) => {
            let fits_namespace = match rule.get("namespaceSelector") {
                Some(selector) => selects(selector, &[("kubernetes.io/metadata.name", namespace)]),
                None => namespace == own_namespace,
            };
            let fits_pod = rule.get("podSelector").is_none_or(|selector| selects(selector, labels));
            // A rule with `ipBlock` is for addresses outside of the cluster.
            rule.get("ipBlock").is_none() && fits_namespace && fits_pod
        }
    }
}

/// Whether a label selector selects these labels. An empty selector selects everything.
fn selects(selector: &Value, labels: &[(&str, &str)]) -> bool {
    let value = |key: &str| labels.iter().find(|(known, _)| *known == key).map(|(_, value)| *value);
    let by_label = selector["matchLabels"]
        .as_object()
        .is_none_or(|wanted| wanted.iter().all(|(key, wanted)| value(key) == wanted.as_str()));
    let by_expression = list(selector, "/matchExpressions").iter().all(|expression| {
        let found = value(text(expression, "/key"));
        // This function knows only the operator `In`. A selector with another operator selects nothing here.
        // Then a connection that is open in `TABLE` is not allowed, and the check reports a finding.
        text(expression, "/operator") == "In"
            && list(expression, "/values").iter().any(|wanted| wanted.as_str() == found)
    });
    by_label && by_expression
}

/// Whether a range such as `10.0.0.0/8` contains an address. Returns `false` if the text is not a range.
fn contains(range: &str, address: &str) -> bool {
    let parsed = || {
        let (base, bits) = range.split_once('/')?;
        Some((bits_of(base.parse().ok()?), bits_of(address.parse().ok()?), bits.parse::<u32>().ok()?))
    };
    let Some(((base, base_width), (address, width), bits)) = parsed() else { return false };
    let rest = width.saturating_sub(bits);
    base_width == width && (rest == 128 || base >> rest == address >> rest)
}

/// The bits of an IP address, and their number: 32 or 128.
fn bits_of(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (address.to_bits().into(), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

#[cfg(test)]
mod tests {
    use super::contains;

    #[test]
    fn range_contains_only_addresses_within_the_range() {
        for (range, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "2603::1", false),
            ("168.63.129.16/32", "168.63.129.16", true),
            ("168.63.129.16/32", "168.63.129.17", false),
            ("2000::/3", "2603::1", true),
            ("2000::/3", "fd00::1", false),
            ("::/0", "fd00::1", true),
            ("", "1.2.3.4", false),
        ] {
            assert_eq!(contains(range, address), expected, "{address} in {range}");
        }
    }
}
