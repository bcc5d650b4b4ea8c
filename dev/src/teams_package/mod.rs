//! The app package that a person uploads to Teams: a zip of `manifest.json` and two icons.
//!
//! The same options always give the same bytes. The reason: every file in the zip has the same fixed time,
//! and the app's id is computed from the bot's id. `dev/teams-package.cjs` checks packages with Microsoft's
//! own schema in `cargo dev test`.

mod app;
pub mod check;
mod icon;
mod manifest;
mod zip;

use std::path::Path;

use anyhow::Context;

pub use self::app::{App, SCOPES};
pub use self::icon::Icons;
use self::icon::{COLOR, OUTLINE};

/// The name of the manifest in the package. The manifest is the file that describes the app.
pub const MANIFEST: &str = "manifest.json";

impl App {
    /// Makes the package.
    pub fn package(&self, icons: &Icons) -> anyhow::Result<Vec<u8>> {
        let manifest = serde_json::to_vec_pretty(&self.manifest()?).context("the manifest")?;
        zip::uncompressed(&[(MANIFEST, &manifest), (COLOR, icons.color()), (OUTLINE, icons.outline())])
    }

    /// Makes the content of `manifest.json`. Fails if a value of the app is not valid.
    pub fn manifest(&self) -> anyhow::Result<serde_json::Value> {
        self.expect_valid()?;
        Ok(manifest::of(self))
    }
}

/// Writes a package to a file.
pub fn write(path: &Path, package: &[u8]) -> anyhow::Result<()> {
    std::fs::write(path, package)
        .with_context(|| format!("--out: cannot write {}; choose another file", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn app() -> App {
        App::new("11111111-2222-3333-4444-555555555555", "https://bot.example.com/")
    }

    #[test]
    fn same_options_give_the_same_bytes() {
        let icons = Icons::of_project().unwrap();
        let one = app().package(&icons).unwrap();
        assert_eq!(one, app().package(&icons).unwrap());
        assert_ne!(one, App { read_receipts: true, ..app() }.package(&icons).unwrap());
    }

    #[test]
    fn value_that_teams_would_refuse_gives_an_error_with_the_option() {
        type Change = fn(&mut App);
        let rows: [(&str, Change); 15] = [
            ("--app-id", |app| app.bot_id = "11111111222233334444555555555555".into()),
            ("--app-id", |app| app.bot_id = "{11111111-2222-3333-4444-555555555555}".into()),
            ("--app-id", |app| app.bot_id = String::new()),
            ("--url", |app| app.url = "http://bot.example.com".into()),
            ("--url", |app| app.url = "bot.example.com".into()),
            ("--url", |app| app.url = "https://".into()),
            ("--url", |app| app.url = "https://me:secret@bot.example.com".into()),
            ("--name", |app| app.name = "x".repeat(31)),
            ("--name", |app| app.name = String::new()),
            ("--developer", |app| app.developer = "x".repeat(33)),
            ("--privacy", |app| app.privacy = Some("http://x".into())),
            ("--package-version", |app| app.version = "1.0".into()),
            ("--package-version", |app| app.version = "1.0.01".into()),
            ("--scopes", |app| app.scopes = vec!["groupchat".into()]),
            ("--scopes", |app| app.scopes = vec!["team".into(), "team".into()]),
        ];
        for (option, change) in rows {
            let mut app = app();
            change(&mut app);
            let error = app.package(&Icons::of_project().unwrap()).expect_err(option).to_string();
            assert!(error.starts_with(&format!("{option}: ")), "{error}");
        }
    }
}
