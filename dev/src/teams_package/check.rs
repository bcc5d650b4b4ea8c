//! Checks app packages for Teams with Microsoft's own schema. `cargo dev test` runs this check.

use std::path::Path;

use anyhow::Context;

use super::{App, Icons, write};
use crate::steps::silent;
use crate::tools::node;
use crate::workspace::{root, target};

/// Makes three app packages: with default values, with many options, and for teams only. Checks each package
/// with `dev/teams-package.cjs`. This script needs the npm packages of `dev/package-lock.json`.
pub fn run() -> anyhow::Result<()> {
    let folder = target().join("teams");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let icons = Icons::of_project()?;
    let plain = App::new("11111111-2222-3333-4444-555555555555", "https://bot.example.com");
    let full = App {
        bot_id: "AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE".into(),
        name: "ä".repeat(30),
        developer: "ö".repeat(32),
        website: Some("https://contoso.com/bot".into()),
        privacy: Some("https://contoso.com/privacy".into()),
        terms: Some("https://contoso.com/terms".into()),
        scopes: vec!["groupChat".into(), "personal".into()],
        read_receipts: true,
        ..plain.clone()
    };
    let team = App { scopes: vec!["team".into()], ..plain.clone() };
    for (name, app) in [("plain.zip", plain), ("full.zip", full), ("team.zip", team)] {
        let path = folder.join(name);
        write(&path, &app.package(&icons)?)?;
        check(&path)?;
    }
    Ok(())
}

fn check(package: &Path) -> anyhow::Result<()> {
    let mut command = node();
    command.arg(root().join("dev/teams-package.cjs")).arg(package);
    silent(command)
}
