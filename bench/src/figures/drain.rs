//! Measures *drains*. In a drain, the poller empties a long queue. The figures are the number of messages
//! that the poller delivers in a second, and the processor time for each message.

use std::time::Instant;

use crate::contender::{Contender, Variant};
use crate::driver;
use crate::exact::{self, CONVERSATIONS};
use crate::figures::Bench;
use crate::host_calls::HostCalls;

/// Drains queues with many waiting messages (backlogs). A run (one execution of the poller) starts no new
/// work after 20 s. So the driver calls `POST /internal/poll` again and again, until the queue is empty. The
/// floor (a guest that makes host calls like the poller, and does nothing else) needs only one call.
pub fn drain(bench: &mut Bench) -> anyhow::Result<()> {
    let (backlogs, repetitions): (&[usize], usize) =
        if bench.quick { (&[1_000], 1) } else { (&[2_000, 10_000], 5) };
    let variant = Variant { host: bench.host, ..Variant::default() };
    let contenders = [
        ("components", Contender::components(&bench.workload, variant)?),
        ("floor", Contender::floor(&bench.workload, bench.host)?),
        ("native, kept connections", Contender::native(&bench.workload, false)?),
        ("native, a connection per call", Contender::native(&bench.workload, true)?),
    ];
    // `full_run` counts the host calls of a whole run. But the floor makes its key-value calls again after
    // each Get Messages. So the code divides the key-value calls by the number of Get Messages, and rounds
    // up. The number of Get Messages is an estimate: one for each 32 alerts of the run, and two more.
    let run = bench.host_calls.full_run;
    let gets = exact::DELIVERIES.div_ceil(32) as u64 + 2;
    let per_get = HostCalls {
        key_value_reads: run.key_value_reads.div_ceil(gets),
        key_value_writes: run.key_value_writes.div_ceil(gets),
        ..run
    };
    for backlog in backlogs {
        let figure = format!("drain, {backlog} waiting");
        for _ in 0..repetitions {
            let mut costs = Vec::new();
            for (name, contender) in &contenders {
                let messages = bench.workload.messages(*backlog, CONVERSATIONS);
                messages.into_iter().for_each(|text| bench.stubs.queue.put(text));
                let before = contender.processor_time();
                let start = Instant::now();
                if *name == "floor" {
                    let poll = vec![bench.workload.poll()];
                    let mut poll = bench.workload.floor_of(poll, "pollkey,run", &per_get);
                    driver::send(contender.url(), poll.remove(0), 200)?;
                } else {
                    crate::drain::drain(&bench.stubs, &bench.workload, contender)?;
                }
                let per_second = *backlog as f64 / start.elapsed().as_secs_f64();
                bench.report.add(&figure, name, "messages/s", per_second);
                if let (Some(before), Some(after)) = (before, contender.processor_time()) {
                    let each = (after - before).as_secs_f64() * 1000.0 / *backlog as f64;
                    bench.report.add(&format!("{figure}, CPU of the host each"), name, "ms", each);
                    costs.push((*name, each));
                }
            }
            bench.add_ratio(&format!("{figure}, CPU of the host"), &costs);
        }
    }
    bench.stubs.expect_no_complaint()
}
