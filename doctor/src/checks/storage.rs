//! Checks the storage account:
//!
//! - whether the account can be reached, and accepts the credentials;
//! - whether the queues and tables exist;
//! - whether the credentials have the rights that the bot needs.

use std::time::Duration;

use bot_framework::{BotCredentials, Tokens};
use platform::{Deadline, Host};
use state::Tables;
use storage_account::{Account, STORAGE_SCOPE, Service};
use storage_queue::QueueSettings;

use super::sas::{RIGHTS, Right, Sas};
use super::storage_probe::{Outcome, calls_with, look, peek, probe};
use crate::report::Report;
use crate::variables::Variables;

const TOKEN_WITHIN: Duration = Duration::from_secs(15);

pub(super) async fn check<H: Host>(
    host: &H,
    variables: &Variables,
    bot: Option<&BotCredentials>,
    report: &mut Report,
) {
    let sas = Sas::of_connection_string(variables.value("storageconnection"));
    if let Some(sas) = &sas {
        sas.check(host.now(), report);
    }
    let (queue, tables) = match (QueueSettings::read(host), Tables::read(host)) {
        (Ok(queue), Ok(tables)) => (queue, tables),
        (Err(error), _) | (_, Err(error)) => {
            report.skip(format!("not tried, because {} is wrong", error.name));
            return;
        }
    };
    let account = match open(host, queue.account, bot).await {
        Ok(account) => account,
        Err(reason) => {
            report.skip(reason);
            return;
        }
    };
    let name = &queue.name;
    let queues = [name.clone(), name.poison(), name.replies()].map(|name| name.as_str().to_owned());
    let tables = [tables.conversations, tables.ledger, tables.runs].map(|table| table.as_str().to_owned());
    let mut examined = Examined { host, account: &account, sas: sas.as_ref(), report };
    for (service, names) in [(Service::Queue, &queues[..]), (Service::Table, &tables)] {
        if examined.find(service, names).await {
            examined.try_rights(service).await;
        }
    }
}

/// Makes the account ready for calls. If the connection string has neither an account key nor a SAS, this
/// function adds a token of the bot to the account. An error says why no call is possible.
async fn open<H: Host>(host: &H, account: Account, bot: Option<&BotCredentials>) -> Result<Account, String> {
    if !account.needs_token() {
        return Ok(account);
    }
    let bot = bot.ok_or("not tried, because the account needs a token of the bot, and the bot has none")?;
    let token = Tokens::for_scope(host, bot, STORAGE_SCOPE).bearer(Deadline::after(host, TOKEN_WITHIN)).await;
    let token =
        token.map_err(|error| format!("not tried, because there is no token for storage: {error}"))?;
    account.with_token(token).map_err(|error| format!("not tried: storageconnection: {error}"))
}

struct Examined<'a, H> {
    host: &'a H,
    account: &'a Account,
    sas: Option<&'a Sas>,
    report: &'a mut Report,
}

