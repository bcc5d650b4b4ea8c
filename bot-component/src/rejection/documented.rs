//! Tests of the error responses. One test compares `docs/errors.md` with the errors in the source code. If
//! the environment variable `UPDATE_ERRORS` is set, this test first writes `docs/errors.md` anew.
//!
//! Each list below names every variant of an enum. If a list has no entry for a new variant, the tests do not
//! compile.

use std::path::Path;

use alert_shapes::{Shape, ShapeError};
use bot_framework::channels::NotShown;
use bot_framework::json::FieldError;
use bot_framework::{AuthError, BrokenRule, ForeignHost, KeysError, NotAllowed, NotTrusted, TenantRefused};
use envelope::DecodeError;
use http::StatusCode;
use platform::SettingsError;
use state::StateError;
use state::ledger::Status;
use trigger_component::PollRefusal;

use super::{AlertRejection, HookRejection, Rejection, TriggerRefusal, Undelivered};
use crate::alerts::not_confirmed;
use crate::invoke;
use crate::limits::{MAX_IDS, MAX_TARGETS};
use crate::pressing::{NOT_RECORDED, OVER, UNKNOWN};

const COMMAND: &str = "UPDATE_ERRORS=1 cargo test -p bot-component documented";

const INTRODUCTION: &str = "\
# Errors

An error response has the body `{\"error\": {\"code\": \"...\", \"message\": \"...\"}}`. Programs read
the code, which never changes. People read the message, which can change. Each message has the form
`<where>: <what is wrong>; <what to do>`.

The table lists every code and message of the bot's routes and of `/internal/poll`. In a message, `<...>`
stands for a value. Some messages show an example of the value instead, such as the number in `found 101` or
the status in `already delivered`.

If the bot refuses a request, its log has one line `request.rejected` with the full reason. If the poller
refuses a call, its log has one line `poll.unauthorized`, `poll.misconfigured` or `drain`.
";

const NOT_SERVED: &str = "Check the path. The alert routes answer 404 while `alertkey` and `alertkeys` are \
                      empty. `/internal/poll` answers 404 while `pollkey` is empty.";
const LOOPBACK_ONLY: &str =
    "Call the bot by `localhost` or a loopback address. To serve other hosts, set `authmode=required`.";
const ALLOWED: &str = "Use a method that the header `Allow` of the response names.";

