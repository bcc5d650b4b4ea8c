//! Tests of the bodies that the client (the type [`Connector`]) sends to Teams, and of the results that the
//! client makes from the responses of Teams.

use std::time::Duration;

use platform::Deadline;
use platform::testing::{FakeHost, response, run};

use super::*;
use crate::auth_mode::AuthMode;
use crate::{ChannelAccount, ConversationAccount, ConversationReference};

const POLICY: TrustPolicy = TrustPolicy::Anonymous;

fn service_url() -> ServiceUrl {
    POLICY.check("http://127.0.0.1:9200/amer/").unwrap()
}

fn connector(host: &FakeHost) -> Connector<'_, FakeHost> {
    Connector::new(host, None, Deadline::after(host, Duration::from_secs(20)))
}

fn create_chat(host: &FakeHost) -> Created {
    run(connector(host).create_chat(&POLICY, &service_url(), "e5", "t", None))
}

fn sent_body(host: &FakeHost) -> Value {
    serde_json::from_slice(host.sent.borrow().last().unwrap().body()).unwrap()
}

#[test]
fn chat_is_created_with_exactly_the_body_that_teams_accepts() {
    let host = FakeHost::default();
    host.then_status(201, r#"{"id":"a:1"}"#);
    let Created::Conversation(created) = create_chat(&host) else { panic!("expected a conversation") };
    assert_eq!((created.id.as_str(), created.service_url), ("a:1", None));
    assert_eq!(host.sent.borrow()[0].uri(), "http://127.0.0.1:9200/amer/v3/conversations");
    let expected = json!({
        "isGroup": false, "members": [{"id": "e5"}], "tenantId": "t", "channelData": {"tenant": {"id": "t"}},
    });
    assert_eq!(sent_body(&host), expected);
}

#[test]
fn thread_is_created_with_the_channel_and_the_first_message() {
    let host = FakeHost::default();
    host.then_status(201, r#"{"id":"19:c@thread.tacv2;messageid=17","activityId":"17"}"#);
    let channel = ConversationAccount::of_teams("19:c@thread.tacv2", "channel", "t");
    let bot = ChannelAccount::with_id("28:b");
    let address = ConversationReference::of_teams("http://127.0.0.1:9200/amer/", bot, None, channel);
    let message = OutgoingMessage::new(&address, "hi");
    let created = run(connector(&host).create_thread(
        &POLICY,
        &service_url(),
        "19:c@thread.tacv2",
        "t",
        message.clone(),
    ));
    let Created::Conversation(created) = created else { panic!("expected a thread, found {created:?}") };
    assert_eq!(created.id, "19:c@thread.tacv2;messageid=17");
    assert_eq!(created.verdict.activity_id.as_deref(), Some("17"));
    let expected = json!({
        "isGroup": true, "tenantId": "t", "bot": {"id": "28:b"}, "activity": message.into_json(),
        "channelData": {"channel": {"id": "19:c@thread.tacv2"}, "tenant": {"id": "t"}},
    });
    assert_eq!(sent_body(&host), expected);
}

#[test]
fn failed_creation_of_a_chat_is_classified_by_status_and_body() {
    let coded = |code: &str| format!(r#"{{"error":{{"code":"{code}","message":"words"}}}}"#);
    for (status, body, expected) in [
        (403, coded("BotNotInConversationRoster"), "NotInstalled"),
        (403, coded("ForbiddenOperationException"), "NotInstalled"),
        (403, String::new(), "NotInstalled"),
        (404, coded("ConversationNotFound"), "NotInstalled"),
        (404, String::new(), "NotInstalled"),
        (400, coded("MemberNotFoundInConversation"), "UnknownPerson"),
        (400, coded("BadSyntax"), "UnknownPerson"),
        (400, coded("BadArgument"), "Permanent"),
        (403, coded("ConversationBlockedByUser"), "DestinationGone"),
        (403, coded("BotDisabledByAdmin"), "DestinationGone"),
        (403, coded("InvalidBotApiHost"), "WrongCloud"),
        (401, String::new(), "Unauthorized"),
        (429, String::new(), "Throttled"),
        // The next three responses do not show whether Teams created the chat. The bot can repeat the call,
        // because the call sends no message.
        (500, coded("ServiceError"), "Unavailable"),
        (502, String::new(), "Unavailable"),
        (504, String::new(), "Unavailable"),
        (201, "{}".into(), "Permanent"),
        (201, r#"{"id":".."}"#.into(), "Permanent"),
    ] {
        let host = FakeHost::default();
        host.then_status(status, &body);
        let found = match create_chat(&host) {
            Created::NotInstalled(_) => "NotInstalled".to_owned(),
            Created::UnknownPerson(_) => "UnknownPerson".to_owned(),
            Created::Failed(verdict) => format!("{:?}", verdict.class),
            Created::Conversation(created) => panic!("{status} {body}: {created:?}"),
        };
        assert_eq!(found, expected, "{status} {body}");
    }
}

#[test]
fn chat_in_another_cloud_is_created_at_the_connector_of_gcc() {
    let host = FakeHost::default();
    host.then_status(403, r#"{"error":{"code":"InvalidBotApiHost","message":"words"}}"#);
    host.then_status(201, r#"{"id":"a:1"}"#);
    let public = TrustPolicy::read(AuthMode::Required, &FakeHost::default()).unwrap();
    let created = run(connector(&host).create_chat(&public, &service_url(), "e5", "t", None));
    let Created::Conversation(created) = created else { panic!("expected a conversation") };
    let gcc = "https://smba.infra.gcc.teams.microsoft.com/teams";
    assert_eq!(created.service_url.as_deref(), Some(gcc));
    assert_eq!(host.sent.borrow()[1].uri().host(), Some("smba.infra.gcc.teams.microsoft.com"));
}

#[test]
fn untrusted_service_url_in_the_response_to_a_creation_is_not_used() {
    for (named, expected) in [
        ("http://127.0.0.1:9200/emea/", Some("http://127.0.0.1:9200/emea/")),
        ("https://evil.example/", None),
        ("", None),
    ] {
        let host = FakeHost::default();
        host.then_status(201, &json!({"id": "a:1", "serviceUrl": named}).to_string());
        let Created::Conversation(created) = create_chat(&host) else { panic!("expected a conversation") };
        assert_eq!(created.service_url.as_deref(), expected, "{named}");
    }
}

#[test]
fn member_is_found_by_an_encoded_email_address_or_is_missing() {
    let kim = r#"{"id":"29:k","objectId":"o","name":"Kim","email":"kim@contoso.com"}"#;
    for (status, body, expected) in [
        (200, kim, Ok(Some("29:k"))),
        (404, r#"{"error":{"code":"MemberNotFoundInConversation"}}"#, Ok(None)),
        (400, "", Ok(None)),
        (403, "", Ok(None)),
        (200, "{}", Ok(None)),
        (429, "", Err(Class::Throttled)),
        (504, "", Err(Class::Unavailable)),
    ] {
        let host = FakeHost::default();
        host.then_status(status, body);
        let found = run(connector(&host).member(&service_url(), "19:c@thread.tacv2", "kim+x@contoso.com"));
        let found = found.map(|member| member.map(|member| member.id)).map_err(|verdict| verdict.class);
        assert_eq!(found, expected.map(|id| id.map(str::to_owned)), "{status} {body}");
        assert_eq!(
            host.sent.borrow()[0].uri().path(),
            "/amer/v3/conversations/19%3Ac%40thread.tacv2/members/kim%2Bx%40contoso.com"
        );
        assert_eq!(host.sent.borrow()[0].method(), http::Method::GET);
    }
}

#[test]
fn members_are_read_page_by_page() {
    let host = FakeHost::default();
    host.answers(|request| {
        let is_first = !request.uri().query().unwrap().contains("continuationToken=a%2Fb");
        let body = match is_first {
            true => {
                json!({"members": [{"id": "29:1", "aadObjectId": "o"}, {}], "continuationToken": "a/b"})
            }
            false => json!({"members": [{"id": "29:2", "objectId": "p"}], "continuationToken": ""}),
        };
        Some(Ok(response(200, &body.to_string())))
    });
    let connector = connector(&host);
    let first = run(connector.members(&service_url(), "19:c", None)).unwrap();
    let ids: Vec<_> = first.members.iter().map(|member| member.aad_object_id.as_deref()).collect();
    assert_eq!((ids, first.next.as_deref()), (vec![Some("o")], Some("a/b")));
    let second = run(connector.members(&service_url(), "19:c", first.next.as_deref())).unwrap();
    assert_eq!((second.members[0].aad_object_id.as_deref(), second.next), (Some("p"), None));
}
