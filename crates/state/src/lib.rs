//! The durable state of the bot: the conversations that can be alerted, the record of each alert, and the run
//! lock of each queue. Use this crate for data that must survive a restart, or that another *replica*
//! (running instance) of the bot may have written.
//!
//! The state is stored in three tables of the storage account that also holds the queue, so that every
//! replica reads the same data. This crate never reads or writes the queue, and never calls a Connector. It
//! stores the text of an alert only if the alert asks a question. The text is then part of the question, and
//! the callers of this crate have encrypted the question.
//!
//! Source of the rules of Azure Table Storage:
//! <https://learn.microsoft.com/rest/api/storageservices/table-service-rest-api>.
//!
//! # Schema
//!
//! `<prefix>` is the value of the variable `tableprefix`. Text that comes from outside is escaped before it
//! becomes part of a partition key or row key ([`storage_table::escape`]). The properties `at` and
//! `missingFrom`, and each property whose name ends in `At` or `Until`, are times: an Int64, in milliseconds
//! since 1970. In the tables below, a line with empty first cells lists further properties of the rows in the
//! line above.
//!
//! `version` is the version of a record's format. If `version` is greater than the version that a program
//! knows, a newer program wrote the record. Then the older program does not change the record of a
//! conversation, does not take the run lock, and does not replay or drop an alert. The older program still
//! writes other changes to the ledger, because they record events that have happened. Such a write is a
//! merge: it keeps `version` and the properties that the older program does not know.
//!
//! Every entity also has `op`. Each write sets `op` to a new random text. If the response to a write is lost,
//! the client recognises its own write by `op`.
//!
//! ## `<prefix>conversations`: the conversations that can be alerted
//!
//! | PartitionKey | RowKey | properties | who writes the row or the properties, and when |
//! |---|---|---|---|
//! | `c<shard>` | `<key>` | `version`, `address` (JSON), `seenAt`, `zone` (the person's time zone), `pausedUntil` | the bot, when an activity changes the record; the poller, when it creates a chat; when the channel cannot reach the person, the bot and the poller write only `pausedUntil` |
//! | | | `readId`, `readAt` | the bot, when Teams reports which message the person has read last |
//! | | | `asked`, `askedUntil` | the poller, when it has sent a question that a text can answer, and when a person has answered the question |
//! | `c<shard>` | `<key>.s` | `at` | the command `stop` inserts the row, and the command `start` deletes the row; the poller inserts the row when it *moves* a conversation (see below). No other operation writes the row |
//! | `c<shard>` | `<key>.w` | `from`, `to` (minutes of the day), `at` | the command `quiet` writes the row, and `quiet off` deletes the row; the bot deletes the row when it forgets the conversation; the poller writes the row when it moves a conversation |
//! | `c<shard>` | `<key>.f` | `at` | the bot, when a person sends the activity `deleteUserData`, or when a program calls the route that forgets a conversation. The row is a *tombstone*: if the bot accepted an alert for this conversation at the time `at` or earlier, no run delivers the alert. The row is never deleted |
//! | `c<shard>` | `<key>.h` | `generation` (the number of the conversation's newest webhook address; older addresses do not work), `off` (true: the newest address does not work, either) | the bot, with the ETag, for the commands `webhook`, `webhook new` and `webhook off`, and for the routes `POST` and `DELETE` of a webhook address; whenever the bot writes the tombstone, it also sets `off`. The row is never deleted, so that an ended webhook address never works again |
//! | `c<shard>` | `<key>.r.<message id>` | `reactions`, `replies`, `cause`, `endsAt` | the bot, when people react or reply to one of its chat messages on Teams |
//! | | | `asked`, `askedUntil`, `endsAt` | the poller, when it has sent a question to a channel of Teams |
//! | `c<shard>` | `<key>.t.<tag>` | `at` | the bot, for the commands `subscribe` and `unsubscribe`, and for the routes `PUT` and `DELETE` of a tag; the poller, when it moves a conversation |
//! | `u.<channel>.<user>` | `<key>` | `seenAt` | the bot and the poller, after they have stored the conversation's record. The rows are an index of a person's own conversations, by the person's id on the channel. On Web Chat and Direct Line, a client can claim any user id that does not begin with `dl_`. Such a user id has a row only with `unboundusers=allow` |
//! | `e.<Entra object id>` | `<key>` | `seenAt` | the bot and the poller, after they have stored the conversation's record. The rows are an index of a person's own conversations, by the person's object id, on channels that vouch for the object id (`msteams`) |
//! | `n.<tenant>` | `<key>` | `seenAt` | the bot and the poller, after they have stored the conversation's record. The rows are an index of a tenant's conversations, on channels that vouch for the tenant (`msteams`) |
//! | `g.<tenant>` | `<key of the channel or chat>` | `conversation`, `serviceUrl`, `seenAt` | the bot and the poller, after they have stored the record of a group or of a thread, on channels that vouch for the tenant (`msteams`). The rows are an index of the tenant's teams and group chats. To find a person by an e-mail address, the poller asks the Connector for the members of these teams and chats |
//! | `t.<tenant>.<tag>` | `<key>` | `at` | the bot and the poller, after they have stored the conversation's own row `<key>.t.<tag>`; the bot, when the conversation's tenant changes |
//!
//! `<key>` is the [`ConversationKey`]. The first digit of `<key>` is the shard. One query reads all rows of a
//! conversation in `c<shard>`, because they are in one partition. In the address of a chat that the poller
//! created, the person's id is the object id in Entra, until the person writes.
//!
//! If Teams has purged a chat, the poller creates a new chat with the person, and *moves* the conversation.
//! The poller writes the `stop`, the quiet hours and the tags for the new chat. Then it deletes the rows of
//! the old chat, except `.s`, `.f` and `.h`. If the poller is killed during the move, the poller moves the
//! conversation again at the next alert. The second move writes the `stop` again, even if the person has sent
//! `start` in the new chat since then.
//!
//! The partition `t..<tag>` lists the subscribers that are in no tenant. An index row is stale if the
//! conversation's own rows no longer match it. A reader ignores a stale row, and deletes it. By `seenAt`,
//! readers find the conversation that was active last. Only the index rows of tags have no `seenAt`.
//!
//! The bot keeps at most 20 rows `<key>.r.<message id>` of a conversation. A row with reactions or replies
//! expires seven days after the last of them; the ledger keeps the record of an alert for the same time. The
//! row of an open question expires when the question ends. Readers ignore an expired row. No cleaning deletes
//! these rows. When the bot inserts such a row, it deletes the conversation's expired rows of this kind. If
//! there are still too many, it deletes the rows that expire first. When the bot forgets the conversation, it
//! deletes all these rows. `cause` is a hash of the id of the activity from which the bot last counted a
//! reaction or a reply. If the channel sends this activity again, the bot does not count it again.
//!
//! Parts of a partition key that come from outside are escaped so that they contain no dot. Parts that are
//! longer than 200 characters are hashed. Only the bot and the poller write the three tables. If another
//! program adds an entity, or writes a property of an unexpected type, readers treat the entity or the
//! property as missing and continue. For `<prefix>conversations`, the log has a line for each such entity.
//! For the two other tables, each run logs only the first such entity.
//!
//! The bot and the poller write the record of a conversation by a merge with the ETag. The merge keeps
//! properties that only a newer program knows. When the person writes a message or installs the bot,
//! `pausedUntil` becomes zero. Until the time `askedUntil`, the person's next text answers the alert with the
//! id `asked`. After an answer, `askedUntil` is zero.
//!
//! ## `<prefix>ledger`: one record for each alert
//!
//! | PartitionKey | RowKey | properties | who writes the row or the properties, and when |
//! |---|---|---|---|
//! | `<period>.<shard>` | `<alert id>` | `version`, `status`, `acceptedAt`, `endsAt`, `dueAt`, `conversation`, `key` (the name of the sender's API key), `tag`; in the first alert of each *page* (see below) of an API call with an idempotency key: `fingerprint` (a hash of the call's body), `alerts` (the number of alerts of the page; 0: the page has no alert, and this record only stores the properties of the page), `next` (where the call's next page begins) | the bot, once, when it accepts the alert |
//! | | | `status`, `changedAt`, `reason`, `conversation` (if the poller created or found it), `thread`, `activityId`, `uncertain`, `tried`, `message`, `endsAt` | the poller, when the alert's status changes |
//! | | | `missedAt` (when a run found that the alert's queue message is missing), `missingFrom` (after this time, the message counts as missing for good) | the poller, if a killed run had the alert's queue message in hand and the queue refuses the message's pop receipt |
//! | | | `cancelledAt` | the bot, when the sender cancels the alert; the poller, when a person's answer to another alert makes this alert superfluous. There are two cases. In the first case, the two alerts are of one call, and share one answer. In the second case, this alert is in the *escalation* (see below) of the other alert's call |
//! | | | `putAt`, `failedAt`, `unconfirmedAt` | the bot. `putAt`: in doubtful cases, e.g. a repeated call, after the bot has put the alert on the queue. `failedAt`: when a Put fails. `unconfirmedAt`: when a Put has no clear response |
//! | | | `series` (the id of the first alert of a series of recurring alerts); in the first alert of a series: `seriesNext` (the id of the next alert, or `none`), `seriesEndedAt` | `series`: the bot or the poller, when it inserts the record. `seriesNext`: the poller. Before it sends an alert of the series, it inserts the record of the next alert, puts the next alert on the queue, and then writes `seriesNext`. `seriesEndedAt`: the bot, when the sender ends the series |
//! | | | `takenAt` | the bot, before it sends an alert that it received in a trigger activity (a program sends such an activity with an envelope in it); zero if the attempt has failed and the bot is allowed to send the alert again. There are two such failures: the Connector certainly did not deliver the alert, or the Connector answered 408, 502 or 504 and `onUncertain` is not `drop` |
//! | | | `question` (encrypted) | the bot, with the record of an alert that people can answer, and when the sender changes the content of the alert |
//! | | | `answeredAt`, `answer` (encrypted) | the poller, when a person has answered this alert, or another alert of the same call that shares its answer |
//! | | | `replayedAt`, `replayedFrom` (the id that the dead message had on the queue), `status` (`queued`), `reason`, `endsAt` | the bot, when an operator replays the alert; with the ETag, before the message is put on the queue. A run reads `replayedAt` before it moves a message to the poison queue. It records the status `dead` only if no replay has changed `replayedAt` since then |
//! | | | `keyed` (the member `keyed` of the envelope: a hash of the alert key, the state of the problem, and the rules for changing an earlier chat message), `changes` (the id of the alert that this alert changes) | `keyed`: the bot, when it accepts an alert with an *alert key* (see below); the poller, when it inserts the record of the next alert of a series. `changes`: the bot, when it accepts a change of an alert |
//! | | | `thread` (JSON) | the bot, when it accepts an alert that starts a thread: the address of the channel; the poller, when it has started the thread: the address of the thread |
//! | | | `replacedBy` (the id of the new alert) | the bot, together with `cancelledAt`, when the sender changes an alert that was not sent yet. The bot cancels this alert, and accepts a new alert with the changed content |
//! | | | `editedAt`, `editedBy`, `activityId`, `thread` | the poller, after it has changed the alert's chat message; with the ETag |
//! | `<period>.<shard>` | `reply.<alert id>.<row>` | `press` (the id of the button press, or of the text, with which the person answered), `answer` (encrypted), `endsAt` | the bot, when a person answers; the poller, if the bot was killed before it could insert the row |
//! | | | `doneAt` | the poller, when the sender's program has received the answer and the card shows it |
//! | `<period>.<shard>` | `answer.<key>.<minute>.<row>` | `endsAt`, `silent` | the bot, for each of its replies to people (here, `answer` means such a reply). If the bot also inserts a record for the person's message, one transaction inserts the record and this row. `<row>` is a number below `answersperminute`, so the number of rows limits the replies in a minute. When all rows of a minute exist, the bot also inserts the missing rows of the next minute, with `silent`. So it sends no reply in the next minute |
//! | `<period>.<shard>` | `unasked.<key>` | `endsAt` | the bot, together with the record of a person's message in a conversation that has no open question; the poller deletes the row when it delivers a question that a text can answer |
//! | `<period>.<shard>` | `at.<countdown>.<name>` | `endsAt`, `key`, `tags`, `alerts` | the bot, together with the record of a person's message, the records of a page, or a record that a replay creates again; the poller, together with the record of the next alert of a series. The rows are an index by time |
//! | `clean` | `place` | `at`, `next` | the poller, if a cleaning could not read all pages of its query for expired records. The next cleaning continues the query: `at` is the time at which the query began, and `next` is the continuation for its next page |
//! | `<period>.<shard>` | `once.<hash>` | `endsAt` | the bot, for some replies to activities that make no alert. If the channel sends such an activity again, the bot finds the row, and does not reply again |
//! | `key.<digit>` | `<key>.<hash>` | `version`, `activityId`, `at`, `alert`, `state`, `digest`, `thread`, `endsAt` | the poller, after it has sent an alert with an alert key; with the ETag |
//! | | | `latestAt`, `latestAlert` (the newest alert on the queue with this alert key), `endsAt` | the bot, after it has put an alert with an alert key on the queue; the poller, before it changes a chat message because of an alert, if `latestAlert` is missing or older than this alert |
//!
//! An *escalation* is a list of steps in an API call. The poller sends the alerts of each step later, but
//! only if no person has answered the alerts of the call.
//!
//! An *alert key* is the member `key` of an API call. Alerts with the same alert key report the same problem,
//! so a conversation shows one chat message for them. A row in the partition `key.<digit>` names this chat
//! message. `<key>` in the row key is the key of the conversation, and `<digit>` is its first digit. `<hash>`
//! is a hash of the sender's name and of the alert key. The row expires 30 days after the last alert with
//! this alert key.
//!
//! In `at.<countdown>.<name>`, `<countdown>` is the time of acceptance, subtracted from the greatest number
//! of 13 digits, so that the newest row is the first one. `<name>` is the id of the alert, or the part of the
//! ids that the alerts of a page share. A *page* is a group of at most 100 alerts of one API call, which the
//! bot accepts together. If a replay creates a record again, `tags` in the new row is `*`, which means any
//! tag.
//!
//! If a page has 100 alerts, the bot inserts the row `at.<countdown>.<name>` with a separate storage call
//! before the records, because a transaction has at most 100 operations. So there can be superfluous rows of
//! this kind:
//!
//! - If the bot is killed between the row and the records, the row stays without records. When the sender
//!   repeats the API call, the bot inserts the records with a new row.
//! - If the sender repeats an API call whose records exist, the bot inserts a second row before it finds the
//!   records. The bot then deletes the second row, but the delete can fail.
//!
//! So readers use a row only for records whose `acceptedAt` is the row's time.
//!
//! In `reply.<alert id>.<row>`, `<row>` depends on the number of answers that the alert takes:
//!
//! - one answer: `<row>` is `one`. So if two people answer, only one insert succeeds. If all alerts of a call
//!   together take one answer, they also share one row. The alerts of the call's escalation share this row,
//!   too. In the key of this row, `<alert id>` is the id of the call's first alert.
//! - one answer from each person: `<row>` is a hash of the person's id.
//! - any number of answers: `<row>` is a hash of the person's id and the activity's id, or a random text.
//!
//! The bot and the poller derive the encryption key of the encrypted properties from the variable `sealkey`
//! or from the bot's credential. A property that was encrypted for one alert cannot be decrypted for another
//! alert.
//!
//! A period is eight days. The poller finds expired records by their period, and deletes them page by page.
//! The shard is the fifth digit of the alert's id, modulo 4. A person's message has an alert id, too. The
//! fifth digit of this id is the first digit of the conversation's key. If another producer chose the id, the
//! shard is computed from a hash of the id.
//!
//! ## `<prefix>runs`: the run lock, and the data that runs share
//!
//! | PartitionKey | RowKey | properties | who writes the row or the properties, and when |
//! |---|---|---|---|
//! | `<queue>` | `run` | `version`, `run`, `fence`, `why`, `pausedUntil`, `hosts` (JSON), `figures` (JSON), `hand0`…, `ended0`… | the run that holds the lock, with the ETag |
//! | `<queue>` | `idle` | `at` | a run that finds nothing to do, at most once in 150 seconds |
//! | `<queue>` | `line.<lane>` | `line` (JSON), `endsAt` | the run that holds the lock |
//! | `<queue>.dead` | `<inverted milliseconds>.<message id>` | `version`, `alert`, `conversation`, `outcome`, `reason`, `status`, `diedAt`, `enqueuedAt`, `expiresAt`, `attempts`, `genuine` (true: the message is an envelope of the bot, so an operator can replay it), `digest`, `key`, `tag` | a run, before it puts a message on the poison queue; the bot deletes the row when an operator replays or drops the message, or when a program calls the route that forgets the conversation |
//! | `<queue>` | `since.<milliseconds>.<random>` | `kind`, `subject` (the id of an alert, or the key of a conversation), `at` | the bot, for each [event that runs have to know](runs::Withdrawal), e.g. a cancellation; the poller, when it cancels an alert because a person has answered another alert |
//!
//! In the row `run`, the property `run` is the id of the run that holds the lock; it is empty if the lock is
//! free. `fence` is the number of the run: each run that takes the lock adds one. `pausedUntil` and `why` are
//! the end and the reason of a pause of all runs. `hosts` says which Connector hosts fail, and `figures` has
//! the counts of all runs. `hand0`… hold the messages in hand. `ended0`… hold the finished alerts whose final
//! status is perhaps not in the ledger yet.
//!
//! The row key of a dead letter begins with `<inverted milliseconds>`: 99 999 999 999 999 minus the time at
//! which the message was put on the queue. So the newest row comes first.
#![warn(missing_docs)]

mod conversations;
mod error;
pub mod ledger;
pub mod runs;
mod skipped;
mod tables;
#[cfg(test)]
mod world;

pub use conversations::{
    ByKey, Conversation, ConversationKey, Conversations, DeliveryState, Feedback, Filter, Fingerprint, Known,
    MAX_TAGS, MessageNumber, PAUSED_FOR, Page, Quiet, Reception, Recorded, Response, Roster, Sign,
    Subscribers, Tag, Tagged, fingerprint_key, of_key, tenant_of, without_thread,
};
pub use error::StateError;
pub use tables::Tables;
