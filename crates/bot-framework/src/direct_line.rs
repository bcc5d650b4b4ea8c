//! A client of Direct Line 3.0, Microsoft's HTTP API with which programs talk to bots. The client starts a
//! conversation with the bot, and posts triggers into this conversation. A *trigger* is an activity that
//! tells the bot to send an alert to a person.
//!
//! In 2017, Microsoft published templates for bots that send alerts. The Azure Functions of these templates
//! made the same two calls.
//!
//! Specification: `directline-3.0.json` in <https://github.com/microsoft/botframework-sdk>, and
//! <https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-direct-line-3-0-send-activity>.

use std::time::Duration;

use bytes::Bytes;
use futures_util::lock::Mutex;
use http::HeaderValue;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use platform::{
    Deadline, Host, Secret, Settings, SettingsError, Timeouts, Traceparent, TransportError, value_of,
};
use serde_json::{Value, json};

use crate::auth_mode::AuthMode;
use crate::cloud::Cloud;
use crate::connector::USER_AGENT as OUR_USER_AGENT;
use crate::path::segment;
use crate::trigger_name::TriggerName;
use crate::trust::{ServiceUrl, TrustPolicy};
use crate::verdict::{Class, Verdict, classify};

const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(3),
    // Before Direct Line responds, it waits up to 15 s for the bot's response.
    first_byte: Duration::from_secs(18),
    between_bytes: Duration::from_secs(3),
    total: Duration::from_secs(23),
    max_response_bytes: 64 * 1024,
};

/// The id of the sender in each trigger.
const FROM: &str = "proactive-bot-poller";

/// The URL of Direct Line, the secret for Direct Line, and the name of the triggers.
#[derive(Debug, Clone)]
pub struct DirectLineSettings {
    endpoint: ServiceUrl,
    /// `None` in anonymous mode (for local tests), in which the poller sends no secret.
    secret: Option<Secret>,
    trigger: TriggerName,
}

impl DirectLineSettings {
    /// Reads `directlineendpoint`, `directlinesecret` and `triggername`. If `directlineendpoint` is empty,
    /// the endpoint is Direct Line's host in the bot's cloud.
    pub fn read(
        settings: &impl Settings,
        mode: AuthMode,
        trust: &TrustPolicy,
    ) -> Result<Self, SettingsError> {
        let secret = match mode {
            AuthMode::Anonymous => None,
            AuthMode::Required => {
                let secret = Secret::new(settings.setting("directlinesecret")?.trim());
                let sendable = secret.filter(|secret| authorization(secret).is_some());
                let problem =
                    "must be set to a secret of the bot's Direct Line channel, because delivery=directline";
                Some(sendable.ok_or_else(|| SettingsError::new("directlinesecret", problem))?)
            }
        };
        let configured = settings.setting("directlineendpoint")?;
        let endpoint = match configured.trim() {
            "" => format!("https://{}", Cloud::read(settings)?.direct_line_host()),
            configured => configured.to_owned(),
        };
        let problem = "must be empty, or Direct Line's https address in the bot's cloud, or an address whose host \
                       is in servicehosts; if authmode=anonymous, must be a loopback address";
        let untrusted = |_| SettingsError::new("directlineendpoint", problem);
        Ok(Self {
            endpoint: trust.check_direct_line(&endpoint).map_err(untrusted)?,
            secret,
            trigger: TriggerName::read(settings)?,
        })
    }
}

fn authorization(secret: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", secret.expose())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A client of Direct Line for one run (one execution of the poller). The first trigger of the run starts a
/// Direct Line conversation. The client posts all triggers of the run into this conversation. If Direct Line
/// reports that the conversation has ended, the next trigger starts a new conversation.
#[derive(Debug)]
pub struct DirectLine<'a, H> {
    host: &'a H,
    settings: &'a DirectLineSettings,
    deadline: Deadline,
    /// The id of the Direct Line conversation, or the verdict (the classified result) of the failed start.
    /// The call that starts the conversation holds the lock of this `Mutex` until the start has ended. The
    /// calls for other triggers wait for the lock.
    conversation: Mutex<Option<Result<String, Verdict>>>,
}

