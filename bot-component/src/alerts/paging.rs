//! The pages of an API call. A *tag* is a name to which conversations subscribe. A tag can have any number of
//! subscribers. So the bot splits the conversations of an API call into *pages* of at most 100, and processes
//! one page after the other.

use std::cell::OnceCell;
use std::time::Duration;
use std::{fmt, iter};

use bot_framework::json::{FieldError, Fields};
use futures_util::{StreamExt, stream};
use platform::{Deadline, Host};
use state::{ConversationKey, Conversations, Filter, Subscribers};

use super::caller::Caller;
use super::creating::Creating;
use super::to::{self, Target, To};
use crate::limits::MAX_TARGETS;
use crate::rejection::{AlertRejection, Rejection};
use crate::settings::BotSettings;
use crate::tag_scope::TagScope;

/// The longest time for finding the conversations of a page. The time is short, because an API call has 30 s,
/// and the bot needs most of the 30 s to put the alerts on the queue.
const RESOLVE_WITHIN: Duration = Duration::from_secs(8);

/// The highest number of tags that the bot looks up in parallel.
const TAGS_AT_ONCE: usize = 8;

/// The position at which a page begins. A page begins after the last conversation that the bot read for the
/// previous page. So the cursor names this conversation, and the tag by which the bot found the conversation.
/// If pages are left at the end of an API call, the response has the cursor of the next page as `next`.
///
/// A caller can forge a cursor. A forged cursor does no harm: it only makes the bot skip some conversations.
/// The bot never alerts a conversation that `to` does not name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The index of the tag among the tags in `to`.
    tag: usize,
    /// The last conversation of this tag on the previous page. `None` if the page begins with the first
    /// subscriber of the tag.
    after: Option<ConversationKey>,
}

impl Cursor {
    /// Takes `next` out of the members or parameters of an API call.
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
    FieldError { path: "next".into(), expected: "the value of `next` in a response to the same call" }
}

/// The conversations of one page of an API call.
#[derive(Debug)]
pub(super) struct Page {
    /// At most 100 conversations, each of them once. A later page is empty if all its conversations are
    /// already on earlier pages.
    pub(super) targets: Vec<Target>,
    /// The beginning of the next page. `None` on the last page.
    pub(super) next: Option<Cursor>,
}

/// The keys of the conversations that `to` names without a tag. The bot looks up these conversations once for
/// all pages of an API call.
pub(super) type Named = OnceCell<Vec<ConversationKey>>;

/// Reads one page of an API call. `at` is the beginning of the page; `None` means the first page. The first
/// page also has the conversations that `to` names without a tag. For the first page, the function also
/// checks that the bot knows a conversation for every element of `to`.
pub(super) async fn read<H: Host>(
    host: &H,
    settings: &BotSettings,
    caller: &Caller,
    to: &[To],
    at: Option<&Cursor>,
    named: &Named,
) -> Result<Page, Rejection> {
    for to in to {
        to.expect_allowed(caller)?;
    }
    let tags = tags_of(to, settings, caller)?;
    if at.is_some_and(|at| at.tag >= tags.len()) {
        return Err(AlertRejection::from(wrong_next()).into());
    }
    let deadline = Deadline::after(host, RESOLVE_WITHIN);
    let book = &settings.conversations(host, deadline);
    let is_first = at.is_none();
    let mut targets = Vec::new();
    if named.get().is_none() {
        let creating = Creating { host, book, settings, caller, deadline };
        let found = to::named(&creating, to, is_first).await?;
        _ = named.set(found.iter().map(|target| target.key.clone()).collect());
        targets = if is_first { found } else { Vec::new() };
    }
    let keys = named.get().map_or(&[][..], Vec::as_slice);
    let mut room = MAX_TARGETS - targets.len();
    let (mut index, mut after) = at.map(|at| (at.tag, at.after.clone())).unwrap_or_default();
    let mut is_within = false;
    // The loop first looks up one tag, because the subscribers of one tag can fill the page. Then the loop
    // looks up two tags in parallel, then four, and then eight at a time.
    let mut at_once = 1;
    while room > 0 && !is_within && index < tags.len() {
        let (limit, begin) = (room, after.take());
        let ahead = tags[index..].iter().take(at_once).zip(iter::once(begin).chain(iter::repeat(None)));
        let look_up = async |(tagged, after): (&Tagged<'_>, Option<ConversationKey>)| {
            tagged.page(book, after.as_ref(), limit).await
        };
        let mut pages = stream::iter(ahead).map(look_up).buffered(TAGS_AT_ONCE);
        // `buffered` returns the results in the order of the tags in `to`, even if the responses arrive in
        // another order.
        while room > 0
            && !is_within
            && let Some(page) = pages.next().await
        {
            let mut page = page?;
            if is_first && page.conversations.is_empty() {
                // The lookup has found no subscriber. Perhaps it has read only rows of conversations that the
                // bot has forgotten. If the table has further rows of the tag, a subscriber can still follow.
                tags[index].expect_subscriber_after(book, page.next.as_ref()).await?;
            }
            if page.conversations.len() > room {
                page.conversations.truncate(room);
                page.next = page.conversations.last().map(|(key, _)| key.clone());
            }
            room -= page.conversations.len();
            let tag = &tags[index].subscribers.tag;
            for (key, conversation) in page.conversations {
                let is_elsewhere = keys.contains(&key)
                    || tags[..index].iter().any(|earlier| earlier.subscribers.has(&conversation));
                if !is_elsewhere {
                    targets.push(Target::subscriber(key, conversation, settings, tag));
                }
            }
            after = page.next;
            is_within = after.is_some();
            index += usize::from(!is_within);
        }
        at_once = (at_once * 2).min(TAGS_AT_ONCE);
    }
    if is_first {
        let rest = tags.iter().skip(index + usize::from(is_within));
        let look_up = async |tagged: &Tagged<'_>| tagged.expect_subscriber(book).await;
        let mut rest = stream::iter(rest).map(look_up).buffered(TAGS_AT_ONCE);
        while let Some(found) = rest.next().await {
            found?;
        }
    }
    let next = (index < tags.len()).then_some(Cursor { tag: index, after });
    Ok(Page { targets, next })
}

