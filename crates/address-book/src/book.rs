//! Writing: what is heard from conversations, and what people want.

use bot_framework::ConversationReference;
use platform::{Host, KeyValueError};
use thiserror::Error;

use crate::healing::{check_is_due, next_check};
use crate::index::Index;
use crate::key::ConversationKey;
use crate::record::{MAX_RECORD_BYTES, Record, Stored};

/// The conversations that the bot knows.
#[derive(Debug)]
pub struct AddressBook<'a, H> {
    pub(crate) host: &'a H,
}

/// Why something is not in the book now.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BookError {
    /// The store did not do it.
    #[error("{0}")]
    Store(#[from] KeyValueError),
    /// A record would be longer than one may be.
    #[error("the record would have {bytes} bytes, at most {MAX_RECORD_BYTES} are stored")]
    TooLarge {
        /// How long it would be.
        bytes: usize,
    },
}

/// What was heard from a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// A person wrote.
    Message,
    /// The bot was installed or added.
    Installed,
    /// Anything else; who it is from means little.
    Update,
}

impl<'a, H: Host> AddressBook<'a, H> {
    /// The book in the host's key-value store.
    pub fn new(host: &'a H) -> Self {
        Self { host }
    }

    /// A conversation's record. One that a newer version wrote is not seen.
    pub async fn get(&self, key: &ConversationKey) -> Result<Option<Record>, BookError> {
        Ok(match self.load(key).await? {
            Stored::Record(record) => Some(*record),
            Stored::Nothing | Stored::Newer => None,
        })
    }

    /// Notes that something was heard from a conversation. Returns its record as it is now; `None` if a newer version wrote
    /// it.
    pub async fn hear(
        &self,
        reference: &ConversationReference,
        sign: Sign,
    ) -> Result<Option<Record>, BookError> {
        let key = ConversationKey::of(reference);
        let now = self.host.now();
        let heard = Record::new(stored_form(reference), now);
        let before = match self.load(&key).await? {
            Stored::Newer => return Ok(None),
            Stored::Nothing => None,
            Stored::Record(record) => Some(*record),
        };
        let mut after = match &before {
            None => heard,
            Some(before) => merged(before, heard, sign),
        };
        if let Some(before) = &before {
            if sign != Sign::Update && check_is_due(before, now) {
                let lists_changed = self.enter(&key, &before.indexes(), &[]).await?;
                after.check_after = Some(next_check(now, lists_changed));
            } else if after == *before {
                return Ok(Some(after));
            }
            // A clock that was ahead is forgotten, too.
            after.seen_at = now;
        }
        self.store(&key, before.as_ref(), &mut after).await?;
        Ok(Some(after))
    }

    /// Forgets a conversation.
    pub async fn forget(&self, key: &ConversationKey) -> Result<(), BookError> {
        if let Stored::Record(record) = self.load(key).await? {
            self.host.delete(&key.of_record()).await?;
            for index in record.indexes() {
                index.remove(self.host, key).await?;
            }
        }
        Ok(())
    }

    /// Forgets this conversation, and every other that is this person's own.
    pub async fn forget_person(&self, reference: &ConversationReference) -> Result<(), BookError> {
        self.forget(&ConversationKey::of(reference)).await?;
        let Some(user) = &reference.user else { return Ok(()) };
        let lists = [
            Some(Index::of_user(&reference.channel_id, &user.id)),
            user.aad_object_id().map(Index::of_aad_object),
        ];
        for index in lists.into_iter().flatten() {
            for key in index.read(self.host).await? {
                self.forget(&key).await?;
            }
        }
        Ok(())
    }

    /// Marks a conversation in which nobody was found at this Connector; a record that names another one stays as it is.
    pub async fn pause(&self, reference: &ConversationReference) -> Result<(), BookError> {
        let key = ConversationKey::of(reference);
        let Stored::Record(mut record) = self.load(&key).await? else { return Ok(()) };
        if record.paused || record.address.service_url != reference.service_url {
            return Ok(());
        }
        record.paused = true;
        // It stands in the same lists.
        Ok(self.host.set(&key.of_record(), &record.to_bytes()).await?)
    }

    /// Changes a record. Returns it as it is now; `None` if there is none.
    pub async fn change(
        &self,
        key: &ConversationKey,
        change: &mut dyn FnMut(&mut Record),
    ) -> Result<Option<Record>, BookError> {
        let Stored::Record(before) = self.load(key).await? else { return Ok(None) };
        let mut after = (*before).clone();
        change(&mut after);
        if after != *before {
            self.store(key, Some(&before), &mut after).await?;
        }
        Ok(Some(after))
    }

