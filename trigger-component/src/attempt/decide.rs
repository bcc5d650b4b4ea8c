//! Decides what happens to a queue message after an attempt to deliver its alert. [`decide`], a pure
//! function, decides after the Connector's response, and follows the table in `docs/delivery.md`.
//! [`wait_for_host`] decides if the host is down and the run makes no call. [`wait_for_installation`] decides
//! if the bot is not installed for the person or in the team. A *run* is one execution of the poller.

use std::time::Duration;

use bot_framework::{Class, Verdict};
use envelope::{Delivery, OnUncertain};
use state::ledger::NOT_INSTALLED;

use super::hosts::{HostState, LONGEST_PROBE_PAUSE};
use crate::limits::{
    FIRST_INSTALLATION_PAUSE, INSTALLATION_PAUSE, INSTALLED_SOON, LAST_TRY_BEFORE_DELETION, LONGEST_BACKOFF,
    LONGEST_OUTAGE, LONGEST_RETRY_AFTER, Limits, MAX_HIDE, SHORTEST_BEFORE_DELETION,
};

/// The action for a queue message after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// The alert was delivered: delete the message.
    Delete,
    /// The alert was perhaps delivered, and its sender has set `onUncertain: drop`: delete the message.
    Drop,
    /// Hide the message for `after`, and store `delivery` in it.
    Hide { after: Duration, delivery: Delivery, why: Hidden },
    /// Move the message to the poison queue.
    Poison(PoisonReason),
    /// Stop the run, because the run can send no alert at all. The run makes the message visible again, and
    /// counts no failed try.
    StopRun(Stop),
}

/// The reason why a run stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The login host or the Connector refused the bot's credentials.
    CredentialsRefused,
    /// The login host issues no token at present, or Direct Line (another API for the delivery of alerts)
    /// opens no conversation. `retry_after` is the `Retry-After` of the response.
    NoToken { retry_after: Option<Duration> },
}

/// The reason why a message is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hidden {
    Throttled,
    Unavailable,
    /// The host is down, so the run made no call to the host (see [`wait_for_host`]).
    HostOut,
    PossiblyDelivered,
    /// The bot is not installed for the person or in the team.
    NotInstalled,
    /// A call to the tables failed, so the run does not know whether to send the alert. The reason can also
    /// be a failed call to the queue, e.g. the Put of the next alert of a series.
    StateUnknown,
}

/// The *figures* (the numbers of messages over all runs) contain two counts with this name:
///
/// - In the group `ended` (messages that left the queue), this count is for messages that a killed run has
///   probably deleted. The ledger (the table of all alerts) does not show how their alerts ended.
/// - In the group `dead` (messages in the poison queue), this count is for messages with an unknown reason.
pub(crate) const UNRECORDED: &str = "unrecorded";

/// The reason why a message is moved to the poison queue. An envelope (an alert as JSON) in the poison queue
/// stores the reason as `failure.outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PoisonReason {
    DestinationGone,
    Permanent,
    PossiblyDelivered,
    RetriesExhausted,
    /// The message was dequeued too often without a result. Probably each run that dequeued the message was
    /// killed, or could not record a result.
    Abandoned,
    /// The queue would delete the message before the next try.
    OutOfTime,
    Unreadable,
    SealBroken,
    Unsealed,
    UntrustedHost,
    /// The conversation is in a tenant that the bot does not serve.
    TenantNotAllowed,
    /// The alert has waited too long: the bot is still not installed for the person or in the team.
    NotInstalled,
    /// The tenant has no such person. For an alert to an e-mail address: the poller found no member with this
    /// address in the teams and chats of the bot.
    UnknownPerson,
}

impl PoisonReason {
    const ALL: [Self; 13] = [
        Self::DestinationGone,
        Self::Permanent,
        Self::PossiblyDelivered,
        Self::RetriesExhausted,
        Self::Abandoned,
        Self::OutOfTime,
        Self::Unreadable,
        Self::SealBroken,
        Self::Unsealed,
        Self::UntrustedHost,
        Self::TenantNotAllowed,
        Self::NotInstalled,
        Self::UnknownPerson,
    ];

