//! The rights of a caller of the alert routes. A right is called a *scope*. The variable `alertkeys` has an
//! entry for each API key. The entry lists the scopes of the API key, and can restrict the API key to a
//! tenant or to tags. A program can also call with a token of Entra instead of an API key. The member `roles`
//! of the token then names the scopes.

use bot_framework::ConversationReference;
use state::Tag;

/// The longest tenant id in an entry of `alertkeys`, in characters.
const MAX_TENANT_CHARACTERS: usize = 64;

/// A right of a caller. With `Send`, `Cancel` or `List`, the caller also sees the alerts that were sent under
/// the caller's own name (the name of the caller's API key, or `app:<app id>` for a token of Entra).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Send alerts to conversations that the bot knows, and to new people and Teams channels in one tenant
    /// (the tenant of the API key, or else the bot's own tenant). Change the alerts that were sent under the
    /// caller's own name.
    Send,
    /// Together with `Send`: send alerts to any conversation by its address (`to.address`), and to new people
    /// and Teams channels in other tenants.
    Address,
    /// Cancel the alerts that were sent under the caller's own name.
    Cancel,
    /// List the conversations that the bot knows.
    List,
    /// Operate the bot, and see and cancel every alert.
    Operate,
    /// Read the status and the metrics of the bot. `Operate` includes this scope.
    Watch,
}

impl Scope {
    const ALL: [Self; 6] = [Self::Send, Self::Address, Self::Cancel, Self::List, Self::Operate, Self::Watch];

    /// The word for the scope in `alertkeys`, in a token's `roles`, and in responses.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Address => "address",
            Self::Cancel => "cancel",
            Self::List => "list",
            Self::Operate => "operate",
            Self::Watch => "watch",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }
}

/// A set of scopes, with one bit for each scope. A set must be cheap, because the bot reads every entry of
/// `alertkeys` for every API call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Scopes(u8);

impl Scopes {
    fn of(scopes: impl Iterator<Item = Scope>) -> Self {
        Self(scopes.fold(0, |bits, scope| bits | 1 << scope as u8))
    }

    fn with(self, scope: Scope) -> Self {
        Self(self.0 | 1 << scope as u8)
    }

    fn has(self, scope: Scope) -> bool {
        self.0 & 1 << scope as u8 != 0
    }
}

/// The scopes of a caller, and the caller's restrictions to a tenant and to tags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Grant {
    scopes: Scopes,
    /// If set, the caller reaches only conversations in this tenant.
    tenant: Option<String>,
    /// If set, the caller is allowed to name only tags with this prefix. The caller must not name, for
    /// example, a conversation or a user.
    tag_prefix: Option<String>,
}

impl Grant {
    /// A grant with every scope, without restriction.
    pub(super) fn all() -> Self {
        Self { scopes: Scopes::of(Scope::ALL.into_iter()), ..Self::default() }
    }

    /// Reads the scopes among a token's roles. Other roles are ignored, because they are for other programs.
    pub(super) fn of_roles(roles: &[String]) -> Self {
        let scopes = Scopes::of(roles.iter().filter_map(|role| Scope::from_word(role)));
        Self { scopes, ..Self::default() }
    }

