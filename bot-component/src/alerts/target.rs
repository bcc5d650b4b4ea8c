//! `to`: from what a caller writes to the conversations that it means.

use bot_framework::json::{FieldError, Fields};
use bot_framework::{ChannelAccount, ConversationReference, channel_id};
use futures_util::{StreamExt, stream};
use platform::Host;
use serde_json::Value;
use state::ledger::Status;
use state::{ByKey, Conversation, ConversationKey, Conversations, Known, Tag, of_key};

use super::caller::Caller;
use super::grant::{Grant, Scope};
use crate::limits::MAX_TARGETS;
use crate::rejection::{AlertRejection, Rejection};
use crate::settings::BotSettings;

/// How many elements of `to` are looked up at once. A person makes several calls at once by itself.
const FOUND_AT_ONCE: usize = 4;

/// What a tag has to be.
pub(super) const A_TAG: &str = "a word of at most 64 letters, digits and -_.:#@+";

/// One element of `to`, and where it stands.
#[derive(Debug, PartialEq)]
pub(super) struct To {
    path: String,
    form: Form,
}

impl To {
    /// Where it stands, the tag, and the tenant, if it is a tag.
    pub(super) fn as_tag(&self) -> Option<(&str, &Tag, Option<&str>)> {
        match &self.form {
            Form::Tag { tag, tenant } => Some((&self.path, tag, tenant.as_deref())),
            _ => None,
        }
    }

    /// Refuses what the caller's key may not name, before anything is looked up.
    pub(super) fn expect_allowed(&self, caller: &Caller) -> Result<(), AlertRejection> {
        let Self { path, form } = self;
        match form {
            Form::Address(_) => caller.require(Scope::Address),
            Form::Tag { tag, tenant } => {
                caller.require_tag(path, Some(tag))?;
                tenant.as_ref().map_or(Ok(()), |tenant| caller.require_tenant(path, tenant))
            }
            Form::Conversation(_) | Form::User { .. } | Form::AadObject(_) => caller.require_tag(path, None),
        }
    }

    /// The conversation that it names itself.
    fn names(&self) -> Option<ConversationKey> {
        match &self.form {
            Form::Conversation(text) => ConversationKey::parse(text),
            Form::Address(address) => Some(ConversationKey::of(address)),
            Form::User { .. } | Form::AadObject(_) | Form::Tag { .. } => None,
        }
    }
}

#[derive(Debug, PartialEq)]
enum Form {
    Conversation(String),
    User { channel_id: String, id: String },
    AadObject(String),
    Tag { tag: Tag, tenant: Option<String> },
    Address(Box<ConversationReference>),
}

/// A conversation to alert.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) key: ConversationKey,
    pub(super) address: ConversationReference,
    /// Why it gets nothing now.
    pub(super) held: Option<Held>,
    /// Whether a tag led there. Its sender does not know who that is.
    pub(super) is_subscriber: bool,
}

impl Target {
    /// A conversation that the bot knows.
    fn known(key: ConversationKey, conversation: Conversation, settings: &BotSettings) -> Self {
        let Conversation { address, stopped, paused, .. } = conversation;
        let untrusted =
            settings.trust.check(&address.service_url).is_err() || !settings.tenants.allow(&address);
        let held = held_by_person(stopped, paused).or(untrusted.then_some(Held::Untrusted));
        Self { key, address, held, is_subscriber: false }
    }

    /// A conversation to which a tag led.
    pub(super) fn subscriber(
        key: ConversationKey,
        conversation: Conversation,
        settings: &BotSettings,
    ) -> Self {
        Self { is_subscriber: true, ..Self::known(key, conversation, settings) }
    }
}

/// Why a conversation gets no alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// The person said `stop`.
    Stopped,
    /// The channel says that nobody is there.
    Paused,
    /// Its Connector is on no list, or its tenant is not in `tenants`: it was stored in another mode, or with other values.
    Untrusted,
}

impl Held {
    /// What the ledger says of the alert.
    pub(super) fn status(self) -> Status {
        match self {
            Self::Stopped => Status::Stopped,
            Self::Paused => Status::Paused,
            Self::Untrusted => Status::Untrusted,
        }
    }
}

