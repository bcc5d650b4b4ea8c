//! One case's world: a host with the components, a queue, tables and a Connector of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use dev::azurite::connection_string;
use dev::host::{Host, HostOptions};
use serde_json::Value;
use tempfile::TempDir;

use crate::closed_port::{ClosedPort, free_port};
use crate::connector::Connector;
use crate::failure;
use crate::login::{Login, SECRET};
use crate::manifest::Manifest;
use crate::openid::OpenId;
use crate::queue::Queue;
use crate::store_at_death;
use crate::suite::World;
use crate::waiting::eventually;
use crate::web::{self, Answer};

/// The key of `POST /internal/poll`.
pub const POLL_KEY: &str = "a-poll-key-for-tests";

/// The bot's registration, as the fixtures have it.
pub const APP_ID: &str = "00000000-0000-0000-0000-000000000001";
pub const TENANT: &str = "11111111-2222-3333-4444-555555555555";

/// What a case wants to be different. By default: anonymous mode, no cron, a poll key, no kick.
#[derive(Debug)]
pub struct Script<'w> {
    world: &'w World,
    manifest: Manifest,
    variables: Vec<(String, String)>,
    queue_name: String,
    table_prefix: String,
    /// The `address:port` of each storage service.
    queue_authority: String,
    table_authority: String,
    trusts_connector: bool,
    login: Option<&'w Login>,
}

/// What is known of a host that was killed.
#[derive(Debug)]
pub struct Death {
    /// When it was dead.
    pub at: Instant,
    /// What its store held.
    pub store: Option<BTreeMap<String, Vec<u8>>>,
}

/// A running host and its surroundings. Dropping it ends the host, then checks the Connector's complaints.
#[derive(Debug)]
pub struct Stage {
    // Dropped in this order: the host must not talk to a Connector that is gone.
    host: Host,
    options: HostOptions,
    /// What earlier lives of the host wrote.
    past_lines: Vec<String>,
    log: PathBuf,
    pub connector: Connector,
    pub queue: Queue,
    /// The names of this case's tables begin with it.
    pub table_prefix: String,
    folder: TempDir,
}

impl<'w> Script<'w> {
    /// The default stage.
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
            trusts_connector: false,
            login: None,
        };
        script
            .connected()
            .variable("authmode", "anonymous")
            .variable("queuename", &queue_name)
            .variable("tableprefix", &table_prefix)
            .variable("pollkey", POLL_KEY)
            // Cases poll when they want to.
            .variable("kick", "off")
    }

    /// With the cron trigger of `spin.toml`.
    #[must_use]
    pub fn with_cron(mut self) -> Self {
        self.manifest = Manifest::local();
        self
    }

    /// With a changed manifest.
    #[must_use]
    pub fn manifest(mut self, change: impl FnOnce(Manifest) -> Manifest) -> Self {
        self.manifest = change(self.manifest);
        self
    }

    /// With another value of a variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.into(), value.into()));
        self
    }

    /// With `authmode=required`: the bot gets its tokens from this login host, for its client secret. The stage's
    /// Connector is trusted, and takes no other tokens.
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

    /// Callers prove themselves by the keys of this issuer.
    #[must_use]
    pub fn authenticated(self, issuer: &OpenId) -> Self {
        self.variable("openidmetadata", &issuer.metadata_url())
    }

    /// With a queue service that refuses connections.
    #[must_use]
    pub fn unreachable_queue(self, at: &ClosedPort) -> Self {
        self.queue_at(&at.authority())
    }

    /// With a queue service at another `address:port`; the tables stay where they are.
    #[must_use]
    pub fn queue_at(mut self, authority: &str) -> Self {
        authority.clone_into(&mut self.queue_authority);
        self.connected()
    }

    /// With a table service that refuses connections.
    #[must_use]
    pub fn unreachable_tables(self, at: &ClosedPort) -> Self {
        self.tables_at(&at.authority())
    }

    /// With a table service at another `address:port`; the queue stays where it is.
    #[must_use]
    pub fn tables_at(mut self, authority: &str) -> Self {
        authority.clone_into(&mut self.table_authority);
        self.connected()
    }

    /// Sets the connection string that names both services.
    fn connected(self) -> Self {
        let connection = connection_string(&self.queue_authority, &self.table_authority);
        self.variable("storageconnection", &connection)
    }

    /// Starts the host.
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
        let log = folder.path().join("host.log");
        let options = HostOptions {
            kind: self.world.host(),
            manifest: self.manifest.write(folder.path()),
            listen: format!("127.0.0.1:{}", free_port()),
            variables: self.variables,
            state_dir: folder.path().join("state"),
            quiet: false,
            log: Some(log.clone()),
            print_prefix: false,
            meter: false,
        };
        let host = Host::start(&options).unwrap_or_else(|error| panic!("the host does not start: {error:#}"));
        let queue = Queue::new(&self.world.azurite().connection_string(), &self.queue_name);
        let table_prefix = self.table_prefix;
        Stage { host, options, past_lines: Vec::new(), log, connector, queue, table_prefix, folder }
    }
}

