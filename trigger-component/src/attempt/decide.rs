//! Decides what happens to a queue message after the Connector's response. The decision is one pure function
//! ([`decide`]), which follows the table in `docs/delivery.md`.

use std::time::Duration;

use bot_framework::{Class, Verdict};
use envelope::{Delivery, OnUncertain};
use state::ledger::NOT_INSTALLED;

use super::hosts::{HostState, LONGEST_PROBE_PAUSE};
use crate::limits::{
    FIRST_INSTALLATION_PAUSE, INSTALLATION_PAUSE, INSTALLED_SOON, LAST_TRY_BEFORE_DELETION, LONGEST_BACKOFF,
    LONGEST_OUTAGE, LONGEST_RETRY_AFTER, Limits, MAX_HIDE, SHORTEST_BEFORE_DELETION,
};

/// The action that follows from a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// The alert was delivered: delete the message.
    Delete,
    /// The alert was perhaps delivered, and its sender wants no second try: delete the message.
    Drop,
    /// Hide the message for `after`, and store `delivery` in it.
    Hide { after: Duration, delivery: Delivery, why: Hidden },
    /// Move the message to the poison queue.
    Poison(PoisonReason),
    /// Stop the run, because it can send no alert at all. The message stays as it is.
    StopRun(Stop),
}

/// The reason why a run stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The login host or the Connector refused the bot's credentials.
    CredentialsRefused,
    /// The login host issues no token at present, or Direct Line opens no conversation. `retry_after` is the
    /// `Retry-After` of the response.
    NoToken { retry_after: Option<Duration> },
}

/// The reason why a message is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hidden {
    Throttled,
    Unavailable,
    /// The Connector's host is down, so the alert was not sent.
    HostOut,
    PossiblyDelivered,
    /// The bot is not installed for the person or in the team.
    NotInstalled,
    /// The tables could not be read, so the poller does not know whether it has to send the alert.
    StateUnknown,
}

/// The word under which the figures count a message whose outcome or reason is unknown. The *figures* count
/// the messages of the queue over all runs. They have two groups with such a count:
///
/// - `ended` counts messages that left the queue. The count `unrecorded` is for messages that a killed run
///   has probably deleted, if the ledger does not show how their alerts ended.
/// - `dead` counts messages in the poison queue. The count `unrecorded` is for messages whose reason is
///   unknown.
pub(crate) const UNRECORDED: &str = "unrecorded";

/// The reason why a message is moved to the poison queue. The envelope in the poison queue stores the reason
/// as `failure.outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PoisonReason {
    DestinationGone,
    Permanent,
    PossiblyDelivered,
    RetriesExhausted,
    /// The message was dequeued too often without a result. Probably runs were killed while they worked on
    /// the message.
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
    /// The tenant has no such person. Or the poller looked for an e-mail address, and found no member with
    /// this address in the teams and chats of the bot.
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

    /// Returns the first word of the reason in an alert's record, if this word names a [`PoisonReason`];
    /// otherwise [`UNRECORDED`].
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
    /// The queue's DequeueCount, which includes the current dequeue.
    pub(crate) dequeue_count: u32,
    /// If the Connector has refused the bot's token: whether the refusal concerns this conversation alone.
    /// See [`super::TokenUse`].
    pub(crate) refused_alone: bool,
    /// Whether the Connector's host works. The breaker (`hosts.rs`) knows this from the results of this
    /// attempt and of earlier attempts.
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
        // For `NoToken`, this function has already returned `StopRun` above, and also for an `Unauthorized`
        // that concerns all conversations. Here, `Unauthorized` concerns this conversation alone, so it
        // counts as a failure of the alert.
        Class::Unauthorized | Class::NoToken | Class::Unavailable | Class::GatewayFailed => {
            // The pause is never shorter than the back-off. Otherwise, a service that always asks for a pause
            // of one second would use up all tries of the alert within five seconds.
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

/// Decides what happens to a message whose alert is not sent, because the Connector's host is down. `wait` is
/// the pause that the breaker asks for. The message is hidden for this pause and a random time.
pub(crate) fn wait_for_host(
    wait: Duration,
    situation: &Situation<'_>,
    jitter: impl FnOnce(u64) -> u64,
) -> Action {
    if situation.due_for > LONGEST_OUTAGE {
        return Action::Poison(PoisonReason::RetriesExhausted);
    }
    let delivery = Delivery { accounted: situation.dequeue_count, ..situation.delivery.clone() };
    // The pause has a random part, so that the messages for this Connector host do not all become visible in
    // the same second.
    let spread = jitter(u64::try_from(LONGEST_PROBE_PAUSE.as_millis()).unwrap_or(u64::MAX));
    hide(wait + Duration::from_millis(spread), delivery, Hidden::HostOut, situation)
}

/// Decides what happens to a message for a person or a team that has not installed the bot. The message is
/// hidden again and again until the alert expires, or for a day if the alert does not expire. Each attempt
/// looks for the person in the address book (the table of conversations), because the bot adds the person
/// there after an installation.
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
    // If the alert expires during the pause, the pause ends at that moment, so that a run records the alert
    // as expired.
    let pause = situation.until_expired.map_or(pause, |until_expired| pause.min(until_expired));
    match hide_for(pause, situation.until_deletion) {
        Some(after) => Action::Hide { after, delivery, why },
        None => Action::Poison(PoisonReason::OutOfTime),
    }
}