/// Reads `to`: one target, or an array of them.
pub(super) fn read(fields: &mut Fields) -> Result<Vec<To>, AlertRejection> {
    let elements = match fields.as_object().get("to") {
        Some(Value::Array(_)) => {
            let elements = fields.objects("to")?;
            let paths = (0..elements.len()).map(|index| format!("to[{index}]"));
            paths.zip(elements).collect()
        }
        _ => vec![("to".to_owned(), fields.required_object("to")?)],
    };
    match elements.len() {
        0 => return Err(fields.error("to", "at least one target").into()),
        targets if targets > MAX_TARGETS => {
            return Err(AlertRejection::TooManyTargets { targets });
        }
        _ => {}
    }
    let read = |(path, element): (String, Fields)| Ok(To { form: read_form(element, &path)?, path });
    elements.into_iter().map(read).collect()
}

fn read_form(mut fields: Fields, path: &str) -> Result<Form, FieldError> {
    const FORMS: &str = "exactly one of conversation, user, tag (with a tenant or without) and address";
    let whole = |expected| FieldError { path: path.into(), expected };
    let has_tag = fields.as_object().contains_key("tag");
    let mut names = fields.as_object().keys().filter(|name| !(has_tag && *name == "tenant"));
    let (Some(name), None) = (names.next().cloned(), names.next()) else { return Err(whole(FORMS)) };
    match name.as_str() {
        "conversation" => Ok(Form::Conversation(fields.required_string("conversation")?)),
        "user" => {
            let user = fields.required_string("user")?;
            match user.split_once('/') {
                None => Ok(Form::AadObject(user)),
                Some((channel, id)) => match channel_id(channel).filter(|_| !id.is_empty()) {
                    Some(channel_id) => Ok(Form::User { channel_id, id: id.into() }),
                    None => Err(fields.error("user", "channelId/id or an Entra object id")),
                },
            }
        }
        "tag" => {
            let tag = Tag::parse(&fields.required_string("tag")?);
            Ok(Form::Tag {
                tag: tag.ok_or_else(|| fields.error("tag", A_TAG))?,
                tenant: read_tenant(&mut fields)?,
            })
        }
        "address" => {
            let address = ConversationReference::from_fields(fields.required_object("address")?)?;
            // Our seal will say that we wrote this: nobody else may say that its serviceUrl was verified.
            Ok(Form::Address(Box::new(address.with_service_url_verified(false))))
        }
        _ => Err(whole(FORMS)),
    }
}

/// Reads `tenant`, beside a tag.
pub(super) fn read_tenant(fields: &mut Fields) -> Result<Option<String>, FieldError> {
    match fields.string("tenant")? {
        Some(tenant) if tenant.is_empty() => Err(fields.error("tenant", "the id of a tenant, or `none`,")),
        tenant => Ok(tenant),
    }
}

/// The conversations that `to` names one by one, each once: those of its elements that are no tags. That one of them is not
/// known is an error of the whole call, so that nothing is half done; on a later page it was found before.
pub(super) async fn named<H: Host>(
    conversations: &Conversations<'_, H>,
    settings: &BotSettings,
    grant: &Grant,
    to: &[To],
    is_first_page: bool,
) -> Result<Vec<Target>, Rejection> {
    let known = conversations.get_all(to.iter().filter_map(To::names)).await.map_err(AlertRejection::from)?;
    let find = async |to: &To| find(conversations, &known, settings, grant, to).await;
    let find = &find;
    let mut found = stream::iter(to).map(find).buffered(FOUND_AT_ONCE);
    let mut targets: Vec<Target> = Vec::new();
    while let Some(target) = found.next().await {
        let target = match target {
            Err(Rejection::Alert(AlertRejection::UnknownTarget { .. })) if !is_first_page => None,
            target => target?,
        };
        targets.extend(target.filter(|target| !targets.iter().any(|other| other.key == target.key)));
    }
    Ok(targets)
}

