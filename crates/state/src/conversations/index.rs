//! Indexes: partitions whose rows lead to conversations, by person, tenant and tag.
//!
//! An index only leads to a conversation; what counts is what the conversation's own rows say. A row that leads nowhere is
//! deleted by the reader that finds it, on the condition that nobody has written the row since.

use bot_framework::{ConversationReference, UnboundUsers};
use platform::name_of;
use storage_table::{Filter as Rule, Key, Query, escape};

use super::key::{ConversationKey, Tag};
use super::subscribers::tenant_of;

/// A longer part of a partition key is hashed: the service takes 512 characters in all.
const MAX_PART: usize = 200;

/// The most rows of a page, as the service allows.
pub(super) const MAX_TOP: u16 = 1000;

/// When the conversation was last seen, as the row of its index has it. It sorts a person's conversations.
pub(super) const SEEN_AT: &str = "seenAt";

/// An index, by its partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index(String);

impl Index {
    pub(super) fn of_user(channel_id: &str, user_id: &str) -> Self {
        Self(format!("u.{}.{}", part(channel_id), part(user_id)))
    }

    pub(super) fn of_aad_object(id: &str) -> Self {
        // A GUID: its case means nothing.
        Self(format!("e.{}", part(&id.to_lowercase())))
    }

    pub(super) fn of_tenant(tenant_id: &str) -> Self {
        Self(format!("n.{}", part(&tenant_id.to_lowercase())))
    }

    /// The subscribers of a tag in a tenant; without one, those in no tenant.
    pub(super) fn of_tag(tenant_id: Option<&str>, tag: &Tag) -> Self {
        Self(format!("t.{}.{}", part(&tenant_id.unwrap_or_default().to_lowercase()), part(tag.as_str())))
    }

    /// The list of a tag's subscribers to which a conversation with this address belongs.
    pub(super) fn of_tag_at(address: &ConversationReference, tag: &Tag) -> Self {
        Self::of_tag(tenant_of(address), tag)
    }

    /// The indexes of an address. A person leads only to conversations that are the person's own: an alert for one person
    /// must not be read by a group. And only ids that the channel vouches for lead anywhere: nobody must get an alert because
    /// of what they wrote of themselves.
    pub(super) fn of_address(address: &ConversationReference, unbound: UnboundUsers) -> Vec<Self> {
        let mut indexes: Vec<_> = address.vouched_tenant().map(Self::of_tenant).into_iter().collect();
        if let Some(user) = address.user.as_ref().filter(|_| !address.conversation.is_group()) {
            let is_admitted = unbound.admit(&address.channel_id, &user.id);
            indexes.extend(is_admitted.then(|| Self::of_user(&address.channel_id, &user.id)));
            indexes.extend(address.vouched_aad_object_id().map(Self::of_aad_object));
        }
        indexes
    }

    /// The indexes that any version of the bot may have written for an address: what is deleted with it.
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

    /// Its rows. A key is hexadecimal, so `g` follows every one.
    pub(super) fn query(&self) -> Query {
        Query { filter: Rule::partition(&self.0), top: MAX_TOP, select: vec![SEEN_AT] }
    }

    /// Whether it leads to the conversation with this address and these tags.
    pub(super) fn leads_to(
        &self,
        address: &ConversationReference,
        tags: &[Tag],
        unbound: UnboundUsers,
    ) -> bool {
        let of_tags = tags.iter().map(|tag| Self::of_tag_at(address, tag));
        Self::of_address(address, unbound).into_iter().chain(of_tags).any(|index| index == *self)
    }

    /// The row that leads to a conversation.
    pub(super) fn row(&self, key: &ConversationKey) -> Key {
        Key::new(&*self.0, key.as_str())
    }
}

/// Text from outside as a part of a partition key. Dots separate parts, so the text keeps none.
fn part(text: &str) -> String {
    let escaped = escape(text).replace('.', "!2e");
    if escaped.encode_utf16().count() > MAX_PART { format!("!h{}", name_of(&[text])) } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_entra_have_no_case() {
        assert_eq!(Index::of_aad_object("E5E0"), Index::of_aad_object("e5e0"));
        assert_eq!(Index::of_tenant("T"), Index::of_tenant("t"));
        assert_ne!(Index::of_user("msteams", "29:U"), Index::of_user("msteams", "29:u"));
    }

    #[test]
    fn a_tag_has_a_list_for_each_tenant() {
        let tag = Tag::parse("orders-42").unwrap();
        assert_eq!(Index::of_tag(None, &tag).partition(), "t..orders-42");
        assert_eq!(Index::of_tag(Some("T"), &tag).partition(), "t.t.orders-42");
        // A dot in either part does not lead into another list.
        let dotted = Tag::parse("b.orders-42").unwrap();
        assert_ne!(Index::of_tag(Some("a.b"), &tag), Index::of_tag(Some("a"), &dotted));
        assert_ne!(Index::of_tag(None, &dotted), Index::of_tag(Some("b"), &tag));
    }

    #[test]
    fn any_id_makes_a_partition_of_its_own() {
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
