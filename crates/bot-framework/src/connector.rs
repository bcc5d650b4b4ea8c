//! A client of the Bot Connector, the HTTP API of the channels (services such as Teams). The client sends a
//! message to a conversation, replies to an activity, changes a message, and deletes a message.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use platform::{Deadline, Host, Timeouts, Traceparent, TransportError};

use crate::changing::{Changing, classify_change};
use crate::message::OutgoingMessage;
use crate::outbound::{AccessToken, TokenError, Tokens};
use crate::path::segment;
use crate::reference::ConversationReference;
use crate::trust::{ServiceUrl, TrustPolicy};
use crate::verdict::{Class, Response, Verdict, read};

const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(3),
    first_byte: Duration::from_secs(8),
    between_bytes: Duration::from_secs(3),
    total: Duration::from_secs(13),
    max_response_bytes: 64 * 1024,
};

pub(crate) const USER_AGENT: &str = concat!("proactive-bot/", env!("CARGO_PKG_VERSION"));

/// A client of the Bot Connector. Each call goes to a [`ServiceUrl`], a URL that a [`TrustPolicy`] has
/// checked.
#[derive(Debug)]
pub struct Connector<'a, H> {
    host: &'a H,
    /// The bot's tokens. `None` in anonymous mode (for local tests), in which the bot sends no token.
    tokens: Option<&'a Tokens<'a, H>>,
    deadline: Deadline,
}

impl<'a, H: Host> Connector<'a, H> {
    /// Makes a client with the bot's tokens, or without credentials in anonymous mode. Every call ends at
    /// `deadline` at the latest.
    pub fn new(host: &'a H, tokens: Option<&'a Tokens<'a, H>>, deadline: Deadline) -> Self {
        Self { host, tokens, deadline }
    }

    /// Gets the bot's token before the first send. Without `get_ready`, the first send would wait for the
    /// token, and the poller could not send at its fixed rate. Anonymous mode needs no token.
    ///
    /// If the client cannot get the token, the error is a verdict (the classified result of a call). Each
    /// send would fail with the same verdict.
    pub async fn get_ready(&self) -> Result<(), Verdict> {
        match self.tokens {
            Some(tokens) => Ok(tokens.get(self.deadline).await.map(drop)?),
            None => Ok(()),
        }
    }

    /// Sends a message to a conversation: `POST /v3/conversations/{id}/activities`.
    pub async fn send(
        &self,
        service_url: &ServiceUrl,
        conversation_id: &str,
        message: &OutgoingMessage,
    ) -> Verdict {
        match activities_of(service_url, conversation_id) {
            Some(uri) => self.call(service_url, &Call::send(uri, message)).await.verdict,
            None => Verdict::unusable_address(),
        }
    }

    /// Sends like [`Connector::send`]. If the verdict has the class [`Class::WrongCloud`], the client sends
    /// the message once more, to the [Connector of GCC](TrustPolicy::gcc_connector). GCC is a part of Teams
    /// for US authorities.
    pub async fn send_in_any_cloud(
        &self,
        trust: &TrustPolicy,
        service_url: &ServiceUrl,
        conversation_id: &str,
        message: &OutgoingMessage,
    ) -> Verdict {
        in_any_cloud(trust, service_url, async |service_url| {
            self.send(service_url, conversation_id, message).await
        })
        .await
    }

    /// Replies to an activity: `POST /v3/conversations/{id}/activities/{activity}`.
    pub async fn reply(
        &self,
        service_url: &ServiceUrl,
        conversation_id: &str,
        activity_id: &str,
        message: &OutgoingMessage,
    ) -> Verdict {
        match activity_of(service_url, conversation_id, activity_id) {
            Some(uri) => self.call(service_url, &Call::send(uri, message)).await.verdict,
            None => Verdict::unusable_address(),
        }
    }

    /// Replies in the thread of a message. In a team channel (a channel of a team in Teams), each thread is a
    /// conversation of its own. The id of the thread contains the id of the thread's first message. The
    /// client sends the reply to the thread, as [`Connector::send`] does. In every other conversation, the
    /// client replies as [`Connector::reply`] does. If the verdict has the class [`Class::WrongCloud`], the
    /// client sends the message once more, as in [`Connector::send_in_any_cloud`].
    pub async fn reply_in_thread(
        &self,
        trust: &TrustPolicy,
        service_url: &ServiceUrl,
        address: &ConversationReference,
        activity_id: &str,
        message: OutgoingMessage,
    ) -> Verdict {
        let conversation = &address.conversation;
        if conversation.conversation_type() != Some("channel") {
            let message = &message.in_reply_to_activity(activity_id);
            return in_any_cloud(trust, service_url, async |service_url| {
                self.reply(service_url, &conversation.id, activity_id, message).await
            })
            .await;
        }
        let thread = match conversation.id.contains(THREAD) {
            true => conversation.id.clone(),
            false => [&conversation.id, THREAD, activity_id].concat(),
        };
        self.send_in_any_cloud(trust, service_url, &thread, &message).await
    }

