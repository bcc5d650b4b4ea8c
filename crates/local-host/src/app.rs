//! Loads the Spin application that this host runs: checks the manifest (`spin.toml`), and compiles the
//! components.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::bindings::cron::CronPre;
use crate::engine::{Loader, explain};
use crate::http::{Handler, Site, call_component};
use crate::kv::KeyValue;
use crate::manifest::{self, Manifest};
use crate::outbound::{Outbound, Shared};
use crate::output;
use crate::routes::Route;
use crate::state::{Component, HostSettings};
use crate::ticks::{self, Job};
use crate::variables::Variables;
use allowed_hosts::AllowedHosts;

pub(crate) struct App {
    pub(crate) site: Arc<Site>,
    pub(crate) jobs: Vec<Job>,
}

impl App {
    /// Checks the manifest, and compiles each component that a trigger names. The checks of the manifest come
    /// before the compilation, because these checks are quick.
    pub(crate) fn load(
        manifest: &Manifest,
        variables: &Variables,
        state_dir: &Path,
        settings: HostSettings,
    ) -> Result<Self> {
        let in_manifest = || format!("in the manifest {}", manifest.path.display());
        let schedules = manifest
            .trigger
            .cron
            .iter()
            .map(|trigger| ticks::parse(&trigger.cron_expression))
            .collect::<Result<Vec<_>>>()
            .with_context(in_manifest)?;
        let key_value = Arc::new(KeyValue::open(state_dir)?);
        let shared = Arc::<Shared>::default();
        let components = manifest
            .component
            .iter()
            .map(|(id, entry)| {
                let component = component(manifest, id, entry, variables, &key_value, &shared, settings)?;
                Ok((id.as_str(), (entry, Arc::new(component))))
            })
            .collect::<Result<BTreeMap<_, _>>>()
            .with_context(in_manifest)?;
        let mut loader = Loader::new(settings.meter)?;
        let mut site = Site::new();
        for trigger in &manifest.trigger.http {
            let (entry, component) = &components[trigger.component.as_str()];
            let pre = loader.load(&component.id, &manifest.source(entry))?;
            let pre = ProxyPre::new(pre).map_err(explain).with_context(|| {
                format!("component {:?}: the wasm exports no `wasi:http/incoming-handler@0.2`", component.id)
            })?;
            let (component, description) = (component.clone(), entry.description.clone());
            site.push((Route::new(&trigger.route), Handler { component, pre, description }));
        }
        let mut jobs = Vec::new();
        for (trigger, schedule) in manifest.trigger.cron.iter().zip(schedules) {
            let (entry, component) = &components[trigger.component.as_str()];
            let pre = loader.load(&component.id, &manifest.source(entry))?;
            let pre = CronPre::new(pre).map_err(explain).with_context(|| {
                format!(
                    "component {:?}: expected the export `handle-cron-event` of wit/world.wit (not async), found none",
                    component.id
                )
            })?;
            jobs.push(Job { component: component.clone(), pre, schedule });
        }
        let site = Arc::new(site);
        let components = Arc::downgrade(&site);
        shared.set_components(Box::new(move |component, request| {
            let site = components.upgrade()?;
            Some(Box::pin(async move { call_component(&site, &component, request).await }))
        }));
        Ok(Self { site, jobs })
    }
}

fn component(
    manifest: &Manifest,
    id: &str,
    entry: &manifest::Component,
    variables: &Variables,
    key_value: &Arc<KeyValue>,
    shared: &Arc<Shared>,
    settings: HostSettings,
) -> Result<Component> {
    let own =
        variables.of_component(&entry.variables).with_context(|| format!("`[component.{id}.variables]`"))?;
    let id: Arc<str> = id.into();
    let allowed = allowed_hosts(&id, &entry.allowed_outbound_hosts, variables)?;
    Ok(Component {
        outbound: Outbound::new(id.clone(), manifest.path.clone(), allowed, shared.clone()),
        id,
        variables: own,
        stores: entry.key_value_stores.clone(),
        key_value: key_value.clone(),
        settings,
    })
}

/// Parses `allowed_outbound_hosts` of a component.
///
/// If an entry without a variable (a *literal*) is malformed, the host does not start. `spin up` does the
/// same (spin: crates/loader validates literals).
///
/// An entry with a `{{ variable }}` is invalid if the variable does not exist, or if the value makes the
/// entry malformed. The host then denies all outbound requests of the component, as Spin does. Unlike Spin,
/// this host also reports the invalid entry at the start.
fn allowed_hosts(
    id: &str,
    entries: &[String],
    variables: &Variables,
) -> Result<Result<AllowedHosts, String>> {
    let literals = entries.iter().filter(|entry| !entry.contains("{{"));
    let place = || format!("`[component.{id}]` allowed_outbound_hosts");
    AllowedHosts::parse(literals).with_context(place)?;
    let fill = |entry: &String| {
        let filled = variables.fill(entry).map_err(|e| e.to_string())?;
        // The error does not show the value, because the value can be a secret.
        AllowedHosts::parse([&filled])
            .map_err(|_| format!("{entry:?}: expected scheme://host[:port] with the variables filled in"))?;
        Ok(filled)
    };
    let allowed = entries
        .iter()
        .map(fill)
        .collect::<Result<Vec<_>, String>>()
        .and_then(|filled| AllowedHosts::parse(filled).map_err(|e| e.to_string()));
    if let Err(why) = &allowed {
        output::error(&format!(
            "{}: {why}; the host denies all requests of the component until the entry is corrected",
            place()
        ));
    }
    if allowed.as_ref().is_ok_and(AllowedHosts::names_self) {
        output::error(&format!(
            "{}: `self` is not supported, so the entry allows no requests; remove the entry",
            place()
        ));
    }
    Ok(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variables::Sources;

    #[test]
    fn malformed_literal_stops_the_start_and_invalid_entry_with_a_variable_denies_all_requests() {
        let declared = toml::from_str("host = { default = 'a/b' }").unwrap();
        let variables = Variables::resolve(&declared, &Sources::default()).unwrap();
        let hosts = |entry: &str| {
            allowed_hosts("bot", &["https://good.example".to_owned(), entry.to_owned()], &variables)
        };
        assert!(hosts("http://localhost:*").unwrap().is_ok());
        let error = format!("{:#}", hosts("example.com").unwrap_err());
        assert!(error.contains("[component.bot]") && error.contains("example.com"), "{error}");
        assert!(hosts("https://{{ no_such }}.example").unwrap().unwrap_err().contains("no_such"));
        let bad = hosts("https://{{ host }}").unwrap().unwrap_err();
        assert!(bad.contains("{{ host }}") && !bad.contains("a/b"), "{bad}");
    }
}
