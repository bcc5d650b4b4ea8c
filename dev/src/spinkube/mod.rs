//! Checks the files of `deploy/spinkube/`, with which a person runs the bot on Kubernetes. The checks need no
//! cluster. There are four checks:
//!
//! - `kubernetes-validate`, a program from PyPI, compares resources with the schemas of Kubernetes. The
//!   program knows only the kinds of resources that Kubernetes itself has.
//! - `schema.rs` compares custom resources with the schemas in their CRDs. A CRD defines a kind of custom
//!   resource, e.g. SpinKube's `SpinApp`. The project does not contain the CRDs. If the CRDs are not on this
//!   machine, this check is skipped.
//! - `references.rs` compares the names that the resources, the Spin manifest and `make-secret.sh` share.
//! - `reach.rs` computes which connections the NetworkPolicies allow, and compares the result with the table
//!   in `deploy/spinkube/README.md`.
//!
//! `kubernetes-validate` reads only the files in `deploy/spinkube/`. The other checks also read the resources
//! that kustomize renders from the folders `bot` and `many-bots`. kustomize is a part of kubectl. If kubectl
//! is not installed, the rendered resources are not checked.
//!
//! Only a real cluster checks admission, images, the Deployment that SpinKube's operator makes, and the
//! network plug-in.

mod reach;
mod references;
mod resource;
mod schema;
#[cfg(all(test, unix))]
mod secret_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use self::references::Context;
use self::resource::Resource;
use crate::steps::silent;
use crate::workspace::root;

const FOLDER: &str = "deploy/spinkube";
/// The files with resources of Kubernetes' own kinds. Each path is relative to `base`, without `.yaml`.
const BUILT_IN: [&str; 7] =
    ["account", "namespace", "poll", "network", "ingress", "quota", "../secret.example"];
/// The files with custom resources. Each path is relative to `base`, without `.yaml`.
const CUSTOM: [&str; 2] = ["app", "../keda/poll"];
/// The folders for the command `kubectl apply -k`.
const APPLIED: [&str; 2] = ["bot", "many-bots"];
/// The names of the CRDs' files, without `.yaml`. The project does not contain these files. The check expects
/// them in the folder [`crd_folder`].
const CRDS: [&str; 4] = ["spinapps", "spinappexecutors", "scaledjobs", "triggerauthentications"];

/// A check that was skipped.
#[derive(Debug)]
pub struct Skipped {
    /// The name of the check.
    pub name: &'static str,
    /// The reason, and what to do.
    pub why: String,
}

/// Makes all checks, and fails if a check finds a fault. The result lists the skipped checks. `validator` is
/// the program `kubernetes-validate`, if it is installed.
pub fn check(validator: Option<&Path>) -> anyhow::Result<Vec<Skipped>> {
    let root = root();
    let mut skipped = Vec::new();
    let (context, sources) = (context(&root)?, sources(&root)?);
    let mut findings = check_sources(&context, &sources);
    let readme = read(&root, &format!("{FOLDER}/README.md"))?;
    findings.extend(missing_lines(&readme));

    let mut custom = sources.clone();
    match rendered(&root)? {
        Some(bots) => {
            for (namespace, resources) in &bots {
                let of_bot =
                    references::check(&context, resources).into_iter().chain(reach::check(resources));
                findings.extend(of_bot.map(|finding| format!("{namespace}: {finding}")));
            }
            custom.extend(bots.into_values().flatten());
        }
        None => skipped.push(Skipped {
            name: "deploy/spinkube: bots as kustomize renders them",
            why: "kubectl: not found; install it to render the folders bot and many-bots".to_owned(),
        }),
    }
    match check_custom_in(&crd_folder(), &custom)? {
        Ok(of_custom) => findings.extend(of_custom),
        Err(why) => skipped.push(Skipped { name: "deploy/spinkube: custom resources", why }),
    }
    ensure!(findings.is_empty(), "{FOLDER}: correct this:\n{}", findings.join("\n"));
    if let Some(validator) = validator {
        let mut command = Command::new(validator);
        command.args(["--strict", "--quiet"]).args(built_in_files()).current_dir(&root);
        silent(command)?;
    }
    Ok(skipped)
}

/// The paths of the files that `kubernetes-validate` checks.
fn built_in_files() -> impl Iterator<Item = String> {
    BUILT_IN.iter().map(|file| format!("{FOLDER}/base/{file}.yaml"))
}