/// The conversation that one element of `to` leads to; none if it is a tag.
async fn find<H: Host>(
    conversations: &Conversations<'_, H>,
    named: &ByKey<Known>,
    settings: &BotSettings,
    grant: &Grant,
    To { path, form }: &To,
) -> Result<Option<Target>, Rejection> {
    let found = match form {
        Form::Conversation(text) => ConversationKey::parse(text).and_then(|key| {
            let conversation = of_key(named, &key)?.conversation.clone()?;
            Some((key, conversation))
        }),
        Form::User { channel_id, id } if !settings.unbound_users.admit(channel_id, id) => {
            return Err(AlertRejection::UnboundUser { path: path.clone() }.into());
        }
        Form::User { channel_id, id } => {
            conversations.of_user(channel_id, id).await.map_err(AlertRejection::from)?
        }
        Form::AadObject(id) => conversations.of_aad_object(id).await.map_err(AlertRejection::from)?,
        Form::Tag { .. } => return Ok(None),
        Form::Address(address) => {
            settings.trust.check(&address.service_url)?;
            if !settings.tenants.allow(address) {
                return Err(AlertRejection::TenantNotAllowed { path: path.clone() }.into());
            }
            let key = ConversationKey::of(address);
            // Who has said `stop` is left alone, however the conversation is named.
            let known = of_key(named, &key);
            let standing = known.map(|known| known.standing).unwrap_or_default();
            let held = held_by_person(standing.stopped, standing.paused);
            let known = known.and_then(|known| known.conversation.as_ref());
            let app_id = settings.bot.as_ref().map(|bot| bot.identity.app_id.as_str());
            let address = from_the_bot(address, known, app_id, path)?;
            return Ok(Some(Target { key, address, held, is_subscriber: false }));
        }
    };
    // To a key of one tenant, the conversations of others are not known.
    match found.filter(|(_, conversation)| grant.reaches(&conversation.address)) {
        Some((key, conversation)) => Ok(Some(Target::known(key, conversation, settings))),
        None => Err(AlertRejection::UnknownTarget { path: path.clone() }.into()),
    }
}

/// The address with the bot's own account in it, by which the Connector knows who speaks. A caller may leave it out where the bot
/// knows it: it was heard in the conversation, or it is on Teams, where a bot's id is made of its application's.
fn from_the_bot(
    address: &ConversationReference,
    known: Option<&Conversation>,
    app_id: Option<&str>,
    path: &str,
) -> Result<ConversationReference, AlertRejection> {
    let mut address = address.clone();
    if address.bot.is_some() {
        return Ok(address);
    }
    let heard = known.map(|known| &known.address).filter(|known| known.service_url == address.service_url);
    let of_teams = || {
        let app_id = app_id.filter(|_| address.channel_id == "msteams")?;
        Some(ChannelAccount::with_id(format!("28:{app_id}")))
    };
    // In anonymous mode the bot has no id, and what answers on loopback takes any.
    let of_tests = || app_id.is_none().then(|| ChannelAccount::with_id("bot"));
    address.bot = heard.and_then(|heard| heard.bot.clone()).or_else(of_teams).or_else(of_tests);
    match address.bot {
        Some(_) => Ok(address),
        None => Err(FieldError {
            path: format!("{path}.address.bot"),
            expected: "the bot's account as the channel knows it, as {\"id\": \"...\"},",
        }
        .into()),
    }
}

fn held_by_person(stopped: bool, paused: bool) -> Option<Held> {
    if stopped { Some(Held::Stopped) } else { paused.then_some(Held::Paused) }
}

#[cfg(test)]
mod tests {
    use platform::Clock;
    use platform::testing::run;
    use serde_json::json;
    use state::Sign;

    use super::super::paging;
    use super::*;
    use crate::testing::Stage;

