//! The figures that depend on the machine: each beside its baseline, in turns, so that what else the machine does hits
//! both alike.

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

use crate::exact::PerWork;
use crate::report::Report;
use crate::stubs::Stubs;
use crate::workload::Workload;

/// What every figure is measured with.
#[derive(Debug)]
pub struct Bench {
    /// The outside world.
    pub stubs: Stubs,
    /// What is thrown at the application.
    pub workload: Workload,
    /// What came out so far.
    pub report: Report,
    /// What runs the components.
    pub host: HostKind,
    /// The calls that the components make, for the guest that makes nothing else.
    pub host_calls: PerWork,
    /// A short run: few repetitions, small loads.
    pub quick: bool,
}

impl Bench {
    /// What the components cost, as a multiple of the floor, of one repetition.
    fn add_ratio(&mut self, figure: &str, costs: &[(&str, f64)]) {
        let cost = |wanted: &str| costs.iter().find(|(name, _)| *name == wanted).map(|(_, cost)| *cost);
        if let (Some(components), Some(floor)) = (cost("components"), cost("floor"))
            && floor > 0.0
        {
            self.report.add(figure, "components / floor", "times", components / floor);
        }
    }

    /// How often a figure is measured: at least five times, if it counts.
    fn repetitions(&self) -> usize {
        if self.quick { 2 } else { 5 }
    }
}
