//! The program that `cargo dev bench` starts. With the subcommand `native`, the program runs the code of the
//! bot and the poller without WebAssembly, and serves HTTP. The benchmark compares the components with this
//! *native build*.

use std::process::ExitCode;
use std::time::Instant;

use bench::figures::{self, Bench};
use bench::machine::Machine;
use bench::native::Native;
use bench::report::Report;
use bench::stubs::Stubs;
use bench::workload::Workload;
use bench::{exact, listing, record};
use clap::{Args, Parser, Subcommand};
use dev::host::HostKind;

#[derive(Debug, Parser)]
#[command(name = "cargo dev bench", about = "Measures the application as a whole")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the code of the bot and the poller, compiled for this machine
    #[command(hide = true)]
    Native(Native),
}

#[derive(Debug, Args)]
struct Run {
    /// A short run: few repetitions, small loads
    #[arg(long)]
    quick: bool,
    /// The host that runs the components; the exact figures (see --exact) always come from the embedded host
    #[arg(long, value_enum, default_value = "embedded")]
    host: HostKind,
    /// Only the figures that are the same on every machine: instructions, memory, calls, sizes
    #[arg(long)]
    exact: bool,
    /// Only figures whose names contain this text; the names are start, stubs, inbound, drain, latency
    #[arg(long)]
    only: Option<String>,
    /// Records the exact figures in docs/performance.json
    #[arg(long)]
    record: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Some(Command::Native(native)) => native.run(),
        None => cli.run.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

type Figure = (&'static str, fn(&mut Bench) -> anyhow::Result<()>);

const FIGURES: [Figure; 5] = [
    ("start", figures::start),
    ("stubs", figures::stub_headroom),
    ("inbound", figures::inbound),
    ("drain", figures::drain),
    ("latency", figures::latency),
];

impl Run {
    fn run(self) -> anyhow::Result<()> {
        dev::process_group::end_with_us()?;
        let machine = Machine::here();
        println!("{machine}\n");
        let start = Instant::now();
        let exact = match &self.only {
            Some(_) => None,
            None => {
                eprintln!("  exact figures");
                Some(if self.quick {
                    exact::measure(&exact::SHORT_BACKLOGS, &listing::SHORT_BOOKS)?
                } else {
                    exact::measure(&exact::BACKLOGS, &listing::BOOKS)?
                })
            }
        };
        let stubs = Stubs::start();
        let workload = Workload::new(&stubs);
        let host_calls = match &exact {
            Some(exact) => exact.host_calls,
            None => exact::metered(&stubs, &workload, None)?.1,
        };
        let report = Report::default();
        let mut bench = Bench { stubs, workload, report, host: self.host, host_calls, quick: self.quick };
        for (name, figure) in FIGURES {
            let is_chosen = self.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
            if is_chosen && !self.exact {
                eprintln!("  {name} ({} s so far)", start.elapsed().as_secs());
                figure(&mut bench)?;
            }
        }
        if let Some(exact) = &exact {
            println!("\n{}", record::table(exact));
        }
        if !self.exact {
            println!("\n{}", bench.report.table());
        }
        let path = dev::workspace::target().join("bench.json");
        bench.report.write(&path, &machine, serde_json::to_value(&exact)?)?;
        println!("{} s; all figures as JSON: {}", start.elapsed().as_secs(), path.display());
        match &exact {
            Some(exact) if self.record => record::write(exact),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_bench_commands_are_accepted() {
        for command in dev::words::documented_commands().unwrap() {
            let Some(options) = command.arguments.strip_prefix(&["bench".to_owned()]) else { continue };
            let options = options.iter().filter(|option| *option != "--").map(String::as_str);
            let parsed = Cli::try_parse_from(std::iter::once("cargo dev bench").chain(options));
            assert!(parsed.is_ok(), "{}: {}", command.place, parsed.unwrap_err());
        }
    }
}
