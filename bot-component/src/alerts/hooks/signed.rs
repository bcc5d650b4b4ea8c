//! Checks the signature of a post to a webhook address. For most senders, the address alone is enough: a
//! sender that knows the address is allowed to post. A valid signature also proves that the body was not
//! changed on its way to the bot.

use alert_shapes::{Incoming, github, grafana};
use chrono::{DateTime, TimeDelta, Utc};

use crate::rejection::HookRejection;

/// The header in which GitHub names the kind of the event, such as `push`.
const GITHUB_EVENT: &str = "x-github-event";

/// The header with the time at which Grafana signed the post. Grafana sends this header only if a user has
/// set the header in Grafana, as `docs/hooks.md` describes.
const GRAFANA_TIME: &str = "x-grafana-alerting-timestamp";

/// The largest accepted difference between a signed time and now.
const MAX_CLOCK_DIFFERENCE: TimeDelta = TimeDelta::minutes(5);

/// Checks the signature. A post from GitHub needs a valid signature, because GitHub's documentation says that
/// a webhook address is no secret. So the address alone does not prove that GitHub sent the post. A post from
/// Grafana needs no signature, but the bot refuses a wrong signature. The bot does not check the signatures
/// of other senders.
pub(super) fn check(incoming: &Incoming<'_>, secret: &str, now: DateTime<Utc>) -> Result<(), HookRejection> {
    let secret = secret.as_bytes();
    if let Some(signature) = (incoming.header)(github::HEADER) {
        return match github::signature_is_valid(secret, incoming.body, signature) {
            true => Ok(()),
            false => Err(HookRejection::SignatureWrong { header: "X-Hub-Signature-256" }),
        };
    }
    if (incoming.header)(GITHUB_EVENT).is_some() {
        return Err(HookRejection::SignatureMissing { header: "X-Hub-Signature-256" });
    }
    let Some(signature) = (incoming.header)(grafana::HEADER) else { return Ok(()) };
    // If Grafana sends the time, the signature covers the time and the body. Otherwise, the signature covers
    // only the body. The bot accepts a post if one of these two signatures is valid.
    let time = (incoming.header)(GRAFANA_TIME).filter(|time| is_near(time, now));
    let is_valid = grafana::signature_is_valid(secret, incoming.body, None, signature)
        | time.is_some_and(|time| grafana::signature_is_valid(secret, incoming.body, Some(time), signature));
    match is_valid {
        true => Ok(()),
        false => Err(HookRejection::SignatureWrong { header: "X-Grafana-Alerting-Signature" }),
    }
}

/// Whether a time, in seconds since 1970, differs from now by at most [`MAX_CLOCK_DIFFERENCE`].
fn is_near(time: &str, now: DateTime<Utc>) -> bool {
    let time = time.trim().parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    time.is_some_and(|time| (now - time).abs() <= MAX_CLOCK_DIFFERENCE)
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac};
    use platform::{hex, json_of};
    use sha2::Sha256;

    use super::*;

    const SECRET: &str = "a secret";
    const BODY: &[u8] = b"{}";

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000, 0).unwrap()
    }

    fn mac(parts: &[&[u8]]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        parts.iter().for_each(|part| mac.update(part));
        hex(&mac.finalize().into_bytes())
    }

    fn check_headers(headers: &[(&str, String)]) -> Result<(), &'static str> {
        let header =
            |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        let incoming = Incoming { content_type: None, header: &header, body: BODY, json: json_of };
        check(&incoming, SECRET, now()).map_err(|error| match error {
            HookRejection::SignatureMissing { .. } => "missing",
            _ => "wrong",
        })
    }

    #[test]
    fn post_is_refused_if_the_signature_is_wrong_or_if_github_sent_no_signature() {
        let event = || ("x-github-event", "push".to_owned());
        let github = |mac: String| ("x-hub-signature-256", format!("sha256={mac}"));
        let grafana = |mac: String| ("x-grafana-alerting-signature", mac);
        let at = |seconds: &str| ("x-grafana-alerting-timestamp", seconds.to_owned());
        let timed = |seconds: &str| grafana(mac(&[seconds.as_bytes(), b":", BODY]));
        for (headers, expected) in [
            (vec![], Ok(())),
            (vec![event()], Err("missing")),
            (vec![event(), github(mac(&[BODY]))], Ok(())),
            (vec![github(mac(&[BODY]))], Ok(())),
            (vec![event(), github(mac(&[b"{ }"]))], Err("wrong")),
            (vec![event(), ("x-hub-signature-256", String::new())], Err("wrong")),
            (vec![grafana(mac(&[BODY]))], Ok(())),
            (vec![grafana(mac(&[b"x"]))], Err("wrong")),
            (vec![timed("1795000000"), at("1795000000")], Ok(())),
            (vec![timed("1794999700"), at("1794999700")], Ok(())),
            (vec![timed("1794999699"), at("1794999699")], Err("wrong")),
            (vec![timed("1795000000")], Err("wrong")),
            (vec![timed("1795000000"), at("1795000001")], Err("wrong")),
            (vec![timed("soon"), at("soon")], Err("wrong")),
            (vec![timed("9223372036854775807"), at("9223372036854775807")], Err("wrong")),
        ] {
            assert_eq!(check_headers(&headers), expected, "{headers:?}");
        }
    }
}