    /// Returns the part of `reason` before the first colon, if this part names a [`PoisonReason`]. Otherwise
    /// returns [`UNRECORDED`]. `reason` is the reason in an alert's record, e.g. `permanent: 400 BadSyntax`.
    pub(crate) fn word_in(reason: &str) -> &'static str {
        let word = reason.split(':').next().unwrap_or_default();
        Self::ALL.into_iter().map(Self::as_str).find(|known| *known == word).unwrap_or(UNRECORDED)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::DestinationGone => "destinationGone",
            Self::Permanent => "permanent",
            Self::PossiblyDelivered => "possiblyDelivered",
            Self::RetriesExhausted => "retriesExhausted",
            Self::Abandoned => "abandoned",
            Self::OutOfTime => "outOfTime",
            Self::Unreadable => "unreadable",
            Self::SealBroken => "sealBroken",
            Self::Unsealed => "unsealed",
            Self::UntrustedHost => "untrustedHost",
            Self::TenantNotAllowed => "tenantNotAllowed",
            Self::NotInstalled => NOT_INSTALLED,
            Self::UnknownPerson => "unknownPerson",
        }
    }
}

/// The facts about a message on which [`decide`] bases its decision.
#[derive(Debug, Clone)]
pub(crate) struct Situation<'a> {
    pub(crate) delivery: &'a Delivery,
    pub(crate) on_uncertain: OnUncertain,
    /// The number of dequeues of the message (the queue's DequeueCount). The number includes the current
    /// dequeue.
    pub(crate) dequeue_count: u32,
    /// Whether a refusal of the bot's token concerns this conversation alone. The value has a meaning only if
    /// the Connector has refused the token. See [`super::TokenUse`].
    pub(crate) refused_alone: bool,
    /// Whether the Connector's host works. The circuit breaker (`hosts.rs`) finds the state from the results
    /// of this attempt and of earlier attempts.
    pub(crate) host: HostState,
    /// How long the alert has been due.
    pub(crate) due_for: Duration,
    /// The time until the queue deletes the message.
    pub(crate) until_deletion: Duration,
    /// The time until the alert expires, if it expires.
    pub(crate) until_expired: Option<Duration>,
}

/// Decides what happens to a message after the Connector's response. `jitter(max)` returns a random number in
/// `0..=max`.
pub(crate) fn decide(
    verdict: &Verdict,
    situation: &Situation<'_>,
    limits: &Limits,
    jitter: impl FnOnce(u64) -> u64,
) -> Action {
    let mut delivery = situation.delivery.clone();
    delivery.accounted = situation.dequeue_count;
    if let Some(stop) = stops_the_run(verdict, situation.refused_alone) {
        return Action::StopRun(stop);
    }
    let (why, pause) = match verdict.class {
        Class::Accepted => return Action::Delete,
        Class::DestinationGone => return Action::Poison(PoisonReason::DestinationGone),
        Class::Permanent | Class::WrongCloud | Class::MessageGone | Class::NotChangeable => {
            return Action::Poison(PoisonReason::Permanent);
        }
        Class::Throttled => {
            delivery.throttled = delivery.throttled.saturating_add(1);
            (
                Hidden::Throttled,
                asked_pause(verdict)
                    .unwrap_or_else(|| backoff(limits.throttled_backoff, delivery.throttled, jitter)),
            )
        }
        Class::GatewayFailed if situation.on_uncertain == OnUncertain::Drop => return Action::Drop,
        // At this point, an `Unauthorized` concerns this conversation alone, so it counts as a failure of the
        // alert. For `NoToken`, and for an `Unauthorized` that concerns all conversations, this function has
        // already returned `StopRun` above.
        Class::Unauthorized | Class::NoToken | Class::Unavailable | Class::GatewayFailed => {
            // The pause is never shorter than the back-off. Otherwise, if the host always asked for a pause
            // of one second, the alert would use up all its tries within a few seconds.
            let pause = match situation.host {
                HostState::Works => {
                    delivery.tries = delivery.tries.saturating_add(1);
                    backoff(limits.backoff, delivery.tries, jitter)
                }
                HostState::Unclear => {
                    delivery.outages = delivery.outages.saturating_add(1);
                    outage_pause(limits.backoff, delivery.outages, jitter)
                }
                HostState::Fails => outage_pause(limits.backoff, u32::MAX, jitter),
            };
            let has_ended = situation.host == HostState::Fails && situation.due_for > LONGEST_OUTAGE;
            if has_ended || delivery.tries >= limits.max_tries || delivery.outages >= limits.max_outages {
                return Action::Poison(PoisonReason::RetriesExhausted);
            }
            (Hidden::Unavailable, asked_pause(verdict).unwrap_or_default().max(pause))
        }
        Class::PossiblyDelivered => match situation.on_uncertain {
            OnUncertain::Drop => return Action::Drop,
            OnUncertain::Retry if delivery.uncertain > 0 => {
                return Action::Poison(PoisonReason::PossiblyDelivered);
            }
            OnUncertain::Retry => {
                delivery.uncertain = 1;
                (Hidden::PossiblyDelivered, limits.uncertain_pause)
            }
        },
    };
    hide(pause, delivery, why, situation)
}

