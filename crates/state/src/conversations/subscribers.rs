//! The *subscribers* of a tag: the conversations that get each alert to this tag. Each tenant has its own
//! subscribers, so that no tenant receives the alerts of another tenant.

use super::index::Index;
use super::key::Tag;
use super::record::Conversation;

/// The subscribers of a tag in the given tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribers {
    /// The tag.
    pub tag: Tag,
    /// The tenants. An element `None` stands for the conversations that are in no tenant.
    pub tenants: Vec<Option<String>>,
}

impl Subscribers {
    /// Whether a conversation is one of the subscribers.
    pub fn has(&self, conversation: &Conversation) -> bool {
        let own = Index::of_tag_at(&conversation.address, &self.tag);
        conversation.tags.contains(&self.tag) && self.indexes().any(|index| index == own)
    }

    pub(super) fn indexes(&self) -> impl Iterator<Item = Index> {
        self.tenants.iter().map(|tenant_id| Index::of_tag(tenant_id.as_deref(), &self.tag))
    }
}
