//! A fake table service for tests, and the *standard conversation* of the tests. The standard conversation is
//! a personal conversation in a tenant. The person in this conversation has an object id in Entra.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::cell::{Cell, RefCell};
use std::time::Duration;

use bot_framework::ConversationReference;
use bot_framework::json::Fields;
use chrono::DateTime;
use http::Method;
use platform::testing::{FakeHost, run};
use platform::{Clock, Deadline};
use serde_json::{Value, json};
use storage_account::Account;
use storage_table::testing::FakeTables;
use storage_table::{Entity, Key};

use super::{Conversation, ConversationKey, Conversations, Recorded, Sign, Subscribers, Tag};
use crate::Tables;

type Act = Box<dyn FnOnce()>;

thread_local! {
    /// The fake table service of the test's [`Stage`]. Tests change the entities in the service directly, to
    /// act as another writer.
    static SERVICE: RefCell<FakeTables> = RefCell::default();
    static CALLS: Cell<usize> = Cell::default();
    static WRITES: Cell<usize> = Cell::default();
    /// The actions of the test that are still to be performed. Each action has the number of a storage call,
    /// and is performed right before this storage call. The first storage call of a [`Stage`] has the number
    /// 1.
    static BEFORE_CALLS: RefCell<Vec<(usize, Act)>> = RefCell::default();
}

const TABLE: &str = "proactivebotconversations";

/// A fake host, and a fake table service in memory. A test has one stage at a time, because a new stage
/// replaces the table service.
pub(super) struct Stage {
    pub(super) host: FakeHost,
    pub(super) account: Account,
    pub(super) tables: Tables,
}

impl Stage {
    pub(super) fn new() -> Self {
        let mut service = FakeTables::default();
        service.entities_mut(TABLE);
        SERVICE.replace(service);
        CALLS.set(0);
        WRITES.set(0);
        BEFORE_CALLS.take();
        let host = FakeHost::default();
        let now = host.now();
        host.answers(move |request| {
            CALLS.set(CALLS.get() + 1);
            let (due, later) =
                BEFORE_CALLS.take().into_iter().partition(|(number, _)| *number == CALLS.get());
            BEFORE_CALLS.set(later);
            for (_, act) in due {
                act();
            }
            if request.method() != Method::GET {
                WRITES.set(WRITES.get() + 1);
            }
            SERVICE.with_borrow_mut(|service| service.response(request, now).map(Ok))
        });
        let account = Account::parse("UseDevelopmentStorage=true").unwrap();
        let tables = Tables::read(&host).unwrap();
        Self { host, account, tables }
    }

    pub(super) fn conversations(&self) -> Conversations<'_, FakeHost> {
        let deadline = Deadline::after(&self.host, Duration::from_secs(10));
        Conversations::new(&self.host, &self.account, &self.tables, deadline)
    }

    /// Sets the clock to this many seconds after the start.
    pub(super) fn at(&self, seconds: u64) {
        self.host.elapsed.set(Duration::from_secs(seconds));
    }

    /// The number of calls to the table service so far.
    pub(super) fn calls(&self) -> usize {
        CALLS.get()
    }

    /// The number of writes to the table service so far.
    pub(super) fn writes(&self) -> usize {
        WRITES.get()
    }

    /// Performs an action right before the nth storage call from now. The action can act as another writer.
    pub(super) fn before_call(&self, nth: usize, act: impl FnOnce() + 'static) {
        BEFORE_CALLS.with_borrow_mut(|actions| actions.push((CALLS.get() + nth, Box::new(act))));
    }

    /// Makes the next `pages` pages of query results empty, each with a continuation.
    pub(super) fn respond_with_empty_pages(&self, pages: usize) {
        SERVICE.with_borrow_mut(|service| service.respond_with_empty_pages(pages));
    }

    /// The keys of all entities, in the form `<partition key>/<row key>`.
    pub(super) fn rows(&self) -> Vec<String> {
        SERVICE.with_borrow(|service| {
            service.entities(TABLE).keys().map(|(partition, row)| format!("{partition}/{row}")).collect()
        })
    }

    /// The entity of a record whose address is the stored form of this reference.
    pub(super) fn record_entity(reference: &ConversationReference) -> Entity {
        let address = super::stored_form::stored_form(reference);
        let record = super::record::Record {
            address,
            seen_at: DateTime::UNIX_EPOCH,
            paused_until: None,
            zone: None,
            asked: None,
        };
        record.to_entity(&ConversationKey::of(reference)).unwrap()
    }

    /// Records an activity. Passes no fingerprint (hashes of the stored record), so [`Conversations`] always
    /// reads the record from the table.
    pub(super) fn record_activity(&self, reference: &ConversationReference, sign: Sign) -> Recorded {
        run(self.conversations().record_activity(reference, sign, None)).unwrap()
    }

    /// The standard conversation, as it is stored.
    pub(super) fn conversation(&self) -> Conversation {
        run(self.conversations().get(&key())).unwrap().expect("a conversation")
    }

    /// Stores the conversation with this number, user and tenant. Returns the key of the conversation.
    pub(super) fn add(&self, number: usize, user: &str, tenant: &str) -> ConversationKey {
        let reference = numbered(number, user, tenant);
        self.record_activity(&reference, Sign::Message);
        ConversationKey::of(&reference)
    }

    pub(super) fn tag(&self, key: &ConversationKey, tag: &str) {
        run(self.conversations().tag(key, &Tag::parse(tag).unwrap())).unwrap();
    }
}

