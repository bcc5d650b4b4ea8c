//! What a person has chosen for the application's variables, and secrets for one run where they have chosen nothing.

use anyhow::Context;

/// The value of the environment's or `.env`'s variable of this name. Both hosts read the file too, and complain where it is
/// wrong.
pub(crate) fn outside(variable: &str) -> Option<String> {
    std::env::var(variable).ok().or_else(|| {
        let mut lines = dotenvy::from_path_iter(".env").ok()?.filter_map(Result::ok);
        lines.find(|(name, _)| name == variable).map(|(_, value)| value)
    })
}

/// 32 random bytes in hexadecimal.
pub(crate) fn random_hex() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).context("this machine has no random numbers")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
