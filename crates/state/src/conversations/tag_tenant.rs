//! The tenant of a conversation's tags. Two tenants can have the same tag, with separate subscribers.

use bot_framework::ConversationReference;

/// The tenant to which a conversation's tags belong; `None` if the tags belong to no tenant. A tenant counts
/// only if both conditions are met:
///
/// - The channel itself sets the tenant ([`ConversationReference::vouched_tenant`]).
/// - A token of the channel has proved the Connector's URL in the address.
///
/// In anonymous mode (without authentication) there are no tokens, so all tags belong to no tenant.
pub fn tenant_of(address: &ConversationReference) -> Option<&str> {
    address.vouched_tenant().filter(|_| address.service_url_verified)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::with;
    use super::*;

    #[test]
    fn tenant_counts_only_with_a_verified_url_and_a_channel_that_vouches_for_tenants() {
        assert_eq!(tenant_of(&with(|_| {})), Some("t"));
        assert_eq!(tenant_of(&with(|json| json["serviceUrlVerified"] = false.into())), None);
        assert_eq!(tenant_of(&with(|json| json["channelId"] = "webchat".into())), None);
        assert_eq!(tenant_of(&with(|json| json["conversation"] = json!({"id": "a:1"}))), None);
    }
}
