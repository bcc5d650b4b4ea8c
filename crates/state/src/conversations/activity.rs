//! Records activities. An *activity* is a call by the channel (the service that connects people with the bot,
//! e.g. Teams) to the bot. For example, the channel sends a person's message as an activity.
//!
//! The record of a conversation holds the conversation's address, to which alerts are sent, and the time at
//! which the conversation was last active. An *index row* points to a conversation. The bot reads index rows
//! to find the conversations of a person or of a tenant, or the conversations that subscribe to a tag.
//!
//! The bot keeps a [`Fingerprint`] (hashes of the stored record) in its key-value store. If the fingerprint
//! shows that an activity changes nothing, the bot makes no storage call.

use bot_framework::ConversationReference;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use platform::Host;
use storage_table::{Conditional, Entity, Inserted};
use zones::Zone;

use super::fingerprint::{Fingerprint, day};
use super::index::{Index, SEEN_AT};
use super::key::ConversationKey;
use super::record::{Record, Stored};
use super::stored_form::{Sign, merged, merged_zone, stored_form, stored_zone};
use super::{AT_ONCE, ATTEMPTS, Conversations};
use crate::StateError;

/// The result of recording an activity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// The fingerprint of the conversation shows that the activity would not change the table. No storage
    /// call was made.
    Known,
    /// The table has the record, and the index rows that point to the conversation. The caller keeps the
    /// fingerprint in the key-value store, under [`fingerprint_key`](super::fingerprint_key).
    Stored(Fingerprint),
    /// The table has the record and the index rows, and the conversation is paused. The caller keeps no
    /// fingerprint. So the bot reads the record when the person's next message arrives, and then ends the
    /// pause.
    Paused,
    /// The table has the record and the index rows, and the person's next text answers the question of an
    /// alert. The caller keeps no fingerprint. So the bot reads the record when the person's next message
    /// arrives, and finds the question.
    Asked {
        /// The id of the alert that asks the question.
        alert: String,
    },
    /// A newer version of the bot wrote the record. This version did not change the record.
    Newer,
}