/// Decides what happens to a message that needs a call to a host that is down. The host belongs to the Bot
/// Framework (e.g. to a Connector), or to a program that gets a person's answer. The run makes no call to
/// this host. `wait` is the pause that the circuit breaker asks for. The message is hidden for this pause and
/// a random time.
pub(crate) fn wait_for_host(
    wait: Duration,
    situation: &Situation<'_>,
    jitter: impl FnOnce(u64) -> u64,
) -> Action {
    if situation.due_for > LONGEST_OUTAGE {
        return Action::Poison(PoisonReason::RetriesExhausted);
    }
    let delivery = Delivery { accounted: situation.dequeue_count, ..situation.delivery.clone() };
    // The pause has a random part, so that the messages for this host do not all become visible in the same
    // second.
    let spread = jitter(u64::try_from(LONGEST_PROBE_PAUSE.as_millis()).unwrap_or(u64::MAX));
    hide(wait + Duration::from_millis(spread), delivery, Hidden::HostOut, situation)
}

/// Decides what happens to a message for a person or a team that has not installed the bot. The message is
/// hidden again and again until the alert expires. If the alert never expires, the message is moved to the
/// poison queue after a day. For a person, each attempt looks in the address book (the table of
/// conversations), because the bot adds the person there after an installation.
pub(crate) fn wait_for_installation(situation: &Situation<'_>) -> Action {
    if situation.until_expired.is_none() && situation.due_for > LONGEST_OUTAGE {
        return Action::Poison(PoisonReason::NotInstalled);
    }
    let delivery = Delivery { accounted: situation.dequeue_count, ..situation.delivery.clone() };
    let is_recent = situation.due_for < INSTALLED_SOON;
    let pause = if is_recent { FIRST_INSTALLATION_PAUSE } else { INSTALLATION_PAUSE };
    hide(pause, delivery, Hidden::NotInstalled, situation)
}

fn hide(pause: Duration, delivery: Delivery, why: Hidden, situation: &Situation<'_>) -> Action {
    // If the alert would expire during the pause, the pause ends when the alert expires. A run then records
    // the alert as expired.
    let pause = situation.until_expired.map_or(pause, |until_expired| pause.min(until_expired));
    match hide_for(pause, situation.until_deletion) {
        Some(after) => Action::Hide { after, delivery, why },
        None => Action::Poison(PoisonReason::OutOfTime),
    }
}

