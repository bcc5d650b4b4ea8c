//! The routes for people who operate the bot, and for programs that watch the bot.

pub(super) mod dead;
pub(super) mod metrics;
mod openmetrics;
mod problems;
mod snapshot;
pub(super) mod status;
#[cfg(test)]
mod tests;
