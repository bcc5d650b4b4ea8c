//! `cargo dev`: runs, tests and builds the project on a machine with Rust and Node.js.

mod bench;
mod dead;
mod doctor;
mod key;
mod send;
mod soak;
mod teams;
mod test;
mod up;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use dev::doctor_options::DoctorOptions;
use dev::steps::loud;
use dev::{build, circles, tools, words};

#[derive(Debug, Parser)]
#[command(name = "cargo dev", about = "Runs, tests and builds the proactive bot")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs everything: queue and table emulator, bot, poller, and a chat page to try the bot in
    Up(up::Up),
    /// Sends a message to the bot, or an alert to the person who has opened the chat page of `cargo dev up`
    Send(send::Send),
    /// Makes an API key with a name and scopes for a program that alerts people
    Key(key::Key),
    /// Lists, replays and drops the alerts that the poller could not deliver
    Dead(dead::Dead),
    /// Makes the app package of the bot, to upload to Teams
    Teams(teams::Teams),
    /// Checks a deployment, and names each problem and its remedy
    Doctor(DoctorOptions),
    /// Tests everything: format, lints, unit tests, and the built components end to end
    Test(test::Test),
    /// Measures the components, and compares the results with baselines; takes minutes, and the machine
    /// should do nothing else during the measurement
    Bench(bench::Bench),
    /// Makes the queue service, the table service and the Connector fail at random for some minutes, and
    /// counts the outcomes of 2 000 alerts
    Soak(soak::Soak),
    /// Builds both components in release, and prints their sizes
    Build,
    /// Checks comments and documents: width of lines, plain words, links, commands
    Words,
    /// Checks that files do not import each other in a circle, and that packages do not depend on each other
    /// in a circle
    Circles,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Up(up) => up.run(),
        Command::Send(send) => send.run(),
        Command::Key(key) => key.run(),
        Command::Dead(dead) => dead.run(),
        Command::Teams(teams) => teams.run(),
        Command::Doctor(options) => doctor::run(options),
        Command::Test(test) => test.run(&Cli::command()),
        Command::Bench(bench) => bench.run(),
        Command::Soak(soak) => soak.run(),
        Command::Build => tools::install_wasm_target()
            .and_then(|()| loud("components", build::components()))
            .and_then(|()| build::print_sizes()),
        Command::Words => words::run(&Cli::command()),
        Command::Circles => circles::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
