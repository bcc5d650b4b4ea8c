//! `cargo dev send`: a message to the bot from the shell.

use clap::Args;
use dev::chat::PersonalChat;
use dev::playground::Playground;

#[derive(Debug, Args)]
pub(crate) struct Send {
    /// What to say, e.g. "hello"
    text: String,
    /// Where the chat page of `cargo dev up` is
    #[arg(long, default_value_t = Playground::PORT)]
    playground_port: u16,
}

impl Send {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        PersonalChat::find(self.playground_port)?.say(&self.text)?;
        println!("Sent. The bot answers in the chat page: http://localhost:{}", self.playground_port);
        Ok(())
    }
}