impl<H: Host> Conversations<'_, H> {
    /// Records an activity of a conversation. `sign` is the kind of the activity. `known` is the fingerprint
    /// that the bot has kept for the conversation. The method writes to the table only if the activity
    /// changes the conversation's rows, or if an index row is missing.
    pub async fn record_activity(
        &self,
        reference: &ConversationReference,
        sign: Sign,
        known: Option<&Fingerprint>,
    ) -> Result<Recorded, StateError> {
        let now = self.host.now();
        if known.is_some_and(|known| {
            known.covers(&Fingerprint::of(&self.place(), reference, self.zone, now), sign)
        }) {
            return Ok(Recorded::Known);
        }
        self.record(reference, sign, None).await
    }

    /// Records an activity without checking a fingerprint. A new record gets the time zone `zone`. If the
    /// activity is a message, the time zone of the message can replace this time zone.
    pub(super) async fn record(
        &self,
        reference: &ConversationReference,
        sign: Sign,
        zone: Option<Zone>,
    ) -> Result<Recorded, StateError> {
        let now = self.host.now();
        let incoming = stored_form(reference);
        let key = ConversationKey::of(reference);
        let shows_presence = sign != Sign::Update;
        for _ in 0..ATTEMPTS {
            let (stored, etag) = self.record_of(&key).await?;
            let before = match stored {
                Stored::Newer => return Ok(Recorded::Newer),
                Stored::Nothing | Stored::Broken => None,
                Stored::Record(record) => Some(*record),
            };
            let mut after = match &before {
                None => {
                    Record { address: incoming.clone(), seen_at: now, paused_until: None, zone, asked: None }
                }
                Some(before) => {
                    Record { address: merged(&before.address, &incoming, sign), ..before.clone() }
                }
            };
            after.zone = merged_zone(after.zone, stored_zone(&incoming, self.zone), sign);
            let indexes = Index::of_address(&after.address, self.unbound);
            if let Some(before) = &before {
                let is_changed = after.address != before.address
                    || after.zone != before.zone
                    || shows_presence && (before.is_paused(now) || day(before.seen_at) != day(now));
                if !is_changed {
                    // If the bot was killed after it wrote the record, index rows can be missing. So the
                    // missing index rows are written now.
                    self.put_indexes(&key, &indexes, after.seen_at, true).await?;
                    return Ok(result_of(&self.place(), &after, now));
                }
            }
            let moving_tags = match &before {
                Some(before) => self.moving_tags(&key, &before.address, &after.address).await?,
                None => Vec::new(),
            };
            // If the address moves to another tenant, each tag to which the conversation subscribes gets an
            // index row in the new tenant. These rows are written before the record. If the bot is killed
            // between the two writes, the record still has the old tenant, so the next activity writes the
            // rows again.
            for tag in &moving_tags {
                self.put_tag(Index::of_tag_at(&after.address, tag).row(&key)).await?;
            }
            after.seen_at = now;
            let mut entity = after.to_entity(&key)?;
            if shows_presence || before.is_none() {
                // The merge below cannot remove a property, so zero ends the pause.
                after.paused_until = None;
                entity = entity.with_int64("pausedUntil", 0);
            }
            // A later version of the bot can add a property to a record that this version can still read. The
            // merge keeps this property.
            let is_written = match &etag {
                None => matches!(self.table.insert(&entity).await?, Inserted::New(_)),
                Some(etag) => matches!(self.table.merge(&entity, Some(etag)).await?, Conditional::Done(_)),
            };
            if !is_written {
                continue;
            }
            // The index rows of the person and of the tenant are written only after the record. If the bot is
            // killed in between, these rows are missing. At the latest, the next day's first message writes
            // the record and these rows again.
            self.put_indexes(&key, &indexes, now, false).await?;
            self.put_roster(&after.address, now).await?;
            // The new tag rows are written a second time. Until the record got the new tenant, these rows did
            // not match the record. During this time, another reader of the index has perhaps deleted these
            // rows as stale.
            for tag in &moving_tags {
                self.put_tag(Index::of_tag_at(&after.address, tag).row(&key)).await?;
            }
            let mut old = Vec::new();
            if let Some(before) = &before {
                old = Index::ever_of_address(&before.address);
                old.extend(moving_tags.iter().map(|tag| Index::of_tag_at(&before.address, tag)));
            }
            self.delete_all(old.iter().filter(|index| !indexes.contains(index)).map(|index| index.row(&key)))
                .await?;
            return Ok(result_of(&self.place(), &after, now));
        }
        Err(StateError::Contended { attempts: ATTEMPTS })
    }

    /// Writes the index rows of a conversation. With `if_missing`, only the missing rows are written.
    async fn put_indexes(
        &self,
        key: &ConversationKey,
        indexes: &[Index],
        seen_at: DateTime<Utc>,
        if_missing: bool,
    ) -> Result<(), StateError> {
        let put = async |index: &Index| -> Result<(), StateError> {
            let row = index.row(key);
            if !if_missing || self.table.get(&row).await?.is_none() {
                let entity = Entity::new(row).with_int64(SEEN_AT, seen_at.timestamp_millis());
                self.table.put(&entity).await?;
            }
            Ok(())
        };
        let put = &put;
        stream::iter(indexes).map(Ok).try_for_each_concurrent(AT_ONCE, put).await
    }
}

fn result_of(place: &[&str; 2], after: &Record, now: DateTime<Utc>) -> Recorded {
    let asked = after.asked.as_ref().and_then(|asked| asked.alert_if_open(now));
    match asked {
        _ if after.is_paused(now) => Recorded::Paused,
        Some(alert) => Recorded::Asked { alert: alert.to_owned() },
        None => Recorded::Stored(Fingerprint::of(place, &after.address, after.zone, after.seen_at)),
    }
}

#[cfg(test)]
mod tests;