impl<'a, H: Host> DirectLine<'a, H> {
    /// Makes a client. Every call ends at `deadline` at the latest.
    pub fn new(host: &'a H, settings: &'a DirectLineSettings, deadline: Deadline) -> Self {
        Self { host, settings, deadline, conversation: Mutex::new(None) }
    }

    /// Posts a trigger to the bot, and waits for the bot's response. [`Class::Accepted`] means that the bot
    /// returned success. If `trace` is given, the call has the trace id in the header `traceparent`.
    ///
    /// The Direct Line conversation is not the conversation with the person. If Direct Line reports that the
    /// Direct Line conversation has ended (404 or 410), the conversation with the person perhaps still
    /// exists. So the class is [`Class::Unavailable`] (a later try can succeed), and never
    /// [`Class::DestinationGone`].
    ///
    /// If the client cannot start the Direct Line conversation, the class shows the reason:
    ///
    /// - [`Class::Unauthorized`]: Direct Line refuses the secret.
    /// - [`Class::Throttled`]: Direct Line limits the rate (429).
    /// - [`Class::NoToken`]: any other reason.
    pub async fn post_trigger(&self, value: &Value, trace: Option<&Traceparent>) -> Verdict {
        let conversation = match self.conversation().await {
            Ok(conversation) => conversation,
            Err(verdict) => return verdict,
        };
        let path = format!("conversations/{conversation}/activities");
        let name = self.settings.trigger.as_str();
        let trigger = json!({"type": "event", "name": name, "from": {"id": FROM}, "value": value});
        let response = self.call(&path, Some(&trigger), trace).await;
        let verdict = classify(&response, self.host.now());
        if matches!(verdict.status, Some(404 | 410)) {
            // The Direct Line conversation has ended. The next trigger starts a new conversation.
            let mut current = self.conversation.lock().await;
            if matches!(&*current, Some(Ok(id)) if *id == conversation) {
                *current = None;
            }
        }
        trigger_verdict(verdict)
    }

    /// Returns the id of the current Direct Line conversation, encoded as a segment of a path. If there is no
    /// current conversation, the function starts a conversation. If the start fails, the error is the verdict
    /// of the start, and all later calls return the same error.
    async fn conversation(&self) -> Result<String, Verdict> {
        let mut current = self.conversation.lock().await;
        if let Some(known) = current.as_ref() {
            return known.clone();
        }
        current.insert(self.start().await).clone()
    }

    /// Starts a conversation: `POST /v3/directline/conversations`.
    async fn start(&self) -> Result<String, Verdict> {
        let response = self.call("conversations", None, None).await;
        let verdict = classify(&response, self.host.now());
        if verdict.class != Class::Accepted {
            return Err(start_verdict(verdict));
        }
        let body = response.ok().and_then(|response| value_of(response.body())).unwrap_or_default();
        match body["conversationId"].as_str().and_then(segment) {
            Some(id) => Ok(id.to_string()),
            None => Err(start_verdict(Verdict {
                class: Class::NoToken,
                reason: format!("the response {} has no conversationId", verdict.reason),
                ..verdict
            })),
        }
    }