    async fn load(&self, key: &ConversationKey) -> Result<Stored, BookError> {
        let bytes = self.host.get(&key.of_record()).await?;
        Ok(Record::read(bytes.as_deref()))
    }

    /// The record first: a list that leads nowhere misleads nobody, and one that lacks an entry is healed.
    async fn store(
        &self,
        key: &ConversationKey,
        before: Option<&Record>,
        after: &mut Record,
    ) -> Result<(), BookError> {
        let old = before.map(Record::indexes).unwrap_or_default();
        let new = after.indexes();
        if old != new {
            after.check_after = Some(next_check(self.host.now(), true));
        }
        let bytes = after.to_bytes();
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(BookError::TooLarge { bytes: bytes.len() });
        }
        self.host.set(&key.of_record(), &bytes).await?;
        for index in old.iter().filter(|index| !new.contains(index)) {
            index.remove(self.host, key).await?;
        }
        self.enter(key, &new, &old).await?;
        Ok(())
    }
}

/// What is kept of a reference: not which activity it was taken from, and of a group not who happened to speak.
fn stored_form(reference: &ConversationReference) -> ConversationReference {
    let is_bot = |id: &str| reference.bot.as_ref().is_some_and(|bot| bot.id == id);
    let mut stored = reference.clone();
    stored.activity_id = None;
    stored.user = stored.user.filter(|user| !stored.conversation.is_group() && !is_bot(&user.id));
    if stored.conversation.is_group() {
        stored.locale = None;
    }
    stored
}