/// Writes or changes an entity directly, to act as another writer.
pub(super) fn write_entity(partition: &str, row: &str, change: impl FnOnce(Entity) -> Entity) {
    let entity = read_entity(partition, row).unwrap_or_else(|| Entity::new(Key::new(partition, row)));
    let properties = change(entity).properties;
    SERVICE.with_borrow_mut(|service| service.store(TABLE, partition, row, properties, DateTime::UNIX_EPOCH));
}

/// Deletes an entity directly, to act as another writer.
pub(super) fn delete_entity(partition: &str, row: &str) {
    let key = (partition.to_owned(), row.to_owned());
    SERVICE.with_borrow_mut(|service| service.entities_mut(TABLE).remove(&key)).expect("the row exists");
}

/// Reads an entity from the table service.
pub(super) fn read_entity(partition: &str, row: &str) -> Option<Entity> {
    let key = (partition.to_owned(), row.to_owned());
    let mut properties = SERVICE.with_borrow(|service| service.entities(TABLE).get(&key).cloned())?;
    properties.remove("op");
    Some(Entity { key: Key::new(partition, row), properties })
}

/// The subscribers of a tag in these tenants.
pub(super) fn subscribers(tag: &str, tenants: &[Option<&str>]) -> Subscribers {
    let tenants = tenants.iter().map(|tenant| tenant.map(str::to_owned)).collect();
    Subscribers { tag: Tag::parse(tag).unwrap(), tenants }
}

fn reference(json: &Value) -> ConversationReference {
    ConversationReference::from_fields(Fields::parse(json.to_string().as_bytes()).unwrap()).unwrap()
}

/// A reference to the standard conversation, after `change` has changed the JSON of the reference.
pub(super) fn with(change: impl FnOnce(&mut Value)) -> ConversationReference {
    let mut json = json!({
        "id": "7", "channelId": "msteams", "serviceUrl": "https://smba.trafficmanager.net/amer/", "locale": "de",
        "user": {"id": "29:u", "aadObjectId": "e5"}, "bot": {"id": "28:b"},
        "conversation": {"id": "a:1", "conversationType": "personal", "tenantId": "t"}, "serviceUrlVerified": true,
    });
    change(&mut json);
    reference(&json)
}

/// A reference to the conversation with this number, user and tenant.
pub(super) fn numbered(number: usize, user: &str, tenant: &str) -> ConversationReference {
    with(|json| {
        json["conversation"]["id"] = format!("a:number-{number}").into();
        json["conversation"]["tenantId"] = tenant.into();
        json["user"] = json!({"id": user});
    })
}

/// The key of the standard conversation.
pub(super) fn key() -> ConversationKey {
    ConversationKey::of(&with(|_| {}))
}

/// The partition key and the row key of the standard conversation's record.
pub(super) fn place() -> (String, String) {
    (super::record::partition_of(&key()), key().to_string())
}
