//! `GET /api/targets`: lists the conversations that the bot knows, also the stopped and paused conversations.

use std::time::Duration;

use bot_framework::json::{FieldError, put};
use bytes::Bytes;
use chrono::SecondsFormat;
use http::{Response, StatusCode};
use platform::{Deadline, Host, Level, response};
use serde_json::{Map, Value, json};
use state::{Conversation, ConversationKey, Filter, Tag};
use url::form_urlencoded;

use super::caller::Caller;
use super::grant::{Grant, Scope};
use super::to::A_TAG;
use crate::rejection::{AlertRejection, Rejection};
use crate::settings::{BotSettings, CallerSettings};
use crate::tag_scope::{NONE, TagScope};

const MAX_LIMIT: usize = 100;

/// The longest time for the storage calls. This time is shorter than 30 s, because hosted platforms end a
/// request after 30 s.
const LIST_WITHIN: Duration = Duration::from_secs(20);

pub(super) async fn get<H: Host>(
    host: &H,
    query: &str,
    caller: &Caller,
) -> Result<Response<Bytes>, Rejection> {
    caller.require(Scope::List)?;
    let list = ListQuery::read(query).map_err(AlertRejection::from)?.restricted_to(caller)?;
    let settings = BotSettings::open(host, CallerSettings::read(host)?).await?;
    let filter = list.filter(&settings).map_err(AlertRejection::from)?;
    let page = settings
        .conversations(host, Deadline::after(host, LIST_WITHIN))
        .page(list.after.as_ref(), list.limit, &filter)
        .await
        .map_err(AlertRejection::from)?;
    let targets: Vec<_> = page
        .conversations
        .iter()
        .filter(|(_, conversation)| caller.grant.reaches(&conversation.address))
        .map(|(key, conversation)| shown(key, conversation, &caller.grant))
        .collect();
    let after = list.after.as_ref().map(ConversationKey::as_str);
    caller.event(host, Level::Info, "targets.listed", json!({"targets": targets.len(), "after": after}));
    let mut body = json!({"targets": targets});
    if let Some(next) = page.next {
        body["next"] = next.as_str().into();
    }
    Ok(response::json(StatusCode::OK, &body))
}

#[derive(Debug)]
struct ListQuery {
    after: Option<ConversationKey>,
    limit: usize,
    tag: Option<Tag>,
    tenant: Option<String>,
}

impl ListQuery {
    fn read(query: &str) -> Result<Self, FieldError> {
        let mut list = Self { after: None, limit: MAX_LIMIT, tag: None, tenant: None };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let error = |expected| FieldError { path: name.to_string(), expected };
            match name.as_ref() {
                "after" => {
                    let key = ConversationKey::parse(&value);
                    list.after = Some(key.ok_or_else(|| error("the `next` of the previous page"))?);
                }
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                    list.limit = limit.ok_or_else(|| error("a number from 1 to 100"))?;
                }
                "tag" => {
                    list.tag = Some(Tag::parse(&value).ok_or_else(|| error(A_TAG))?);
                }
                "tenant" if value.is_empty() => return Err(error("the id of a tenant, or `none`")),
                "tenant" => list.tenant = Some(value.into_owned()),
                _ => return Err(error("one of the parameters after, limit, tag and tenant")),
            }
        }
        Ok(list)
    }

    /// Restricts the list to the tenant of the caller's API key, if any. Refuses a query that the API key
    /// does not allow, for example a query for another tenant.
    fn restricted_to(mut self, caller: &Caller) -> Result<Self, AlertRejection> {
        caller.require_tag("tag", self.tag.as_ref())?;
        if let Some(asked) = &self.tenant {
            caller.require_tenant("tenant", asked)?;
        }
        if let Some(own) = caller.grant.tenant() {
            self.tenant = Some(own.to_owned());
        }
        Ok(self)
    }

    /// Makes the filter for the list. If the query names a tag, the list has the same conversations that an
    /// alert with this `tag` and `tenant` would have as targets.
    ///
    /// There is one exception. If the query names a tag and the id of a tenant, the list also has the
    /// *unverified* subscribers of the tag. The address of an unverified subscriber names this tenant, but no
    /// token of the channel has verified the address. So an alert would not go to this subscriber. In
    /// anonymous mode (activities need no token), all subscribers are unverified. Without the exception, such
    /// a list would always be empty in this mode.
    fn filter(&self, settings: &BotSettings) -> Result<Filter, FieldError> {
        let Some(tag) = self.tag.clone() else {
            return Ok(Filter { tag: None, tenant_id: self.tenant.clone() });
        };
        let mut subscribers = TagScope::named(self.tenant.as_deref(), "tenant", settings)?.subscribers(tag);
        let tenant_id = self.tenant.clone().filter(|tenant| tenant != NONE);
        if tenant_id.is_some() {
            subscribers.tenants.push(None);
        }
        Ok(Filter { tag: Some(subscribers), tenant_id })
    }
}

/// Makes the JSON of a conversation for the caller. The JSON does not contain the address of the Connector,
/// because a caller does not need this address.
fn shown(key: &ConversationKey, conversation: &Conversation, grant: &Grant) -> Value {
    let Conversation { address, tags, stopped, paused, seen_at, .. } = conversation;
    let mut target = Map::new();
    put(&mut target, "conversation", Some(key.as_str()));
    put(&mut target, "channelId", Some(address.channel_id.as_str()));
    put(&mut target, "conversationType", address.conversation.conversation_type());
    put(&mut target, "name", address.conversation.name());
    put(&mut target, "tenantId", address.vouched_tenant());
    let user = address.user.as_ref().map(|user| {
        let mut shown = Map::new();
        put(&mut shown, "id", Some(user.id.as_str()));
        put(&mut shown, "name", user.name());
        put(&mut shown, "aadObjectId", address.vouched_aad_object_id());
        shown
    });
    put(&mut target, "user", user);
    let tags: Vec<_> = tags.iter().filter(|tag| grant.has_tag(tag)).map(Tag::as_str).collect();
    put(&mut target, "tags", Some(tags));
    put(&mut target, "stopped", Some(*stopped));
    put(&mut target, "paused", Some(*paused));
    put(&mut target, "serviceUrlVerified", Some(address.service_url_verified));
    put(&mut target, "seenAt", Some(seen_at.to_rfc3339_opts(SecondsFormat::Secs, true)));
    target.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_is_read_and_the_error_names_a_wrong_parameter() {
        let key = "0123456789abcdef0123456789abcdef";
        let list = ListQuery::read(&format!("after={key}&limit=7&tag=Orders%2d42&tenant=t+1")).unwrap();
        assert_eq!((list.after.unwrap().as_str(), list.limit), (key, 7));
        assert_eq!(list.tag.unwrap().as_str(), "orders-42");
        assert_eq!(list.tenant.as_deref(), Some("t 1"));
        assert_eq!(ListQuery::read("").unwrap().limit, 100);
        for (query, path) in [
            ("after=x", "after"),
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=-1", "limit"),
            ("limit=many", "limit"),
            ("tag=", "tag"),
            ("tag=a%20b", "tag"),
            ("tenant=", "tenant"),
            ("tennant=x", "tennant"),
        ] {
            assert_eq!(ListQuery::read(query).expect_err(query).path, path);
        }
    }
}
