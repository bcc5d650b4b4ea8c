//! The subscribers of a tag. Each tenant has its own subscribers, so that no tenant receives the alerts of
//! another tenant.

use bot_framework::ConversationReference;

use super::index::Index;
use super::key::Tag;
use super::record::Conversation;

/// The subscribers of a tag in some tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribers {
    /// The tag.
    pub tag: Tag,
    /// The tenants; `None` stands for the conversations that are in no tenant.
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

/// The tenant to which a conversation's tags belong; `None` if the conversation is in no tenant. A tenant
/// counts only if the channel vouches for it and a token proved that the channel made the call. In anonymous
/// mode no token proves anything, so no conversation is in a tenant.
pub fn tenant_of(address: &ConversationReference) -> Option<&str> {
    address.vouched_tenant().filter(|_| address.service_url_verified)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::with;
    use super::*;

    #[test]
    fn tenant_of_an_unverified_or_other_channel_does_not_count() {
        assert_eq!(tenant_of(&with(|_| {})), Some("t"));
        assert_eq!(tenant_of(&with(|json| json["serviceUrlVerified"] = false.into())), None);
        assert_eq!(tenant_of(&with(|json| json["channelId"] = "webchat".into())), None);
        assert_eq!(tenant_of(&with(|json| json["conversation"] = json!({"id": "a:1"}))), None);
    }
}
