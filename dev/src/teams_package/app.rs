//! The app that an app package for Teams describes. This module also checks the values of the app.

use anyhow::{Context, ensure};

/// An app for Teams. `cargo dev teams` has an option for each field.
#[derive(Debug, Clone)]
pub struct App {
    /// The bot's app id: the value of the variable `microsoftappid`.
    pub bot_id: String,
    /// The address at which the bot runs, e.g. `https://bot.example.com`.
    pub url: String,
    /// The version of the package. Teams accepts a changed package only with a higher version.
    pub version: String,
    /// The name that people see, at most 30 characters.
    pub name: String,
    /// The organization that people see, at most 32 characters.
    pub developer: String,
    /// The web page about the app; `None` means the origin of `url`.
    pub website: Option<String>,
    /// The web page about privacy; `None` means the origin of `url`.
    pub privacy: Option<String>,
    /// The web page with the terms of use; `None` means the origin of `url`.
    pub terms: Option<String>,
    /// Where people can install the app: one or more of [`SCOPES`].
    pub scopes: Vec<String>,
    /// Whether the app asks for the permission to receive read receipts in chats.
    pub read_receipts: bool,
}

/// All scopes in which people can install the app. A scope is a kind of conversation in Teams.
pub const SCOPES: [&str; 3] = ["personal", "team", "groupChat"];

impl App {
    /// Makes an app with the default name, organization, version and web pages, and with all scopes.
    pub fn new(bot_id: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            bot_id: bot_id.into(),
            url: url.into(),
            version: "1.0.0".into(),
            name: "Proactive bot".into(),
            developer: "proactive-bot".into(),
            website: None,
            privacy: None,
            terms: None,
            scopes: SCOPES.map(str::to_owned).to_vec(),
            read_receipts: false,
        }
    }

    /// The origin of `url`, in lower case: the scheme, the host, and the port if `url` has a port.
    pub(super) fn origin(&self) -> anyhow::Result<String> {
        https_origin(&self.url).with_context(|| {
            format!("--url: expected https://<host>, e.g. https://bot.example.com, found `{}`", self.url)
        })
    }

    pub(super) fn expect_valid(&self) -> anyhow::Result<()> {
        ensure!(
            is_uuid(&self.bot_id),
            "--app-id: expected the bot's app id, e.g. 11111111-2222-3333-4444-555555555555, found `{}`",
            self.bot_id
        );
        self.origin()?;
        for (option, text, limit) in [("--name", &self.name, 30), ("--developer", &self.developer, 32)] {
            let length = text.chars().count();
            let is_fine = (1..=limit).contains(&length) && !text.chars().any(char::is_control);
            ensure!(is_fine, "{option}: expected 1 to {limit} characters, found {length}");
        }
        for (option, page) in
            [("--website", &self.website), ("--privacy", &self.privacy), ("--terms", &self.terms)]
        {
            let Some(page) = page else { continue };
            let is_fine = https_origin(page).is_some() && page.len() <= 2048;
            ensure!(is_fine, "{option}: expected an address that begins with https://, found `{page}`");
        }
        ensure!(
            is_version(&self.version),
            "--package-version: expected three numbers such as 1.0.0, found `{}`",
            self.version
        );
        ensure!(!self.scopes.is_empty(), "--scopes: expected some of {}", SCOPES.join(", "));
        for (index, scope) in self.scopes.iter().enumerate() {
            let is_known = SCOPES.contains(&scope.as_str());
            ensure!(is_known, "--scopes: expected some of {}, found `{scope}`", SCOPES.join(", "));
            let is_first = self.scopes.iter().position(|other| other == scope) == Some(index);
            ensure!(is_first, "--scopes: `{scope}` is given twice; keep one");
        }
        Ok(())
    }
}

/// Whether a text is a UUID in the form `11111111-2222-3333-4444-555555555555`.
pub(super) fn is_uuid(text: &str) -> bool {
    let groups: Vec<_> = text.split('-').collect();
    let lengths: Vec<_> = groups.iter().map(|group| group.len()).collect();
    lengths == [8, 4, 4, 4, 12] && groups.concat().bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The origin of an https address, in lower case. `None` for any other text, and for an address with
/// white space or a user name.
fn https_origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_at_checked("https://".len())?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
    let is_label = |label: &str| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(is_letter)
    };
    let is_fine = scheme.eq_ignore_ascii_case("https://")
        && host.split('.').all(is_label)
        && port.parse::<u16>().is_ok()
        && !rest.contains(char::is_whitespace);
    is_fine.then(|| format!("https://{}", authority.to_ascii_lowercase()))
}

fn is_version(text: &str) -> bool {
    let numbers: Vec<_> = text.split('.').collect();
    let is_number = |part: &&str| {
        part.len() <= 9
            && part.bytes().all(|byte| byte.is_ascii_digit())
            && part.parse::<u32>().is_ok_and(|number| number.to_string() == **part)
    };
    numbers.len() == 3 && numbers.iter().all(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_origin_leaves_out_the_path_and_refuses_wrong_addresses() {
        for (url, expected) in [
            ("https://bot.example.com", Some("https://bot.example.com")),
            ("HTTPS://Bot.example.com:8443/api/messages?x", Some("https://bot.example.com:8443")),
            ("https://a..b", None),
            ("https://a b", None),
            ("https://a/b c", None),
            ("https://a:port", None),
            ("ftp://a", None),
            ("", None),
        ] {
            assert_eq!(https_origin(url).as_deref(), expected, "{url}");
        }
    }
}
