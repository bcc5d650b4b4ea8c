//! The attempt to deliver an alert. An attempt checks the alert, calls the Connector (or Direct Line, another
//! API of the Bot Framework), and returns the outcome. This module does not change the alert's message on the
//! queue. `run/apply.rs` changes the message later, according to the outcome. A *run* is one execution of the
//! poller.
//!
//! A queue message can also be a *job*. A job sends no alert. A job passes a person's answer or chat message
//! on to a program (`answer.rs`).

mod answer;
mod answer_tools;
mod checks;
mod create;
mod decide;
mod delivery_path;
mod hosts;
mod outcome;
mod series;
mod sharing;
mod standing;
mod token_use;
mod withdrawn;

use std::cell::Cell;
use std::time::Duration;

use bot_framework::{Class, Tenants, TrustPolicy, Verdict};
use envelope::{CreationOf, Envelope, Looks, QuestionKeys, SealKey, SealState, Unsealed};
use platform::{Host, Level};
use serde_json::json;
use state::ledger::Ledger;
use state::{ConversationKey, Conversations, MessageNumber};
use storage_queue::QueueClient;

pub(crate) use answer_tools::AnswerTools;
pub(crate) use checks::PAUSE;
pub(crate) use decide::{Hidden, PoisonReason, Stop, UNRECORDED, hide_for, stops_the_run};
pub(crate) use delivery_path::DeliveryPath;
pub(crate) use hosts::Hosts;
pub(crate) use outcome::Outcome;
pub(crate) use standing::thread_to_record;
pub(crate) use token_use::TokenUse;
pub(crate) use withdrawn::{Wanted, Withdrawn};

use crate::limits::Limits;
use crate::schedule::Leased;
use crate::turns::Turns;
use decide::{Action, Situation, decide, wait_for_host, wait_for_installation};
use hosts::{HostChange, HostState, host_out};
use outcome::{NotReached, outcome_of};

/// The settings and clients that attempts need. All attempts of a run share them.
#[derive(Debug)]
pub(crate) struct Attempts<'a, H> {
    pub(crate) host: &'a H,
    pub(crate) run: &'a str,
    pub(crate) limits: &'a Limits,
    pub(crate) ledger: &'a Ledger<'a, H>,
    /// The main queue, from which the run gets its messages. Before the run sends an alert of a series (a
    /// recurring alert), the run puts the next alert of the series on this queue. If a person's answer also
    /// concerns alerts in other conversations, the run puts further jobs on this queue (`sharing.rs`).
    pub(crate) queue: &'a QueueClient<'a, H>,
    pub(crate) conversations: Conversations<'a, H>,
    pub(crate) delivery_path: DeliveryPath<'a, H>,
    pub(crate) trust: &'a TrustPolicy,
    pub(crate) tenants: &'a Tenants,
    pub(crate) seal_key: Option<&'a SealKey>,
    pub(crate) unsealed: Unsealed,
    /// Records for which conversations a Connector has refused the bot's token, and whether a Connector has
    /// accepted the token.
    pub(crate) token_use: TokenUse,
    /// The circuit breaker, which records which hosts fail (`hosts.rs`). The hosts are those of Connectors,
    /// and of programs that get people's answers.
    pub(crate) hosts: Hosts,
    /// The settings and clients for jobs.
    pub(crate) answers: AnswerTools<'a, H>,
    /// The locks of the alert keys (`turns.rs`). An *alert key* is the member `key` of an alert, which names
    /// a problem, e.g. `disk-full`. An attempt takes the lock of its alert's key before it sends the alert.
    /// So the run sends the alerts with the same key one after the other.
    pub(crate) turns: Turns,
    /// The time, on the monotonic clock, at which the run lock ends. No run sends anything without the run
    /// lock. After this time, another run can hold the lock, so this run sends nothing.
    pub(crate) may_send_until: Cell<Duration>,
}

