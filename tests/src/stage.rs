//! The *stage* of a case (one end-to-end test): one or two Spin hosts with the components, and a queue,
//! tables and a fake Connector for this case only. In this file, a *host* is a Spin host: the embedded host
//! of this repository, or real Spin.

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

/// The value of the variable `pollkey`. A caller of `POST /internal/poll`, which runs the poller, must send
/// this key.
pub const POLL_KEY: &str = "a-poll-key-for-tests";

/// The settings of a stage. The default stage has `authmode=anonymous`, the poll key [`POLL_KEY`], no cron
/// trigger, and no kick. The *kick* is a call from the bot to the poller after each alert. The kick starts a
/// *run*: one execution of the poller.
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
    /// The `address:port` of the queue service and of the table service that the second host calls. `None` if
    /// the stage has one host.
    second: Option<(String, String)>,
    /// Whether the variable `servicehosts` names the fake Connector, so that the components trust the
    /// Connector.
    trusts_connector: bool,
    is_metered: bool,
    variable_delay: Duration,
    /// The environment variables that the test sets for the hosts.
    environment: Vec<(&'static str, String)>,
    login: Option<&'w Login>,
}

/// Which host a test killed, and when.
#[derive(Debug, Clone, Copy)]
pub struct Death {
    /// The host's index. The first host has the index 0.
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
    /// The output lines of the earlier processes of this host. Each restart starts a new process.
    past_lines: Vec<String>,
}

/// One or two running hosts, and the services that they call. When the stage is dropped, the hosts stop
/// first. The fake Connector then fails the test if it has received a request that a component must never
/// send.
#[derive(Debug)]
pub struct Stage {
    // Rust drops the fields in this order. The hosts stop first, so they cannot call a stopped Connector.
    replicas: Vec<Replica>,
    pub connector: Connector,
    pub queue: Queue,
    /// The prefix of the names of this case's tables.
    pub table_prefix: String,
    // The folder with the hosts' manifest, state and logs. The folder is deleted when the stage is dropped.
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