/// If the verdict shows that the run can send no alert at all, returns the reason to stop the run. A stopped
/// run makes its messages visible again, unchanged. A stopped run counts no failed tries, because otherwise
/// an outage of the login host would move the whole queue to the poison queue. The run also records a pause,
/// so that the next runs do not dequeue the messages in vain.
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

/// Returns a random pause between zero and `first * 2^(attempt - 1)` (full jitter). Because of the random
/// part, messages that failed at the same time are tried again at different times.
fn backoff(first: Duration, attempt: u32, jitter: impl FnOnce(u64) -> u64) -> Duration {
    let factor = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
    let longest = first.saturating_mul(factor).min(LONGEST_BACKOFF);
    Duration::from_millis(jitter(u64::try_from(longest.as_millis()).unwrap_or(u64::MAX)))
}

/// Returns the pause before the next try of a job. A job is a queue message that passes a person's answer on
/// to a program (`answer.rs`). The pause is at least as long as `retry_after`. If `retry_after` is longer
/// than [`LONGEST_RETRY_AFTER`], this function uses [`LONGEST_RETRY_AFTER`] instead.
pub(crate) fn answer_pause(
    limits: &Limits,
    attempt: u32,
    retry_after: Option<Duration>,
    jitter: impl FnOnce(u64) -> u64,
) -> Duration {
    let asked = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
    asked.max(backoff(limits.backoff, attempt, jitter)).max(Duration::from_secs(1))
}

/// Returns the pause after a failure that the host has perhaps caused. For the first two attempts, the pause
/// comes from [`backoff`]. All later pauses take 30 to 60 seconds. They do not grow, so that the alert is
/// delivered soon after the host works again.
fn outage_pause(first: Duration, attempt: u32, jitter: impl FnOnce(u64) -> u64) -> Duration {
    if attempt < 3 {
        return backoff(first, attempt, jitter);
    }
    let half = LONGEST_PROBE_PAUSE / 2;
    half + Duration::from_millis(jitter(u64::try_from(half.as_millis()).unwrap_or(u64::MAX)))
}

/// Rounds a pause to a visibility time-out that the queue accepts: whole seconds, from 1 s to 7 days. The
/// pause also has to end before the queue deletes the message. Returns `None` if the deletion is too close.
/// In this case, the caller moves the message to the poison queue, because a message that the queue deletes
/// is lost without a trace.
pub(crate) fn hide_for(pause: Duration, until_deletion: Duration) -> Option<Duration> {
    let seconds = pause.as_secs().saturating_add(u64::from(pause.subsec_nanos() > 0));
    let before = (until_deletion / 2).clamp(SHORTEST_BEFORE_DELETION, LAST_TRY_BEFORE_DELETION);
    let last = until_deletion.checked_sub(before)?.as_secs();
    (last > 0).then(|| Duration::from_secs(seconds.clamp(1, last.min(MAX_HIDE.as_secs()))))
}

#[cfg(test)]
mod tests;
