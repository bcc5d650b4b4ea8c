//! Values that a person has set for the application's variables, and random secrets for one start of the
//! application.

use anyhow::Context;

/// The value of this variable in the environment or, if the environment does not set the variable, in the
/// file `.env` of the current folder. This function ignores broken lines of `.env`, because the Spin host
/// also reads `.env`, and reports broken lines.
pub(crate) fn from_environment(variable: &str) -> Option<String> {
    std::env::var(variable).ok().or_else(|| {
        let mut lines = dotenvy::from_path_iter(".env").ok()?.filter_map(Result::ok);
        lines.find(|(name, _)| name == variable).map(|(_, value)| value)
    })
}

/// 32 random bytes in hexadecimal.
pub(crate) fn random_hex() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).context("cannot get random numbers from the operating system")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
