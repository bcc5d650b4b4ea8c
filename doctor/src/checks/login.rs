//! Checks whether the login host (Microsoft's identity service) gives the bot a token for the Connector.

use std::time::Duration;

use bot_framework::outbound::TokenError;
use bot_framework::{AuthMode, BotCredentials, Tokens};
use platform::{Deadline, Host};

use crate::report::Report;

/// The time limit of the call to the login host.
const WITHIN: Duration = Duration::from_secs(20);

/// Fetches a token. Returns the bot's credentials if the login host gives a token.
pub(super) async fn check<H: Host>(host: &H, report: &mut Report) -> Option<BotCredentials> {
    let bot = match AuthMode::read(host).and_then(|mode| BotCredentials::read(mode, host)) {
        Ok(Some(bot)) => bot,
        Ok(None) => {
            report.skip("no token is needed with authmode=anonymous");
            return None;
        }
        Err(error) => {
            report.skip(format!("not tried, because {} is wrong", error.name));
            return None;
        }
    };
    let token = Tokens::new(host, &bot).bearer(Deadline::after(host, WITHIN)).await;
    match token {
        Ok(_) => {
            report.fine("the login host gives the bot a token, so tenant, app id and credential are right");
            Some(bot)
        }
        Err(error) => {
            report.problem(explained(&error));
            None
        }
    }
}

fn explained(error: &TokenError) -> String {
    let text = error.to_string();
    let hint = if text.starts_with("AADSTS7000215") {
        "; if the secret is right, microsoftappid is the app id of another bot"
    } else if text.starts_with("AADSTS700016") {
        "; perhaps the app id belongs to another bot, in another tenant"
    } else {
        ""
    };
    format!("{text}{hint}")
}
