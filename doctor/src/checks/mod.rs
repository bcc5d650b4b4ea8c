//! All checks. Each check comes after the checks on which it depends.

mod application;
mod clock;
mod hosts;
mod keys;
mod login;
mod package;
mod sas;
mod storage;
mod storage_probe;
mod values;

use platform::{Clock, HttpClient, KeyValue, Randomness};

use crate::env_file::EnvFile;
use crate::manifest::Manifest;
use crate::report::Report;
use crate::variables::Variables;
use crate::watch::Watch;

/// The parts of a deployment that [`examine`] checks. `examine` leaves out each check that needs a missing
/// part.
#[derive(Debug, Default)]
pub struct Examination {
    /// The Spin manifest that is deployed.
    pub manifest: Manifest,
    /// The file with the variables.
    pub env: Option<EnvFile>,
    /// The address of the application, or the messaging endpoint as it is registered in Azure.
    pub url: Option<String>,
    /// The bytes of the app package for Teams, or of the package's `manifest.json` alone.
    pub package: Option<Vec<u8>>,
}

/// Makes all checks that are possible with the given parts.
pub async fn examine<H>(host: &H, examination: &Examination) -> Report
where
    H: HttpClient + KeyValue + Clock + Randomness,
{
    let Examination { manifest, env, url, package } = examination;
    let variables = env.as_ref().map(|env| Variables::new(env.values.clone(), manifest));
    let mut report = Report::without(variables.as_ref().map(Variables::secrets).unwrap_or_default());
    let host = Watch::new(host, variables.as_ref());
    if let (Some(env), Some(variables)) = (env, &variables) {
        report.begin("variables");
        env.report(&mut report);
        values::check(variables, manifest, &mut report);
        report.begin("allowed hosts");
        hosts::check(variables, manifest, &mut report);
        report.begin("login");
        let bot = login::check(&host, &mut report).await;
        report.begin("signing keys");
        keys::check(&host, &mut report).await;
        report.begin("storage");
        storage::check(&host, variables, bot.as_ref(), &mut report).await;
    }
    if let Some(url) = url {
        report.begin("application");
        application::check(&host, variables.as_ref(), url, &mut report).await;
    }
    if let Some(package) = package {
        report.begin("Teams package");
        package::check(package, variables.as_ref(), url.as_deref(), &mut report);
    }
    report.begin("clock");
    clock::check(&host.skews(), url.as_deref(), &mut report);
    report
}
