//! `local-host`: runs the application of a `spin.toml` on machines without Spin.
//!
//! A tool for development and tests that behaves like `spin up` as far as this repository needs it: HTTP and cron
//! triggers, variables, the key-value store, `allowed_outbound_hosts`, `wasi:http` both ways, all of WASI 0.2. A new
//! instance, and so fresh memory, serves each request and each tick.
//!
//! ```text
//! local-host up [--from spin.toml] [--listen 127.0.0.1:3000] [--variable key=value]... [--state-dir .spin] [--quiet]
//! ```
//!
//! What it does otherwise than `spin up`:
//!
//! - One process for all triggers; output lines carry the component's id; no log files under `.spin/logs`.
//! - A component without the export that its trigger calls, a route given twice, and an unknown component are errors at
//!   start-up, not at run time. Failing cron ticks are reported, where the cron plugin may keep silent.
//! - Variables are resolved once, at start-up, and a required one without a value ends the start.
//! - `--quiet` silences the guests and the list of routes; the line `Serving http://...` is always printed, because
//!   tests wait for it, and so are errors.
//! - Days of the week in cron expressions count from Sunday = 1 (the `cron` crate); names (`Mon`) are unambiguous.
//!
//! What it leaves out: manifest keys other than those in `manifest.rs` (so no files, environment, SQLite, Redis, LLM,
//! dependencies, static responses, private or `:named` routes), requests to the application itself by `self`, WASI 0.3
//! guests, runtime configuration files and so any store but `default`, kept connections for outbound HTTPS, TLS and HTTP/2
//! on the listener, `/.well-known/spin/info`, memory and time limits: a guest in an endless loop runs on, though it holds up
//! nobody else.
//!
//! What it does as Spin does because it costs time there: key-value is a SQLite file whose every change is flushed; outbound
//! connections are kept; neither the listener nor outbound connections have TCP_NODELAY; a component that is called by
//! another one (`http://<component>.spin.internal/`) runs in a fresh instance.
//!
//! Compiled components are kept in wasmtime's own cache (`wasmtime` in the user's cache folder, `XDG_CACHE_HOME` where
//! that is set), which all checkouts and state folders share.

mod allowed_hosts;
mod app;
mod bindings;
mod engine;
mod http;
mod kv;
mod manifest;
mod meter;
mod outbound;
mod output;
mod routes;
mod state;
mod ticks;
mod variables;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Parser;

use crate::app::App;
use crate::manifest::Manifest;
use crate::variables::{Sources, Variables};

#[derive(Debug, Parser)]
#[command(name = "local-host", version, about)]
enum Command {
    /// Run the application until it is interrupted.
    Up(Up),
}

#[derive(Debug, clap::Args)]
struct Up {
    /// The manifest, or the folder it lies in.
    #[arg(short = 'f', long, default_value = "spin.toml")]
    from: PathBuf,
    /// Where to serve; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// The value of a variable; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    variable: Vec<(String, String)>,
    /// Where data is kept [default: `.spin` next to the manifest].
    #[arg(long)]
    state_dir: Option<PathBuf>,
    /// Print nothing but the address and errors.
    #[arg(short = 'q', long)]
    quiet: bool,
    /// Print what each instance used: a line of JSON behind `Meter `. Slows the guests down.
    #[arg(long, hide = true)]
    meter: bool,
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
            // Whatever still runs is cut off, as with Spin.
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

/// Runs until the process is told to end.
async fn up(options: Up) -> Result<()> {
    let interrupted = interruption()?;
    let manifest = Manifest::load(&options.from)?;
    let here = std::env::current_dir().context("cannot tell the current folder")?;
    let variables = Variables::resolve(&manifest.variables, &Sources::read(options.variable, &here)?)?;
    let state_dir = options.state_dir.unwrap_or_else(|| manifest.folder().join(".spin"));
    let loading = tokio::task::spawn_blocking(move || {
        App::load(&manifest, &variables, &state_dir, options.quiet, options.meter)
    });
    tokio::pin!(interrupted);
    let app = tokio::select! {
        app = loading => app.context("the host panicked while it loaded the application")??,
        () = &mut interrupted => return Ok(()),
    };
    let listener = if app.site.is_empty() { None } else { Some(http::bind(options.listen).await?) };
    if let Some(listener) = &listener {
        let base = format!("http://{}", listener.local_addr()?);
        output::say(&format!("Serving {base}"));
        if !options.quiet {
            output::say("Available Routes:");
            for (route, handler) in app.site.iter() {
                output::say(&format!("  {}: {base}{route}", handler.component.id));
                if !handler.description.is_empty() {
                    output::say(&format!("    {}", handler.description));
                }
            }
        }
    }
    if !options.quiet && !app.jobs.is_empty() {
        output::say("Cron Triggers:");
        for job in &app.jobs {
            output::say(&format!("  {}: {}", job.component.id, job.schedule));
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

/// Resolves on Ctrl-C and, where it exists, SIGTERM. Listens from the moment it is made.
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
