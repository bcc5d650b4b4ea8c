//! Tests that the bot understands every command in the app package for Teams. Teams suggests these commands
//! to people.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use dev::teams_package::App;
use envelope::words::Command;

#[test]
fn parser_understands_every_command_of_the_package() {
    let app = App::new("11111111-2222-3333-4444-555555555555", "https://bot.example.com");
    let manifest = app.manifest().unwrap();
    let lists = manifest["bots"][0]["commandLists"].as_array().unwrap();
    let mut titles: Vec<_> = lists
        .iter()
        .flat_map(|list| list["commands"].as_array().unwrap())
        .map(|command| command["title"].as_str().unwrap())
        .collect();
    titles.sort();
    titles.dedup();
    assert!(titles.len() >= 6, "{titles:?}");
    for title in titles {
        // Teams writes the command's title into the message. The person types the rest, e.g. ` orders-42`.
        let is_understood = ["", " orders-42", " 10 minutes tea", " 22:00-07:00"]
            .iter()
            .any(|rest| Command::parse(&format!("{title}{rest}")).is_some());
        assert!(is_understood, "{title}");
    }
}
