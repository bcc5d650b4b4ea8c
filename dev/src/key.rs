//! `cargo dev key`: makes an API key for one program. With this key, the program can call the bot, e.g. send
//! alerts with `POST /api/alerts`.

use clap::Args;
use dev::named_key::{NamedKey, Purpose};

#[derive(Debug, Args)]
pub(crate) struct Key {
    /// The name of the program that gets the key, e.g. ci; the log and the ledger (the record of each alert's
    /// status) show this name
    #[arg(long)]
    name: String,
    /// The scopes (operations that the key allows), separated by commas: one or more of send, address,
    /// cancel, list, operate, watch
    #[arg(long, value_delimiter = ',', required = true)]
    scopes: Vec<String>,
    /// The last day on which the key is valid, e.g. 2027-01-31, or a time in the form of RFC 3339
    #[arg(long)]
    until: Option<String>,
    /// Limits the key to the conversations of the Microsoft Entra tenant with this id
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// Limits the key to tags that begin with this text; a tag is a topic to which conversations subscribe
    #[arg(long, value_name = "PREFIX")]
    tag: Option<String>,
}

impl Key {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let Self { name, scopes, until, tenant, tag } = self;
        let made = NamedKey::random(&Purpose { name, scopes, until, tenant, tag })?;
        println!("The key for the calling program. It is shown only once, and stored nowhere:\n");
        println!("    {}\n", made.key());
        println!(
            "The entry for the variable alertkeys, which holds one or more entries, separated by commas:\n"
        );
        println!("    {}", made.entry());
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
        key: Key,
    }

    #[test]
    fn key_needs_a_name_and_one_or_more_scopes() {
        for (arguments, expected) in [
            (&["--name", "ci", "--scopes", "send,cancel"][..], Some(&["send", "cancel"][..])),
            (&["--name", "ci", "--scopes", "send", "--scopes", "list"], Some(&["send", "list"])),
            (&["--name", "ci"], None),
            (&["--scopes", "send"], None),
        ] {
            let parsed = Cli::try_parse_from([&["key"], arguments].concat());
            let scopes = parsed.ok().map(|cli| cli.key.scopes);
            assert_eq!(
                scopes.as_deref(),
                expected
                    .map(|scopes| scopes.iter().map(|scope| (*scope).to_owned()).collect::<Vec<_>>())
                    .as_deref(),
                "{arguments:?}"
            );
        }
    }
}