    fn check(to: Value) -> Result<Vec<To>, String> {
        let body = json!({ "to": to }).to_string();
        read(&mut Fields::parse(body.as_bytes()).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_is_read() {
        let user = |channel_id: &str, id: &str| Form::User { channel_id: channel_id.into(), id: id.into() };
        let tag = |tag: &str, tenant: Option<&str>| Form::Tag {
            tag: Tag::parse(tag).unwrap(),
            tenant: tenant.map(str::to_owned),
        };
        for (to, expected) in [
            (json!({"conversation": "x"}), Form::Conversation("x".into())),
            (json!({"user": "msteams/29:1a/b"}), user("msteams", "29:1a/b")),
            (json!({"user": "e5e0"}), Form::AadObject("e5e0".into())),
            (json!({"tag": "Orders-42"}), tag("orders-42", None)),
            (json!({"tag": "x", "tenant": null}), tag("x", None)),
            (json!({"tag": "x", "tenant": "t"}), tag("x", Some("t"))),
        ] {
            assert_eq!(check(to.clone()), Ok(vec![To { path: "to".into(), form: expected }]), "{to}");
        }
        assert_eq!(check(json!([{"user": "a"}, {"tag": "b"}])).unwrap()[1].path, "to[1]");
    }

    #[test]
    fn what_names_nobody_is_told_where() {
        for (to, path) in [
            (json!(null), "to"),
            (json!("x"), "to"),
            (json!([]), "to"),
            (json!({}), "to"),
            (json!({"everybody": true}), "to"),
            (json!({"tag": "x", "user": "y"}), "to"),
            (json!({"tag": "x", "user": null}), "to"),
            (json!({"tag": null}), "to.tag"),
            (json!({"tag": "x", "tenant": ""}), "to.tenant"),
            (json!({"tag": "x", "tenant": 7}), "to.tenant"),
            (json!({"tag": "x", "tenant": "t", "user": "y"}), "to"),
            (json!({"tenant": "t"}), "to"),
            (json!({"user": "y", "tenant": "t"}), "to"),
            (json!({"conversation": ""}), "to.conversation"),
            (json!({"conversation": 7}), "to.conversation"),
            (json!({"user": "/x"}), "to.user"),
            (json!({"user": "msteams/"}), "to.user"),
            (json!({"tag": "two words"}), "to.tag"),
            (json!({"address": "x"}), "to.address"),
            (json!({"address": {"channelId": "x", "serviceUrl": "https://x/"}}), "to.address.conversation"),
            (
                json!({"address": {"channelId": "x", "serviceUrl": "https://x/", "conversation": {"id": ".."}}}),
                "to.address.conversation.id",
            ),
            (json!([{"tag": "x"}, 7]), "to[1]"),
            (json!([{"tag": "x"}, {"tag": "y z"}]), "to[1].tag"),
            (json!([{"tag": "x"}, {}]), "to[1]"),
        ] {
            let error = check(to.clone()).expect_err("refused");
            assert!(error.starts_with(&format!("{path}: ")), "{to}: {error}");
        }
        let many = vec![json!({"tag": "x"}); MAX_TARGETS + 1];
        assert!(check(many.into()).expect_err("too many").contains("101"));
    }

    fn reference(id: &str, service_url: &str) -> ConversationReference {
        let json = json!({
            "channelId": "msteams", "serviceUrl": service_url, "conversation": {"id": id}, "user": {"id": format!("29:{id}")},
            "bot": {"id": "28:b"},
        });
        ConversationReference::from_fields(Fields::parse(json.to_string().as_bytes()).unwrap()).unwrap()
    }

    fn key(id: &str) -> ConversationKey {
        ConversationKey::of(&reference(id, HERE))
    }

    /// A serviceUrl that anonymous mode trusts, and one that it does not.
    const HERE: &str = "http://127.0.0.1:9200/";
    const ELSEWHERE: &str = "https://elsewhere.example/";

    fn add(stage: &Stage, id: &str, service_url: &str) {
        let heard = stage.conversations();
        run(heard.hear(&reference(id, service_url), Sign::Message, None)).unwrap();
    }

    fn found(stage: &Stage, to: &Value) -> Result<Vec<(ConversationKey, Option<Held>)>, String> {
        let to = read(&mut Fields::parse(json!({ "to": to }).to_string().as_bytes()).unwrap()).unwrap();
        let found =
            run(paging::read(&stage.host, &stage.settings, &Caller::of_tests(Grant::all()), &to, None))
                .map_err(|error| error.to_string())?;
        assert_eq!(found.next, None);
        Ok(found.targets.into_iter().map(|target| (target.key, target.held)).collect())
    }

    #[test]
    fn each_conversation_is_found_once_in_the_order_of_the_call() {
        let stage = Stage::new();
        for id in ["a", "b", "c"] {
            add(&stage, id, HERE);
        }
        run(stage.conversations().tag(&key("b"), &Tag::parse("x").unwrap())).unwrap();
        let to = json!([
            {"user": "msteams/29:c"}, {"conversation": key("a").as_str()}, {"tag": "x"}, {"user": "msteams/29:b"},
            {"address": reference("c", HERE).to_json()}, {"address": reference("d", HERE).to_json()},
        ]);
        assert_eq!(found(&stage, &to), Ok(["c", "a", "b", "d"].map(|id| (key(id), None)).to_vec()));
        for unknown in [
            json!({"conversation": key("d").as_str()}),
            json!({"conversation": "x"}),
            json!({"user": "msteams/29:d"}),
            json!({"user": "d"}),
            json!({"tag": "y"}),
        ] {
            let error = found(&stage, &json!([{"tag": "x"}, unknown])).expect_err("nobody");
            assert_eq!(error, "to[1]: no conversation is known for it", "{unknown}");
        }
    }

    #[test]
    fn a_stop_holds_however_the_conversation_is_named_and_an_untrusted_connector_too() {
        let stage = Stage::new();
        add(&stage, "a", HERE);
        add(&stage, "b", ELSEWHERE);
        run(stage.conversations().stop(&key("a"), stage.host.now())).unwrap();
        let by_address = json!({"address": reference("a", HERE).to_json()});
        for to in
            [json!({"conversation": key("a").as_str()}), json!({"user": "msteams/29:a"}), by_address.clone()]
        {
            assert_eq!(found(&stage, &to), Ok(vec![(key("a"), Some(Held::Stopped))]), "{to}");
        }
        let untrusted = json!({"user": "msteams/29:b"});
        assert_eq!(found(&stage, &untrusted), Ok(vec![(key("b"), Some(Held::Untrusted))]));
        // A stop of a conversation that is not stored.
        run(stage.conversations().stop(&key("c"), stage.host.now())).unwrap();
        let by_address = json!({"address": reference("c", HERE).to_json()});
        assert_eq!(found(&stage, &by_address), Ok(vec![(key("c"), Some(Held::Stopped))]));
    }

    #[test]
    fn an_address_without_the_bot_gets_it_or_is_refused() {
        let without = |id: &str, channel_id: &str| {
            let mut address = reference(id, HERE).to_json();
            address.as_object_mut().unwrap().remove("bot");
            address["channelId"] = channel_id.into();
            ConversationReference::from_fields(Fields::parse(address.to_string().as_bytes()).unwrap())
                .unwrap()
        };
        let stage = Stage::new();
        add(&stage, "a", HERE);
        let found = |id, channel_id| found(&stage, &json!({"address": without(id, channel_id).to_json()}));
        assert_eq!(found("a", "msteams"), Ok(vec![(key("a"), None)]), "the bot was heard there");
        assert_eq!(found("b", "slack"), Ok(vec![(ConversationKey::of(&without("b", "slack")), None)]));
        let refusal = from_the_bot(&without("b", "slack"), None, Some("app"), "to").expect_err("who speaks?");
        assert!(refusal.to_string().starts_with("to.address.bot: the bot's account"), "{refusal}");
        for (channel_id, expected) in [("msteams", Some("28:app")), ("slack", None)] {
            let address = without("b", channel_id);
            let filled = from_the_bot(&address, None, Some("app"), "to").ok().and_then(|address| address.bot);
            assert_eq!(filled.map(|bot| bot.id).as_deref(), expected, "{channel_id}");
        }
        let named = from_the_bot(&reference("b", HERE), None, Some("app"), "to").unwrap();
        assert_eq!(named.bot.unwrap().id, "28:b", "what the caller says stays");
    }

    #[test]
    fn a_table_service_that_refuses_turns_the_call_down_and_the_log_has_the_reason() {
        let stage = Stage::new();
        stage.refuse_tables();
        for to in
            [json!({"user": "d"}), json!({"tag": "x"}), json!({"address": reference("a", HERE).to_json()})]
        {
            let to = read(&mut Fields::parse(json!({ "to": to }).to_string().as_bytes()).unwrap()).unwrap();
            let rejection =
                run(paging::read(&stage.host, &stage.settings, &Caller::of_tests(Grant::all()), &to, None))
                    .expect_err("refused");
            let answer = rejection.log_and_answer(&stage.host);
            assert_eq!(answer.status(), 503);
            let body: Value = serde_json::from_slice(answer.body()).unwrap();
            assert_eq!(body["error"]["code"], "StateUnavailable");
            assert_eq!(body["error"]["message"], "the table storage cannot be reached; nothing was queued");
        }
        let logged = stage.host.events("request.rejected");
        assert!(logged[0]["reason"].as_str().unwrap().contains("refused access"), "{logged:?}");
    }
}