/// Returns the reason to stop the run, if the verdict (the classified result of a call) shows that the run
/// can send no alert at all. A stopped run makes the messages that it has not finished visible again, and
/// counts no failed tries. If the run counted failed tries, an outage of the login host would move the whole
/// queue to the poison queue. The run also records a pause. During the pause, the next runs dequeue no
/// messages.
pub(crate) fn stops_the_run(verdict: &Verdict, refused_alone: bool) -> Option<Stop> {
    // A refusal without an HTTP status comes from the login host, so it concerns all conversations.
    let concerns_all = !refused_alone || verdict.status.is_none();
    match verdict.class {
        Class::Unauthorized if concerns_all => Some(Stop::CredentialsRefused),
        Class::NoToken => Some(Stop::NoToken { retry_after: verdict.retry_after }),
        _ => None,
    }
}

/// Returns the pause that the service asked for with `Retry-After`. Returns `None` if the pause is zero, for
/// example because the date in `Retry-After` has passed.
fn asked_pause(verdict: &Verdict) -> Option<Duration> {
    verdict.retry_after.filter(|after| !after.is_zero()).map(|after| after.min(LONGEST_RETRY_AFTER))
}

/// Returns a random pause between zero and `first * 2^(attempt - 1)` (full jitter). The pause is never longer
/// than [`LONGEST_BACKOFF`]. Because the pauses are random, messages that failed at the same time are tried
/// again at different times.
fn backoff(first: Duration, attempt: u32, jitter: impl FnOnce(u64) -> u64) -> Duration {
    let factor = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
    let longest = first.saturating_mul(factor).min(LONGEST_BACKOFF);
    Duration::from_millis(jitter(u64::try_from(longest.as_millis()).unwrap_or(u64::MAX)))
}

/// Returns the pause before the next try of a job. A job is a queue message that passes a person's answer on
/// to a program (`answer.rs`). The pause is at least as long as `retry_after` or [`LONGEST_RETRY_AFTER`],
/// whichever is shorter.
pub(crate) fn answer_pause(
    limits: &Limits,
    attempt: u32,
    retry_after: Option<Duration>,
    jitter: impl FnOnce(u64) -> u64,
) -> Duration {
    let asked = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
    asked.max(backoff(limits.backoff, attempt, jitter)).max(Duration::from_secs(1))
}

/// Returns the pause after a failure, if the state of the host is [`HostState::Unclear`] or
/// [`HostState::Fails`]. If `attempt` is 1 or 2, the pause comes from [`backoff`]. All later pauses take 30
/// to 60 seconds. These pauses do not grow, so that the alert is delivered soon after the host works again.
fn outage_pause(first: Duration, attempt: u32, jitter: impl FnOnce(u64) -> u64) -> Duration {
    if attempt < 3 {
        return backoff(first, attempt, jitter);
    }
    let half = LONGEST_PROBE_PAUSE / 2;
    half + Duration::from_millis(jitter(u64::try_from(half.as_millis()).unwrap_or(u64::MAX)))
}

/// Rounds a pause to a visibility time-out that the queue accepts: whole seconds, from 1 s to 7 days. The
/// result is shorter than `pause` if the queue would delete the message too soon: the message becomes visible
/// at least [`SHORTEST_BEFORE_DELETION`] before the queue deletes the message. Returns `None` if too little
/// time is left. In this case, the caller moves the message to the poison queue, because a message that the
/// queue deletes is lost without a trace.
pub(crate) fn hide_for(pause: Duration, until_deletion: Duration) -> Option<Duration> {
    let seconds = pause.as_secs().saturating_add(u64::from(pause.subsec_nanos() > 0));
    let before = (until_deletion / 2).clamp(SHORTEST_BEFORE_DELETION, LAST_TRY_BEFORE_DELETION);
    let last = until_deletion.checked_sub(before)?.as_secs();
    (last > 0).then(|| Duration::from_secs(seconds.clamp(1, last.min(MAX_HIDE.as_secs()))))
}

#[cfg(test)]
mod tests;
