//! Counts how many replies a conversation gets in a minute. The bot uses this count only if the table service
//! fails. Otherwise, the ledger in the table service counts the replies.
//!
//! The count is stored in the key-value store of the Spin host, so each Spin host has its own count. The bot
//! reads the count, and then writes the new count. So if two messages arrive at the same time, the bot
//! perhaps counts only one of them. The count is still good enough to stop two programs that reply to each
//! other, because these programs send one message at a time.

use platform::{Host, value_of};
use serde_json::{Value, json};
use state::ConversationKey;
use state::ledger::{Allowance, Allowed};

/// Counts a reply, and returns whether the bot is allowed to send the reply. The first reply above the limit
/// of a minute begins a *silence*: the bot sends neither this reply nor any other reply in the rest of that
/// minute and in the next minute. For the reply that begins the silence, `begins` in [`Allowed::No`] is true.
///
/// If the key-value store fails, too, the bot replies to every message, because without a reply the person
/// would not know what is wrong.
pub(crate) async fn count<H: Host>(
    host: &H,
    conversation: &ConversationKey,
    allowance: Allowance,
) -> Allowed<()> {
    let Some(limit) = allowance.limit() else { return Allowed::Yes(()) };
    let limit = i64::from(limit);
    let key = format!("answers:{conversation}");
    let minute = host.now().timestamp() / 60;
    let known = host.get(&key).await.ok().flatten();
    let known: Value = known.and_then(|bytes| value_of(&bytes)).unwrap_or_default();
    let number = |index: usize| known[index].as_i64().unwrap_or_default();
    let (age, answers) = (minute - number(0), number(1));
    if (0..=1).contains(&age) && answers > limit {
        return Allowed::No { begins: false };
    }
    let before = if age == 0 { answers } else { 0 };
    _ = host.set(&key, json!([minute, before + 1]).to_string().as_bytes()).await;
    if before == limit { Allowed::No { begins: true } } else { Allowed::Yes(()) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use platform::testing::{FakeHost, run};

    use super::*;

    #[test]
    fn conversation_above_the_limit_gets_no_reply_in_this_and_the_next_minute_and_0_means_no_limit() {
        let host = FakeHost::with_settings([("repliesperminute", "3")]);
        let allowance = Allowance::read(&host).unwrap();
        let key = |digit: &str| ConversationKey::parse(&digit.repeat(32)).unwrap();
        let count = |digit: &str| run(count(&host, &key(digit), allowance));
        let silent = |begins| Allowed::No { begins };
        for round in 0..2 {
            for _ in 0..3 {
                assert_eq!(count("1"), Allowed::Yes(()), "{round}");
            }
            assert_eq!((count("1"), count("1")), (silent(true), silent(false)), "{round}");
            assert_eq!(count("2"), Allowed::Yes(()), "another conversation has its own count");
            host.elapsed.set(host.elapsed.get() + Duration::from_secs(60));
            assert_eq!(count("1"), silent(false), "{round}");
            host.elapsed.set(host.elapsed.get() + Duration::from_secs(60));
        }
        host.settings.borrow_mut().insert("repliesperminute".into(), "0".into());
        let unlimited = Allowance::read(&host).unwrap();
        let writes = host.writes.get();
        assert!((0..200).all(|_| run(super::count(&host, &key("3"), unlimited)) == Allowed::Yes(())));
        assert_eq!(host.writes.get(), writes);
    }
}
