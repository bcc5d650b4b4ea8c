//! The routes for people who operate the bot.

pub(super) mod dead;
pub(super) mod metrics;
pub(super) mod status;
