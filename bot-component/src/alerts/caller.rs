//! The program that calls a route such as `POST /api/alerts`, and the checks of what the program's API key
//! allows.

use platform::{Host, Level};
use serde_json::{Map, Value};
use state::{ConversationKey, Tag};

use super::grant::{Grant, Scope};
use super::request_id::RequestId;
use crate::rejection::AlertRejection;

/// A program whose API key or token the bot has accepted, and the id of the program's request.
#[derive(Debug)]
pub(super) struct Caller {
    /// The name of the API key. For a token of Entra, the name is `app:<app id>`. For a post to a webhook
    /// address, the name is `hook:<conversation key>`. Callers with the same name share their idempotency
    /// keys, and can cancel each other's alerts.
    pub(super) key: String,
    pub(super) grant: Grant,
    pub(super) request_id: RequestId,
}

/// The alerts that a caller is allowed to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight<'a> {
    /// All alerts: the alerts of every API key, and the alerts that the bot makes from people's messages.
    All,
    /// The alerts that callers with this name sent.
    Of(&'a str),
    /// No alert.
    Nothing,
}

impl Sight<'_> {
    /// Whether the caller is allowed to see an alert. `sender` is the name of the caller that sent the alert.
    /// If the bot made the alert from a person's message, `sender` is `None`.
    pub(super) fn includes(self, sender: Option<&str>) -> bool {
        match self {
            Self::All => true,
            Self::Of(own) => sender == Some(own),
            Self::Nothing => false,
        }
    }
}

impl Caller {
    /// Makes the caller for a post to the webhook address of a conversation. This caller has no *scope*
    /// (right), so every check of a scope refuses the call.
    pub(super) fn of_hook(conversation: &ConversationKey, request_id: &RequestId) -> Self {
        let key = format!("hook:{conversation}");
        Self { key, grant: Grant::default(), request_id: request_id.clone() }
    }

    /// A caller whose API key has the name `ci`.
    #[cfg(test)]
    pub(super) fn of_tests(grant: Grant) -> Self {
        let request_id = RequestId::of(&platform::testing::FakeHost::default(), &http::HeaderMap::new());
        Self { key: "ci".into(), grant, request_id }
    }

    /// Refuses the API call if the caller lacks the scope.
    pub(super) fn require(&self, scope: Scope) -> Result<(), AlertRejection> {
        if self.grant.allows(scope) {
            return Ok(());
        }
        Err(AlertRejection::ScopeMissing { key: self.key.clone(), scope: scope.as_str() })
    }

    /// Returns which alerts the caller is allowed to see.
    ///
    /// The function need not check whether the API key is restricted to a tenant or to tags. A restricted API
    /// key cannot have the scope `operate`, so the caller sees at most the alerts that were sent under the
    /// name of this API key.
    pub(super) fn sight(&self) -> Sight<'_> {
        if self.grant.allows(Scope::Operate) {
            return Sight::All;
        }
        let may_see = [Scope::Send, Scope::Cancel, Scope::List].iter().any(|scope| self.grant.allows(*scope));
        if may_see { Sight::Of(&self.key) } else { Sight::Nothing }
    }

    /// Refuses a target (for example an element of `to`) that the API key does not allow. An API key with
    /// `tag=<prefix>` allows only tags with this prefix. `tag` is `None` if the target is, for example, a
    /// conversation or a user.
    pub(super) fn require_tag(&self, path: &str, tag: Option<&Tag>) -> Result<(), AlertRejection> {
        match self.grant.tag_prefix() {
            Some(prefix) if !tag.is_some_and(|tag| self.grant.has_tag(tag)) => {
                let only = format!("tags that begin with `{prefix}`");
                Err(self.not_allowed(path, only))
            }
            _ => Ok(()),
        }
    }

    /// If the API key is restricted to a tenant, refuses every other tenant.
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

    /// Writes a log line about the API call, with the request's id and the name of the API key.
    pub(super) fn event(&self, host: &impl Host, level: Level, event: &str, fields: Value) {
        let mut all = self.about();
        if let Value::Object(fields) = fields {
            all.extend(fields);
        }
        host.event(level, event, all.into());
    }

    /// The request's id and the name of the API key, for the log.
    pub(super) fn about(&self) -> Map<String, Value> {
        let mut about = self.request_id.about();
        about.insert("key".into(), self.key.as_str().into());
        about
    }
}