    async fn call(
        &self,
        path: &str,
        body: Option<&Value>,
        trace: Option<&Traceparent>,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let mut request =
            http::Request::post(format!("{}/v3/directline/{path}", self.settings.endpoint.base()))
                .header(USER_AGENT, OUR_USER_AGENT);
        if let Some(value) = self.settings.secret.as_ref().and_then(authorization) {
            request = request.header(AUTHORIZATION, value);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(trace) = trace {
            request = request.header(Traceparent::HEADER, trace.child(self.host).to_string());
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request
            .body(body.into())
            .map_err(|_| TransportError::NotSent("the address is not valid".into()))?;
        self.host.send(request, TIMEOUTS.within(self.deadline.remaining(self.host))).await
    }
}

/// The verdict of a response to a trigger.
///
/// - 502: Direct Line called the bot, and the bot failed or refused. The class stays
///   [`Class::GatewayFailed`]: by default, the poller makes up to five tries. If the bot sent the alert to
///   the Connector and failed after that, the next try sends the alert again. The poller accepts this risk.
/// - 504: Direct Line called the bot, and the bot did not respond within 15 s. The bot continues, and can
///   still send the alert. Each further try could send the alert again. So the class is
///   [`Class::PossiblyDelivered`]: by default, the poller tries only once more.
fn trigger_verdict(verdict: Verdict) -> Verdict {
    let class = match (verdict.status, verdict.class) {
        (Some(504), _) => Class::PossiblyDelivered,
        (Some(401 | 403), _) => Class::Unauthorized,
        (Some(404 | 410), _) => Class::Unavailable,
        (_, class) => class,
    };
    // All triggers use the same Direct Line secret. If Direct Line refuses the secret, the poller can send no
    // trigger, and must stop the run. After an `Unauthorized` without an HTTP status, the poller always stops
    // the run. With a status, the poller could take the refusal as the refusal of one conversation, and
    // continue the run. So this function removes the status.
    let status = verdict.status.filter(|_| class != Class::Unauthorized);
    Verdict { class, status, ..verdict }
}

/// The verdict for a trigger if the Direct Line conversation could not be started. The client did not send
/// the trigger, and the failure concerns all triggers. So the verdict has one of the two classes for failures
/// that concern all messages: [`Class::Unauthorized`] or [`Class::NoToken`]. Exception: after a 429, the
/// class is [`Class::Throttled`].
fn start_verdict(verdict: Verdict) -> Verdict {
    let class = match trigger_verdict(verdict.clone()).class {
        class @ (Class::Unauthorized | Class::Throttled) => class,
        _ => Class::NoToken,
    };
    let status = verdict.status.filter(|_| class == Class::Throttled);
    Verdict {
        class,
        status,
        reason: format!("Direct Line: no conversation was started: {}", verdict.reason),
        ..verdict
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join;
    use http::{HeaderMap, StatusCode};
    use platform::BodyProblem;
    use platform::testing::{FakeHost, response, run};

    use super::*;

    const SECRET: &str = "dl-secret.cwA.abc";

    fn cut(status: StatusCode) -> TransportError {
        TransportError::body_lost(status, HeaderMap::new(), BodyProblem::Broken)
    }

    fn host() -> FakeHost {
        FakeHost::with_settings([("directlinesecret", SECRET)])
    }

    fn settings(host: &FakeHost) -> DirectLineSettings {
        let trust = TrustPolicy::read(AuthMode::Required, host).unwrap();
        DirectLineSettings::read(host, AuthMode::Required, &trust).unwrap()
    }

    fn post(host: &FakeHost) -> Verdict {
        let settings = settings(host);
        let line = DirectLine::new(host, &settings, Deadline::after(host, Duration::from_secs(20)));
        run(line.post_trigger(&json!({"text": "x"}), None))
    }

    const STARTED: &str = r#"{"conversationId":"a/1","token":"t","expires_in":1800,"streamUrl":"wss://x"}"#;

    #[test]
    fn triggers_of_a_run_share_one_conversation() {
        let host = host();
        host.then_status(201, STARTED).then_status(200, r#"{"id":"1"}"#).then_status(200, r#"{"id":"2"}"#);
        let settings = settings(&host);
        let line = DirectLine::new(&host, &settings, Deadline::after(&host, Duration::from_secs(20)));
        let (x, y) = (json!({"text": "x"}), json!({"text": "y"}));
        let (first, second) = run(join(line.post_trigger(&x, None), line.post_trigger(&y, None)));
        assert_eq!((first.class, second.class), (Class::Accepted, Class::Accepted));
        let sent = host.sent.borrow();
        let uris: Vec<_> = sent.iter().map(|request| request.uri().to_string()).collect();
        let base = "https://directline.botframework.com/v3/directline/conversations";
        let activities = format!("{base}/a%2F1/activities");
        assert_eq!(uris, [base, activities.as_str(), activities.as_str()]);
        let expected = json!({"type": "event", "name": "trigger", "from": {"id": "proactive-bot-poller"}, "value": {"text": "x"}});
        assert_eq!(serde_json::from_slice::<Value>(sent[1].body()).unwrap(), expected);
        for request in sent.iter() {
            let authorization = &request.headers()[AUTHORIZATION];
            assert_eq!(authorization.to_str().unwrap(), format!("Bearer {SECRET}"));
            assert!(!format!("{request:?}").contains(SECRET), "a sensitive header is masked");
        }
    }

    #[test]
    fn trace_of_an_alert_is_only_in_the_call_that_posts_the_trigger() {
        let host = host();
        host.then_status(201, STARTED).then_status(200, "{}");
        let settings = settings(&host);
        let line = DirectLine::new(&host, &settings, Deadline::after(&host, Duration::from_secs(20)));
        let trace = Traceparent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        run(line.post_trigger(&json!({"text": "x"}), Some(&trace)));
        let sent = host.sent.borrow();
        let traces: Vec<_> = sent.iter().map(|request| Traceparent::of(request.headers())).collect();
        assert_eq!(traces[0], None, "the call that starts the conversation belongs to no single alert");
        assert_eq!(traces[1].as_ref().map(Traceparent::trace_id), Some(trace.trace_id()));
        assert_ne!(traces[1].as_ref(), Some(&trace));
    }

    #[test]
    fn response_to_a_trigger_is_classified_by_its_status() {
        for (status, class) in [
            (200, Class::Accepted),
            (201, Class::Accepted),
            (400, Class::Permanent),
            (401, Class::Unauthorized),
            (403, Class::Unauthorized),
            (404, Class::Unavailable),
            (410, Class::Unavailable),
            (413, Class::Permanent),
            (429, Class::Throttled),
            (500, Class::PossiblyDelivered),
            (408, Class::GatewayFailed),
            (502, Class::GatewayFailed),
            (503, Class::Unavailable),
            (504, Class::PossiblyDelivered),
        ] {
            let host = host();
            let body = r#"{"error":{"code":"BotError","message":"Failed to send activity"}}"#;
            host.then_status(200, STARTED).then_status(status, body);
            let verdict = post(&host);
            let expected = Some(status).filter(|_| class != Class::Unauthorized);
            assert_eq!((verdict.class, verdict.status), (class, expected), "{status}");
        }
        let host = host();
        host.then_status(200, STARTED).then(Err(TransportError::ResponseLost("no response in time".into())));
        assert_eq!(post(&host).class, Class::PossiblyDelivered);
        // The body is lost, but the status 200 shows that the bot returned success.
        let host = self::host();
        host.then_status(200, STARTED).then(Err(cut(StatusCode::OK)));
        assert_eq!(post(&host).class, Class::Accepted);
    }

    #[test]
    fn trigger_without_a_started_conversation_is_not_sent() {
        for (status, class) in [
            (400, Class::NoToken),
            (401, Class::Unauthorized),
            (403, Class::Unauthorized),
            (404, Class::NoToken),
            (429, Class::Throttled),
            (500, Class::NoToken),
            (502, Class::NoToken),
            (504, Class::NoToken),
        ] {
            let host = host();
            host.then_status(status, "");
            let verdict = post(&host);
            assert_eq!(
                (verdict.class, verdict.status),
                (class, Some(status).filter(|_| status == 429)),
                "{status}"
            );
            assert!(
                verdict.reason.starts_with("Direct Line: no conversation was started: "),
                "{}",
                verdict.reason
            );
        }
        for body in ["", "{}", r#"{"conversationId":""}"#, r#"{"conversationId":7}"#] {
            let host = host();
            host.then_status(201, body);
            assert_eq!(post(&host).class, Class::NoToken, "{body}");
        }
        let host = host();
        host.then(Err(TransportError::ResponseLost("no response in time".into())));
        assert_eq!(post(&host).class, Class::NoToken, "no trigger was sent");
        let host = self::host();
        host.then(Err(cut(StatusCode::CREATED)));
        let verdict = post(&host);
        assert_eq!((verdict.class, host.sent.borrow().len()), (Class::NoToken, 1));
        assert!(verdict.reason.contains("conversationId") && verdict.reason.contains("broke"), "{verdict:?}");
    }

    #[test]
    fn failed_start_is_not_repeated_and_an_ended_conversation_is_replaced() {
        let host = host();
        let settings = settings(&host);
        let line = DirectLine::new(&host, &settings, Deadline::after(&host, Duration::from_secs(20)));
        host.then_status(503, "");
        let value = json!({});
        let (first, second) = run(join(line.post_trigger(&value, None), line.post_trigger(&value, None)));
        assert_eq!(first, second);
        assert_eq!(host.sent.borrow().len(), 1);

        let line = DirectLine::new(&host, &settings, Deadline::after(&host, Duration::from_secs(20)));
        host.then_status(200, STARTED).then_status(404, "");
        assert_eq!(run(line.post_trigger(&value, None)).class, Class::Unavailable);
        host.then_status(200, r#"{"conversationId":"b"}"#).then_status(200, "{}");
        assert_eq!(run(line.post_trigger(&value, None)).class, Class::Accepted);
        assert!(host.sent.borrow().last().unwrap().uri().path().ends_with("/conversations/b/activities"));
    }

    #[test]
    fn direct_line_settings_with_an_untrusted_endpoint_or_no_secret_are_refused() {
        let read = |mode, cloud: &str, hosts: &str, endpoint: &str, secret: &str| {
            let host = FakeHost::with_settings([
                ("channelservice", cloud),
                ("servicehosts", hosts),
                ("directlineendpoint", endpoint),
                ("directlinesecret", secret),
            ]);
            let trust = TrustPolicy::read(mode, &host).unwrap();
            let read = DirectLineSettings::read(&host, mode, &trust);
            read.map(|settings| settings.endpoint.to_string()).map_err(|error| error.name)
        };
        use AuthMode::{Anonymous, Required};
        let (us, china) = ("https://botframework.azure.us", "https://botframework.azure.cn");
        let refused = Err("directlineendpoint");
        for (cloud, hosts, endpoint, expected) in [
            ("", "", "", Ok("https://directline.botframework.com")),
            (us, "", "", Ok("https://directline.botframework.azure.us")),
            (china, "", "", Ok("https://directline.botframework.azure.cn")),
            ("", "", "https://directline.botframework.com/", Ok("https://directline.botframework.com")),
            (
                "",
                "",
                "https://europe.directline.botframework.com",
                Ok("https://europe.directline.botframework.com"),
            ),
            ("", "dl.example.org", "https://dl.example.org/dl", Ok("https://dl.example.org/dl")),
            ("", "http://127.0.0.1:9300", "http://127.0.0.1:9300", Ok("http://127.0.0.1:9300")),
            (us, "", "https://directline.botframework.com", refused),
            ("", "", "https://webchat.botframework.com", refused),
            ("", "", "https://evildirectline.botframework.com", refused),
            ("", "", "https://smba.trafficmanager.net", refused),
            ("", "", "https://directline.botframework.com.evil.example", refused),
            ("", "", "https://directline.botframework.com@evil.example", refused),
            ("", "", "http://directline.botframework.com", refused),
            ("", "", "https://directline.botframework.com:8443", refused),
            ("", "", "http://127.0.0.1:9300", refused),
            ("", "", "directline.botframework.com", refused),
        ] {
            let actual = read(Required, cloud, hosts, endpoint, SECRET);
            let actual = actual.as_ref().map(String::as_str).map_err(String::as_str);
            assert_eq!(actual, expected, "{cloud} {hosts} {endpoint}");
        }
        for secret in ["", "  ", "two\nlines\n\u{7f}"] {
            assert_eq!(read(Required, "", "", "", secret), Err("directlinesecret".into()), "{secret}");
        }
        assert_eq!(read(Anonymous, "", "", "", ""), Err("directlineendpoint".into()), "loopback only");
        assert_eq!(read(Anonymous, "", "", "http://127.0.0.1:1", ""), Ok("http://127.0.0.1:1".into()));
    }

    #[test]
    fn direct_line_in_anonymous_mode_sends_no_secret() {
        let host = FakeHost::with_settings([
            ("directlinesecret", SECRET),
            ("directlineendpoint", "http://127.0.0.1:9300"),
        ]);
        let settings = DirectLineSettings::read(&host, AuthMode::Anonymous, &TrustPolicy::Anonymous).unwrap();
        assert!(!format!("{settings:?}").contains(SECRET));
        host.answers(|_| Some(Ok(response(200, STARTED))));
        let line = DirectLine::new(&host, &settings, Deadline::after(&host, Duration::from_secs(20)));
        assert_eq!(run(line.post_trigger(&json!({}), None)).class, Class::Accepted);
        assert!(host.sent.borrow().iter().all(|request| !request.headers().contains_key(AUTHORIZATION)));
    }
}
