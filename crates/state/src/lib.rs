//! The durable state of the bot: the conversations to which the bot can send alerts, the record of each
//! alert, and the run lock of each queue. A *run* is one execution of the poller. Only the run that holds the
//! *run lock* of a queue sends the messages of this queue.
//!
//! Use this crate for data that must survive a restart. Also use this crate for data that another *replica*
//! (running instance) of the bot can change.
//!
//! The state is stored in three tables, so every replica reads the same data. The tables are in the storage
//! account of the queue. This crate never reads or writes the queue, and never calls a Connector.
//!
//! This crate stores the text of an alert only if the alert asks a question. The text is a part of the
//! question, and the callers encrypt the question before they pass it to this crate.
//!
//! Source of the rules of Azure Table Storage:
//! <https://learn.microsoft.com/rest/api/storageservices/table-service-rest-api>.
//!
//! # Schema
//!
//! `<prefix>` is the value of the variable `tableprefix`. Text that comes from outside is escaped before it
//! becomes part of a partition key or row key ([`storage_table::escape`]). The properties `at` and
//! `missingFrom`, and each property whose name ends in `At` or `Until`, are times. A time is an Int64, in
//! milliseconds since 1970. `endsAt` is the time at which the row expires.
//!
//! The tables below list the rows (entities) and their properties. If the first two cells of a line are
//! empty, the line lists further properties of the same rows as the line above. The tables use these words:
//!
//! - A *channel* is a service that connects people with the bot, e.g. Teams. A *team's channel* is something
//!   else: a place in a team on Teams.
//! - A channel *vouches for* ids (of persons or tenants) if its clients cannot claim other ids than their
//!   own.
//! - To *forget* a conversation means to delete its record and its other rows, except the rows `.s`, `.f` and
//!   `.h` (see below).
//! - A *webhook address* is a URL to which a program can post alerts for one conversation.
//! - An *envelope* is an alert as JSON. A *Put* is the storage call that puts an envelope on the queue.
//! - A run has a message *in hand* after it has dequeued the message. The message is in hand until the run
//!   has deleted it, has hidden it until the next try, or has made it visible again.
//! - If a run cannot deliver a message, the run moves the message to the *poison queue*. There, the message
//!   is a *dead letter*. An operator can *replay* the alert (put it on the queue again), or *drop* the alert
//!   (delete the dead letter).
//! - A writer that writes a row *with the ETag* has read the row before. The write fails if another writer
//!   has changed the row in the meantime.
//!
//! `version` is the version of a record's format. If `version` is greater than the version that a program
//! knows, a newer program wrote the record. The older program then follows these rules:
//!
//! - It does not change the record of a conversation.
//! - It does not take the run lock.
//! - It does not replay or drop an alert.
//! - It writes other changes to the table `<prefix>ledger`, because these changes record events that have
//!   happened. Such a write is a merge: it keeps `version` and the properties that the older program does not
//!   know.
//!
//! Every entity also has `op`. Each write sets `op` to a new random text. If the response to a write is lost,
//! the table client repeats the write. The service refuses a repeated insert, and a repeated write with the
//! ETag, in two cases: the first write succeeded, or another client has written the entity. The stored `op`
//! tells the client which of the two happened.
//!
//! ## `<prefix>conversations`: the conversations that can be alerted
//!
//! | PartitionKey | RowKey | properties | who writes the row or the properties, and when |
//! |---|---|---|---|
//! | `c<shard>` | `<key>` | `version`, `address` (JSON), `seenAt`, `zone` (the person's time zone), `pausedUntil` | the bot, when an activity changes the record; the poller, when it creates a chat. When the channel cannot reach the person, the bot or the poller writes `pausedUntil`, and no other property. Until the time `pausedUntil`, the conversation gets no alerts |
//! | | | `readId`, `readAt` | the bot, when Teams reports which message the person has read last |
//! | | | `asked`, `askedUntil` | the poller, when it has sent a question that a text can answer; the poller sets `askedUntil` to zero when a person has answered a question that takes one answer |
//! | `c<shard>` | `<key>.s` | `at` | the command `stop` inserts the row, and the command `start` deletes the row. When the poller *moves* a conversation (see below), it inserts the row for the new chat only if the old chat has the row. No other operation inserts or deletes the row |
//! | `c<shard>` | `<key>.w` | `from`, `to` (minutes of the day), `at` | the command `quiet` writes the row, and `quiet off` deletes the row; the bot deletes the row when it forgets the conversation; the poller copies the row when it moves a conversation |
//! | `c<shard>` | `<key>.f` | `at` | the bot, when a person sends the activity `deleteUserData`, or when a program calls the route that forgets a conversation. The row is a *tombstone*: no run delivers the alerts that the bot accepted for this conversation at the time `at` or earlier. The row is never deleted |
//! | `c<shard>` | `<key>.h` | `generation` (the number of the conversation's newest webhook address; older addresses do not work), `off` (true: the newest address does not work either) | the bot, with the ETag, for the commands `webhook`, `webhook new` and `webhook off`, and for the routes `POST` and `DELETE` of a webhook address. After the bot has written the tombstone, the bot also sets `off`. An address that has ended never works again, because the row is never deleted |
//! | `c<shard>` | `<key>.r.<message id>` | `reactions`, `replies`, `cause`, `endsAt` | the bot, when people react or reply to a chat message of the bot on Teams |
//! | | | `asked`, `askedUntil`, `endsAt` | the poller, when it has sent a question to a team's channel |
//! | `c<shard>` | `<key>.t.<tag>` | `at` | the bot, for the commands `subscribe` and `unsubscribe`, and for the routes `PUT` and `DELETE` of a tag; the poller, when it moves a conversation |
//! | `u.<channel>.<user>` | `<key>` | `seenAt` | the bot and the poller, after they have stored the conversation's record. The rows are an index of a person's own conversations, by the person's id on the channel. On Web Chat and Direct Line, a client can claim any user id that does not begin with `dl_`. For such an id, the bot and the poller write the row only with the variable `unboundusers=allow` |
//! | `e.<Entra object id>` | `<key>` | `seenAt` | the bot and the poller, after they have stored the conversation's record. The rows are an index of a person's own conversations, by the person's object id, on channels that vouch for the object id (`msteams`) |
//! | `n.<tenant>` | `<key>` | `seenAt` | the bot and the poller, after they have stored the conversation's record. The rows are an index of a tenant's conversations, on channels that vouch for the tenant (`msteams`) |
//! | `g.<tenant>` | `<key of the team's channel or group chat>` | `conversation`, `serviceUrl`, `seenAt` | the bot and the poller, after they have stored the record of a team's channel, of a group chat, or of a thread, on channels that vouch for the tenant (`msteams`). The rows are an index of the tenant's teams and group chats. To find a person by an e-mail address, the poller asks the Connector for the members of these teams and chats |
//! | `t.<tenant>.<tag>` | `<key>` | `at` | the bot and the poller, after they have stored the conversation's own row `<key>.t.<tag>`; the bot, when the conversation's tenant changes |
//!
//! `<key>` is the [`ConversationKey`]. In this table, `<shard>` is the first digit of `<key>`. So the rows of
//! a conversation in `c<shard>` are in one partition, and one query reads them all.
//!
//! If the poller created a chat, the person's id in `address` is at first the person's object id in Entra.
//! This changes when the person writes.
//!
//! If Teams has removed (*purged*) a chat, the poller creates a new chat with the person, and *moves* the
//! conversation. The poller copies the `stop`, the quiet hours and the tags from the old chat to the new
//! chat, if the old chat has them. Then the poller deletes the rows of the old chat, except `.s`, `.f` and
//! `.h`. If the poller is killed during the move, the poller moves the conversation again when it sends the
//! next alert. The second move writes the `stop` again, even if the person has sent `start` in the new chat
//! in the meantime.
//!
//! The partition `t..<tag>` lists the subscribers that are in no tenant. An index row in a partition `u.…`,
//! `e.…`, `n.…` or `t.…` is *stale* if the conversation does not belong to the index any more. The
//! conversation's own rows (in `c<shard>`) decide that. A reader ignores a stale row, and deletes it. Readers
//! compare the times `seenAt` to find the conversation that was active last. Only the index rows of tags have
//! no `seenAt`.
//!
//! A row `<key>.r.<message id>` with reactions or replies expires seven days after the last reaction or
//! reply. (Seven days is also the shortest time for which the ledger keeps the record of an alert.) The row
//! of an open question expires when the question ends. Readers ignore an expired row.
//!
//! Before the bot inserts a row `<key>.r.<message id>`, the bot deletes the conversation's expired rows of
//! this kind. If 20 or more rows remain, the bot also deletes the rows that expire first, so that 19 rows and
//! the new row remain. The poller inserts a row of this kind without a limit. When the bot forgets the
//! conversation, it deletes all rows of this kind. The poller regularly deletes expired rows of the two other
//! tables, but not of this table.
//!
//! The channel reports reactions and replies as activities. `cause` is a hash of the id of the last activity
//! that the bot has counted in this row. If the channel sends this activity again, the bot does not count it
//! again.
//!
//! In the partition keys of this table, dots separate the parts. If a part comes from outside, its dots are
//! escaped. If the escaped part is longer than 200 characters, a hash takes its place.
//!
//! Only the bot and the poller write the three tables. If another program adds an entity, or writes a
//! property of an unexpected type, readers treat the entity or the property as missing, and continue. For
//! `<prefix>conversations`, the log has a line for each such entity. For each of the two other tables, a run
//! logs only the first such entity, and the bot logs no such entity.
//!
//! The bot and the poller write the record of a conversation with the ETag. The write is a merge, so it keeps
//! the properties that are not in the write. The write keeps even a property that a newer program has added
//! without a new `version`. When the person writes a message or installs the bot, the bot sets `pausedUntil`
//! to zero. If the person's next text comes before the time `askedUntil`, the text answers the alert
//! with the id `asked`.
//!
//! ## `<prefix>ledger`: one record for each alert
//!
//! | PartitionKey | RowKey | properties | who writes the row or the properties, and when |
//! |---|---|---|---|
//! | `<period>.<shard>` | `<alert id>` | `version`, `status`, `acceptedAt`, `endsAt`, `dueAt` (the time at which the poller has to send the alert), `conversation`, `key` (the name of the sender's API key), `tag` | the bot, once, when it accepts the alert; the poller, once, when it inserts the record of the next alert of a series |
//! | | | in the first record of each *page* (see below) of an API call with an idempotency key: `fingerprint` (a hash of the call's body), `alerts` (the number of alerts of the page; if it is 0, the record is no alert, and only stores these properties of the page), `next` (where the call's next page begins) | the bot, once, when it accepts the page |
//! | | | `status`, `changedAt`, `reason`, `conversation` (if the poller created or found it), `thread`, `activityId` (the id of the chat message), `uncertain` (true: the alert was perhaps delivered), `tried` (the counts of the attempts), `message` (with a final status: the id of the queue message), `endsAt` | the poller, when the alert's status changes; the bot, after it has sent an alert that it received in a trigger activity (see `takenAt`) |
//! | | | `missedAt` (when a run found that the alert's queue message is missing), `missingFrom` (if no run has dequeued the message by this time, the killed run has probably deleted the message) | the poller, when two facts come together: a killed run had the alert's queue message in hand, and the queue refuses the message's pop receipt (the text with which a run deletes or updates a message) |
//! | | | `cancelledAt` | the bot, when the sender cancels the alert; the poller, when a person has answered another alert, and this alert is not needed any more. There are two cases. In the first case, the two alerts are of one call, and share one answer. In the second case, this alert is in the *escalation* (see below) of the other alert's call |
//! | | | `putAt`, `failedAt`, `unconfirmedAt` | the bot. `putAt`: after the Put of the alert, if the sender has repeated the call or will perhaps repeat it, e.g. because the Put of another alert of the call failed. `failedAt`: when a Put fails. `unconfirmedAt`: when a Put has no clear response |
//! | | | `series` (the id of the first alert of a series of recurring alerts); in the first alert of a series: `seriesNext` (the id of the next alert, or `none`), `seriesEndedAt` | `series`: the bot or the poller, when it inserts the record. `seriesNext`: the poller. Before it sends an alert of the series, it inserts the record of the next alert, puts the next alert on the queue, and then writes `seriesNext`. `seriesEndedAt`: the bot, when the sender ends the series |
//! | | | `takenAt` | the bot, before it sends an alert that it received in a *trigger activity* (an activity with an envelope in it, which a program sends to the bot). If the attempt fails and the bot is allowed to send the alert again, the bot sets `takenAt` to zero. There are two such failures: the Connector certainly did not deliver the alert; or the Connector returned 408, 502 or 504, and the envelope's member `onUncertain` is not `drop` |
//! | | | `question` (encrypted) | the bot, with the record of an alert that people can answer, and when the sender changes the content of the alert |
//! | | | `answeredAt`, `answer` (encrypted) | the poller, when a person has answered this alert, or another alert of the same call with which this alert shares one answer |
//! | | | `replayedAt`, `replayedFrom` (the id that the message had on the queue before a run moved it to the poison queue), `status` (`queued`), `reason`, `endsAt` | the bot, when an operator replays the alert; with the ETag, before the Put. A run reads `replayedAt` before it moves a message to the poison queue. After the move, the run records the status `dead` only if no replay has changed `replayedAt` in the meantime |
//! | | | `keyed` (the member `keyed` of the envelope: a hash of the *alert key* (see below), the state of the problem, and the rules for changing an earlier chat message), `changes` (the id of the alert that this alert changes) | `keyed`: the bot, when it accepts an alert with an alert key; the poller, when it inserts the record of the next alert of a series. `changes`: the bot, when it accepts a change of an alert |
//! | | | `thread` (an address as JSON) | the bot writes the address of the team's channel, when it accepts an alert that starts a thread there. The poller writes the address of the thread, when it has started the thread |
//! | | | `replacedBy` (the id of the new alert) | the bot, together with `cancelledAt`, when the sender changes an alert that was not sent yet. The bot cancels this alert, and accepts a new alert with the changed content |
//! | | | `editedAt`, `editedBy`, `activityId`, `thread` | the poller, after it has changed the alert's chat message; with the ETag |
//! | `<period>.<shard>` | `reply.<alert id>.<row>` | `press` (the id of the button press, or of the text, with which the person answered), `answer` (encrypted), `endsAt` | the bot, when a person answers; the poller, if the bot was killed before it could insert the row |
//! | | | `doneAt` | the poller, when the sender's program has received the answer, and the card (the chat message with the question) shows the answer |
//! | `<period>.<shard>` | `answer.<key>.<minute>.<row>` | `endsAt`, `silent` | the bot, for each of its replies to people. (In this row key, `answer` means such a reply.) If the bot also inserts a record of the person's message (such a message has an alert id and a record, like an alert), one transaction inserts the record and this row. `<row>` is a number below the variable `repliesperminute`, so this variable limits the replies in a minute. When all rows of a minute exist, the bot sends no reply in the rest of this minute and in the next minute. For this, the bot inserts the missing rows of the next minute, with `silent` |
//! | `<period>.<shard>` | `unasked.<key>` | `endsAt` | the bot, together with the record of a person's message, if no alert waits for the person's text as an answer. The poller deletes the row when it delivers a question that a text can answer. If the row is missing, the bot reads the conversation's record when the person's next message arrives, and so finds the question |
//! | `<period>.<shard>` | `at.<countdown>.<name>` | `endsAt`, `key`, `tags`, `alerts` | the bot, together with the record of a person's message, with the records of a page, or with a deleted record that a replay inserts again; the poller, together with the record of the next alert of a series. The rows are an index of the alerts by time |
//! | `clean` | `place` | `at`, `next` | the poller, if a *cleaning* (it finds expired records with a query, and deletes them) has not read all results of the query. The next cleaning continues the query. `at` is the time at which the query began, and `next` is the place in the results at which the next cleaning continues |
//! | `<period>.<shard>` | `once.<hash>` | `endsAt` | the bot, when it greets a conversation to which it was added. If the channel sends the same activity again, the bot finds the row, and does not greet again |
//! | `key.<digit>` | `<key>.<hash>` | `version`, `activityId` (the id of the chat message), `at` and `alert` (the time and the id of the alert), `state` (`firing` or `resolved`), `digest` (a hash of the chat message's content), `thread`, `endsAt` | the poller, after it has sent an alert with an alert key; with the ETag |
//! | | | `latestAt`, `latestAlert` (the newest alert on the queue with this alert key), `endsAt` | the bot, after most Puts of an alert with an alert key; the poller, before it changes a chat message for an alert, if `latestAlert` is missing or names an older alert |
//!
//! An *escalation* is a list of steps in an API call. Each step has further alerts. The poller sends them
//! later, if no person has answered the alerts of the call by then.
//!
//! An *alert key* is the member `key` of an API call. Alerts with the same alert key report the same problem,
//! so a conversation shows one chat message for them. A row in the partition `key.<digit>` names this chat
//! message. `<key>` in the row key is the key of the conversation, and `<digit>` is the first digit of this
//! key. `<hash>` is a hash of the sender's name and of the alert key. The row expires 30 days after the last
//! alert with this alert key.
//!
//! A *page* is a group of at most 100 alerts of one API call, which the bot accepts together. In
//! `at.<countdown>.<name>`, `<countdown>` is the greatest number of 13 digits minus the time of acceptance.
//! So the newest row is the first row. `<name>` is the id of the alert. For a page of several alerts,
//! `<name>` is the beginning that their ids share. If a replay inserts a record again, `tags` in the new row
//! is `*`, which means any tag.
//!
//! If a page has 100 alerts, the bot inserts the row `at.<countdown>.<name>` with a separate storage call
//! before the records, because a transaction has at most 100 operations. So a row of this kind can exist
//! without records of its own:
//!
//! - The bot is killed after it has inserted the row, and before it inserts the records. When the sender
//!   repeats the API call, the bot inserts the records with a new row.
//! - The sender repeats an API call whose records exist. The bot inserts a second row before it finds the
//!   records. The bot then deletes the second row, but the delete can fail.
//!
//! So readers use a row only for records whose `acceptedAt` is the time in the row key.
//!
//! In `reply.<alert id>.<row>`, `<row>` depends on how many answers people can give to the alert:
//!
//! - one answer: `<row>` is `one`. So if two people answer, only one insert succeeds. If all alerts of a call
//!   together take one answer, they also share one row. The alerts of the call's escalation share this row,
//!   too. In the key of this row, `<alert id>` is the id of the call's first alert.
//! - one answer from each person: `<row>` is a hash of the person's id.
//! - any number of answers: `<row>` is a hash of the person's id and the activity's id. If the activity has
//!   no id, `<row>` is a random text.
//!
//! The bot and the poller derive the encryption key of the encrypted properties from the variable `sealkey`
//! or from the bot's credential. A property that was encrypted for one alert cannot be decrypted for another
//! alert.
//!
//! A *period* is eight days. Each period has its own partitions. So the poller can search the partitions of
//! earlier periods for expired records, and need not read the records of the current period. For an alert,
//! `<period>` is the number of the period in which the bot accepted the alert. For the next alert of a
//! series, `<period>` is the period in which the previous alert was due. For a person's message, `<period>`
//! is the period in which the person sent the message.
//!
//! In this table, `<shard>` is the fifth digit of the alert's id, modulo 4. A person's message has an alert
//! id, too. The fifth digit of this id is the first digit of the conversation's key. If a program other than
//! the bot chose the id, `<shard>` is computed from a hash of the id, and `<period>` is the period in which
//! the message was put on the queue.
//!
//! If the bot writes a row `answer.…`, `unasked.…` or `once.…` together with a record, the row is in the
//! partition of the record. Without a record, `<period>` is the current period, and `<shard>` is the first
//! digit of the conversation's key, modulo 4.
//!
//! ## `<prefix>runs`: the run lock, and the data that runs share
//!
//! | PartitionKey | RowKey | properties | who writes the row or the properties, and when |
//! |---|---|---|---|
//! | `<queue>` | `run` | `version`, `run`, `fence`, `why`, `pausedUntil`, `hosts` (JSON), `figures` (JSON), `hand0`…, `ended0`… | the run that holds the lock, with the ETag |
//! | `<queue>` | `idle` | `at` | a run that finds nothing to do, at most once in 150 seconds |
//! | `<queue>` | `line.<lane>` | `line` (JSON), `endsAt` | the run that holds the lock |
//! | `<queue>.dead` | `<inverted milliseconds>.<message id>` | `version`, `alert` (the id of the alert), `conversation`, `outcome` (the word for the reason), `reason`, `status` (the HTTP status of the Connector's response), `diedAt`, `enqueuedAt`, `expiresAt`, `attempts`, `genuine` (true: the message is an envelope of the bot, so an operator can replay it), `digest` (a hash of the message on the poison queue), `key`, `tag` | a run, before it puts a message on the poison queue; the bot deletes the row when an operator replays or drops the message, or when a program calls the route that forgets the conversation |
//! | `<queue>` | `since.<milliseconds>.<random>` | `kind`, `subject` (the id of an alert, or the key of a conversation), `at` | the bot, for each [event that runs have to know](runs::Withdrawal), e.g. a cancellation; the poller, when it cancels an alert because a person has answered another alert |
//!
//! In the row `run`, the property `run` is the id of the run that holds the lock. If the lock is free, this
//! property is empty. `fence` is the number of the run: when a run takes the lock, it adds one to the number
//! of the previous run. `pausedUntil` and `why` are the end and the reason of a pause of all runs. `hosts`
//! says which Connector hosts fail, and `figures` has the counts of all runs. `hand0`… list the messages that
//! the run has in hand. `ended0`… list the finished alerts whose final status is perhaps not in the ledger
//! yet.
//!
//! The row `line.<lane>` holds the *waiting line* of a conversation: the list of its messages that a run has
//! hidden, the oldest first. `<lane>` is a hash of the conversation and its Connector.
//!
//! The row key of a dead letter begins with `<inverted milliseconds>`: 99 999 999 999 999 minus the time at
//! which the message was put on the queue, in milliseconds. So the newest row comes first.
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
    MAX_TAGS, MessageNumber, PAUSED_FOR, Page, Quiet, Reception, Recorded, Response, Sign, Subscribers, Tag,
    Tagged, TeamOrChat, fingerprint_key, of_key, tenant_of, without_thread,
};
pub use error::StateError;
pub use tables::Tables;