    /// Reads the scopes and restrictions in an entry of `alertkeys`, such as `send+list+tenant=<id>`. The
    /// error names the problem, and never repeats the text, because an operator has perhaps put an API key
    /// there by mistake.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        let mut grant = Self::default();
        for word in text.split('+').map(str::trim) {
            match word.split_once('=') {
                None => {
                    let scope = Scope::from_word(word).ok_or(
                        "expected scopes among send, address, cancel, list, operate and watch, separated by `+`",
                    )?;
                    grant.scopes = grant.scopes.with(scope);
                }
                Some(("tenant", id)) if is_tenant(id) && grant.tenant.is_none() => {
                    grant.tenant = Some(id.to_owned());
                }
                Some(("tag", prefix)) if grant.tag_prefix.is_none() => {
                    let prefix = Tag::parse(prefix).ok_or("tag=: expected the beginning of a tag")?;
                    grant.tag_prefix = Some(prefix.as_str().to_owned());
                }
                Some(("tenant" | "tag", _)) => {
                    return Err(
                        "expected a valid tenant id after tenant=; use tenant= only once, and tag= only once",
                    );
                }
                Some(_) => {
                    return Err("unknown restriction; expected tenant=<id> or tag=<beginning of a tag>");
                }
            }
        }
        let is_unbounded =
            [Scope::Address, Scope::Operate, Scope::Watch].iter().any(|scope| grant.allows(*scope));
        if is_unbounded && (grant.tenant.is_some() || grant.tag_prefix.is_some()) {
            return Err("address, operate and watch cannot be restricted by tenant= or tag=; use two keys");
        }
        if grant.scopes == Scopes::default() {
            return Err("expected at least one of the scopes send, address, cancel, list, operate and watch");
        }
        Ok(grant)
    }

    /// Whether two grants have the same restrictions to a tenant and to tags.
    pub(super) fn is_bound_like(&self, other: &Self) -> bool {
        self.tenant == other.tenant && self.tag_prefix == other.tag_prefix
    }

    /// Whether the caller has this scope. `operate` includes `watch`.
    pub(super) fn allows(&self, scope: Scope) -> bool {
        self.scopes.has(scope) || scope == Scope::Watch && self.scopes.has(Scope::Operate)
    }

    /// The tenant to which the caller is restricted, if any.
    pub(super) fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// The prefix of the tags to which the caller is restricted, if any.
    pub(super) fn tag_prefix(&self) -> Option<&str> {
        self.tag_prefix.as_deref()
    }

    /// Whether the caller is allowed to name this tag.
    pub(super) fn has_tag(&self, tag: &Tag) -> bool {
        self.tag_prefix.as_deref().is_none_or(|prefix| tag.as_str().starts_with(prefix))
    }

    /// Whether the caller is allowed to send to a conversation. A caller with `tenant=<id>` reaches only the
    /// Teams conversations in the tenant `<id>`. Outside Teams, this caller reaches no conversation, because
    /// a person's client can send any tenant id there.
    pub(super) fn reaches(&self, address: &ConversationReference) -> bool {
        self.tenant.as_deref().is_none_or(|tenant| {
            address.vouched_tenant().is_some_and(|vouched| vouched.eq_ignore_ascii_case(tenant))
        })
    }
}

/// Whether a text can be the id of a tenant.
pub(super) fn is_tenant(id: &str) -> bool {
    (1..=MAX_TENANT_CHARACTERS).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use bot_framework::json::Fields;
    use serde_json::json;

    use super::*;

    #[test]
    fn entry_is_read_as_scopes_and_restrictions() {
        let grant = Grant::read("send + list+tenant=T-1+tag=Orders-").unwrap();
        let allowed: Vec<_> = Scope::ALL.into_iter().filter(|scope| grant.allows(*scope)).collect();
        assert_eq!(allowed, [Scope::Send, Scope::List]);
        assert_eq!((grant.tenant(), grant.tag_prefix()), (Some("T-1"), Some("orders-")));
        assert!(Grant::read("operate").unwrap().allows(Scope::Watch), "operate includes watch");
        assert!(!Grant::read("watch").unwrap().allows(Scope::Operate));
        for (text, problem) in [
            ("", "expected scopes among"),
            ("send+", "expected scopes among"),
            ("send,list", "expected scopes among"),
            ("Send", "expected scopes among"),
            ("everything", "expected scopes among"),
            ("tenant=t", "at least one"),
            ("send+tenant=", "tenant="),
            ("send+tenant=a b", "tenant="),
            ("send+tenant=a+tenant=b", "once"),
            ("send+tag=", "beginning of a tag"),
            ("send+tag=a b", "beginning of a tag"),
            ("send+tag=a+tag=b", "once"),
            ("send+user=x", "unknown restriction"),
            ("send+address+tenant=t", "two keys"),
            ("operate+tag=x", "two keys"),
            ("watch+tenant=t", "two keys"),
        ] {
            let error = Grant::read(text).expect_err(text);
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn roles_that_are_no_scopes_are_ignored() {
        let grant = Grant::of_roles(&["cancel".into(), "Alerts.Send".into(), "tenant=t".into()]);
        assert_eq!(grant, Grant::read("cancel").unwrap());
    }

    #[test]
    fn caller_restricted_to_a_tenant_reaches_only_conversations_of_this_tenant_on_teams() {
        let grant = Grant::read("send+tenant=72F988BF").unwrap();
        for (channel_id, tenant, expected) in [
            ("msteams", "72f988bf", true),
            ("msteams", "other", false),
            ("msteams", "", false),
            ("webchat", "72f988bf", false),
        ] {
            let json = json!({
                "channelId": channel_id, "serviceUrl": "https://x/", "conversation": {"id": "c", "tenantId": tenant},
            });
            let fields = Fields::parse(json.to_string().as_bytes()).unwrap();
            let address = ConversationReference::from_fields(fields).unwrap();
            assert_eq!(grant.reaches(&address), expected, "{json}");
            assert!(Grant::all().reaches(&address));
        }
    }
}
