//! What a run starts beside its deliveries: each a job that ends in an [`Event`].

use std::collections::VecDeque;
use std::time::Duration;

use platform::Host;

use super::Run;
use crate::events::{Event, Renewed};
use crate::held::Held;
use crate::lanes::Push;

impl<H: Host> Run<'_, '_, H> {
    /// Hands back what other runs held that are over.
    pub(super) fn hand_back(&mut self) {
        let desk = self.desk;
        for custody in self.lease.take_ended(desk.host) {
            self.jobs.push(Box::pin(async move {
                let (messages, all) = desk.hand_back(&custody).await;
                Event::HandedBack(custody.run, messages, all)
            }));
        }
    }

    /// Hides the messages of a conversation whose oldest message has to wait. Other conversations go on.
    pub(super) fn push_behind(&mut self, push: Push) {
        let desk = self.desk;
        self.jobs.push(Box::pin(async move {
            let pushed = desk.push_behind(&push).await;
            Event::Pushed(push.key, Box::new(pushed))
        }));
    }

    pub(super) fn release(&mut self, held: VecDeque<Held>) {
        let desk = self.desk;
        self.jobs.push(Box::pin(async move {
            for held in &held {
                desk.hide(held, Duration::ZERO, None).await;
            }
            Event::Released(held.len())
        }));
    }

    /// Renews the leases that are half over, of messages that nobody works on.
    pub(super) fn renew(&mut self) {
        let desk = self.desk;
        let Some(moment) = desk.host.monotonic().checked_sub(desk.limits.lease / 2) else { return };
        while let Some((key, held)) = self.lanes.take_leased_before(moment) {
            self.jobs.push(Box::pin(async move {
                let mut renewed = Renewed { kept: Vec::new(), lost: 0, first_lost: None };
                for mut held in held {
                    match desk.renew(&mut held).await {
                        Ok(()) => renewed.kept.push(held),
                        // Another run has it now, or soon will: younger messages of its conversation are hidden behind it.
                        Err(_) => {
                            let until = desk.host.monotonic() + desk.limits.lease;
                            renewed.lost += 1;
                            renewed.first_lost.get_or_insert((held.place(), until));
                        }
                    }
                }
                Event::Renewed(key, renewed)
            }));
        }
    }
}