impl<H: Host> Attempts<'_, H> {
    /// Checks an alert, sends it if all checks pass, and returns the outcome. If the message is a job,
    /// carries out the job instead.
    pub(crate) async fn attempt(&self, leased: &mut Leased, withdrawn: &Withdrawn) -> Outcome {
        let outcome = self.attempt_in_turn(leased, withdrawn).await;
        // `leased.turn` is the lock of the alert's key. If the alert was not delivered, the attempt releases
        // the lock here. After a delivery, the run first records which chat message the conversation now
        // shows for the key. Then the run releases the lock.
        if !matches!(outcome, Outcome::Delivered(_)) {
            leased.turn = None;
        }
        outcome
    }

    async fn attempt_in_turn(&self, leased: &mut Leased, withdrawn: &Withdrawn) -> Outcome {
        if leased.envelope.answer.is_some() {
            return self.do_job(leased).await;
        }
        if let Some(outcome) = self.decide_without_sending(leased, withdrawn).await {
            return outcome;
        }
        // The bot checks the URL in each queue message that the bot writes. The poller checks each URL again,
        // because other programs can write to the queue, too.
        let service_url = match self.trust.check(&leased.envelope.address.service_url) {
            Ok(service_url) => service_url,
            Err(reason) => return Outcome::poison(PoisonReason::UntrustedHost, reason.to_string()),
        };
        if !self.tenants.allow(&leased.envelope.address) {
            return Outcome::poison(
                PoisonReason::TenantNotAllowed,
                "tenant: not in `tenants`; add the tenant there to serve it",
            );
        }
        if leased.seal == SealState::Missing && self.unsealed == Unsealed::Refuse {
            return Outcome::poison(
                PoisonReason::Unsealed,
                "seal: missing, and unsealed=refuse; seal the message or set unsealed=allow",
            );
        }
        // The plan (`standing.rs`) says whether the alert changes a chat message that the conversation shows
        // already. If the run does not know the person's chat yet, the run cannot make the plan here. In this
        // case, `send_creating` finds or creates the chat, and then makes the plan.
        let creation = leased.envelope.creation.clone().filter(|creation| creation.of != CreationOf::Thread);
        let plan = match creation {
            Some(_) => None,
            None => match self.plan(leased, false).await {
                Ok(plan) => plan,
                Err(outcome) => return outcome,
            },
        };
        // The reads above can take seconds. Perhaps the run lock has ended in the meantime.
        if self.host.monotonic() >= self.may_send_until.get() {
            return Outcome::TooLate;
        }
        let host_name = self.delivery_path.host_name(&service_url);
        if let Some(wait) = self.hosts.wait(host_name, leased.envelope.delivery.uncertain > 0, self.host) {
            let action = wait_for_host(wait, &self.situation(leased), |max| self.host.up_to(max));
            return outcome_of(action, host_out(host_name));
        }
        let sent = match creation {
            None => self.send(leased, plan, &service_url).await,
            Some(creation) => self.send_creating(leased, &creation, &service_url).await,
        };
        let verdict = match sent {
            Ok(verdict) => verdict,
            Err(NotReached::Ended(outcome)) => return outcome,
            Err(NotReached::NotInstalled(verdict)) => {
                if verdict.status.is_some() {
                    self.hosts.record(host_name, leased.lane, Class::DestinationGone, self.host);
                }
                let action = wait_for_installation(&self.situation(leased));
                return outcome_of(action, verdict);
            }
        };
        let mut situation = self.situation(leased);
        let (state, change) = self.hosts.record(host_name, leased.lane, verdict.class, self.host);
        situation.host = state;
        situation.refused_alone = self.token_use.refused_alone(self.host, &verdict, leased.lane).await;
        if let Some(change) = change {
            self.log_host_change(change, host_name, &verdict);
        }
        let action = decide(&verdict, &situation, self.limits, |max| self.host.up_to(max));
        match &action {
            Action::Delete => self.token_use.record_accepted(),
            Action::Hide { .. } => self.log_planned_retry(leased, &verdict),
            Action::Poison(PoisonReason::DestinationGone) => self.pause_conversation(leased).await,
            Action::Drop | Action::Poison(_) | Action::StopRun(_) => {}
        }
        outcome_of(action, verdict)
    }

    /// Returns the keys for the MACs (checksums with a secret key) in the buttons of a question. Returns
    /// `None` if the alert asks no question, if another program wrote the queue message, or if the keys
    /// cannot be derived.
    pub(super) fn keys_of(&self, leased: &Leased) -> Option<&QuestionKeys> {
        let question = leased.envelope.question.as_ref().filter(|_| self.is_ours(leased));
        question.and_then(|_| self.question_keys())
    }

    /// Records that the alert's question is open, if a person can answer the question with a text. The text
    /// is the person's next message, or a reply in the thread. If the write fails, this function only logs
    /// the failure, because the buttons still work.
    pub(crate) async fn open_question(&self, leased: &Leased, verdict: &Verdict) {
        let Envelope { id, question, .. } = &leased.envelope;
        let alert = leased.envelope.question_alert();
        // The address of the conversation to which the alert went. This address is not always the address in
        // the envelope, because the attempt can find or create the conversation.
        let address = leased.destination();
        let Some(question) = question.as_ref().filter(|_| self.is_ours(leased)) else { return };
        if leased.envelope.answered.is_some() {
            return;
        }
        if !question.reply && Looks::of(&address.channel_id) != Looks::Text {
            return;
        }
        let until = leased.envelope.question_until();
        let opened = if !address.conversation.is_group() {
            match self.conversations.open_question(address, alert, until).await {
                Ok(()) => {
                    self.ledger.delete_unasked_mark(&ConversationKey::of(address)).await.map_err(Into::into)
                }
                error => error,
            }
        } else if let Some(message) = verdict.activity_id.as_deref().and_then(MessageNumber::parse) {
            // In the address book (the table of conversations), a thread has no row of its own. So the run
            // records the open question in the row of the conversation to which the thread belongs, e.g. a
            // Teams channel.
            let channel = ConversationKey::of(&leased.envelope.address);
            self.conversations.open_question_in_thread(&channel, message, alert, until).await
        } else {
            Ok(())
        };
        if let Err(error) = opened {
            let fields = json!({"run": self.run, "envelope": id.excerpt(), "reason": error.to_string()});
            self.host.event(Level::Warn, "question.not-opened", leased.traced(fields));
        }
    }

    /// Collects the facts on which the outcome of a message depends. The values of `host` and `refused_alone`
    /// are provisional: the caller sets the right values after the Connector's response.
    fn situation<'l>(&self, leased: &'l Leased) -> Situation<'l> {
        let envelope = &leased.envelope;
        Situation {
            delivery: &envelope.delivery,
            on_uncertain: envelope.on_uncertain,
            dequeue_count: leased.message.dequeue_count,
            refused_alone: false,
            host: HostState::Fails,
            due_for: self.due_for(leased),
            until_deletion: leased.until_deletion(self.host),
            until_expired: envelope
                .expires
                .map(|expires| (expires - self.host.now()).to_std().unwrap_or_default()),
        }
    }

    pub(super) fn due_for(&self, leased: &Leased) -> Duration {
        let put_at = leased.message.insertion_time;
        let due_at = leased.envelope.not_before.map_or(put_at, |not_before| not_before.max(put_at));
        (self.host.now() - due_at).to_std().unwrap_or_default()
    }

    fn log_planned_retry(&self, leased: &Leased, verdict: &Verdict) {
        let fields = json!({
            "run": self.run, "envelope": leased.envelope.id.excerpt(), "status": verdict.status,
            "dequeueCount": leased.message.dequeue_count, "shape": leased.envelope.shape.as_str(),
            "reason": verdict.reason,
        });
        self.host.event(Level::Warn, "alert.retried", leased.traced(fields));
    }

    /// Logs that a host is down, or that the host works again.
    fn log_host_change(&self, change: HostChange, host_name: &str, verdict: &Verdict) {
        let (level, event) = match change {
            HostChange::WentOut => (Level::Error, "host.failed"),
            HostChange::CameBack => (Level::Info, "host.recovered"),
        };
        let fields =
            json!({"run": self.run, "host": host_name, "status": verdict.status, "reason": verdict.reason});
        self.host.event(level, event, fields);
    }
}
