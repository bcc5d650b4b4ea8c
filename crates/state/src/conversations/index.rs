//! Indexes. An index is a partition of the table. There is an index for each person, for each tenant, and for
//! each tag of a tenant. The rows of these indexes point to conversations. A further index has other rows:
//! the index of a tenant's teams and chats (`Index::of_rosters`).
//!
//! An index row only points to a conversation. The conversation's own rows decide whether the conversation
//! belongs to the index. If the conversation does not belong to the index, the index row is *stale*. When the
//! bot finds a stale row in an index, the bot deletes the row if the row still has the ETag that the bot has
//! read. If another writer has written the row again in the meantime, the ETag has changed, and the row is
//! kept.

use bot_framework::{ConversationReference, UnboundUsers};
use platform::name_of;
use storage_table::{Filter as Rule, Key, Query, escape};

use super::key::{ConversationKey, Tag};
use super::tag_tenant::tenant_of;

/// The most UTF-16 units in a part of a partition key. A longer part is hashed. A partition key has at most
/// two such parts, and the service accepts at most 512 units in a partition key.
const MAX_PART: usize = 200;

/// The most rows that the service returns in one page of query results.
pub(super) const MAX_TOP: u16 = 1000;

/// The property of an index row that holds the time at which the conversation was last active. A person's
/// conversations are sorted by this time.
pub(super) const SEEN_AT: &str = "seenAt";

/// An index, identified by its partition key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index(String);

impl Index {
    pub(super) fn of_user(channel_id: &str, user_id: &str) -> Self {
        Self(format!("u.{}.{}", part(channel_id), part(user_id)))
    }

    pub(super) fn of_aad_object(id: &str) -> Self {
        // An object id is a GUID, so its case does not matter.
        Self(format!("e.{}", part(&id.to_lowercase())))
    }

    pub(super) fn of_tenant(tenant_id: &str) -> Self {
        Self(format!("n.{}", part(&tenant_id.to_lowercase())))
    }

    /// The index of the teams and chats of a tenant. Each row holds the id of a team's channel or of a chat,
    /// and the URL of the Connector (see [`TeamOrChat`](super::TeamOrChat)). The rows do not point to the
    /// records of conversations, so [`Self::of_address`] does not return this index.
    pub(super) fn of_rosters(tenant_id: &str) -> Self {
        Self(format!("g.{}", part(&tenant_id.to_lowercase())))
    }

    /// The index of a tag's subscribers in a tenant. Without a tenant id, this is the index of the
    /// subscribers that are in no tenant.
    pub(super) fn of_tag(tenant_id: Option<&str>, tag: &Tag) -> Self {
        Self(format!("t.{}.{}", part(&tenant_id.unwrap_or_default().to_lowercase()), part(tag.as_str())))
    }

    /// The index of the tag's subscribers in the tenant of this address.
    pub(super) fn of_tag_at(address: &ConversationReference, tag: &Tag) -> Self {
        Self::of_tag(tenant_of(address), tag)
    }

    /// The indexes that contain a conversation with this address. A group is in no index of a person. The
    /// bot sends an alert for a person to a conversation in an index of the person. In a group, all members
    /// of the group could read this alert.
    ///
    /// Without the following two rules, a client could claim the id of another person, and receive that
    /// person's alerts. A user id that a client chose has an index only if the operator allows such ids
    /// (`unbound`). An object id has an index only if the channel vouches for the id (sets the id itself, as
    /// Teams does).
    pub(super) fn of_address(address: &ConversationReference, unbound: UnboundUsers) -> Vec<Self> {
        let mut indexes: Vec<_> = address.vouched_tenant().map(Self::of_tenant).into_iter().collect();
        if let Some(user) = address.user.as_ref().filter(|_| !address.conversation.is_group()) {
            let is_admitted = unbound.admit(&address.channel_id, &user.id);
            indexes.extend(is_admitted.then(|| Self::of_user(&address.channel_id, &user.id)));
            indexes.extend(address.vouched_aad_object_id().map(Self::of_aad_object));
        }
        indexes
    }

    /// The indexes in which this version or another version of the bot can have written a row for this
    /// address. When the bot forgets the conversation, the bot deletes these rows. When the address changes,
    /// the bot deletes only the rows in the indexes that do not contain the new address.
    pub(super) fn ever_of_address(address: &ConversationReference) -> Vec<Self> {
        let mut indexes: Vec<_> = address.conversation.tenant_id().map(Self::of_tenant).into_iter().collect();
        if let Some(user) = &address.user {
            indexes.push(Self::of_user(&address.channel_id, &user.id));
            indexes.extend(user.aad_object_id().map(Self::of_aad_object));
        }
        indexes
    }

    pub(super) fn partition(&self) -> &str {
        &self.0
    }

    /// The query of all rows of the index.
    pub(super) fn query(&self) -> Query {
        Query { filter: Rule::partition(&self.0), top: MAX_TOP, select: vec![SEEN_AT] }
    }

    /// Whether the conversation with this address and these tags belongs to the index.
    pub(super) fn contains(
        &self,
        address: &ConversationReference,
        tags: &[Tag],
        unbound: UnboundUsers,
    ) -> bool {
        let of_tags = tags.iter().map(|tag| Self::of_tag_at(address, tag));
        Self::of_address(address, unbound).into_iter().chain(of_tags).any(|index| index == *self)
    }

    /// The row that points to a conversation.
    pub(super) fn row(&self, key: &ConversationKey) -> Key {
        Key::new(&*self.0, key.as_str())
    }
}

/// Makes a part of a partition key from an id or a tag. Dots separate the parts, so dots in the text are also
/// escaped.
fn part(text: &str) -> String {
    let escaped = escape(text).replace('.', "!2e");
    if escaped.encode_utf16().count() > MAX_PART { format!("!h{}", name_of(&[text])) } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entra_id_in_another_case_gives_the_same_index() {
        assert_eq!(Index::of_aad_object("E5E0"), Index::of_aad_object("e5e0"));
        assert_eq!(Index::of_tenant("T"), Index::of_tenant("t"));
        assert_ne!(Index::of_user("msteams", "29:U"), Index::of_user("msteams", "29:u"));
    }

    #[test]
    fn tag_in_another_tenant_has_another_index() {
        let tag = Tag::parse("orders-42").unwrap();
        assert_eq!(Index::of_tag(None, &tag).partition(), "t..orders-42");
        assert_eq!(Index::of_tag(Some("T"), &tag).partition(), "t.t.orders-42");
        // A dot in a tenant or in a tag does not lead to the index of another tenant or tag.
        let dotted = Tag::parse("b.orders-42").unwrap();
        assert_ne!(Index::of_tag(Some("a.b"), &tag), Index::of_tag(Some("a"), &dotted));
        assert_ne!(Index::of_tag(None, &dotted), Index::of_tag(Some("b"), &tag));
    }

    #[test]
    fn index_of_any_id_has_a_unique_and_valid_partition_key() {
        assert_eq!(Index::of_user("msteams", "29:u").partition(), "u.msteams.29:u");
        assert_ne!(Index::of_user("a.b", "c"), Index::of_user("a", "b.c"));
        let long = "x".repeat(10_000);
        assert_ne!(Index::of_user(&long, "c"), Index::of_user(&format!("{long}x"), "c"));
        for index in
            [Index::of_user(&long, &"#".repeat(200)), Index::of_tenant(&long), Index::of_aad_object("/\\?\n")]
        {
            let partition = index.partition();
            assert!(partition.encode_utf16().count() <= 512, "{partition}");
            assert!(!partition.contains(['/', '\\', '#', '?', '\n']), "{partition}");
        }
    }
}