impl Stage {
    /// The default stage, started.
    #[track_caller]
    pub fn start(world: &World) -> Self {
        Script::new(world).start()
    }

    /// The host's address with this path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.host.url().trim_end_matches('/'))
    }

    /// Posts an activity as a channel does, as it is.
    #[track_caller]
    pub fn post(&self, activity: &Value) -> Answer {
        self.post_with(&[], activity)
    }

    /// Posts an activity with this token.
    #[track_caller]
    pub fn post_as(&self, token: &str, activity: &Value) -> Answer {
        self.post_with(&[&format!("Bearer {token}")], activity)
    }

    /// Posts an activity with these `Authorization` headers.
    #[track_caller]
    pub fn post_with(&self, authorization: &[&str], activity: &Value) -> Answer {
        let request =
            http::Request::post(self.url("/api/messages")).header("content-type", "application/json");
        let request =
            authorization.iter().fold(request, |request, value| request.header("authorization", *value));
        web::send(request.body(web::whole(activity.to_string())).unwrap())
    }

    /// Posts an activity whose serviceUrl leads to this stage's Connector; it must be accepted.
    #[track_caller]
    pub fn say(&self, activity: &Value) {
        let answer = self.post(&self.connector.host(activity)).expect_status(202);
        assert_eq!(answer.json(), serde_json::json!({}));
    }

    /// Runs the drain through its HTTP door; it must succeed. The run's counts.
    #[track_caller]
    pub fn poll(&self) -> Value {
        self.try_poll().expect_status(200).json()
    }

    /// Asks for a drain through the HTTP door.
    #[track_caller]
    pub fn try_poll(&self) -> Answer {
        let request = http::Request::post(self.url("/internal/poll"));
        web::send(request.header("authorization", format!("Bearer {POLL_KEY}")).body(web::whole("")).unwrap())
    }

    /// Kills the host in the middle of whatever it does, and starts it anew, at the same address and on the same state.
    #[track_caller]
    pub fn kill_and_restart(&mut self) -> Death {
        self.host.kill_now();
        let at = Instant::now();
        let store = store_at_death::read(&self.folder.path().join("state"));
        self.past_lines.extend(self.host.lines());
        self.host = Host::start(&self.options)
            .unwrap_or_else(|error| panic!("the host does not come back: {error:#}"));
        Death { at, store }
    }

    /// Every line of the host's and its guests' stdout so far, in its earlier lives too.
    pub fn lines(&self) -> Vec<String> {
        [self.past_lines.as_slice(), &self.host.lines()].concat()
    }

    /// The log lines of this event that the components wrote so far.
    pub fn events(&self, event: &str) -> Vec<Value> {
        let lines = self.lines();
        // The embedded host puts the component's id before the line; Spin may put nothing.
        let objects = lines.iter().filter_map(|line| line.find('{').map(|at| &line[at..]));
        objects
            .filter_map(|json| serde_json::from_str(json).ok())
            .filter(|line: &Value| line["event"] == event)
            .collect()
    }

    /// Waits until at least `count` log lines of this event are there.
    #[track_caller]
    pub fn wait_for_events(&self, event: &str, count: usize) -> Vec<Value> {
        eventually(&format!("{count} log lines with event {event:?}"), || {
            Some(self.events(event)).filter(|events| events.len() >= count)
        })
    }

    /// Every byte that the host keeps at rest: key-value, above all.
    pub fn state_at_rest(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut folders = vec![self.folder.path().join("state")];
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

    /// What the key-value store holds now.
    pub fn stored(&self) -> BTreeMap<String, Vec<u8>> {
        store_at_death::read(&self.folder.path().join("state")).unwrap_or_default()
    }

    /// Everything that the host itself wrote.
    pub fn host_log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
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
