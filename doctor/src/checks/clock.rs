//! Compares the clock of this machine, and the clock of the application, with the clocks of the services
//! (such as Azure Storage). `watch.rs` has recorded the header `Date` in the responses to the earlier checks.

use chrono::TimeDelta;
use url::Url;

use crate::report::Report;
use crate::watch::Skew;

/// The largest difference at which services still accept tokens and signatures.
const WRONG: TimeDelta = TimeDelta::minutes(5);
/// The largest difference without a warning in the report.
const NOTABLE: TimeDelta = TimeDelta::minutes(1);

pub(super) fn check(skews: &[Skew], url: Option<&str>, report: &mut Report) {
    let application =
        url.and_then(|url| Url::parse(url).ok()).and_then(|url| url.host_str().map(str::to_owned));
    let (own, services): (Vec<_>, Vec<_>) =
        skews.iter().partition(|skew| Some(&skew.host) == application.as_ref());
    let mut ahead: Vec<_> = services.iter().map(|skew| skew.ahead).collect();
    ahead.sort();
    // The check uses the median. So among three or more services, one service with a wrong clock has no
    // effect.
    let services_ahead = ahead.get(ahead.len() / 2).copied();
    if let Some(ahead) = services_ahead {
        let remedy = "set this machine's clock, e.g. timedatectl set-ntp true";
        compare("this machine's clock", -ahead, remedy, report);
    }
    for skew in own {
        let remedy = "set the clock of the machine that runs the application";
        compare(
            &format!("the clock of {}", skew.host),
            skew.ahead - services_ahead.unwrap_or_default(),
            remedy,
            report,
        );
    }
    if skews.is_empty() {
        report.skip("no response contained the server's time");
    }
}

fn compare(whose: &str, ahead: TimeDelta, remedy: &str, report: &mut Report) {
    let text = || {
        let direction = if ahead > TimeDelta::zero() { "ahead" } else { "behind" };
        let minutes = (ahead.abs().num_seconds() + 30) / 60;
        format!(
            "{whose} is {minutes} minutes {direction}, so services can refuse tokens and signatures; {remedy}"
        )
    };
    if ahead.abs() > WRONG {
        report.problem(text());
    } else if ahead.abs() > NOTABLE {
        report.warn(text());
    } else {
        report.fine(format!("{whose} is right"));
    }
}
