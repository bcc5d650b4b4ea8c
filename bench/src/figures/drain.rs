//! Messages per second that a drain delivers.

use std::time::Instant;

use crate::contender::{Contender, Variant};
use crate::exact::{self, CONVERSATIONS};
use crate::figures::Bench;

/// Drains backlogs, by `POST /internal/poll` again and again: a run ends after 20 s.
pub fn drain(bench: &mut Bench) -> anyhow::Result<()> {
    let (backlogs, repetitions): (&[usize], usize) =
        if bench.quick { (&[1_000], 1) } else { (&[1_000, 10_000, 50_000], 5) };
    let contenders = [
        ("components", Contender::components(&bench.workload, Variant::default())?),
        ("native, kept connections", Contender::native(&bench.workload, false)?),
        ("native, a connection per call", Contender::native(&bench.workload, true)?),
    ];
    for backlog in backlogs {
        for _ in 0..repetitions {
            for (name, contender) in &contenders {
                let messages = bench.workload.messages(*backlog, CONVERSATIONS);
                messages.into_iter().for_each(|text| bench.stubs.queue.put(text));
                let start = Instant::now();
                exact::drain(&bench.stubs, &bench.workload, contender)?;
                let per_second = *backlog as f64 / start.elapsed().as_secs_f64();
                bench.report.add(&format!("drain, {backlog} waiting"), name, "messages/s", per_second);
            }
        }
    }
    bench.stubs.expect_no_complaint()
}