impl<H: Host> Examined<'_, H> {
    /// Looks for the queues or tables. Returns `false` if the account cannot be reached, refuses the
    /// credentials, or gives an unexpected response. The caller then makes no more calls to this service.
    async fn find(&mut self, service: Service, names: &[String]) -> bool {
        let words = Words::of(service);
        let endpoint = match self.account.endpoint(service) {
            Ok(endpoint) => endpoint.to_owned(),
            Err(error) => {
                self.report.problem(format!("storageconnection: {error}"));
                return false;
            }
        };
        let is_out_of_time = self.sas.is_some_and(|sas| sas.is_out_of_time(self.host.now()));
        for name in names {
            let call = match service {
                Service::Queue => peek(name),
                Service::Table => look(name),
            };
            let place = format!("{} {name}", words.one);
            match probe(self.host, self.account, service, &call).await {
                Outcome::Permitted { status: 200, .. } => self.report.fine(format!("{place}: exists")),
                Outcome::Permitted { status: 404, .. } => self.missing(&words, name),
                Outcome::Permitted { status, code } => {
                    let text =
                        format!("{place}: the service returned {status} {code}; check storageconnection");
                    self.report.problem(text);
                    return false;
                }
                // The caller then runs `try_rights`, which reports each missing right that `Sas::check` has
                // not reported.
                Outcome::NoRight => return true,
                // `Sas::check` has already reported that the SAS has expired, or is not valid yet.
                Outcome::Refused(_) if is_out_of_time => return false,
                Outcome::Refused(reason) => {
                    let text = format!("{endpoint}: the account does not accept the credentials ({reason})");
                    self.report.problem(text);
                    return false;
                }
                Outcome::Unreachable(reason) => {
                    let remedy = "check the account's name and the endpoint in storageconnection, and the account's firewall";
                    self.report.problem(format!("{endpoint}: cannot be reached ({reason}); {remedy}"));
                    return false;
                }
            }
        }
        true
    }

    fn missing(&mut self, words: &Words, name: &str) {
        let may_create = self.sas.is_none_or(|sas| sas.rights.may_create());
        if may_create {
            self.report.fine(format!("{} {name}: does not exist yet; the bot creates it", words.one));
        } else {
            self.report.problem(format!(
                "{} {name}: does not exist, and the SAS lacks the right to create it (`c` in srt and sp); create it: az storage {} \
                 create -n {name}",
                words.one, words.one
            ));
        }
    }

    /// Makes calls to one service: one call for each right that the bot needs there. Each call names a queue
    /// or table that does not exist. Reports each right that the account does not grant. A SAS lists its
    /// rights in `sp`, `ss` and `srt`. If a right is missing in the SAS, this function makes no call for the
    /// right, because [`Sas::check`] has already reported the missing right.
    async fn try_rights(&mut self, service: Service) {
        let words = Words::of(service);
        let mut tried = 0;
        let mut has_failed = false;
        let mut missing = Vec::new();
        for right in RIGHTS {
            let is_reported = self.sas.is_some_and(|sas| {
                let rights = &sas.rights;
                !rights.has(right.letter) || !rights.is_for(service) || !rights.is_for_objects()
            });
            if is_reported {
                continue;
            }
            for (_, call) in calls_with(right.letter).into_iter().filter(|(other, _)| *other == service) {
                tried += 1;
                match probe(self.host, self.account, service, &call).await {
                    Outcome::Permitted { .. } => {}
                    Outcome::NoRight => missing.push(right),
                    Outcome::Refused(reason) | Outcome::Unreachable(reason) => {
                        has_failed = true;
                        self.report.problem(format!(
                            "{}: the call for `{}` failed ({reason})",
                            words.many, right.name
                        ));
                    }
                }
            }
        }
        let all_missing = tried > 1 && missing.len() == tried;
        let source = if self.account.needs_token() { "role of the bot's identity" } else { "SAS" };
        if all_missing && self.account.needs_token() {
            self.report.problem(format!(
                "{}: the bot's identity lacks the role {} on the account; assign it, and wait some minutes",
                words.many, words.role
            ));
        } else if all_missing {
            self.report.problem(format!(
                "{}: the {source} permits no call; make an account SAS with ss=qt, srt=co",
                words.many
            ));
        } else {
            for Right { letter, name, purpose } in &missing {
                self.report.problem(format!(
                    "{}: the {source} does not permit {name} (`{letter}`), but {purpose}; grant the right",
                    words.many
                ));
            }
        }
        if missing.is_empty() && !has_failed && tried > 0 {
            self.report.fine(format!(
                "{}: the account permits all {tried} kinds of calls that were tried",
                words.many
            ));
        }
    }
}

/// The report's words for a service, e.g. "queue" and "queues", and the name of the role that permits the
/// calls.
struct Words {
    one: &'static str,
    many: &'static str,
    role: &'static str,
}

impl Words {
    fn of(service: Service) -> Self {
        match service {
            Service::Queue => Self { one: "queue", many: "queues", role: "Storage Queue Data Contributor" },
            Service::Table => Self { one: "table", many: "tables", role: "Storage Table Data Contributor" },
        }
    }
}
