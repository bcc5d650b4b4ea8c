//! The ids of the bot's app registration in Entra. The fake servers of this crate accept only these ids.

/// The bot's app id, as in the activities of `tests/fixtures/`.
pub const APP_ID: &str = "00000000-0000-0000-0000-000000000001";
/// The id of the bot's tenant.
pub const TENANT: &str = "11111111-2222-3333-4444-555555555555";
