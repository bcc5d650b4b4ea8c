//! The figures (measured quantities) that depend on the machine. Measurements of a figure and of its baseline
//! alternate, so that other work of the machine affects both in the same way.

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

/// The environment in which every figure is measured.
#[derive(Debug)]
pub struct Bench {
    /// The stubs of the outside services.
    pub stubs: Stubs,
    /// Makes the requests and messages.
    pub workload: Workload,
    /// The results so far.
    pub report: Report,
    /// The host that runs the components.
    pub host: HostKind,
    /// The host calls of the components. The floor (the guest in `bench/guest`) makes the same
    /// calls.
    pub host_calls: PerWork,
    /// Whether the measurement is short (`--quick`), with few repetitions and small loads.
    pub quick: bool,
}

impl Bench {
    /// Adds a sample to the report: the cost of the components, divided by the cost of the floor. Both costs
    /// are from the same repetition. The floor is a guest that only makes the same host calls.
    fn add_ratio(&mut self, figure: &str, costs: &[(&str, f64)]) {
        let cost = |wanted: &str| costs.iter().find(|(name, _)| *name == wanted).map(|(_, cost)| *cost);
        if let (Some(components), Some(floor)) = (cost("components"), cost("floor"))
            && floor > 0.0
        {
            self.report.add(figure, "components / floor", "times", components / floor);
        }
    }

    /// The number of repetitions for each figure.
    fn repetitions(&self) -> usize {
        if self.quick { 2 } else { 5 }
    }
}
