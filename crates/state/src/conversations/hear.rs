//! Recording what an activity tells about its conversation.

use bot_framework::ConversationReference;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use platform::Host;
use storage_table::{Conditional, Entity, Inserted};

use super::fingerprint::{Fingerprint, day};
use super::index::{Index, SEEN_AT};
use super::key::ConversationKey;
use super::record::{Record, Stored};
use super::{AT_ONCE, ATTEMPTS, Conversations};
use crate::StateError;

/// What kind of activity came from a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// A person wrote.
    Message,
    /// The bot was installed or added.
    Installed,
    /// Anything else. Its sender may be anybody, and it does not show that somebody is there.
    Update,
}

/// What became of a sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The fingerprint says that the table would learn nothing new. No call was made.
    Known,
    /// The record and its indexes stand. Keep the fingerprint under [`known_key`](super::known_key).
    Stored(Fingerprint),
    /// The record and its indexes stand, and the conversation is paused. Keep no fingerprint, so that the person's next
    /// message is not taken for one of a conversation without a pause.
    Paused,
    /// A newer version wrote the record. It was left alone.
    Newer,
}

impl<H: Host> Conversations<'_, H> {
    /// Records an activity of a conversation, with the fingerprint that the bot has kept of it, if any. The table is
    /// written only if it would change.
    pub async fn hear(
        &self,
        reference: &ConversationReference,
        sign: Sign,
        known: Option<&Fingerprint>,
    ) -> Result<Heard, StateError> {
        let now = self.host.now();
        let key = ConversationKey::of(reference);
        let heard = stored_form(reference);
        if known.is_some_and(|known| known.covers(&Fingerprint::of(&self.place(), &heard, now), sign)) {
            return Ok(Heard::Known);
        }
        let is_sign_of_life = sign != Sign::Update;
        for _ in 0..ATTEMPTS {
            let (stored, etag) = self.record_of(&key).await?;
            let before = match stored {
                Stored::Newer => return Ok(Heard::Newer),
                Stored::Nothing | Stored::Broken => None,
                Stored::Record(record) => Some(*record),
            };
            let mut after = match &before {
                None => Record { address: heard.clone(), seen_at: now, paused_until: None },
                Some(before) => Record { address: merged(&before.address, &heard, sign), ..before.clone() },
            };
            let indexes = Index::of_address(&after.address, self.unbound);
            if let Some(before) = &before {
                let is_news = after.address != before.address
                    || is_sign_of_life && (before.is_paused(now) || day(before.seen_at) != day(now));
                if !is_news {
                    // The bot may have died between the record and its indexes.
                    self.put_indexes(&key, &indexes, after.seen_at, true).await?;
                    return Ok(heard_of(&self.place(), &after, now));
                }
            }
            let moving = match &before {
                Some(before) => self.moving_tags(&key, &before.address, &after.address).await?,
                None => Vec::new(),
            };
            // Before the record: if the bot dies in between, the next activity moves them again.
            for tag in &moving {
                self.put_tag(Index::of_tag_at(&after.address, tag).row(&key)).await?;
            }
            after.seen_at = now;
            let mut entity = after.to_entity(&key)?;
            if is_sign_of_life || before.is_none() {
                // A merge removes no property, so the time of a pause that has ended is zero.
                after.paused_until = None;
                entity = entity.with_int64("pausedUntil", 0);
            }
            // A merge, because properties of later versions stay.
            let is_written = match &etag {
                None => matches!(self.table.insert(&entity).await?, Inserted::New(_)),
                Some(etag) => matches!(self.table.merge(&entity, Some(etag)).await?, Conditional::Done(_)),
            };
            if !is_written {
                continue;
            }
            // The record stands. Each index is written with it, once a day at least: so an entry that was lost comes back.
            self.put_indexes(&key, &indexes, now, false).await?;
            // A reader that came before the record may have taken the new rows for stale.
            for tag in &moving {
                self.put_tag(Index::of_tag_at(&after.address, tag).row(&key)).await?;
            }
            let mut old = Vec::new();
            if let Some(before) = &before {
                old = Index::ever_of_address(&before.address);
                old.extend(moving.iter().map(|tag| Index::of_tag_at(&before.address, tag)));
            }
            self.delete_all(old.iter().filter(|index| !indexes.contains(index)).map(|index| index.row(&key)))
                .await?;
            return Ok(heard_of(&self.place(), &after, now));
        }
        Err(StateError::Contended { attempts: ATTEMPTS })
    }

    /// Writes the indexes of a conversation, or only those that are missing.
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

fn heard_of(place: &[&str; 2], after: &Record, now: DateTime<Utc>) -> Heard {
    if after.is_paused(now) {
        Heard::Paused
    } else {
        Heard::Stored(Fingerprint::of(place, &after.address, after.seen_at))
    }
}

/// What is kept of a reference: not which activity it was taken from, and of a group not who happened to speak.
pub(super) fn stored_form(reference: &ConversationReference) -> ConversationReference {
    let is_bot = |id: &str| reference.bot.as_ref().is_some_and(|bot| bot.id == id);
    let mut stored = reference.clone();
    stored.activity_id = None;
    stored.user = stored.user.filter(|user| !stored.conversation.is_group() && !is_bot(&user.id));
    if stored.conversation.is_group() {
        stored.locale = None;
    }
    stored
}

/// The known address, with what was heard. [`Fingerprint::covers`] says the same of fingerprints.
pub(super) fn merged(
    known: &ConversationReference,
    heard: &ConversationReference,
    sign: Sign,
) -> ConversationReference {
    let mut after = known.clone();
    after.service_url.clone_from(&heard.service_url);
    after.service_url_verified = heard.service_url_verified;
    let person_speaks = sign == Sign::Message;
    let or = |heard: &Option<_>, known| heard.clone().or(known);
    if person_speaks {
        after.conversation.clone_from(&heard.conversation);
        after.bot = or(&heard.bot, after.bot);
        after.locale = heard.locale.clone().or(after.locale);
    }
    if person_speaks || after.user.is_none() {
        after.user = or(&heard.user, after.user);
    }
    after
}

#[cfg(test)]
mod tests;
