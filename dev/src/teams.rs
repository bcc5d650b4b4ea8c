//! `cargo dev teams`: makes the app package that a person uploads to Teams.

use std::path::PathBuf;

use clap::Args;
use dev::teams_package::{App, Icons, SCOPES, write};

#[derive(Debug, Args)]
pub(crate) struct Teams {
    /// The bot's app id, i.e. the value of the variable microsoftappid
    #[arg(long, value_name = "ID")]
    app_id: String,
    /// The address at which the bot runs, e.g. https://bot.example.com
    #[arg(long)]
    url: String,
    /// The name that people see, at most 30 characters
    #[arg(long, default_value = "Proactive bot")]
    name: String,
    /// The organization that people see, at most 32 characters
    #[arg(long, default_value = "proactive-bot")]
    developer: String,
    /// The web page about the app; by default the value of --url without a path
    #[arg(long, value_name = "URL")]
    website: Option<String>,
    /// The web page about privacy; by default the value of --url without a path
    #[arg(long, value_name = "URL")]
    privacy: Option<String>,
    /// The web page with the terms of use; by default the value of --url without a path
    #[arg(long, value_name = "URL")]
    terms: Option<String>,
    /// Where people can install the app, separated by commas: one or more of personal, team, groupChat
    #[arg(long, value_delimiter = ',', default_values = SCOPES)]
    scopes: Vec<String>,
    /// The app asks for the permission to receive read receipts in chats
    #[arg(long)]
    read_receipts: bool,
    /// The version of the package; Teams accepts a changed package only with a higher version
    #[arg(long, default_value = "1.0.0", value_name = "VERSION")]
    package_version: String,
    /// A folder with your own color.png (192 x 192) and outline.png (32 x 32, white and transparent)
    #[arg(long, value_name = "FOLDER")]
    icons: Option<PathBuf>,
    /// The file to write
    #[arg(long, default_value = "proactive-bot.zip", value_name = "FILE")]
    out: PathBuf,
}

impl Teams {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let icons = self.icons.as_deref().map_or_else(Icons::of_project, Icons::read)?;
        let app = App {
            bot_id: self.app_id.trim().to_owned(),
            url: self.url,
            version: self.package_version,
            name: self.name,
            developer: self.developer,
            website: self.website,
            privacy: self.privacy,
            terms: self.terms,
            scopes: self.scopes,
            read_receipts: self.read_receipts,
        };
        write(&self.out, &app.package(&icons)?)?;
        println!("Wrote {}. In Teams: Apps, Manage your apps, Upload an app.", self.out.display());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        teams: Teams,
    }

    #[test]
    fn only_app_id_and_address_are_required() {
        let parse = |arguments: &[&str]| Cli::try_parse_from([&["teams"], arguments].concat());
        let parsed = parse(&["--app-id", "x", "--url", "https://x"]).unwrap();
        assert_eq!(parsed.teams.scopes, SCOPES);
        let parsed = parse(&["--app-id", "x", "--url", "https://x", "--scopes", "personal,team"]).unwrap();
        assert_eq!(parsed.teams.scopes, ["personal", "team"]);
        assert!(parse(&["--app-id", "x"]).is_err() && parse(&["--url", "https://x"]).is_err());
    }
}
