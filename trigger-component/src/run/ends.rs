//! Handles the end of an attempt, and the end of the run's work on a message. Counts the message. Also keeps
//! the alert's final status for two writes: to the record of the run lock (for the next run), and to the
//! ledger (the table with a record for each alert).

use platform::Host;

use super::Run;
use super::apply::{Applied, Ended};
use super::recent::RecentEnd;
use super::report::Count;
use crate::queue::HasLeft;
use crate::schedule::{Front, Leased};

impl<H: Host> Run<'_, '_, H> {
    /// Handles the result of an attempt.
    pub(super) fn worked(&mut self, leased: Box<Leased>, applied: Applied) {
        self.busy -= 1;
        let now = self.context.host.monotonic();
        match applied {
            Applied::Ended(ended) => {
                if let (Count::Delivered | Count::Withdrawn, Some(end)) = (ended.count, &ended.end) {
                    let known = RecentEnd { message: Some(leased.id().to_owned()), status: end.status };
                    self.recent_ends.insert(leased.record.clone(), known);
                }
                self.counting.worked(&leased, ended.count, self.context.host.now());
                self.ended(leased.id(), ended);
                self.lanes.done(&leased.lane, leased.id(), now);
            }
            Applied::Done { count, transition } => {
                self.report.add(count);
                self.counting.worked(&leased, count, self.context.host.now());
                self.exclusive.remove(leased.id());
                self.ledger_writes.add(transition, now);
                self.lanes.done(&leased.lane, leased.id(), now);
            }
            Applied::Wait { count, after, delivery, transition } => {
                self.report.add(count);
                self.counting.worked(&leased, count, self.context.host.now());
                self.ledger_writes.add(transition, now);
                let put_back = self.lanes.wait(Front { leased, after, delivery }, now);
                self.put_back(put_back);
            }
            Applied::NotSent => self.lanes.give_back(*leased),
            Applied::StopRun { count, stop, reason } => {
                self.report.add(count);
                self.stop(stop, &reason);
                let is_counted = true;
                self.lanes.give_back(Leased { is_counted, ..*leased });
            }
        }
    }

    /// Handles the end of the run's work on a message, after the run has tried to delete the message. The
    /// figures (the counts of messages over all runs) count this end only if the message has left the queue.
    /// The record of the run lock lists the messages that the run has *in hand* (dequeued, but not finished).
    /// If the result of the Delete call is unknown, the message stays in this list. The next run reads the
    /// list, and finds out whether the queue still holds the message.
    pub(super) fn ended(&mut self, message: &str, Ended { count, figure, left, end, is_recorded }: Ended) {
        let now = self.context.host.monotonic();
        self.report.add(count);
        if left == HasLeft::Yes {
            self.counting.gone(figure);
        }
        if left != HasLeft::Unknown {
            self.exclusive.remove(message);
        }
        match end {
            Some(end) if is_recorded => {
                self.ledger_writes.recorded(end, now).iter().for_each(|end| self.exclusive.add_end(end));
            }
            Some(end) => {
                self.exclusive.add_end(&end);
                self.ledger_writes.add(Some(end), now);
            }
            None => {}
        }
    }
}
