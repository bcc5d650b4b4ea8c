//! Controls a real browser with two scripts. `dev/browser.cjs` visits the chat page. `dev/walk.cjs` carries
//! out a list of steps on any web page.

pub mod walk;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::tools::node;
use crate::workspace::root;

/// The names of the programs Chromium and Google Chrome. Debian uses `chromium`, and other systems use
/// `chromium-browser`. Google's own packages use the names with `google-chrome`. The path is for macOS.
const PROGRAMS: [&str; 5] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/// An installed Chromium or Google Chrome.
#[derive(Debug)]
pub struct Browser {
    program: PathBuf,
}

/// The reason why there is no browser, and the remedy.
pub const MISSING: &str = "Chromium is not installed (Debian and Ubuntu: apt-get install chromium)";

impl Browser {
    /// Looks for Chromium or Google Chrome in the folders of `PATH`, and at the path on macOS.
    pub fn find() -> Option<Self> {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<_> = std::env::split_paths(&folders).collect();
        // The path on macOS is absolute. For an absolute path, `join` ignores the folder.
        let mut paths = PROGRAMS.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        paths.find(|path| path.is_file()).map(|program| Self { program })
    }

    /// Opens the chat page, carries out the visit, and writes a screenshot into the file `screenshot`.
    /// Returns the bot's messages and cards that the page shows after the visit.
    pub fn chat(&self, page: &str, visit: &Visit<'_>, screenshot: &Path) -> anyhow::Result<PageContent> {
        let mut command = node();
        command.arg(root().join("dev/browser.cjs"));
        command.arg("--chromium").arg(&self.program).args(["--page", page]);
        command.arg("--screenshot").arg(screenshot);
        command.args(["--say", visit.say]);
        command.args(visit.replies.iter().flat_map(|reply| ["--expect", reply]));
        command.args(["--card", visit.card]);
        if let Some((button, text)) = visit.press {
            command.args(["--press", button, "--shows", text]);
        }
        if let Some((say, card)) = visit.then {
            command.args(["--then-say", say, "--then-card", card]);
        }
        let output = command.output().context("Node.js: cannot run node")?;
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            bail!("{}\nIf the page was open, it looked like this: {}", error.trim(), screenshot.display());
        }
        let seen = serde_json::from_slice(&output.stdout).ok();
        seen.as_ref()
            .and_then(PageContent::read)
            .context("dev/browser.cjs: expected the page's content as JSON, found something else")
    }
}

/// A person's visit to the chat page.
#[derive(Debug, Clone, Copy)]
pub struct Visit<'a> {
    /// The message that the person types.
    pub say: &'a str,
    /// The bot's replies to this message. The person waits for the replies one after the other.
    pub replies: &'a [&'a str],
    /// A text on a card. The person waits until the page shows a card with this text.
    pub card: &'a str,
    /// A button and a text. The person presses the button on a card, and waits until a card shows the text.
    pub press: Option<(&'a str, &'a str)>,
    /// The person's second message, and a text. After the message, the person waits until the page shows a
    /// card with the text.
    pub then: Option<(&'a str, &'a str)>,
}

/// The bot's messages and cards on the page, in their order from the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageContent {
    /// The whole text of each bubble of the bot. A bubble is the box of one message.
    pub bubbles: Vec<String>,
    /// The cards that the page has rendered in the bubbles.
    pub cards: Vec<Card>,
    /// The background colors of the cards for which the person waited. Each color is the color of a card's
    /// first container. A card without a container has no color in this list.
    pub colors: Vec<String>,
}

/// A rendered card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// The texts of the card's text blocks.
    pub texts: Vec<String>,
    /// The labels of the card's buttons.
    pub buttons: Vec<String>,
}

impl PageContent {
    fn read(seen: &Value) -> Option<Self> {
        let texts = |list: &Value| -> Option<Vec<String>> {
            list.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
        };
        let card =
            |card: &Value| Some(Card { texts: texts(&card["texts"])?, buttons: texts(&card["buttons"])? });
        let cards = seen["cards"].as_array()?.iter().map(card).collect::<Option<_>>()?;
        Some(Self { bubbles: texts(&seen["bubbles"])?, cards, colors: texts(&seen["colors"])? })
    }
}
