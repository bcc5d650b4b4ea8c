//! Checks the parts of a shared access signature (SAS) that can be read without a call to Azure.
//!
//! Source: <https://learn.microsoft.com/rest/api/storageservices/create-account-sas>.

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use percent_encoding::percent_decode_str;

use storage_account::{SasRights, Service};

use crate::report::Report;

/// A right that an *account SAS* (a SAS for the whole storage account) can grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Right {
    pub(super) letter: char,
    pub(super) name: &'static str,
    /// The calls that need the right, on queues and on tables.
    pub(super) purpose: &'static str,
}

const fn right(letter: char, name: &'static str, purpose: &'static str) -> Right {
    Right { letter, name, purpose }
}

/// The rights that the application always needs. The right `c` (create) is not here, because the application
/// needs `c` only to create queues and tables.
pub(super) const RIGHTS: [Right; 5] = [
    right('r', "read", "the poller peeks at the queue, and the components read the tables"),
    right('a', "add", "the components put messages and insert records"),
    right('u', "update", "the components hide messages and change records"),
    right('d', "delete", "the components delete delivered messages and old records"),
    right('p', "process", "the poller gets messages from the queue"),
];

/// If the SAS ends in less than this time, the report has a warning.
const SOON: TimeDelta = TimeDelta::days(14);

/// The parts of a SAS that the doctor checks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sas {
    pub(super) rights: SasRights,
    start: String,
    expiry: String,
    addresses: String,
    protocol: String,
}

impl Sas {
    /// The SAS of a connection string; `None` for a connection string without a SAS.
    pub(super) fn of_connection_string(text: &str) -> Option<Self> {
        let parts = text.split(';').filter_map(|part| part.split_once('='));
        let mut sas = parts.filter(|(name, _)| name.trim().eq_ignore_ascii_case("SharedAccessSignature"));
        let query = sas.next()?.1.trim();
        let value = |name: &str| {
            let pairs = query.trim_start_matches('?').split('&').filter_map(|pair| pair.split_once('='));
            let value = pairs.filter(|(other, _)| *other == name).map(|(_, value)| value).next();
            percent_decode_str(value.unwrap_or_default()).decode_utf8_lossy().into_owned()
        };
        Some(Self {
            rights: SasRights::of_query(query),
            start: value("st"),
            expiry: value("se"),
            addresses: value("sip"),
            protocol: value("spr"),
        })
    }

    /// Whether the SAS has expired, or is not valid yet.
    pub(super) fn is_out_of_time(&self, now: DateTime<Utc>) -> bool {
        parse_time(&self.expiry).is_some_and(|end| end <= now)
            || parse_time(&self.start).is_some_and(|start| start > now)
    }

    /// Reports every part that is wrong.
    pub(super) fn check(&self, now: DateTime<Utc>, report: &mut Report) {
        const REMEDY: &str = "make a new account SAS with ss=qt, srt=co, sp=rdacup";
        let rights = &self.rights;
        if rights.services.is_empty() && rights.resource_types.is_empty() {
            report.problem(format!("SAS: is for one queue or table only (no ss and srt); {REMEDY}"));
            return;
        }
        for (service, name) in [(Service::Queue, "queues"), (Service::Table, "tables")] {
            if !rights.is_for(service) {
                let letter = service.sas_letter();
                report.problem(format!(
                    "SAS: `{letter}` is missing in ss, so the SAS is not for {name}; {REMEDY}"
                ));
            }
        }
        if !rights.is_for_objects() {
            report.problem(format!(
                "SAS: `o` is missing in srt, so the SAS is not for messages and entities; {REMEDY}"
            ));
        }
        for Right { letter, name, purpose } in RIGHTS {
            if !rights.has(letter) {
                report.problem(format!("SAS: `{letter}` ({name}) is missing in sp, but {purpose}; {REMEDY}"));
            }
        }
        match (parse_time(&self.expiry), self.expiry.as_str()) {
            (Some(end), text) if end <= now => {
                report.problem(format!("SAS: has expired (se={text}); {REMEDY}"));
            }
            (Some(end), text) if end - now < SOON => {
                report.warn(format!("SAS: ends soon (se={text}); {REMEDY}"));
            }
            (None, _) => {
                report.warn("SAS: the end in se is not a time; copy the SAS again, or make a new SAS")
            }
            _ => {}
        }
        if parse_time(&self.start).is_some_and(|start| start > now) {
            report.problem(format!(
                "SAS: is not valid before st={}; wait, or make a SAS without st",
                self.start
            ));
        }
        if !self.addresses.is_empty() {
            report.warn(format!(
                "SAS: works only from the addresses sip={}; check that the platform calls from these addresses",
                self.addresses
            ));
        }
        if self.protocol.contains("http,") || self.protocol.ends_with(",http") {
            report.warn("SAS: permits plain http; make a SAS with spr=https");
        }
    }
}

