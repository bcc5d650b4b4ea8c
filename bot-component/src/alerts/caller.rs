//! A caller of the alert routes, and the checks of what the caller's key allows.

use platform::{Host, Level};
use serde_json::{Map, Value};
use state::{ConversationKey, Tag};

use super::grant::{Grant, Scope};
use super::request_id::RequestId;
use crate::rejection::AlertRejection;

/// A program whose key or token the bot has accepted, and the id of its request.
#[derive(Debug)]
pub(super) struct Caller {
    /// The name of the key. It is `app:<app id>` for a token of Entra, and `hook:<conversation>` for a post
    /// to a webhook address. Callers with the same name share their idempotency keys, and may cancel each
    /// other's alerts.
    pub(super) key: String,
    pub(super) grant: Grant,
    pub(super) request_id: RequestId,
}

/// The alerts that a caller may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight<'a> {
    /// The alerts of every key, and the alerts that the bot makes of people's messages.
    All,
    /// The alerts that a key of this name sent.
    Of(&'a str),
    /// No alert.
    Nothing,
}

impl Sight<'_> {
    /// Whether the caller may see an alert. `sender` is the name of the key that sent the alert. It is `None`
    /// if the bot made the alert of a person's message.
    pub(super) fn includes(self, sender: Option<&str>) -> bool {
        match self {
            Self::All => true,
            Self::Of(own) => sender == Some(own),
            Self::Nothing => false,
        }
    }
}

impl Caller {
    /// Makes the caller for a post to the webhook address of a conversation. The caller has no scope, so it
    /// may do nothing else.
    pub(super) fn of_hook(conversation: &ConversationKey, request_id: &RequestId) -> Self {
        let key = format!("hook:{conversation}");
        Self { key, grant: Grant::default(), request_id: request_id.clone() }
    }

    /// A caller with the key `ci`.
    #[cfg(test)]
    pub(super) fn of_tests(grant: Grant) -> Self {
        let request_id = RequestId::of(&platform::testing::FakeHost::default(), &http::HeaderMap::new());
        Self { key: "ci".into(), grant, request_id }
    }

    /// Refuses the call if the key lacks the scope.
    pub(super) fn require(&self, scope: Scope) -> Result<(), AlertRejection> {
        if self.grant.allows(scope) {
            return Ok(());
        }
        Err(AlertRejection::ScopeMissing { key: self.key.clone(), scope: scope.as_str() })
    }

    /// Returns which alerts the caller may see. A restriction of the key to a tenant or a tag changes
    /// nothing, because a restricted key sees only the alerts that it sent.
    pub(super) fn sight(&self) -> Sight<'_> {
        if self.grant.allows(Scope::Operate) {
            return Sight::All;
        }
        let may_see = [Scope::Send, Scope::Cancel, Scope::List].iter().any(|scope| self.grant.allows(*scope));
        if may_see { Sight::Of(&self.key) } else { Sight::Nothing }
    }

    /// Refuses a target that the key may not name. A key with `tag=<prefix>` may name only tags with this
    /// prefix. `tag` is `None` if the target is no tag.
    pub(super) fn require_tag(&self, path: &str, tag: Option<&Tag>) -> Result<(), AlertRejection> {
        match self.grant.tag_prefix() {
            Some(prefix) if !tag.is_some_and(|tag| self.grant.has_tag(tag)) => {
                let only = format!("tags that begin with `{prefix}`");
                Err(self.not_allowed(path, only))
            }
            _ => Ok(()),
        }
    }

    /// If the key is restricted to a tenant, refuses every other tenant.
    pub(super) fn require_tenant(&self, path: &str, tenant: &str) -> Result<(), AlertRejection> {
        match self.grant.tenant() {
            Some(own) if !own.eq_ignore_ascii_case(tenant) => {
                Err(self.not_allowed(path, format!("the tenant `{own}`")))
            }
            _ => Ok(()),
        }
    }

    fn not_allowed(&self, path: &str, only: String) -> AlertRejection {
        AlertRejection::TargetNotAllowed { path: path.to_owned(), key: self.key.clone(), only }
    }

    /// Writes a log line about the call, with the request's id and the name of the key.
    pub(super) fn event(&self, host: &impl Host, level: Level, event: &str, fields: Value) {
        let mut all = self.about();
        if let Value::Object(fields) = fields {
            all.extend(fields);
        }
        host.event(level, event, all.into());
    }

    /// The request's id and the name of the key, for the log.
    pub(super) fn about(&self) -> Map<String, Value> {
        let mut about = self.request_id.about();
        about.insert("key".into(), self.key.as_str().into());
        about
    }
}
