//! The stage of a case: one or two Spin hosts with the components, and a queue, tables and a fake Connector
//! for this case only. In this file, a *host* is a Spin host: the embedded host of this repository, or real
//! Spin.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use dev::azurite::connection_string;
use dev::host::{Host, HostOptions};
use serde_json::Value;
use tempfile::TempDir;

use crate::closed_port::{ClosedPort, free_port};
use crate::connector::Connector;
use crate::failure;
use crate::key_value;
use crate::login::{Login, SECRET};
use crate::manifest::Manifest;
use crate::openid::OpenId;
use crate::queue::Queue;
pub use crate::registration::{APP_ID, TENANT};
use crate::span_collector::SpanCollector;
use crate::suite::World;
use crate::waiting::eventually;
use crate::web::{self, WholeResponse};

/// The key that a caller of `POST /internal/poll` sends. It is the value of the variable `pollkey`.
pub const POLL_KEY: &str = "a-poll-key-for-tests";

/// The settings of a stage. The default stage has `authmode=anonymous`, the poll key [`POLL_KEY`], no cron
/// trigger, and no kick. (The *kick* is a call from the bot to the poller after each alert. It starts a run.)
#[derive(Debug)]
pub struct Script<'w> {
    world: &'w World,
    manifest: Manifest,
    variables: Vec<(String, String)>,
    queue_name: String,
    table_prefix: String,
    /// The `address:port` of the queue service.
    queue_authority: String,
    /// The `address:port` of the table service.
    table_authority: String,
    /// The two `address:port` at which the second host calls the queue service and the table service. `None`
    /// if the stage has one host.
    second: Option<(String, String)>,
    trusts_connector: bool,
    is_metered: bool,
    variable_delay: Duration,
    /// More environment variables of the hosts.
    environment: Vec<(&'static str, String)>,
    login: Option<&'w Login>,
}

/// Which host a test killed, and when.
#[derive(Debug, Clone, Copy)]
pub struct Death {
    /// The host's number.
    pub host: usize,
    /// The time just after the host's process ended.
    pub at: Instant,
}