/// A tag in `to`.
struct Tagged<'a> {
    path: &'a str,
    subscribers: Subscribers,
    /// Whether an earlier element of `to` names the same subscribers.
    is_repeated: bool,
}

impl Tagged<'_> {
    /// Reads at most `limit` subscribers whose conversation keys follow `after`. If the tag is repeated, the
    /// result is empty.
    async fn page<H: Host>(
        &self,
        book: &Conversations<'_, H>,
        after: Option<&ConversationKey>,
        limit: usize,
    ) -> Result<state::Page, AlertRejection> {
        if self.is_repeated {
            return Ok(state::Page { conversations: Vec::new(), next: None });
        }
        let filter = Filter { tag: Some(self.subscribers.clone()), tenant_id: None };
        Ok(book.page(after, limit, &filter).await?)
    }

    /// Checks that the tag has a subscriber.
    async fn expect_subscriber<H: Host>(&self, book: &Conversations<'_, H>) -> Result<(), AlertRejection> {
        match self.page(book, None, 1).await? {
            page if page.conversations.is_empty() => {
                self.expect_subscriber_after(book, page.next.as_ref()).await
            }
            _ => Ok(()),
        }
    }

    /// Checks that the tag has a subscriber whose conversation key follows `next`. The bot has already read
    /// the rows up to `next` without finding a subscriber. If `next` is `None`, no rows follow.
    async fn expect_subscriber_after<H: Host>(
        &self,
        book: &Conversations<'_, H>,
        next: Option<&ConversationKey>,
    ) -> Result<(), AlertRejection> {
        let mut next = next.cloned();
        while let Some(after) = next {
            // A lookup can find no subscriber although further rows of the tag follow. So the loop reads on.
            let page = self.page(book, Some(&after), 10).await?;
            if !page.conversations.is_empty() {
                return Ok(());
            }
            next = page.next;
        }
        if self.is_repeated {
            return Ok(());
        }
        Err(AlertRejection::UnknownTarget { path: self.path.to_owned() })
    }
}

fn tags_of<'a>(
    to: &'a [To],
    settings: &BotSettings,
    caller: &Caller,
) -> Result<Vec<Tagged<'a>>, AlertRejection> {
    let mut tags: Vec<Tagged<'a>> = Vec::new();
    for (path, tag, tenant) in to.iter().filter_map(To::as_tag) {
        // If `to` names no tenant for the tag, the bot uses the tenant to which `tenant=` restricts the API
        // key.
        let tenant = tenant.or(caller.grant.tenant());
        let scope = TagScope::named(tenant, &format!("{path}.tenant"), settings)?;
        let subscribers = scope.subscribers(tag.clone());
        let is_repeated = tags.iter().any(|earlier| earlier.subscribers == subscribers);
        tags.push(Tagged { path, subscribers, is_repeated });
    }
    Ok(tags)
}
