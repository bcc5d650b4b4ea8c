//! `cargo dev up`: runs the storage emulator, the bot, the poller and a chat page on loopback. Prints the
//! address of the chat page.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use dev::alert_key::AlertKey;
use dev::application::{Application, ApplicationOptions};
use dev::azurite::AzuritePorts;
use dev::host::HostKind;
use dev::playground::Playground;
use dev::progress::{Task, quiet, together};
use dev::{build, ports, tools, workspace};

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// The host that runs the components: the embedded host, or `spin up`
    #[arg(long, value_enum, default_value = "embedded")]
    host: HostKind,
    /// Opens the chat page in a browser
    #[arg(long)]
    open: bool,
    /// The port of the bot
    #[arg(long, default_value_t = 3978)]
    bot_port: u16,
    /// The port of the chat page
    #[arg(long, default_value_t = Playground::PORT)]
    playground_port: u16,
    /// The port of the queue emulator
    #[arg(long, default_value_t = AzuritePorts::DEFAULT.queue)]
    azurite_port: u16,
    /// The port of the table emulator
    #[arg(long, default_value_t = AzuritePorts::DEFAULT.table)]
    azurite_table_port: u16,
    /// The channel that the chat page simulates: msteams, webchat, directline or emulator
    #[arg(long, default_value = "msteams")]
    channel: String,
    /// A variable of the application, e.g. pace=5
    #[arg(long = "variable", value_name = "NAME=VALUE")]
    variables: Vec<String>,
}

impl Up {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let start = Instant::now();
        tools::expect_node()?;
        ports::expect_free(self.azurite_port, "the queue emulator", "--azurite-port")?;
        ports::expect_free(self.azurite_table_port, "the table emulator", "--azurite-table-port")?;
        ports::expect_free(self.bot_port, "the bot", "--bot-port")?;
        ports::expect_free(self.playground_port, "the chat page", "--playground-port")?;
        let variables = self.parse_variables()?;
        let alert_key = AlertKey::for_variables(&variables)?;
        // From here on, Ctrl-C does not end this process at once. Ctrl-C makes the loop below return. Then
        // `application` is dropped, and the drop ends the child processes.
        let (stop, stopped) = channel();
        ctrlc::set_handler(move || _ = stop.send(())).context("cannot listen for Ctrl-C")?;
        self.prepare()?;

        let mut application = quiet("queue and table emulator, bot and poller, chat page", || {
            Application::start(&ApplicationOptions {
                host: self.host,
                bot_port: self.bot_port,
                azurite_ports: AzuritePorts { queue: self.azurite_port, table: self.azurite_table_port },
                playground_port: self.playground_port,
                channel_id: self.channel.clone(),
                variables,
                alert_key,
                state_dir: workspace::root().join(".spin"),
                recording: None,
            })
        })?;
        let page = application.playground().url();
        println!("\nReady after {:.0} s. Open this, and type a message:\n", start.elapsed().as_secs_f64());
        println!("    {page}\n");
        println!(
            "The acknowledgement comes at once, and the alert right after it. Ctrl-C ends everything.\n"
        );
        if self.open {
            open_browser(&page);
        }
        // The host has already written lines during its start. The loop does not show these lines.
        let mut shown = application.host().output().len();
        loop {
            let lines = application.host().output();
            for line in lines.iter().skip(shown).filter(|line| is_worth_showing(line)) {
                println!("{line}");
            }
            shown = lines.len();
            if let Some(end) = application.end_message() {
                bail!("{end}");
            }
            match stopped.recv_timeout(Duration::from_millis(100)) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                    println!("\nEnding everything.");
                    return Ok(());
                }
            }
        }
    }

    fn parse_variables(&self) -> anyhow::Result<Vec<(String, String)>> {
        let mut variables = Vec::new();
        for variable in &self.variables {
            let Some((name, value)) = variable.split_once('=') else {
                bail!(
                    "--variable {variable}: expected NAME=VALUE, found no `=`; write --variable NAME=VALUE"
                );
            };
            variables.push((name.to_owned(), value.to_owned()));
        }
        Ok(variables)
    }

    /// Installs and builds everything that the application needs. npm and the builds run at the same time.
    /// This is faster, because npm mostly waits for the network, and parts of each build use only one
    /// processor.
    fn prepare(&self) -> anyhow::Result<()> {
        tools::install_wasm_target()?;
        let mut tasks = vec![
            Task::new("npm packages", |_| tools::install_npm_packages()),
            Task::new("bot and poller", |doing| doing.cargo(build::components())),
        ];
        if self.host == HostKind::Embedded
            && let Some(command) = build::embedded_host()
        {
            if !build::embedded_host_file().exists() {
                println!("The first run builds the embedded host: a few minutes, once.\n");
            }
            tasks.push(Task::new("embedded host", |doing| doing.cargo(command)));
        }
        together(tasks)
    }
}

/// Whether `cargo dev up` shows a line of the host. The host starts a run of the poller every second, and
/// each run logs a line. If the run received no message and the line has the level `info`, the line is not
/// shown.
fn is_worth_showing(line: &str) -> bool {
    !(line.contains(r#""event":"drain""#)
        && line.contains(r#""received":0"#)
        && line.contains(r#""level":"info""#))
}

fn open_browser(url: &str) {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if cfg!(windows) {
        "explorer"
    } else {
        "xdg-open"
    };
    if std::process::Command::new(program).arg(url).spawn().is_err() {
        eprintln!("browser: cannot run {program}; open {url} yourself");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_line_of_a_run_without_messages_is_not_shown() {
        for (line, expected) in [
            (
                r#"[poller-cron] {"time":"t","level":"info","event":"drain","delivered":0,"received":0}"#,
                false,
            ),
            (r#"[poller-cron] {"time":"t","level":"info","event":"drain","delivered":1,"received":1}"#, true),
            (r#"[poller-cron] {"time":"t","level":"error","event":"drain","error":"x","received":0}"#, true),
            (r#"[bot] {"time":"t","level":"info","event":"message.queued"}"#, true),
        ] {
            assert_eq!(is_worth_showing(line), expected, "{line}");
        }
    }
}