    /// Asks the host to end, changes the options of the host, and starts the host again.
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
            .with_connection_string()
            .variable("authmode", "anonymous")
            .variable("queuename", &queue_name)
            .variable("tableprefix", &table_prefix)
            .variable("pollkey", POLL_KEY)
            // The default stage has no kick and no cron trigger, so runs start only when the case starts
            // them.
            .variable("kick", "off")
    }

    /// Uses the queue and the tables of the stage `other`. The two stages are then like two replicas of one
    /// application. Each stage has its own key-value store.
    #[must_use]
    pub fn beside(mut self, other: &Stage) -> Self {
        self.queue_name = other.queue.name().to_owned();
        self.table_prefix.clone_from(&other.table_prefix);
        let (queue_name, table_prefix) = (self.queue_name.clone(), self.table_prefix.clone());
        self.variable("queuename", &queue_name).variable("tableprefix", &table_prefix)
    }

    /// Keeps the cron trigger of `spin.toml`, which starts a run at regular times.
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

    /// Makes the embedded host report the resources, e.g. memory, that each instance of a component used. In
    /// the host's output, the lines of this report begin with `Meter `.
    #[must_use]
    pub fn metered(mut self) -> Self {
        self.is_metered = true;
        self
    }

    /// Makes the embedded host wait for `delay` at each read of a variable. This imitates a slow variable
    /// provider.
    #[must_use]
    pub fn slow_variables(mut self, delay: Duration) -> Self {
        self.variable_delay = delay;
        self
    }

    /// Makes Spin export its spans to this collector. With the embedded host, this setting has no effect,
    /// because the embedded host makes no spans.
    #[must_use]
    pub fn exporting(mut self, collector: &SpanCollector) -> Self {
        self.environment.extend(collector.environment());
        self
    }

    /// Sets an environment variable of the hosts. To set a variable of the application, use
    /// [`Self::variable`].
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

    /// Sets `authmode=required`. The components send the client secret to the fake login server `login`, and
    /// get tokens for the Connector. The components trust the stage's Connector, and send these tokens to the
    /// Connector. The Connector accepts only these tokens.
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

    /// Makes the bot check the tokens of its callers with the signing keys that `issuer` publishes.
    #[must_use]
    pub fn authenticated(self, issuer: &OpenId) -> Self {
        self.variable("openidmetadata", &issuer.metadata_url())
    }

    /// Makes the components call a queue service that refuses connections.
    #[must_use]
    pub fn unreachable_queue(self, at: &ClosedPort) -> Self {
        self.queue_at(&at.authority())
    }

    /// Makes the components call a queue service at another `address:port`. The table service stays the same.
    #[must_use]
    pub fn queue_at(mut self, authority: &str) -> Self {
        authority.clone_into(&mut self.queue_authority);
        self.with_connection_string()
    }

    /// Makes the components call a table service that refuses connections.
    #[must_use]
    pub fn unreachable_tables(self, at: &ClosedPort) -> Self {
        self.tables_at(&at.authority())
    }

    /// Makes the components call a table service at another `address:port`. The queue service stays the same.
    #[must_use]
    pub fn tables_at(mut self, authority: &str) -> Self {
        authority.clone_into(&mut self.table_authority);
        self.with_connection_string()
    }

    /// Adds a second host with the same queue and tables, and with its own key-value store. The second host
    /// calls the queue service at `queue_authority`, and the table service at `table_authority`.
    #[must_use]
    pub fn second_host(mut self, queue_authority: &str, table_authority: &str) -> Self {
        self.second = Some((queue_authority.to_owned(), table_authority.to_owned()));
        self
    }

    /// Sets the variable `storageconnection`: the connection string with the addresses of the queue service
    /// and of the table service.
    fn with_connection_string(self) -> Self {
        let connection = connection_string(&self.queue_authority, &self.table_authority);
        self.variable("storageconnection", &connection)
    }

    /// Starts the fake Connector, and the host or hosts.
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
            replicas.push(Replica::start(
                options("-second", self.with_connection_string().variables),
                &environment,
            ));
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

    /// Posts an activity to the bot as it is, without a token.
    #[track_caller]
    pub fn post(&self, activity: &Value) -> WholeResponse {
        self.post_with(&[], activity)
    }

    /// Posts an activity to the bot with this bearer token.
    #[track_caller]
    pub fn post_as(&self, token: &str, activity: &Value) -> WholeResponse {
        self.post_with(&[&format!("Bearer {token}")], activity)
    }

    /// Posts an activity to the bot, with one `Authorization` header for each text in `authorization`.
    #[track_caller]
    pub fn post_with(&self, authorization: &[&str], activity: &Value) -> WholeResponse {
        let request =
            http::Request::post(self.url("/api/messages")).header("content-type", "application/json");
        let request =
            authorization.iter().fold(request, |request, value| request.header("authorization", *value));
        web::send(request.body(web::whole(activity.to_string())).unwrap())
    }

    /// Points the activity's serviceUrl to this stage's Connector, and posts the activity. Fails the test if
    /// the bot does not respond with 202 and `{}`.
    #[track_caller]
    pub fn say(&self, activity: &Value) {
        let response = self.post(&self.connector.host(activity)).expect_status(202);
        assert_eq!(response.json(), serde_json::json!({}));
    }

    /// Runs the poller with `POST /internal/poll`, expects the status 200, and returns the body of the
    /// response. The body has the counts of the run, e.g. how many alerts the run delivered.
    #[track_caller]
    pub fn poll(&self) -> Value {
        self.try_poll().expect_status(200).json()
    }

    /// Runs the poller with `POST /internal/poll`, and returns the response.
    #[track_caller]
    pub fn try_poll(&self) -> WholeResponse {
        let request = http::Request::post(self.url("/internal/poll"));
        web::send(request.header("authorization", format!("Bearer {POLL_KEY}")).body(web::whole("")).unwrap())
    }

    /// Kills a host, and starts it again at the same address with the same state folder. `host` is the index
    /// of the host.
    #[track_caller]
    pub fn kill_and_restart(&mut self, host: usize) -> Death {
        Death { host, at: self.replicas[host].kill_and_restart(|_| ()) }
    }

    /// Like [`Self::kill_and_restart`], but deletes the host's key-value store before the restart.
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

    /// Restarts the first host with another table prefix, and so with other tables. The state folder stays
    /// the same.
    #[track_caller]
    pub fn restart_with_table_prefix(&mut self, table_prefix: &str) {
        table_prefix.clone_into(&mut self.table_prefix);
        self.restart_with("tableprefix", table_prefix);
    }

    /// Restarts the first host with another value of a variable. The state folder stays the same.
    #[track_caller]
    pub fn restart_with(&mut self, name: &str, value: &str) {
        self.replicas[0].stop_and_restart(|options| {
            options.variables.retain(|(known, _)| known != name);
            options.variables.push((name.into(), value.into()));
        });
    }

    /// All lines that the hosts and their components have written, including the lines before a restart. For
    /// the embedded host, these are the lines of stdout. For Spin, these are the lines of stdout and stderr.
    /// The lines of the first host come first.
    pub fn lines(&self) -> Vec<String> {
        self.replicas.iter().flat_map(Replica::lines).collect()
    }

    /// The components' log lines so far with this event, as JSON. The event is the member `event` of the
    /// JSON.
    pub fn events(&self, event: &str) -> Vec<Value> {
        events_in(&self.lines(), event)
    }

    /// Like [`Self::events`], but only the log lines of one host's components. `host` is the index of the
    /// host.
    pub fn events_of(&self, host: usize, event: &str) -> Vec<Value> {
        events_in(&self.replicas[host].lines(), event)
    }

    /// Waits until the components have written at least `count` log lines with this event. Returns all these
    /// log lines.
    #[track_caller]
    pub fn wait_for_events(&self, event: &str, count: usize) -> Vec<Value> {
        eventually(&format!("{count} log lines with event {event:?}"), || {
            Some(self.events(event)).filter(|events| events.len() >= count)
        })
    }

    /// The bytes of all files in the first host's state folder. The folder contains the key-value store.
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

    /// The content of all hosts' log files. A log file contains everything that the host has written to
    /// stdout and stderr since its last start.
    pub fn host_log(&self) -> String {
        self.replicas.iter().map(Replica::log).collect()
    }
}

fn events_in(lines: &[String], event: &str) -> Vec<Value> {
    // A log line is JSON. The embedded host always writes the component's id in front of the JSON, and Spin
    // sometimes does. So this function looks for the first `{`.
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