/// One host of a stage.
#[derive(Debug)]
struct Replica {
    host: Host,
    options: HostOptions,
    environment: Vec<(&'static str, String)>,
    /// Lines that the host wrote before its restarts.
    past_lines: Vec<String>,
}

/// One or two running hosts, and the services that they call. When the stage is dropped, it stops the hosts,
/// and then fails the test if the fake Connector has a complaint.
#[derive(Debug)]
pub struct Stage {
    // Rust drops the fields in this order. The hosts stop first, so they cannot call a stopped Connector.
    replicas: Vec<Replica>,
    pub connector: Connector,
    pub queue: Queue,
    /// The prefix of the names of this case's tables.
    pub table_prefix: String,
    // The folder with the hosts' state. It is deleted when the stage is dropped.
    _folder: TempDir,
}

impl Replica {
    #[track_caller]
    fn start(options: HostOptions, environment: &[(&'static str, String)]) -> Self {
        let environment = environment.to_vec();
        let host = start_host(&options, &environment);
        Self { host, options, environment, past_lines: Vec::new() }
    }

    fn state(&self) -> &Path {
        &self.options.state_dir
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.host.url().trim_end_matches('/'))
    }

    fn lines(&self) -> Vec<String> {
        [self.past_lines.as_slice(), &self.host.lines()].concat()
    }

    fn log(&self) -> String {
        self.options.log.as_ref().and_then(|log| std::fs::read_to_string(log).ok()).unwrap_or_default()
    }

    #[track_caller]
    fn kill_and_restart(&mut self, before_restart: impl FnOnce(&Path)) -> Instant {
        self.host.kill_now();
        let at = Instant::now();
        before_restart(self.state());
        self.past_lines.extend(self.host.lines());
        self.host = start_host(&self.options, &self.environment);
        at
    }

    /// Stops the host without killing it, changes its options, and starts it again.
    #[track_caller]
    fn stop_and_restart(&mut self, change: impl FnOnce(&mut HostOptions)) {
        self.host.stop();
        change(&mut self.options);
        self.past_lines.extend(self.host.lines());
        self.host = start_host(&self.options, &self.environment);
    }
}

#[track_caller]
fn start_host(options: &HostOptions, environment: &[(&'static str, String)]) -> Host {
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Host::start_with(options, &environment)
        .unwrap_or_else(|error| panic!("the host does not start: {error:#}"))
}

impl<'w> Script<'w> {
    /// Prepares the default stage.
    pub fn new(world: &'w World) -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let (queue_name, table_prefix) = (format!("e2e-{number:03}"), format!("e2e{number:03}"));
        let script = Self {
            world,
            manifest: Manifest::local().without_cron(),
            variables: Vec::new(),
            queue_name: queue_name.clone(),
            table_prefix: table_prefix.clone(),
            queue_authority: world.azurite().queue_authority(),
            table_authority: world.azurite().table_authority(),
            second: None,
            trusts_connector: false,
            is_metered: false,
            variable_delay: Duration::ZERO,
            environment: Vec::new(),
            login: None,
        };
        script
            .connected()
            .variable("authmode", "anonymous")
            .variable("queuename", &queue_name)
            .variable("tableprefix", &table_prefix)
            .variable("pollkey", POLL_KEY)
            // Without the kick, no run starts until the case starts one.
            .variable("kick", "off")
    }

    /// Uses the queue and the tables of another stage, like a second replica of the same application. Each
    /// stage keeps its own key-value store.
    #[must_use]
    pub fn beside(mut self, other: &Stage) -> Self {
        self.queue_name = other.queue.name().to_owned();
        self.table_prefix.clone_from(&other.table_prefix);
        let (queue_name, table_prefix) = (self.queue_name.clone(), self.table_prefix.clone());
        self.variable("queuename", &queue_name).variable("tableprefix", &table_prefix)
    }

    /// Uses the cron trigger of `spin.toml`.
    #[must_use]
    pub fn with_cron(mut self) -> Self {
        self.manifest = Manifest::local();
        self
    }

    /// Changes the manifest.
    #[must_use]
    pub fn manifest(mut self, change: impl FnOnce(Manifest) -> Manifest) -> Self {
        self.manifest = change(self.manifest);
        self
    }

    /// Makes the embedded host report the resources that each instance of a component uses. The lines of the
    /// report begin with `Meter `.
    #[must_use]
    pub fn metered(mut self) -> Self {
        self.is_metered = true;
        self
    }

    /// Makes the embedded host wait at each read of a variable, as a slow variable provider does.
    #[must_use]
    pub fn slow_variables(mut self, delay: Duration) -> Self {
        self.variable_delay = delay;
        self
    }

    /// Makes Spin export its spans to this collector. The embedded host makes no spans.
    #[must_use]
    pub fn exporting(mut self, collector: &SpanCollector) -> Self {
        self.environment.extend(collector.environment());
        self
    }

    /// Sets an environment variable of the host. See [`Self::variable`] for the application's variables.
    #[must_use]
    pub fn environment(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    /// Sets a variable of the application.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Sets `authmode=required`. The bot sends its client secret to this login host, and gets tokens for the
    /// Connector. The bot trusts the stage's Connector, and the Connector accepts only these tokens.
    #[must_use]
    pub fn logged_in(mut self, login: &'w Login) -> Self {
        self.trusts_connector = true;
        self.login = Some(login);
        self.variable("authmode", "required")
            .variable("microsoftappid", APP_ID)
            .variable("microsoftapptenantid", TENANT)
            .variable("microsoftapppassword", SECRET)
            .variable("loginendpoint", &login.endpoint())
    }

    /// Makes the bot check the tokens of its callers with the signing keys of this issuer.
    #[must_use]
    pub fn authenticated(self, issuer: &OpenId) -> Self {
        self.variable("openidmetadata", &issuer.metadata_url())
    }

    /// Uses a queue service that refuses connections.
    #[must_use]
    pub fn unreachable_queue(self, at: &ClosedPort) -> Self {
        self.queue_at(&at.authority())
    }

    /// Uses a queue service at another `address:port`; the tables stay where they are.
    #[must_use]
    pub fn queue_at(mut self, authority: &str) -> Self {
        authority.clone_into(&mut self.queue_authority);
        self.connected()
    }

    /// Uses a table service that refuses connections.
    #[must_use]
    pub fn unreachable_tables(self, at: &ClosedPort) -> Self {
        self.tables_at(&at.authority())
    }

    /// Uses a table service at another `address:port`; the queue stays where it is.
    #[must_use]
    pub fn tables_at(mut self, authority: &str) -> Self {
        authority.clone_into(&mut self.table_authority);
        self.connected()
    }

    /// Adds a second host with the same queue and tables, and with its own key-value store. The second host
    /// calls the queue service and the table service at these `address:port`.
    #[must_use]
    pub fn second_host(mut self, queue_authority: &str, table_authority: &str) -> Self {
        self.second = Some((queue_authority.to_owned(), table_authority.to_owned()));
        self
    }

    /// Sets the connection string, which names both services.
    fn connected(self) -> Self {
        let connection = connection_string(&self.queue_authority, &self.table_authority);
        self.variable("storageconnection", &connection)
    }

    /// Starts the host or hosts.
    #[track_caller]
    pub fn start(mut self) -> Stage {
        let connector = Connector::start();
        if let Some(login) = self.login {
            connector.expect_tokens_of(login);
        }
        if self.trusts_connector {
            self = self.variable("servicehosts", &format!("http://{}", connector.authority()));
        }
        let folder = tempfile::Builder::new().prefix("e2e-").tempdir().unwrap();
        let manifest = self.manifest.clone().write(folder.path());
        let (kind, meter, variable_delay) = (self.world.host(), self.is_metered, self.variable_delay);
        let options = |name: &str, variables: Vec<(String, String)>| HostOptions {
            kind,
            manifest: manifest.clone(),
            listen: format!("127.0.0.1:{}", free_port()),
            variables,
            state_dir: folder.path().join(format!("state{name}")),
            quiet: false,
            log: Some(folder.path().join(format!("host{name}.log"))),
            print_prefix: false,
            meter,
            variable_delay,
        };
        let mut replicas = vec![Replica::start(options("", self.variables.clone()), &self.environment)];
        let queue = Queue::new(&self.world.azurite().connection_string(), &self.queue_name);
        let table_prefix = self.table_prefix.clone();
        if let Some((queue_authority, table_authority)) = self.second.take() {
            (self.queue_authority, self.table_authority) = (queue_authority, table_authority);
            let environment = std::mem::take(&mut self.environment);
            replicas.push(Replica::start(options("-second", self.connected().variables), &environment));
        }
        Stage { replicas, connector, queue, table_prefix, _folder: folder }
    }
}

impl Stage {
    /// Starts the default stage.
    #[track_caller]
    pub fn start(world: &World) -> Self {
        Script::new(world).start()
    }

    /// The URL of this path at the first host.
    pub fn url(&self, path: &str) -> String {
        self.replicas[0].url(path)
    }

    /// The URLs of this path at all hosts.
    pub fn urls(&self, path: &str) -> Vec<String> {
        self.replicas.iter().map(|replica| replica.url(path)).collect()
    }

    /// Posts an activity unchanged and without a token.
    #[track_caller]
    pub fn post(&self, activity: &Value) -> WholeResponse {
        self.post_with(&[], activity)
    }

    /// Posts an activity with this token.
    #[track_caller]
    pub fn post_as(&self, token: &str, activity: &Value) -> WholeResponse {
        self.post_with(&[&format!("Bearer {token}")], activity)
    }

    /// Posts an activity with these `Authorization` headers.
    #[track_caller]
    pub fn post_with(&self, authorization: &[&str], activity: &Value) -> WholeResponse {
        let request =
            http::Request::post(self.url("/api/messages")).header("content-type", "application/json");
        let request =
            authorization.iter().fold(request, |request, value| request.header("authorization", *value));
        web::send(request.body(web::whole(activity.to_string())).unwrap())
    }

    /// Points the activity's serviceUrl to this stage's Connector, and posts the activity. Expects that the
    /// bot accepts the activity.
    #[track_caller]
    pub fn say(&self, activity: &Value) {
        let response = self.post(&self.connector.host(activity)).expect_status(202);
        assert_eq!(response.json(), serde_json::json!({}));
    }

    /// Runs the poller through its HTTP entry point, expects success, and returns the run's counts.
    #[track_caller]
    pub fn poll(&self) -> Value {
        self.try_poll().expect_status(200).json()
    }

    /// Runs the poller through its HTTP entry point, and returns the response.
    #[track_caller]
    pub fn try_poll(&self) -> WholeResponse {
        let request = http::Request::post(self.url("/internal/poll"));
        web::send(request.header("authorization", format!("Bearer {POLL_KEY}")).body(web::whole("")).unwrap())
    }

    /// Kills a host at once, and starts it again at the same address with the same state folder.
    #[track_caller]
    pub fn kill_and_restart(&mut self, host: usize) -> Death {
        Death { host, at: self.replicas[host].kill_and_restart(|_| ()) }
    }

    /// Like [`Self::kill_and_restart`], but the host starts with an empty key-value store.
    #[track_caller]
    pub fn kill_and_restart_empty(&mut self, host: usize) -> Death {
        Death { host, at: self.replicas[host].kill_and_restart(key_value::remove) }
    }

    /// Stops the first host, deletes its state folder with the key-value store, and starts the host again.
    #[track_caller]
    pub fn lose_disk(&mut self) {
        self.replicas[0].stop_and_restart(|options| std::fs::remove_dir_all(&options.state_dir).unwrap());
    }

    /// Makes every later call to the first host's key-value store fail.
    #[track_caller]
    pub fn break_key_value(&self) {
        key_value::break_store(self.replicas[0].state());
    }

    /// Restarts the first host with the same state folder and with other tables.
    #[track_caller]
    pub fn move_tables(&mut self, table_prefix: &str) {
        table_prefix.clone_into(&mut self.table_prefix);
        self.restart_with("tableprefix", table_prefix);
    }

    /// Restarts the first host with the same state folder and with another value of a variable.
    #[track_caller]
    pub fn restart_with(&mut self, name: &str, value: &str) {
        self.replicas[0].stop_and_restart(|options| {
            options.variables.retain(|(known, _)| known != name);
            options.variables.push((name.into(), value.into()));
        });
    }

    /// Every line that the hosts and their components have written to stdout, also before a restart. The
    /// lines of the first host come first.
    pub fn lines(&self) -> Vec<String> {
        self.replicas.iter().flat_map(Replica::lines).collect()
    }

    /// The log lines of this event that the components wrote so far.
    pub fn events(&self, event: &str) -> Vec<Value> {
        events_in(&self.lines(), event)
    }

    /// The log lines of this event that one host's components wrote.
    pub fn events_of(&self, host: usize, event: &str) -> Vec<Value> {
        events_in(&self.replicas[host].lines(), event)
    }

    /// Waits for at least `count` log lines of this event.
    #[track_caller]
    pub fn wait_for_events(&self, event: &str, count: usize) -> Vec<Value> {
        eventually(&format!("{count} log lines with event {event:?}"), || {
            Some(self.events(event)).filter(|events| events.len() >= count)
        })
    }

    /// All bytes in the first host's state folder. The folder contains the key-value store.
    pub fn state_at_rest(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut folders = vec![self.replicas[0].state().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    bytes.extend(std::fs::read(&path).unwrap());
                }
            }
        }
        bytes
    }

    /// The current content of the first host's key-value store.
    pub fn stored(&self) -> BTreeMap<String, Vec<u8>> {
        key_value::read(self.replicas[0].state()).unwrap_or_default()
    }

    /// The content of all hosts' log files. A log file contains everything that a host has written to stdout
    /// and stderr since its last start.
    pub fn host_log(&self) -> String {
        self.replicas.iter().map(Replica::log).collect()
    }
}

fn events_in(lines: &[String], event: &str) -> Vec<Value> {
    // The embedded host always writes the component's id in front of a log line, and Spin sometimes does.
    let objects = lines.iter().filter_map(|line| line.find('{').map(|at| &line[at..]));
    objects
        .filter_map(|json| serde_json::from_str(json).ok())
        .filter(|line: &Value| line["event"] == event)
        .collect()
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.host_log();
            let lines: Vec<&str> = log.lines().collect();
            failure::note(format!("The host's last lines:\n{}", failure::tail(&lines)));
        }
    }
}