/// An error with the advice for the caller or the operator.
type Advised<T> = (T, &'static str);

/// Lists samples of each variant of an enum, in lines of `pattern => [(sample, advice), ...]`.
macro_rules! every_variant {
    ($type:ty { $($pattern:pat => $samples:expr,)+ }) => {{
        // The match has no wildcard, so a variant without a line does not compile.
        let _: fn(&$type) = |error| match error { $($pattern => {})+ };
        let mut all: Vec<Advised<$type>> = Vec::new();
        $({
            let samples: Vec<Advised<$type>> = $samples.into();
            let fit = samples.iter().all(|(sample, _)| matches!(sample, $pattern));
            assert!(fit && !samples.is_empty(), "{}: expected samples of this variant", stringify!($pattern));
            all.extend(samples);
        })+
        all
    }};
}

fn within<T: Into<U>, U>(errors: Vec<Advised<T>>) -> Vec<Advised<U>> {
    errors.into_iter().map(|(error, advice)| (error.into(), advice)).collect()
}

fn field_error(path: &str) -> FieldError {
    FieldError { path: path.into(), expected: "<what this field may hold>" }
}

fn broken_rules() -> Vec<Advised<BrokenRule>> {
    const AS_ISSUED: &str = "Send the token as the issuer made it, or get a new token.";
    const NEW_TOKEN: &str = "Get a new token from the issuer.";
    use BrokenRule as Rule;
    every_variant!(BrokenRule {
        Rule::Missing => [(Rule::Missing, "Send the header `Authorization`.")],
        Rule::NotBearer => [(
            Rule::NotBearer,
            "Send the header `Authorization` once, as `Bearer <token>`."
        )],
        Rule::TooLong => [(Rule::TooLong, NEW_TOKEN)],
        Rule::Malformed => [(Rule::Malformed, AS_ISSUED)],
        Rule::DuplicateMember => [(Rule::DuplicateMember, AS_ISSUED)],
        Rule::Algorithm => [(Rule::Algorithm, "Use a token that is signed with RS256.")],
        Rule::HeaderMember => [(
            Rule::HeaderMember,
            "Use a token whose header contains neither a key nor an extension."
        )],
        Rule::KeyId => [(Rule::KeyId, AS_ISSUED)],
        Rule::Claim => [(Rule::Claim, AS_ISSUED)],
        Rule::Issuer => [(
            Rule::Issuer,
            "Use a token of the Bot Framework, or of the tenant in `microsoftapptenantid`. If the bot runs \
             in another cloud than the public Azure cloud, set `channelservice`."
        )],
        Rule::Audience => [(
            Rule::Audience,
            "Compare `microsoftappid` with the registration of the bot. Request the token for this app id."
        )],
        Rule::Expired => [(Rule::Expired, NEW_TOKEN)],
        Rule::NotYetValid => [(
            Rule::NotYetValid,
            "Compare the clocks of the issuer and of the bot's host."
        )],
        Rule::Version => [(Rule::Version, NEW_TOKEN)],
        Rule::Tenant => [(Rule::Tenant, NEW_TOKEN)],
        Rule::UserToken => [(
            Rule::UserToken,
            "Request the token with `grant_type=client_credentials`."
        )],
        Rule::UnknownKey => [(
            Rule::UnknownKey,
            "Get a new token. If the error stays, check whether `openidmetadata` is the URL for the bot's cloud."
        )],
        Rule::UnusableKey => [(Rule::UnusableKey, NEW_TOKEN)],
        Rule::Signature => [(Rule::Signature, AS_ISSUED)],
        Rule::Endorsement => [(
            Rule::Endorsement,
            "Use the token that the channel sends with its own activities."
        )],
        Rule::ServiceUrl => [(
            Rule::ServiceUrl,
            "Send the activity with the `serviceUrl` for which the token was issued."
        )],
    })
}

fn auth_errors() -> Vec<Advised<AuthError>> {
    every_variant!(AuthError {
        AuthError::Unauthorized(_) => within(broken_rules()),
        AuthError::Forbidden(NotAllowed) => [(
            NotAllowed.into(),
            "This route takes tokens of channels (Teams, Web Chat and others). With `emulatortokens=accept`, it also \
             takes tokens of the bot's own app id, and of no other application. A back end has to call \
             `/api/alerts` instead."
        )],
        AuthError::KeysUnavailable(_) => [(
            KeysError::NoKeysUrl.into(),
            "Send the request again later. The log names the failed request for the signing keys."
        )],
    })
}

fn untrusted() -> Vec<Advised<NotTrusted>> {
    const LOOPBACK: &str = "Use an address of this machine, or set `authmode=required`.";
    const TRUST: &str = "Check that the request has the `serviceUrl` that the channel sends. An operator can \
                         add the host of this URL to `servicehosts`.";
    every_variant!(NotTrusted {
        NotTrusted::NotAUrl => [(NotTrusted::NotAUrl, "Send `serviceUrl` as the channel wrote it.")],
        NotTrusted::NotLoopback => [(NotTrusted::NotLoopback, LOOPBACK)],
        NotTrusted::NotSecure => [(NotTrusted::NotSecure, "Use https, without a port.")],
        NotTrusted::IpLiteral => [(NotTrusted::IpLiteral, "Use the name of the host.")],
        NotTrusted::UnknownHost => [(NotTrusted::UnknownHost, TRUST)],
    })
}

fn refused_tenants() -> Vec<Advised<TenantRefused>> {
    const SERVE: &str = "An operator can add the tenant to `tenants`. The log names the tenant.";
    every_variant!(TenantRefused {
        TenantRefused::NotListed(_) => [(TenantRefused::NotListed("<tenant>".into()), SERVE)],
        TenantRefused::Missing => [(TenantRefused::Missing, SERVE)],
    })
}

fn trigger_refusals() -> Vec<Advised<TriggerRefusal>> {
    const NEW_ALERT: &str = "Send a new alert by `POST /api/alerts`.";
    const NOTHING: &str = "Send nothing: the person wants no alert.";
    use TriggerRefusal as Refusal;
    every_variant!(TriggerRefusal {
        Refusal::NoSeal => [(
            Refusal::NoSeal,
            "Send the message of the queue unchanged. If a program made for a 2017 bot puts the messages on \
             the queue, set `unsealedtriggers=allow`."
        )],
        Refusal::BrokenSeal => [(
            Refusal::BrokenSeal,
            "Send the message of the queue unchanged. During a change of `sealkey`, this variable has to \
             hold the old key, too."
        )],
        Refusal::OldSeal => [(Refusal::OldSeal, NEW_ALERT)],
        Refusal::TenantNotServed => [(
            Refusal::TenantNotServed,
            "An operator can add the tenant to `tenants`."
        )],
        Refusal::Stopped => [(Refusal::Stopped, NOTHING)],
        Refusal::Forgotten => [(Refusal::Forgotten, NOTHING)],
        Refusal::Cancelled => [(Refusal::Cancelled, NEW_ALERT)],
        Refusal::Ended => [(Refusal::Ended, NEW_ALERT)],
    })
}

fn undelivered() -> Vec<Advised<Undelivered>> {
    every_variant!(Undelivered {
        Undelivered::ForNow => [(
            Undelivered::ForNow,
            "Send the trigger again later: the Connector is busy, or the alert is not due yet."
        )],
        Undelivered::ForGood => [(Undelivered::ForGood, "Look for `trigger.failed` in the log.")],
        Undelivered::Unsure => [(
            Undelivered::Unsure,
            "Look at the conversation before you send the alert anew, because the person perhaps already has \
             the alert."
        )],
    })
}

fn alert_rejections() -> Vec<Advised<AlertRejection>> {
    use AlertRejection as Refusal;
    let path = || "<path>".to_owned();
    let key = || "<key name>".to_owned();
    every_variant!(AlertRejection {
        Refusal::Unauthorized => [(
            Refusal::Unauthorized,
            "Send an API key of `alertkey` or `alertkeys`. If the API key has expired, the log has the line \
             `alert.key-refused`."
        )],
        Refusal::ScopeMissing { .. } => [(
            Refusal::ScopeMissing { key: key(), scope: "<scope>" },
            "Add the scope to the entry of the API key in `alertkeys`. If the caller sends a token of Entra \
             instead of an API key, add the scope to the app roles of the caller's application."
        )],
        Refusal::TargetNotAllowed { .. } => [
            (
                Refusal::TargetNotAllowed { path: path(), key: key(), only: "the tenant `<tenant>`".into() },
                "Name a target in this tenant, or use an API key without `tenant=`."
            ),
            (
                Refusal::TargetNotAllowed {
                    path: path(),
                    key: key(),
                    only: "tags that begin with `<prefix>`".into()
                },
                "Name a tag with this prefix, or use an API key without `tag=`."
            ),
        ],
        Refusal::Field(_) => [(
            field_error("<path>").into(),
            "Correct the member or parameter at the path. [openapi.yaml](openapi.yaml) describes all of them."
        )],
        Refusal::TooManyTargets { .. } => [(
            Refusal::TooManyTargets { targets: MAX_TARGETS + 1 },
            "Send several calls, each with its own `idempotencyKey`, or alert a tag."
        )],
        Refusal::UnknownTarget { .. } => [(
            Refusal::UnknownTarget { path: path() },
            "List the targets. The bot knows a conversation after a person has written there, or has \
             installed the bot there."
        )],
        Refusal::UnboundUser { .. } => [(
            Refusal::UnboundUser { path: path() },
            "Alert the conversation or a tag. Or change your site: when it requests a Direct Line token for \
             a person, it has to name a `user.id` that begins with `dl_`."
        )],
        Refusal::TenantNotAllowed { .. } => [(
            Refusal::TenantNotAllowed { path: path() },
            "Correct the address, or add the tenant to `tenants`."
        )],
        Refusal::TooManyMembers { .. } => [(
            Refusal::TooManyMembers { path: path() },
            "Alert a tag to which the members subscribe, or several smaller teams."
        )],
        Refusal::MembersRefused { .. } => [(
            Refusal::MembersRefused { path: path(), reason: "<reason>".into() },
            "Add the bot to the team or chat, or name the members one by one."
        )],
        Refusal::MembersUnavailable { .. } => [(
            Refusal::MembersUnavailable { path: path(), reason: "<reason>".into() },
            "Send the same call again later."
        )],
        Refusal::TooManyTags => [(Refusal::TooManyTags, "Remove a tag of the conversation first.")],
        Refusal::PoisonNotSearched => [(Refusal::PoisonNotSearched, "Send the same call again later.")],
        Refusal::NoSuchDeadLetter => [(
            Refusal::NoSuchDeadLetter,
            "If an earlier call replayed or dropped the dead letter, do nothing. If not, compare the id \
             with the response to `GET /api/dead`."
        )],
        Refusal::TooManyIds { .. } => [(
            Refusal::TooManyIds { ids: MAX_IDS + 1 },
            "Send several calls, or select the dead letters by `outcome` instead of `ids`."
        )],
        Refusal::PoisonNotReached => [(
            Refusal::PoisonNotReached,
            "Send the same call again later. The log has the reason (`poison.not-reached`)."
        )],
        Refusal::NoSuchAlert => [(
            Refusal::NoSuchAlert,
            "Compare the id with the response to `POST /api/alerts`, and use the same API key as for that \
             call."
        )],
        Refusal::AlertIsOver(_) => [(
            Refusal::AlertIsOver(Status::Delivered),
            "Do nothing: the message names the final status of the alert."
        )],
        Refusal::AlertNotChangeable(_) => [(
            Refusal::AlertNotChangeable(Status::Expired),
            "Send a new alert by `POST /api/alerts`."
        )],
        Refusal::ConversationNotThere => [(
            Refusal::ConversationNotThere,
            "Cancel the alert and send another alert, or change the alert after its delivery. If the \
             alert has a `key`, you need not cancel it: send another alert with the same `key`."
        )],
        Refusal::ChangeNotQueued => [(
            Refusal::ChangeNotQueued,
            "Send the same call again. Perhaps the queue has already stored the change of the first call. The \
             poller then makes the same change twice, which does no harm."
        )],
        Refusal::ChangedNotCancelled(_) => [(
            Refusal::ChangedNotCancelled(StateError::NotStored),
            "Send the same call again. The poller then makes the same change twice, which does no harm. Without \
             a second call, the person can get the alert without the change first."
        )],
        Refusal::ReplayNotQueued => [(
            Refusal::ReplayNotQueued,
            "Send the same call again later. The log has the reason (`queue.put.failed`). Perhaps the queue has \
             stored the message in spite of the error. The alert's record then prevents a second delivery."
        )],
        Refusal::TooLarge { .. } => [(
            Refusal::TooLarge { json_bytes: 50_000 },
            "Shorten `text`, or put large content behind a link."
        )],
        Refusal::NotShown { .. } => [(
            Refusal::NotShown { path: "to".into(), why: NotShown::CardTooLarge { index: 0, bytes: 30_000 } },
            "Teams would refuse the alert. Send a smaller card, or fewer cards."
        )],
        Refusal::QuestionTooLarge { .. } => [(
            Refusal::QuestionTooLarge { json_bytes: 25_000 },
            "Shorten `text` or the card, or put large content behind a link."
        )],
        Refusal::EscalationTooLarge => [(
            Refusal::EscalationTooLarge,
            "Send several calls, each with its own steps, or name fewer conversations."
        )],
        Refusal::IdempotencyKeyReused => [(
            Refusal::IdempotencyKeyReused,
            "To repeat a call, send the same body. For another alert, choose another `idempotencyKey`."
        )],
        Refusal::NothingReadable => [(
            Refusal::NothingReadable,
            "Send the call again later. The log has the line `status.not-read` with the reason."
        )],
        Refusal::StateUnavailable(_) => [(
            StateError::NotStored.into(),
            "Send the same call again later. The log has the reason."
        )],
    })
}

fn hook_rejections() -> Vec<Advised<HookRejection>> {
    use HookRejection as Refusal;
    const SECRET_AGAIN: &str = "Write `webhook` to the bot. The bot's reply has the secret.";
    let header = "<header>";
    every_variant!(HookRejection {
        Refusal::Unknown => [(
            Refusal::Unknown,
            "Copy the whole address. If the address was complete, write `webhook` to the bot, and use the new \
             address: a change of `hookkey` ends every old address. If `hookkey` is empty, a change of `sealkey` \
             or of the bot's credential has the same effect."
        )],
        Refusal::Ended => [(
            Refusal::Ended,
            "Write `webhook` to the bot, and use the new address. A person or a back end has ended the \
             old address."
        )],
        Refusal::NoConversation => [(
            Refusal::NoConversation,
            "Add the bot to the conversation again. The same address then works."
        )],
        Refusal::Stopped => [(Refusal::Stopped, "Post nothing until the person writes `start`.")],
        Refusal::Paused => [(
            Refusal::Paused,
            "Write a message to the bot in this conversation, or wait: the pause ends after a day."
        )],
        Refusal::SignatureMissing { .. } => [(Refusal::SignatureMissing { header }, SECRET_AGAIN)],
        Refusal::SignatureWrong { .. } => [(Refusal::SignatureWrong { header }, SECRET_AGAIN)],
        Refusal::Shape(_) => within(shape_errors()),
    })
}

fn shape_errors() -> Vec<Advised<ShapeError>> {
    const SHAPES: &str = "[hooks.md](hooks.md) has an example for each sender.";
    const TEMPLATE: &str = "Check the template from which the sender makes the body.";
    use ShapeError as Problem;
    let shape = Shape::Alertmanager;
    every_variant!(ShapeError {
        Problem::NotUtf8 { .. } => [(Problem::NotUtf8 { at: 7 }, "Send text in UTF-8.")],
        Problem::NotJson { .. } => [(Problem::NotJson { line: 1, column: 7 }, TEMPLATE)],
        Problem::Unknown => [(Problem::Unknown, SHAPES)],
        Problem::Missing { .. } => [(Problem::Missing { shape, member: "<member>" }, SHAPES)],
        Problem::Empty { .. } => [(Problem::Empty { shape }, TEMPLATE)],
        Problem::TooMany { .. } => [(
            Problem::TooMany { found: alert_shapes::MAX_EVENTS + 1 },
            "Limit the size of a batch in the sender's settings."
        )],
    })
}

fn rejections() -> Vec<Advised<Rejection>> {
    use Rejection as Refusal;
    every_variant!(Rejection {
        Refusal::NoSuchRoute => [(
            Refusal::NoSuchRoute,
            NOT_SERVED
        )],
        Refusal::MethodNotAllowed { .. } => [(
            Refusal::MethodNotAllowed { allow: "<methods>" },
            ALLOWED
        )],
        Refusal::ForeignHost(ForeignHost) => [(
            ForeignHost.into(),
            LOOPBACK_ONLY
        )],
        Refusal::Auth(_) => within(auth_errors()),
        Refusal::NotJson => [(Refusal::NotJson, "Send the header `Content-Type: application/json`.")],
        Refusal::BodyTooLarge => [(Refusal::BodyTooLarge, "Send a shorter body, or several calls.")],
        Refusal::BodyBroken => [(Refusal::BodyBroken, "Send the request again.")],
        Refusal::NotAnActivity(_) => [(
            field_error("<path>").into(),
            "Send an activity of the Bot Framework, and correct the field at the path."
        )],
        Refusal::NotTrusted(_) => within(untrusted()),
        Refusal::TenantRefused(_) => within(refused_tenants()),
        Refusal::NotATrigger(_) => [(
            DecodeError::from(field_error("<path>")).into(),
            "Only a *trigger* gets this error: an activity by which an Azure Function of an old bot (2017) sends \
             an alert to the bot. The function has to copy the text of the queue message, unchanged, into the \
             `value` of the activity."
        )],
        Refusal::TriggerRefused(_) => within(trigger_refusals()),
        Refusal::AlertNotDelivered(_) => within(undelivered()),
        Refusal::QueueUnavailable => [(
            Refusal::QueueUnavailable,
            "Send the activity again, as channels do. The bot recognizes the repeated activity by its id."
        )],
        Refusal::StateUnavailable => [(
            Refusal::StateUnavailable,
            "Send the request again later. The log has the reason."
        )],
        Refusal::Alert(_) => within(alert_rejections()),
        Refusal::Hook(_) => within(hook_rejections()),
        Refusal::Misconfigured(_) => [(
            SettingsError::new("<variable>", "<problem>").into(),
            "Look for `request.rejected` in the log, and correct the variable."
        )],
    })
}

fn poll_refusals() -> Vec<Advised<PollRefusal>> {
    use PollRefusal as Refusal;
    every_variant!(PollRefusal {
        Refusal::NoSuchRoute => [(
            Refusal::NoSuchRoute,
            NOT_SERVED
        )],
        Refusal::MethodNotAllowed => [(
            Refusal::MethodNotAllowed,
            ALLOWED
        )],
        Refusal::Unauthorized => [(
            Refusal::Unauthorized,
            "Send the value of `pollkey` as `Authorization: Bearer <pollkey>`, or as `?key=` if the \
             scheduler can set no header."
        )],
        Refusal::ForeignHost(ForeignHost) => [(
            ForeignHost.into(),
            LOOPBACK_ONLY
        )],
        Refusal::Misconfigured => [(
            Refusal::Misconfigured,
            "Look for `poll.misconfigured` or `drain` in the log, and correct the variable."
        )],
        Refusal::QueueUnavailable => [(
            Refusal::QueueUnavailable,
            "Poll again later. The log has the reason (`drain`)."
        )],
        Refusal::StateUnavailable => [(
            Refusal::StateUnavailable,
            "Poll again later. The log has the reason (`drain`)."
        )],
    })
}

/// One line of the table in `docs/errors.md`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    status: u16,
    code: &'static str,
    message: String,
    advice: &'static str,
}

