//! The figures (measured quantities) that depend on the machine. The benchmark measures the components, and
//! also *baselines*, such as a component that does nothing. The measurements of components and baselines
//! alternate, so other work of the machine affects both in the same way.

mod drain;
mod inbound;
mod latency;
mod start;
mod stub_headroom;

pub use drain::drain;
pub use inbound::inbound;
pub use latency::latency;
pub use start::start;
pub use stub_headroom::stub_headroom;

use dev::host::HostKind;

use crate::exact::HostCallsByWork;
use crate::report::Report;
use crate::stubs::Stubs;
use crate::workload::Workload;

/// The environment in which every figure is measured.
#[derive(Debug)]
pub struct Bench {
    /// The stubs: small servers in place of the services that the components call.
    pub stubs: Stubs,
    /// The source of the requests and the queue messages.
    pub workload: Workload,
    /// The results so far.
    pub report: Report,
    /// The host that runs the components.
    pub host: HostKind,
    /// The numbers of host calls (calls of a component to its host) that the bot and the poller make. The
    /// *floor* (the guest in `bench/guest`) makes as many host calls, and does nothing else.
    pub host_calls: HostCallsByWork,
    /// Whether the measurement is short (`--quick`), with few repetitions and small loads.
    pub quick: bool,
}

impl Bench {
    /// Adds a ratio to the report: the cost of the components, divided by the cost of the floor. `costs` has
    /// the cost of each contender (measured process) in one repetition.
    fn add_ratio(&mut self, figure: &str, costs: &[(&str, f64)]) {
        let cost = |wanted: &str| costs.iter().find(|(name, _)| *name == wanted).map(|(_, cost)| *cost);
        if let (Some(components), Some(floor)) = (cost("components"), cost("floor"))
            && floor > 0.0
        {
            self.report.add(figure, "components / floor", "times", components / floor);
        }
    }

    /// The number of repetitions for `inbound` and `stub_headroom`. `start` makes one repetition more.
    fn repetitions(&self) -> usize {
        if self.quick { 2 } else { 5 }
    }
}