fn context(root: &Path) -> anyhow::Result<Context> {
    let examples = Resource::read(root, &format!("{FOLDER}/secret.example.yaml"))?;
    let [example, keda_example] = examples
        .try_into()
        .ok()
        .context("secret.example.yaml: expected two Secrets, the bot's and KEDA's; correct the file")?;
    Ok(Context {
        manifest: read(root, "deploy/spin.http.toml")?.parse().context("deploy/spin.http.toml")?,
        example,
        keda_example,
        script: read(root, &format!("{FOLDER}/make-secret.sh"))?,
    })
}

/// The resources in the files of `deploy/spinkube/`, except the example Secrets. The resources include both
/// the CronJob and KEDA's ScaledJob, although a bot needs only one of these two to poll. KEDA is an operator
/// that starts Jobs when there is work. kustomize makes the ConfigMap `poll` from `poll.sh`, so no file has
/// this ConfigMap. This function adds a ConfigMap with the same name.
fn sources(root: &Path) -> anyhow::Result<Vec<Resource>> {
    let mut resources =
        Resource::parse("base/kustomization.yaml", "{kind: ConfigMap, metadata: {name: poll}}")?;
    let built_in = BUILT_IN.iter().filter(|file| !file.contains("secret"));
    for file in built_in.chain(&CUSTOM) {
        resources.extend(Resource::read(root, &format!("{FOLDER}/base/{file}.yaml"))?);
    }
    Ok(resources)
}

fn check_sources(context: &Context, sources: &[Resource]) -> Vec<String> {
    [references::check(context, sources), reach::check(sources)].concat()
}

/// One finding for each line of [`reach::TABLE`] that the README does not have.
fn missing_lines(readme: &str) -> Vec<String> {
    let lines = reach::TABLE.iter().map(reach::Line::markdown);
    let missing = lines.filter(|line| !readme.lines().any(|known| known == line));
    missing
        .map(|line| format!("{FOLDER}/README.md: the table does not have the line {line}; add it"))
        .collect()
}

/// Renders the folders [`APPLIED`], and returns the resources by namespace. Each bot has a namespace of its
/// own. Returns `None` if kubectl is not installed.
fn rendered(root: &Path) -> anyhow::Result<Option<BTreeMap<String, Vec<Resource>>>> {
    let mut bots: BTreeMap<String, Vec<Resource>> = BTreeMap::new();
    for folder in APPLIED {
        let Some(resources) = Resource::render(root, &format!("{FOLDER}/{folder}"))? else {
            return Ok(None);
        };
        for resource in resources {
            let is_namespace = resource.kind() == "Namespace";
            let namespace = if is_namespace { resource.name() } else { resource.namespace() }.to_owned();
            bots.entry(namespace).or_default().push(resource);
        }
    }
    Ok(Some(bots))
}

fn crd_folder() -> PathBuf {
    root().join("../shared/data/crds")
}

/// Reads the CRDs. Returns `None` if `folder` does not exist.
fn crds(folder: &Path) -> anyhow::Result<Option<Vec<Resource>>> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let files = CRDS.iter().map(|name| Resource::read(folder, &format!("{name}.yaml")));
    Ok(Some(files.collect::<anyhow::Result<Vec<_>>>()?.concat()))
}

/// Checks every custom resource against the CRDs in `folder`, and returns the findings as `Ok(Ok(findings))`.
/// If `folder` does not exist, checks nothing, and returns the reason as `Ok(Err(reason))`.
fn check_custom_in(folder: &Path, resources: &[Resource]) -> anyhow::Result<Result<Vec<String>, String>> {
    Ok(match crds(folder)? {
        Some(crds) => Ok(check_custom(&crds, resources)),
        None => Err(format!(
            "{}: not found; put the CRDs of spin-operator 0.6.1 and KEDA 2.20.2 there",
            folder.display()
        )),
    })
}

/// Checks every custom resource against its CRD.
fn check_custom(crds: &[Resource], resources: &[Resource]) -> Vec<String> {
    let is_custom = |resource: &&Resource| {
        let version = resource.value["apiVersion"].as_str().unwrap_or_default();
        version.contains(".dev/") || version.contains("keda.sh/")
    };
    resources
        .iter()
        .filter(is_custom)
        .flat_map(|resource| match crds.iter().find_map(|crd| schema::check(crd, resource)) {
            Some(findings) => findings,
            None => vec![resource.finding("no CRD defines this kind; correct kind or apiVersion")],
        })
        .collect()
}

fn read(root: &Path, file: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {file}"))
}