    /// Changes a message: `PUT /v3/conversations/{id}/activities/{activity}`.
    ///
    /// If the conversation no longer shows the message, the verdict has the class [`Class::MessageGone`]. If
    /// the channel changes no messages, the class is [`Class::NotChangeable`]. The bot can repeat a change
    /// without harm, so the class is never [`Class::PossiblyDelivered`]. If the class is
    /// [`Class::WrongCloud`], the client sends the change once more, as in [`Connector::send_in_any_cloud`].
    pub async fn update(
        &self,
        trust: &TrustPolicy,
        service_url: &ServiceUrl,
        conversation_id: &str,
        activity_id: &str,
        message: &OutgoingMessage,
    ) -> Verdict {
        in_any_cloud(trust, service_url, async |service_url| {
            match activity_of(service_url, conversation_id, activity_id) {
                Some(uri) => self.call(service_url, &Call::update(uri, message)).await.verdict,
                None => Verdict::unusable_address(),
            }
        })
        .await
    }

    /// Deletes a message: `DELETE /v3/conversations/{id}/activities/{activity}`. The possible classes of the
    /// verdict are the same as in [`Connector::update`].
    pub async fn delete(
        &self,
        trust: &TrustPolicy,
        service_url: &ServiceUrl,
        conversation_id: &str,
        activity_id: &str,
        trace: Option<&Traceparent>,
    ) -> Verdict {
        in_any_cloud(trust, service_url, async |service_url| {
            match activity_of(service_url, conversation_id, activity_id) {
                Some(uri) => self.call(service_url, &Call::delete(uri, trace)).await.verdict,
                None => Verdict::unusable_address(),
            }
        })
        .await
    }

    /// Makes a call to the Connector. The call has the bot's token only if `service_url` is allowed to
    /// receive the token ([`ServiceUrl::takes_token`]).
    pub(crate) async fn call(&self, service_url: &ServiceUrl, call: &Call<'_>) -> Response {
        let Some(tokens) = self.tokens.filter(|_| service_url.takes_token()) else {
            return self.call_once(call, None).await.token_ruled_out();
        };
        let current = match tokens.get(self.deadline).await {
            Ok(current) => current,
            Err(error) => return error.into(),
        };
        let response = self.call_once(call, Some(&current.token)).await;
        if response.verdict.class != Class::Unauthorized {
            return response;
        }
        // Perhaps the token was revoked. Or the token has expired, and the client did not notice, because the
        // clock was wrong when the token was stored. So the client tries once more with a fresh token.
        match tokens.replace(&current, self.deadline).await {
            Ok(Some(fresh)) => self.call_once(call, Some(&fresh.token)).await.token_ruled_out(),
            Ok(None) => response.token_ruled_out(),
            Err(error) => error.into(),
        }
    }

    async fn call_once(&self, call: &Call<'_>, token: Option<&AccessToken>) -> Response {
        // If the deadline passed while the client waited for the token, the client sends nothing. The verdict
        // then has the class `NoToken`, as if the client had got no token. The poller does not count a call
        // with this class as a failed try of the message.
        if token.is_some() && self.deadline.has_passed(self.host) {
            return TokenError::too_late().into();
        }
        let mut request = http::Request::builder()
            .method(call.method.clone())
            .uri(&call.uri)
            .header(http::header::USER_AGENT, USER_AGENT);
        if !call.body.is_empty() {
            request = request.header(http::header::CONTENT_TYPE, "application/json");
        }
        if let Some(token) = token {
            request = request.header(http::header::AUTHORIZATION, token.header());
        }
        if let Some(trace) = call.trace {
            request = request.header(Traceparent::HEADER, trace.child(self.host).to_string());
        }
        let timeouts = Timeouts { max_response_bytes: call.max_response_bytes, ..TIMEOUTS };
        let response = match request.body(call.body.clone()) {
            Ok(request) => self.host.send(request, timeouts.within(self.deadline.remaining(self.host))).await,
            Err(_) => Err(TransportError::NotSent("the address is not valid".into())),
        };
        match call.changing {
            None => read(&response, self.host.now()),
            Some(changing) => classify_change(&response, self.host.now(), changing).into(),
        }
    }
}

