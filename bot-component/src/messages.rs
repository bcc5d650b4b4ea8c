//! `POST /api/messages`: checks an activity, and acts on the activity. For example, if a person's message is
//! no command, the bot puts the text on the queue as an alert, and replies to the person.

use std::cell::RefCell;
use std::time::Duration;

use bot_framework::json::FieldError;
use bot_framework::{Activity, ActivityKind, Caller, Tokens, TriggerName, VerifiedToken};
use http::{Request, StatusCode};
use platform::{Deadline, Host, Level, RequestBody, Traceparent, response};
use serde_json::json;

use crate::answered::Answered;
use crate::conversation::{self, Addressed, Asked};
use crate::feedback;
use crate::invoke;
use crate::limits::MAX_BODY_BYTES;
use crate::loops;
use crate::pressing::{self, Answering};
use crate::rejection::Rejection;
use crate::request::{expect_json, expect_own_host};
use crate::settings::{BotSettings, CallerSettings};
use crate::trigger_activity;
use crate::turn::Turn;

/// The longest time for fetching the public keys of the token issuers. With these keys, the bot checks the
/// token of a caller. The bot fetches the keys once a day, and when a token names an unknown key. A channel
/// (Teams, Web Chat and others) waits 15 s for the whole response.
const KEYS_WITHIN: Duration = Duration::from_secs(4);

pub(crate) async fn post<H: Host>(
    host: &H,
    request: Request<impl RequestBody>,
) -> Result<Answered, Rejection> {
    let begin = host.monotonic();
    expect_own_host(host, request.headers())?;
    let caller = CallerSettings::read(host)?;
    let (head, body) = request.into_parts();
    // The bot checks the token first. If the token is missing or wrong, the bot does not parse the body, and
    // reads only the settings for this check.
    let token = match caller.inbound() {
        Some(inbound) => Some(inbound.verify(host, &head.headers, Deadline::after(host, KEYS_WITHIN)).await?),
        None => {
            host.event(Level::Warn, "auth.anonymous", json!({"note": "the bot verifies no caller"}));
            None
        }
    };
    let settings = BotSettings::open(host, caller).await?;
    let sealed = token.as_ref().and_then(VerifiedToken::sealed_token);
    let tokens = settings.bot.as_ref().map(|bot| Tokens::new(host, bot).with_sealed(sealed));
    let request = Request::from_parts(head, body);
    let answered = respond_to_caller(host, &settings, token.as_ref(), tokens.as_ref(), request, begin).await;
    // For a tenant that the bot does not serve, the bot stores nothing, not even the result of the token
    // check.
    let is_refused_tenant = matches!(answered, Err(Rejection::TenantRefused(_)));
    if let Some(token) = token.as_ref().filter(|_| !is_refused_tenant) {
        let sealed = match &tokens {
            Some(tokens) => tokens.sealed().await,
            None => None,
        };
        token.remember(host, sealed).await;
    }
    answered
}

/// Handles a request after the bot has checked the token.
async fn respond_to_caller<H: Host>(
    host: &H,
    settings: &BotSettings,
    token: Option<&VerifiedToken>,
    tokens: Option<&Tokens<'_, H>>,
    request: Request<impl RequestBody>,
    begin: Duration,
) -> Result<Answered, Rejection> {
    let (head, body) = request.into_parts();
    expect_json(&head.headers)?;
    let activity = Activity::parse(&body.read(MAX_BODY_BYTES).await?)?;
    let caller = token.map(|token| token.admit(&activity)).transpose()?;
    settings.tenants.admit(&activity)?;
    let claim = activity.service_url.as_deref().unwrap_or_default();
    let service_url = settings.trust.check(claim)?;
    // With `authmode=anonymous`, the bot checks no token, so the `serviceUrl` is not verified.
    let service_url_verified = caller.is_some_and(Caller::vouches_for_service_url);
    let text = activity.text_to_the_bot();
    if loops::is_ignored(host, &activity, &text) {
        let answered = Answered::from(response::json(StatusCode::ACCEPTED, &json!({})));
        return Ok(if activity.expects_replies() { answered.with_replies(&[]) } else { answered });
    }
    let conversation = Addressed::of(&activity, service_url_verified);
    // Without an address, the bot can send nothing to the conversation. So the bot records nothing.
    let mut asked = Asked::No;
    if let Ok(conversation) = &conversation {
        asked = conversation::record_effect(host, settings, &activity, conversation).await?;
        if let Some(alert) = feedback::note(host, settings, &activity, conversation).await {
            asked = Asked::By(alert);
        }
    }
    let replies = activity.expects_replies().then(RefCell::default);
    let trace = Traceparent::of(&head.headers);
    let headers = &head.headers;
    let turn = Turn { host, settings, tokens, service_url, begin, trace, replies, headers };
    let answered = respond_to_activity(&turn, &activity, text, conversation, asked).await?;
    // The response to an activity of the type `invoke` already holds the reply.
    match turn.replies {
        Some(replies) if activity.kind != ActivityKind::Invoke => {
            Ok(answered.with_replies(&replies.into_inner()))
        }
        _ => Ok(answered),
    }
}

/// Acts on an activity, by its type. `text` is [`Activity::text_to_the_bot`]. `asked` says whether the
/// conversation has a question that the person can still answer by a text.
async fn respond_to_activity<H: Host>(
    turn: &Turn<'_, H>,
    activity: &Activity,
    text: String,
    conversation: Result<Addressed, FieldError>,
    asked: Asked,
) -> Result<Answered, Rejection> {
    let (host, settings) = (turn.host, turn.settings);
    match activity.kind {
        ActivityKind::Message => turn.queue_message(activity, text, conversation?, asked).await,
        ActivityKind::ConversationUpdate if activity.adds_the_bot() => {
            turn.greet(activity, &conversation?).await?;
            Ok(response::json(StatusCode::OK, &json!({})).into())
        }
        ActivityKind::Invoke => match pressing::data_of(activity) {
            Some(data) => {
                let conversation = conversation?;
                let answering = Answering::new(host, settings, &conversation, turn.trace.as_ref())?;
                let recorded = answering.press(activity, data).await;
                Ok(Answered::with_kick(answering.invoke_response(&recorded), turn.kick(answering.has_due())))
            }
            None => Ok(invoke::error_response(host, activity).into()),
        },
        ActivityKind::Event | ActivityKind::Trigger if TriggerName::read(host)?.is_trigger(activity) => {
            let id = turn.id_for(&conversation?.address);
            let answered = trigger_activity::handle(host, settings, &turn.connector(), activity, id).await?;
            Ok(answered.into())
        }
        ActivityKind::ConversationUpdate
        | ActivityKind::InstallationUpdate
        | ActivityKind::EndOfConversation
        | ActivityKind::DeleteUserData
        | ActivityKind::Event
        | ActivityKind::Trigger
        | ActivityKind::MessageReaction
        | ActivityKind::Other(_) => Ok(response::json(StatusCode::OK, &json!({})).into()),
    }
}
