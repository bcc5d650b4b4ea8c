//! Checks whether each variable has a valid value, and whether the values fit together.

use crate::manifest::Manifest;
use crate::report::{Report, Status};
use crate::variables::Variables;

/// Variables with keys that other programs send to the application. Such a program can read its key from the
/// same file as the application. If the value in the file begins or ends with white space, e.g. a line end,
/// the program sends the key with the white space. The application removes the white space from its own key.
/// The two keys then differ, and the program gets the response 401.
const SENT_BY_CALLERS: [&str; 2] = ["pollkey", "alertkey"];

pub(super) fn check(variables: &Variables, manifest: &Manifest, report: &mut Report) {
    let faults = report.with(Status::Problem).count();
    let errors = bot_component::check_settings(variables).into_iter();
    for error in errors.chain(trigger_component::check_settings(variables)) {
        report.problem(format!("{}: {}", error.name, error.problem));
    }
    check_registration(variables, report);
    check_storage(variables, report);
    check_white_space(variables, manifest, report);
    check_keys(variables, report);
    if report.with(Status::Problem).count() == faults {
        let count = variables.set().count();
        report.fine(format!("{count} variables are set, and the components can read all of them"));
    }
}

fn check_registration(variables: &Variables, report: &mut Report) {
    if variables.trimmed("authmode") == "anonymous" {
        report.problem(
            "authmode: anonymous is for local tests only, because callers need no token; remove the variable",
        );
        return;
    }
    let app_id = variables.trimmed("microsoftappid");
    if !app_id.is_empty() && !is_guid(app_id) {
        report.problem(
            "microsoftappid: expected 8-4-4-4-12 hexadecimal digits; copy the Application (client) ID",
        );
    }
    let tenant = variables.trimmed("microsoftapptenantid");
    if !tenant.is_empty() && !is_guid(tenant) && !tenant.contains('.') {
        report.problem(
            "microsoftapptenantid: expected 8-4-4-4-12 hexadecimal digits, or a domain; copy the Directory (tenant) ID",
        );
    }
    if is_guid(variables.trimmed("microsoftapppassword")) {
        report.problem(
            "microsoftapppassword: looks like the id of a secret; set the secret's value, which Azure shows only once",
        );
    }
    if !app_id.is_empty() && app_id.eq_ignore_ascii_case(tenant) {
        report.problem("microsoftapptenantid: is equal to microsoftappid; copy the Directory (tenant) ID");
    }
}

fn check_storage(variables: &Variables, report: &mut Report) {
    let connection = variables.trimmed("storageconnection").to_ascii_lowercase();
    if connection.contains("usedevelopmentstorage=true") {
        report.problem(
            "storageconnection: leads to the emulator on the local machine; set the connection string of the account",
        );
    }
}

fn check_white_space(variables: &Variables, manifest: &Manifest, report: &mut Report) {
    for (name, value) in variables.set() {
        let trimmed = value.trim();
        if trimmed.len() != value.len() {
            let kind = if value.ends_with(['\n', '\r']) { "a line end" } else { "white space" };
            if SENT_BY_CALLERS.contains(&name) {
                report.problem(format!(
                    "{name}: begins or ends with {kind}; the application removes {kind}, but a program that sends it with the \
                     key gets 401; correct the value"
                ));
            } else {
                report.warn(format!("{name}: begins or ends with {kind}; remove it"));
            }
        }
        let is_secret = manifest.variables.get(name).is_some_and(|variable| variable.is_secret);
        if is_secret && name != "certificate" && trimmed.contains(char::is_control) {
            report.problem(format!(
                "{name}: has a line end or a control character inside; copy the value again"
            ));
        }
        if name == "pollkey" && !trimmed.bytes().all(|byte| byte.is_ascii_graphic()) {
            report.problem(
                "pollkey: has characters that cannot be sent in a header; make a new key with openssl rand -hex 32",
            );
        }
    }
}

fn check_keys(variables: &Variables, report: &mut Report) {
    if variables.trimmed("pollkey").is_empty() {
        report.warn(
            "pollkey: is empty, so no scheduler can call /internal/poll; set pollkey, unless a cron trigger polls",
        );
    }
    if variables.trimmed("alertkey").is_empty() && variables.trimmed("alertkeys").is_empty() {
        report.warn("alertkeys: alertkeys and alertkey are empty, so no program can send alerts; add an entry (cargo dev key)");
    }
    let keys = ["microsoftapppassword", "pollkey", "alertkey", "sealkey", "hookkey"];
    for (index, name) in keys.iter().enumerate() {
        let value = variables.trimmed(name);
        let twin =
            keys.iter().take(index).find(|other| !value.is_empty() && variables.trimmed(other) == value);
        if let Some(twin) = twin {
            report.warn(format!("{name}: has the value of {twin}; use a random value for each"));
        }
    }
}

/// Whether a text has the form of a GUID: 8-4-4-4-12 hexadecimal digits.
fn is_guid(text: &str) -> bool {
    let lengths: Vec<_> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}