/// The text between the two parts of a Teams thread's id: the id of the team channel, and the id of the
/// thread's first message.
const THREAD: &str = ";messageid=";

/// One call to the Connector.
#[derive(Debug)]
pub(crate) struct Call<'m> {
    pub(crate) method: Method,
    pub(crate) uri: String,
    /// The JSON of the body; empty if the call has no body.
    pub(crate) body: Bytes,
    pub(crate) trace: Option<&'m Traceparent>,
    pub(crate) changing: Option<Changing>,
    pub(crate) max_response_bytes: usize,
}

impl<'m> Call<'m> {
    fn send(uri: String, message: &'m OutgoingMessage) -> Self {
        Self { trace: message.trace.as_ref(), ..Self::post(uri, message.to_bytes().into()) }
    }

    fn update(uri: String, message: &'m OutgoingMessage) -> Self {
        Self { method: Method::PUT, changing: Some(Changing::Content), ..Self::send(uri, message) }
    }

    fn delete(uri: String, trace: Option<&'m Traceparent>) -> Self {
        Self { method: Method::DELETE, trace, changing: Some(Changing::Deletion), ..Self::get(uri) }
    }

    pub(crate) fn post(uri: String, body: Bytes) -> Self {
        Self { method: Method::POST, body, ..Self::get(uri) }
    }

    pub(crate) fn get(uri: String) -> Self {
        let max_response_bytes = TIMEOUTS.max_response_bytes;
        Self { method: Method::GET, uri, body: Bytes::new(), trace: None, changing: None, max_response_bytes }
    }
}

/// Makes a call to the Connector. If the verdict has the class [`Class::WrongCloud`], the function makes the
/// call once more, to the Connector of GCC.
async fn in_any_cloud(
    trust: &TrustPolicy,
    service_url: &ServiceUrl,
    call: impl AsyncFn(&ServiceUrl) -> Verdict,
) -> Verdict {
    let verdict = call(service_url).await;
    match trust.gcc_connector().filter(|_| verdict.class == Class::WrongCloud) {
        Some(gcc) => call(&gcc).await,
        None => verdict,
    }
}

/// Returns the URL of an activity, or `None` if an id cannot be a segment of the path.
fn activity_of(service_url: &ServiceUrl, conversation_id: &str, activity_id: &str) -> Option<String> {
    let uri = activities_of(service_url, conversation_id)?;
    Some(format!("{uri}/{}", segment(activity_id)?))
}

/// Returns the URL of a conversation's activities, or `None` if the id cannot be a segment of the path.
fn activities_of(service_url: &ServiceUrl, conversation_id: &str) -> Option<String> {
    let conversation = segment(conversation_id)?;
    Some(format!("{}/v3/conversations/{conversation}/activities", service_url.base()))
}

#[cfg(test)]
mod tests {
    use platform::testing::{FakeHost, response, run};
    use serde_json::{Value, json};

    use super::*;
    use crate::auth_mode::AuthMode;
    use crate::json::Fields;
    use crate::reference::ConversationReference;