impl Row {
    fn new((status, code): (StatusCode, &'static str), message: String, advice: &'static str) -> Self {
        Self { status: status.as_u16(), code, message, advice }
    }

    fn to_markdown(&self) -> String {
        let Self { status, code, message, advice } = self;
        // The message is in double backticks, because a message can contain a backtick.
        format!("| {status} | `{code}` | `` {message} `` | {advice} |\n")
    }
}

/// Every row of the table once, sorted by the HTTP status.
fn rows() -> Vec<Row> {
    let of_bot = rejections()
        .into_iter()
        .map(|(error, advice)| Row::new(error.status_and_code(), error.message(), advice));
    let of_poller = poll_refusals()
        .into_iter()
        .map(|(error, advice)| Row::new(error.status_and_code(), error.to_string(), advice));
    let of_invokes = Row::new(
        (StatusCode::OK, invoke::CODE),
        invoke::MESSAGE.into(),
        "Send a message instead of the invoke activity. The HTTP status of this error is 200, because a client \
         shows any other status as a fault of the bot.",
    );
    const PRESS: &str = "Programs need not handle this error: the person sees the message on the card, in their \
                         language. The HTTP status is 200, because a client shows any other status as a fault of the \
                         bot.";
    let of_buttons = [UNKNOWN, OVER, NOT_RECORDED]
        .map(|(code, message)| Row::new((StatusCode::OK, code), message.into(), PRESS));
    // Four examples of an API call with two alerts. The three values are: whether the call has an
    // `idempotencyKey`, how many alerts are queued, and how many of the other alerts are perhaps queued.
    let calls = [(true, 1, 0), (false, 0, 0), (false, 1, 0), (false, 1, 1)];
    let of_alerts = calls.map(|(has_key, queued, unconfirmed)| {
        Row::new(
            (StatusCode::SERVICE_UNAVAILABLE, "QueueUnavailable"),
            not_confirmed(queued, 2 - queued, unconfirmed, has_key),
            "Do what the message says. The member `alerts` of the response has the status of each alert.",
        )
    });
    let mut rows: Vec<_> =
        of_bot.chain(of_poller).chain([of_invokes]).chain(of_buttons).chain(of_alerts).collect();
    rows.sort();
    rows.dedup();
    rows
}

#[test]
fn errors_page_lists_every_code_and_message() {
    let mut page = format!("{INTRODUCTION}\n<!-- A test writes this page: {COMMAND} -->\n\n");
    page.push_str("| status | code | message | what to do |\n|---|---|---|---|\n");
    page.extend(rows().iter().map(Row::to_markdown));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
    if std::env::var_os("UPDATE_ERRORS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let changed = page.lines().find(|line| !found.contains(line));
    assert!(
        found == page,
        "docs/errors.md: expected the errors of the code, first difference {changed:?}; run `{COMMAND}`"
    );
}

#[test]
fn messages_name_the_place_before_the_problem() {
    for Row { code, message, .. } in rows() {
        let place = message.split_once(": ").map(|(place, _)| place);
        assert!(place.is_some_and(|place| !place.contains(';')), "{code}: {message}");
    }
}
