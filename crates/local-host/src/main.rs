//! `local-host`: runs the application of a `spin.toml` on machines without Spin.
//!
//! This host is for development and tests, never for production. It has the features of `spin up` that this
//! repository needs: HTTP and cron triggers, variables, the key-value store, `allowed_outbound_hosts`,
//! `wasi:http` in both directions, and all of WASI 0.2. Each HTTP request and each cron tick (a call at a
//! time of the cron schedule) gets a new instance of its component, with fresh memory. This host imitates
//! Spin. The comments in this crate name the files of Spin's source code that show Spin's behaviour, e.g.
//! `spin: crates/loader`.
//!
//! ```text
//! local-host up [--from spin.toml] [--listen 127.0.0.1:3000] [--variable key=value]... [--state-dir .spin]
//!     [--quiet]
//! ```
//!
//! Differences from `spin up`:
//!
//! - One process runs all triggers. Output lines begin with the component's id. There are no log files under
//!   `.spin/logs`.
//! - Three mistakes are errors at start-up, not at run time: a component without the export that its trigger
//!   calls, the same route in two triggers, and a trigger that names an unknown component.
//! - The host reports every failed cron tick. Spin's cron plugin does not report every failure.
//! - Variables are resolved once, at start-up. If a required variable has no value, the host does not start.
//! - With `--quiet`, the host prints no output of components, no routes and no cron triggers. The host still
//!   prints errors. It also prints the line `Serving http://...`, because tests wait for this line.
//! - In cron expressions, Sunday is day 1 of the week, because this host uses the `cron` crate. In Spin's
//!   cron plugin, Sunday is day 0. A name such as `Mon` has the same meaning in both programs.
//!
//! Not supported:
//!
//! - manifest keys that are not in `manifest.rs`: the keys for files, environment, SQLite, Redis, LLM,
//!   dependencies and static responses;
//! - private routes, and routes with `:name`;
//! - requests to the application itself by a relative URL (the entry `self` in `allowed_outbound_hosts`);
//! - components for WASI 0.3;
//! - runtime configuration files, and every key-value store except `default` (the other stores need such a
//!   file);
//! - reuse of connections for outbound HTTPS;
//! - TLS and HTTP/2 on the listener;
//! - `/.well-known/spin/info`;
//! - limits of memory and time. An instance in an endless loop runs until the host ends, but does not block
//!   other instances.
//!
//! In these points, this host deliberately takes as much time as Spin, so that measurements with this host
//! are realistic:
//!
//! - The key-value store is a SQLite file, and each change is flushed to the disk.
//! - Outbound connections over plain HTTP are reused.
//! - The listener and the outbound connections over plain HTTP do not set TCP_NODELAY.
//! - If a component calls another component (`http://<component>.spin.internal/`), the called component runs
//!   in a fresh instance.
//!
//! wasmtime, the WebAssembly runtime, keeps compiled components in its own cache. All checkouts of this
//! repository share this cache, even if their `--state-dir` differs. The cache is the folder `wasmtime` in
//! the user's cache folder (`XDG_CACHE_HOME`, if this variable is set).

mod app;
mod bindings;
mod engine;
mod http;
mod kv;
mod manifest;
mod meter;
mod open_store;
mod outbound;
mod output;
mod routes;
mod state;
mod ticks;
mod usage;
mod variables;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;

use crate::app::App;
use crate::manifest::Manifest;
use crate::state::HostSettings;
use crate::variables::{Sources, Variables};

#[derive(Debug, Parser)]
#[command(name = "local-host", version, about)]
enum Command {
    /// Run the application until it is interrupted.
    Up(Up),
}

#[derive(Debug, clap::Args)]
struct Up {
    /// The manifest, or the folder that contains it.
    #[arg(short = 'f', long, default_value = "spin.toml")]
    from: PathBuf,
    /// The address on which to serve; port 0 picks a free port.
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// The value of a variable; can be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    variable: Vec<(String, String)>,
    /// The folder for data [default: `.spin` next to the manifest].
    #[arg(long)]
    state_dir: Option<PathBuf>,
    /// Print only the address and errors.
    #[arg(short = 'q', long)]
    quiet: bool,
    /// Print one line `Meter {...}` for each instance: the resources that the instance used, as JSON. Slows
    /// the components down.
    #[arg(long, hide = true)]
    meter: bool,
    /// Wait this long at each read of a variable, to imitate a slow variable provider. For tests.
    #[arg(long, hide = true, value_name = "MILLISECONDS", default_value_t = 0)]
    slow_variables_milliseconds: u64,
}

fn key_value(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("expected key=value")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn main() -> ExitCode {
    let Command::Up(options) = Command::parse();
    let outcome =
        tokio::runtime::Runtime::new().context("cannot start the async runtime").and_then(|runtime| {
            let outcome = runtime.block_on(up(options));
            // This call ends the instances that still run. Spin does the same.
            runtime.shutdown_background();
            outcome
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            output::error(&format!("Error: {e:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs the application until the process gets one of the signals of [`interruption`].
async fn up(options: Up) -> Result<()> {
    let interrupted = interruption()?;
    let manifest = Manifest::load(&options.from)?;
    let here = std::env::current_dir().context("cannot determine the current folder")?;
    let variables = Variables::resolve(&manifest.variables, &Sources::read(options.variable, &here)?)?;
    let state_dir = options.state_dir.unwrap_or_else(|| manifest.folder().join(".spin"));
    let settings = HostSettings {
        quiet: options.quiet,
        meter: options.meter,
        variable_delay: Duration::from_millis(options.slow_variables_milliseconds),
    };
    let loading = tokio::task::spawn_blocking(move || App::load(&manifest, &variables, &state_dir, settings));
    tokio::pin!(interrupted);
    let app = tokio::select! {
        app = loading => app.context("the host panicked while it loaded the application")??,
        () = &mut interrupted => return Ok(()),
    };
    let listener = if app.site.is_empty() { None } else { Some(http::bind(options.listen).await?) };
    if let Some(listener) = &listener {
        let base = format!("http://{}", listener.local_addr()?);
        output::print(&format!("Serving {base}"));
        if !options.quiet {
            output::print("Available Routes:");
            for (route, handler) in app.site.iter() {
                output::print(&format!("  {}: {base}{route}", handler.component.id));
                if !handler.description.is_empty() {
                    output::print(&format!("    {}", handler.description));
                }
            }
        }
    }
    if !options.quiet && !app.jobs.is_empty() {
        output::print("Cron Triggers:");
        for job in &app.jobs {
            output::print(&format!("  {}: {}", job.component.id, job.schedule));
        }
    }
    for job in app.jobs {
        tokio::spawn(ticks::run(Arc::new(job)));
    }
    if let Some(listener) = listener {
        tokio::spawn(http::serve(listener, app.site));
    }
    interrupted.await;
    Ok(())
}

/// Returns a future that ends on Ctrl-C, and on Unix also on SIGTERM. On Unix, this function itself starts to
/// listen for the signals, so a signal that arrives before the first poll of the future is not lost.
fn interruption() -> Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        _ = tokio::signal::ctrl_c().await;
    })
}
