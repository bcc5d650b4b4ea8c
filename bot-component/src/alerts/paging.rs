//! Pages of a call. A tag may have any number of subscribers, so a call alerts them page by page.

use std::fmt;
use std::time::Duration;

use bot_framework::json::{FieldError, Fields};
use platform::{Deadline, Host};
use state::{ConversationKey, Conversations, Filter, Subscribers};

use super::caller::Caller;
use super::target::{self, Target, To};
use crate::limits::MAX_TARGETS;
use crate::rejection::{AlertRejection, Rejection};
use crate::settings::BotSettings;
use crate::tag_scope::TagScope;

/// The longest time for finding the conversations of a page. A call has 30 s, and most of them are for the
/// Puts.
const RESOLVE_WITHIN: Duration = Duration::from_secs(8);

/// Where a call goes on: one of its tags, and the conversation there behind which nobody was looked at yet. A forged one does
/// no harm: it leaves out conversations that its sender could leave out anyway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The index of the tag among the tags in `to`.
    tag: usize,
    after: Option<ConversationKey>,
}

impl Cursor {
    /// Takes `next` of the body.
    pub(super) fn take(fields: &mut Fields) -> Result<Option<Self>, FieldError> {
        match fields.string("next")? {
            None => Ok(None),
            Some(text) => Self::parse(&text).map(Some).ok_or_else(wrong_next),
        }
    }

    /// Reads the text of a cursor.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (tag, after) = text.split_once('.')?;
        let is_number = (1..=2).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_digit());
        let after = match after {
            "" => None,
            key => Some(ConversationKey::parse(key)?),
        };
        Some(Self { tag: tag.parse().ok().filter(|_| is_number)?, after })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.tag, self.after.as_ref().map(ConversationKey::as_str).unwrap_or_default())
    }
}

fn wrong_next() -> FieldError {
    FieldError { path: "next".into(), expected: "the `next` of an answer to the same call" }
}

/// The conversations of one page of a call.
#[derive(Debug)]
pub(super) struct Page {
    /// At most 100, each once. A later page may be empty.
    pub(super) targets: Vec<Target>,
    /// Where the next page begins. `None` on the last page.
    pub(super) next: Option<Cursor>,
}

/// The page of a call that begins at a cursor. The first one has the conversations that `to` names one by one, and shows that
/// every element of `to` leads somewhere. Each page looks at no more than 100 subscribers.
pub(super) async fn read<H: Host>(
    host: &H,
    settings: &BotSettings,
    caller: &Caller,
    to: &[To],
    at: Option<&Cursor>,
) -> Result<Page, Rejection> {
    for to in to {
        to.expect_allowed(caller)?;
    }
    let tags = tags_of(to, settings, caller)?;
    if at.is_some_and(|at| at.tag >= tags.len()) {
        return Err(AlertRejection::from(wrong_next()).into());
    }
    let conversations = settings.conversations(host, Deadline::after(host, RESOLVE_WITHIN));
    let is_first = at.is_none();
    let named = target::named(&conversations, settings, &caller.grant, to, is_first).await?;
    let keys: Vec<ConversationKey> = named.iter().map(|target| target.key.clone()).collect();
    let mut targets = if is_first { named } else { Vec::new() };
    let mut room = MAX_TARGETS - targets.len();
    let (mut index, mut after) = at.map(|at| (at.tag, at.after.clone())).unwrap_or_default();
    let mut is_within = false;
    while room > 0
        && let Some(Tagged { path, subscribers }) = tags.get(index)
    {
        let filter = Filter { tag: Some(subscribers.clone()), tenant_id: None };
        let page = conversations.page(after.as_ref(), room, &filter).await.map_err(AlertRejection::from)?;
        if is_first && page.conversations.is_empty() {
            // The rows so far lead nowhere; there may be more.
            let Some(next) = &page.next else { return Err(unknown(path).into()) };
            expect_somebody(&conversations, path, subscribers, Some(next)).await?;
        }
        room -= page.conversations.len();
        for (key, conversation) in page.conversations {
            let is_elsewhere = keys.contains(&key)
                || tags[..index].iter().any(|earlier| earlier.subscribers.has(&conversation));
            if !is_elsewhere {
                targets.push(Target::subscriber(key, conversation, settings));
            }
        }
        after = page.next;
        is_within = after.is_some();
        if is_within {
            break;
        }
        index += 1;
    }
    if is_first {
        for Tagged { path, subscribers } in tags.iter().skip(index + usize::from(is_within)) {
            expect_somebody(&conversations, path, subscribers, None).await?;
        }
    }
    let next = (index < tags.len()).then_some(Cursor { tag: index, after });
    Ok(Page { targets, next })
}

/// A tag in `to`.
struct Tagged<'a> {
    path: &'a str,
    subscribers: Subscribers,
}

fn tags_of<'a>(
    to: &'a [To],
    settings: &BotSettings,
    caller: &Caller,
) -> Result<Vec<Tagged<'a>>, AlertRejection> {
    let tags = to.iter().filter_map(To::as_tag).map(|(path, tag, tenant)| {
        // To a key of one tenant, a tag means its subscribers there.
        let tenant = tenant.or(caller.grant.tenant());
        let scope = TagScope::named(tenant, &format!("{path}.tenant"), settings)?;
        Ok(Tagged { path, subscribers: scope.subscribers(tag.clone()) })
    });
    tags.collect()
}

/// Somebody subscribes to a tag, behind a conversation.
async fn expect_somebody<H: Host>(
    conversations: &Conversations<'_, H>,
    path: &str,
    subscribers: &Subscribers,
    after: Option<&ConversationKey>,
) -> Result<(), AlertRejection> {
    let filter = Filter { tag: Some(subscribers.clone()), tenant_id: None };
    let mut after = after.cloned();
    loop {
        // Rows that lead nowhere may come first.
        let page = conversations.page(after.as_ref(), 10, &filter).await?;
        match page {
            state::Page { conversations, .. } if !conversations.is_empty() => return Ok(()),
            state::Page { next: Some(next), .. } => after = Some(next),
            state::Page { next: None, .. } => return Err(unknown(path)),
        }
    }
}

fn unknown(path: &str) -> AlertRejection {
    AlertRejection::UnknownTarget { path: path.to_owned() }
}