    fn anonymous(host: &FakeHost) -> Connector<'_, FakeHost> {
        Connector::new(host, None, Deadline::after(host, Duration::from_secs(20)))
    }

    fn reference() -> ConversationReference {
        let json = json!({
            "id": "7|1", "channelId": "msteams", "serviceUrl": "http://127.0.0.1:9200/amer/", "locale": "de-DE",
            "user": {"id": "29:u"}, "bot": {"id": "28:b"}, "conversation": {"id": "19:x@thread.tacv2;messageid=1/2"},
        });
        ConversationReference::from_fields(Fields::parse(json.to_string().as_bytes()).unwrap()).unwrap()
    }

    fn service_url() -> ServiceUrl {
        TrustPolicy::Anonymous.check(&reference().service_url).unwrap()
    }

    #[test]
    fn path_of_a_connector_call_is_appended_to_the_service_url_and_encoded() {
        let host = FakeHost::default();
        host.then_status(201, r#"{"id":"a1"}"#).then_status(202, "");
        let (reference, url) = (reference(), service_url());
        let connector = anonymous(&host);
        let message = OutgoingMessage::new(&reference, "hi").in_reply_to(&reference);
        let replied = run(connector.reply(&url, &reference.conversation.id, "7|1", &message));
        assert_eq!((replied.class, replied.activity_id.as_deref()), (Class::Accepted, Some("a1")));
        let sent = run(connector.send(&url, &reference.conversation.id, &message));
        assert_eq!((sent.class, sent.activity_id), (Class::Accepted, None));
        let uris: Vec<_> = host.sent.borrow().iter().map(|request| request.uri().to_string()).collect();
        let activities = "http://127.0.0.1:9200/amer/v3/conversations/19%3Ax%40thread.tacv2%3Bmessageid%3D1%2F2/activities";
        assert_eq!(uris, [format!("{activities}/7%7C1"), activities.to_owned()]);
        for request in host.sent.borrow().iter() {
            assert!(request.headers().get("authorization").is_none(), "anonymous mode sends no token");
        }
    }

    #[test]
    fn call_with_an_id_that_is_empty_or_only_dots_is_not_sent() {
        let (host, reference, url) = (FakeHost::default(), reference(), service_url());
        let connector = anonymous(&host);
        let message = OutgoingMessage::new(&reference, "hi");
        for dots in ["", ".", "..", "..."] {
            for verdict in [
                run(connector.send(&url, dots, &message)),
                run(connector.reply(&url, dots, "7", &message)),
                run(connector.reply(&url, "c", dots, &message)),
            ] {
                assert_eq!((verdict.class, verdict.status), (Class::Permanent, None), "{dots:?}");
            }
        }
        assert!(host.sent.borrow().is_empty());
    }

    #[test]
    fn connector_call_has_the_trace_id_of_the_message() {
        let host = FakeHost::default();
        host.answers(|_| Some(Ok(response(503, ""))));
        let (reference, url) = (reference(), service_url());
        let connector = anonymous(&host);
        let trace = Traceparent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let message = OutgoingMessage::new(&reference, "hi");
        run(connector.send(&url, "c", &message));
        let message = message.in_trace(trace.as_ref());
        run(connector.send(&url, "c", &message));
        run(connector.reply(&url, "c", "7", &message));
        let sent = host.sent.borrow();
        let traces: Vec<_> = sent.iter().map(|request| Traceparent::of(request.headers())).collect();
        assert_eq!(traces[0], None, "a message without a trace");
        let id = |trace: &Option<Traceparent>| trace.as_ref().unwrap().trace_id().to_owned();
        assert_eq!((id(&traces[1]), id(&traces[2])), (id(&trace), id(&trace)));
        assert!(traces[1] != traces[2] && traces[1] != trace, "each call has its own parent id: {traces:?}");
        assert_eq!(sent[0].body(), sent[1].body(), "the JSON of the message does not contain the trace");
    }

    #[test]
    fn outgoing_message_names_the_bot_as_sender_and_the_user_as_recipient() {
        let reference = reference();
        let bytes = OutgoingMessage::new(&reference, "hi").in_reply_to(&reference).to_bytes();
        let expected = json!({
            "type": "message", "text": "hi", "textFormat": "plain", "from": {"id": "28:b"}, "recipient": {"id": "29:u"},
            "conversation": {"id": "19:x@thread.tacv2;messageid=1/2"}, "channelId": "msteams",
            "serviceUrl": "http://127.0.0.1:9200/amer/", "locale": "de-DE", "replyToId": "7|1",
        });
        assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), expected);
    }

    #[test]
    fn message_to_a_conversation_in_another_cloud_is_sent_once_more_to_the_connector_of_gcc() {
        let wrong_cloud = r#"{"error":{"code":"InvalidBotApiHost","message":"words"}}"#;
        let public = TrustPolicy::read(AuthMode::Required, &FakeHost::default()).unwrap();
        for (policy, hosts) in [(&public, 2), (&TrustPolicy::Anonymous, 1)] {
            let host = FakeHost::default();
            host.answers(|_| Some(Ok(response(403, wrong_cloud))));
            let message = OutgoingMessage::new(&reference(), "x");
            let connector = anonymous(&host);
            let verdict = run(connector.send_in_any_cloud(policy, &service_url(), "c", &message));
            assert_eq!(verdict.class, Class::WrongCloud);
            let sent = host.sent.borrow();
            assert_eq!(sent.len(), hosts);
            assert_eq!(
                sent[hosts - 1].uri().host(),
                Some(["127.0.0.1", "smba.infra.gcc.teams.microsoft.com"][hosts - 1])
            );
        }
    }

    #[test]
    fn connector_redirect_is_not_followed() {
        let host = FakeHost::default();
        host.then(Ok(http::Response::builder()
            .status(307)
            .header("location", "http://127.0.0.1:1/")
            .body(Bytes::new())
            .unwrap()));
        let verdict =
            run(anonymous(&host).send(&service_url(), "c", &OutgoingMessage::new(&reference(), "x")));
        assert_eq!(verdict.class, Class::Permanent);
        assert_eq!(host.sent.borrow().len(), 1);
    }
}