/// Reads a time in one of the forms that a SAS can have: a date alone, or a date and a time with or without
/// seconds.
fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    let minute = || NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%MZ").ok();
    let other = || DateTime::parse_from_rfc3339(text).ok().map(|time| time.naive_utc());
    other().or_else(minute).or_else(day).map(|time| time.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Status;

    fn found(sas: &str, status: Status) -> Vec<String> {
        let connection = format!("AccountName=contoso;SharedAccessSignature={sas}&sig=hunter2");
        let mut report = Report::default();
        let now = "2026-11-29T12:00:00Z".parse().unwrap();
        Sas::of_connection_string(&connection).unwrap().check(now, &mut report);
        report.with(status).map(|line| line.text.clone()).collect()
    }

    #[test]
    fn rights_are_those_that_the_crate_storage_account_requires() {
        let letters: String = RIGHTS.iter().map(|right| right.letter).collect();
        assert_eq!(letters, Service::Queue.sas_rights());
        assert_eq!(letters.trim_end_matches('p'), Service::Table.sas_rights());
    }

    #[test]
    fn each_missing_or_wrong_part_of_a_sas_is_named() {
        const GOOD: &str = "?sv=1&ss=qt&srt=co&sp=rdacup&se=2027-11-29T00%3A00%3A00Z&spr=https";
        assert_eq!(found(GOOD, Status::Problem), [""; 0]);
        assert_eq!(found(GOOD, Status::Warning), [""; 0]);
        for (from, to, status, expected) in [
            ("ss=qt", "ss=q", Status::Problem, "`t` is missing in ss"),
            ("ss=qt", "ss=bt", Status::Problem, "`q` is missing in ss"),
            ("srt=co", "srt=c", Status::Problem, "`o` is missing in srt"),
            ("rdacup", "dacup", Status::Problem, "`r` (read)"),
            ("rdacup", "racup", Status::Problem, "`d` (delete)"),
            ("rdacup", "rdcup", Status::Problem, "`a` (add)"),
            ("rdacup", "rdacp", Status::Problem, "`u` (update)"),
            ("rdacup", "rdacu", Status::Problem, "`p` (process)"),
            ("2027-11-29T00%3A00%3A00Z", "2026-11-29T11:59Z", Status::Problem, "has expired"),
            ("2027-11-29T00%3A00%3A00Z", "2026-11-29", Status::Problem, "has expired"),
            ("2027-11-29T00%3A00%3A00Z", "2026-12-01", Status::Warning, "ends soon"),
            ("2027-11-29T00%3A00%3A00Z", "later", Status::Warning, "the end in se"),
            ("&se=", "&st=2026-12-01&se=", Status::Problem, "not valid before"),
            ("&se=", "&sip=1.2.3.4&se=", Status::Warning, "1.2.3.4"),
            ("spr=https", "spr=https,http", Status::Warning, "plain http"),
            ("ss=qt&srt=co", "sr=q", Status::Problem, "one queue or table"),
        ] {
            let found = found(&GOOD.replace(from, to), status);
            assert_eq!(found.len(), 1, "{to}: {found:?}");
            assert!(found[0].contains(expected) && !found[0].contains("hunter2"), "{to}: {found:?}");
        }
        assert_eq!(found(&GOOD.replace("rdacup", "rdaup"), Status::Problem), [""; 0], "c is optional");
        assert_eq!(Sas::of_connection_string("AccountName=contoso;AccountKey=x"), None);
    }
}