/// What is known, with what was heard. `seen_at` stays.
fn merged(known: &Record, heard: Record, sign: Sign) -> Record {
    let mut after = known.clone();
    let address = &mut after.address;
    address.service_url = heard.address.service_url;
    address.service_url_verified = heard.address.service_url_verified;
    let person_speaks = sign == Sign::Message;
    if person_speaks {
        address.conversation = heard.address.conversation;
        address.bot = heard.address.bot.or(address.bot.take());
        address.locale = heard.address.locale.or(address.locale.take());
    }
    if person_speaks || address.user.is_none() {
        address.user = heard.address.user.or(address.user.take());
    }
    after.paused &= sign == Sign::Update;
    after
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use platform::testing::{FakeHost, run};
    use serde_json::json;

    use super::*;
    use crate::example::{hear, key, record, with};
    use crate::key::Tag;

    /// Everything in the store, to see whether something was written.
    fn writes(host: &FakeHost) -> usize {
        host.writes.get()
    }

    #[test]
    fn it_is_stored_once_without_the_activity() {
        let host = FakeHost::default();
        hear(&host, &with(|_| {}), Sign::Message);
        let first = record(&host);
        assert_eq!(first.address.activity_id, None);
        assert!(first.address.service_url_verified && !first.paused && !first.stopped);
        assert_eq!(host.store.borrow().len(), 4, "a record, and lists of user, Entra id and tenant");
        let before = writes(&host);
        for (activity, sign) in
            [("8", Sign::Message), ("9", Sign::Update), ("10", Sign::Installed), ("11", Sign::Message)]
        {
            hear(&host, &with(|json| json["id"] = activity.into()), sign);
        }
        assert_eq!(writes(&host), before, "nothing is written when nothing changed");
        for (nth, age) in [10, 10 + 86_400].map(Duration::from_secs).into_iter().enumerate() {
            host.elapsed.set(age);
            hear(&host, &with(|_| {}), Sign::Update);
            assert_eq!(writes(&host), before + nth, "an update is no sign of life");
            for _ in 0..2 {
                hear(&host, &with(|_| {}), Sign::Message);
                assert_eq!(writes(&host), before + nth + 1, "once it has settled, and once a day");
            }
            assert_eq!(record(&host).seen_at, first.seen_at + age);
        }
    }

    #[test]
    fn what_changes_is_kept_up() {
        let host = FakeHost::default();
        hear(&host, &with(|json| json["user"] = json!({"id": "28:b"})), Sign::Update);
        assert_eq!(record(&host).address.user, None, "the bot is not the person");
        hear(&host, &with(|json| json["user"] = json!({"id": "29:installer"})), Sign::Installed);
        hear(&host, &with(|json| json["user"] = json!({"id": "29:other"})), Sign::Update);
        assert_eq!(record(&host).address.user.unwrap().id, "29:installer");
        hear(&host, &with(|_| {}), Sign::Message);
        assert_eq!(record(&host).address.user.unwrap().id, "29:u", "whoever writes is the person");
        let installer = Index::of_user("msteams", "29:installer");
        assert!(run(installer.read(&host)).unwrap().is_empty(), "the list follows");
        let moved = "https://smba.trafficmanager.net/emea/";
        let update = with(|json| {
            json["serviceUrl"] = moved.into();
            json["locale"] = "fr".into();
            json["conversation"].as_object_mut().unwrap().remove("tenantId");
        });
        hear(&host, &update, Sign::Update);
        let record = record(&host);
        assert_eq!(
            (record.address.service_url.as_str(), record.address.locale.as_deref()),
            (moved, Some("de"))
        );
        assert_eq!(record.address.conversation.tenant_id(), Some("t"));
    }

    #[test]
    fn a_group_is_written_once_whoever_speaks() {
        let host = FakeHost::default();
        let group = |user: &str| {
            with(|json| {
                json["conversation"]["conversationType"] = "groupChat".into();
                json["user"] = json!({"id": user});
                json["locale"] = user.into();
            })
        };
        hear(&host, &group("29:a"), Sign::Message);
        let before = writes(&host);
        hear(&host, &group("29:b"), Sign::Message);
        assert_eq!(writes(&host), before);
        assert_eq!(record(&host).address.user, None);
        assert_eq!(host.store.borrow().len(), 2, "a record, and the tenant's list");
    }

    #[test]
    fn a_pause_ends_when_the_person_writes_or_installs() {
        for (sign, expected) in [(Sign::Message, false), (Sign::Installed, false), (Sign::Update, true)] {
            let host = FakeHost::default();
            let book = AddressBook::new(&host);
            hear(&host, &with(|_| {}), Sign::Message);
            run(book
                .pause(&with(|json| json["serviceUrl"] = "https://smba.trafficmanager.net/other/".into())))
            .unwrap();
            assert!(!record(&host).paused, "another Connector says nothing about this one");
            run(book.pause(&with(|_| {}))).unwrap();
            assert!(record(&host).paused);
            let before = writes(&host);
            run(book.pause(&with(|_| {}))).unwrap();
            assert_eq!(writes(&host), before);
            hear(&host, &with(|_| {}), sign);
            assert_eq!(record(&host).paused, expected, "{sign:?}");
        }
        let host = FakeHost::default();
        run(AddressBook::new(&host).pause(&with(|_| {}))).unwrap();
        assert!(host.store.borrow().is_empty(), "nobody's record is made by a pause");
    }

    #[test]
    fn nothing_is_left_of_what_is_forgotten() {
        let host = FakeHost::default();
        let book = AddressBook::new(&host);
        hear(&host, &with(|_| {}), Sign::Message);
        let tag = Tag::parse("x").unwrap();
        run(book.change(&key(), &mut |record| _ = record.subscribe(&tag))).unwrap();
        assert_eq!(host.store.borrow().len(), 5);
        run(book.forget(&key())).unwrap();
        assert!(host.store.borrow().is_empty());
        run(book.forget(&key())).unwrap();

        hear(&host, &with(|_| {}), Sign::Message);
        hear(&host, &with(|json| json["conversation"]["id"] = "a:2".into()), Sign::Message);
        hear(
            &host,
            &with(|json| {
                json["conversation"]["id"] = "a:3".into();
                json["user"] = json!({"id": "29:somebody-else"});
            }),
            Sign::Message,
        );
        run(book.forget_person(&with(|_| {}))).unwrap();
        let left: Vec<_> =
            host.store.borrow().keys().filter(|key| key.starts_with("conv:")).cloned().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn what_is_newer_or_too_large_is_not_written() {
        let host = FakeHost::default();
        let book = AddressBook::new(&host);
        let newer = br#"{"version":2}"#.to_vec();
        host.store.borrow_mut().insert(key().of_record(), newer.clone());
        hear(&host, &with(|_| {}), Sign::Message);
        run(book.pause(&with(|_| {}))).unwrap();
        run(book.forget(&key())).unwrap();
        assert_eq!(host.store.borrow()[&key().of_record()], newer);
        assert_eq!(run(book.get(&key())), Ok(None));

        let large = with(|json| {
            json["conversation"]["id"] = "a:large".into();
            json["conversation"]["name"] = "x".repeat(MAX_RECORD_BYTES).into();
        });
        let error = run(book.hear(&large, Sign::Message)).expect_err("too large");
        assert!(matches!(error, BookError::TooLarge { .. }), "{error}");
        assert_eq!(host.store.borrow().len(), 1);
    }
}
