//! The reasons for which the bot refuses to replay or drop a dead letter (a message of the poison queue).

use state::ledger::Status;

/// The reason for which the bot did not replay or drop a dead letter. A drop uses only `Unknown` and
/// `Hidden`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// No dead letter has this id. Perhaps an earlier replay has put the message on the main queue.
    Unknown,
    /// The table has a row for the dead letter, but the poison queue no longer holds the message.
    Missing,
    /// The bot has not found the message, but the message can still exist. There are two possible causes.
    /// Either another API call has hidden messages of the poison queue, perhaps this message too. Or the
    /// poller has just written the row, and has not yet put the message on the poison queue.
    Hidden,
    /// The message holds no envelope (an alert as JSON).
    Unreadable,
    /// The message has an older format without an id, so the bot could not prevent a second delivery.
    OlderFormat,
    /// The bot seals its messages (adds an HMAC to each), and this message has no seal.
    Unsealed,
    /// The seal does not match the message.
    Tampered,
    /// The alert has expired.
    Expired,
    /// The alert is too large for a message of the queue.
    TooLarge,
    /// A newer version of this program wrote the alert's record in the ledger (the table with one record for
    /// each alert).
    Newer,
    /// According to the ledger, the alert already has this final status. The bot has deleted the message.
    Ended(Status),
}

impl Why {
    /// The word for the reason in responses.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Missing => "missing",
            Self::Hidden => "hidden",
            Self::Unreadable => "unreadable",
            Self::OlderFormat => "olderFormat",
            Self::Unsealed => "unsealed",
            Self::Tampered => "tampered",
            Self::Expired => "expired",
            Self::TooLarge => "tooLarge",
            Self::Newer => "newer",
            Self::Ended(status) => status.as_str(),
        }
    }

    /// The problem and the remedy, for people.
    pub(super) fn message(self) -> String {
        let text = match self {
            Self::Unknown => {
                "id: no dead letter has this id; an earlier replay may have put its message on the queue"
            }
            Self::Missing => {
                "message: no longer in the poison queue, so nothing can be sent; the bot has removed the \
                 dead letter from the list"
            }
            Self::Hidden => {
                "message: another call works on it, or the poller is still moving it; send the call again in a minute"
            }
            Self::Unreadable => "message: holds no envelope, so it has no address; drop it",
            Self::OlderFormat => {
                "message: has an older format without an id, so a replay could deliver it twice; put its text back on the \
                 queue with a storage tool, or drop it"
            }
            Self::Unsealed => {
                "seal: missing, so the bot cannot know who wrote the message; put its text back on the queue with a \
                 storage tool, or drop it"
            }
            Self::Tampered => {
                "seal: broken, because the message was changed or sealed with another key; check sealkey, or \
                 drop the message"
            }
            Self::Expired => "alert: has expired; send a new alert, and drop this one",
            Self::TooLarge => "message: too large for the queue; drop it",
            Self::Newer => "record: a newer version of the bot wrote it; update the bot",
            Self::Ended(status) => {
                return format!(
                    "alert: is already {}, so it is not sent again; the bot has deleted this copy",
                    status.as_str()
                );
            }
        };
        text.to_owned()
    }
}
