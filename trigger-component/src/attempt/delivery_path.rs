//! The two ways to deliver an alert. The poller's variable `delivery` selects the way:
//!
//! - `connector`: the poller posts the alert to the Connector.
//! - `directline`: the poller posts a *trigger* (an event activity with the alert) over Direct Line, another
//!   API of the Bot Framework. The bot that gets the trigger sends the alert. This way is for bots that were
//!   made from Microsoft's 2017 template. In this template, an Azure Function posts such triggers, and the
//!   poller replaces the function.
//!
//! A *run* is one execution of the poller.

use bot_framework::{Connector, DirectLine, OutgoingMessage, ServiceUrl, TrustPolicy, Verdict};
use envelope::{Envelope, QuestionKeys};
use platform::Host;

use crate::schedule::Leased;

/// The selected way to deliver alerts.
#[derive(Debug)]
pub(crate) enum DeliveryPath<'a, H> {
    /// The value `connector`: the poller posts alerts to the Connector.
    Connector(Connector<'a, H>),
    /// The value `directline`: the poller posts triggers to the bot over Direct Line.
    DirectLine(DirectLine<'a, H>),
}

impl<H: Host> DeliveryPath<'_, H> {
    /// Fetches the bot's token. The run calls this function before it sends the first alert. Does nothing
    /// over Direct Line, or in anonymous mode (for local tests), because the calls then need no token of the
    /// bot.
    pub(crate) async fn get_ready(&self) -> Result<(), Verdict> {
        match self {
            Self::Connector(connector) => connector.get_ready().await,
            Self::DirectLine(_) => Ok(()),
        }
    }

    /// Returns the name of the host that gets an alert. Under this name, the circuit breaker (`hosts.rs`)
    /// records whether the host works. For the Connector of Teams, the name contains the region, because one
    /// region can fail while other regions work.
    pub(crate) fn host_name<'s>(&self, service_url: &'s ServiceUrl) -> &'s str {
        match self {
            Self::Connector(_) => service_url.region(),
            Self::DirectLine(_) => "Direct Line",
        }
    }

    /// Delivers an alert. The caller has checked that the bot trusts the `serviceUrl` of the alert. If the
    /// alert asks a question, `keys` are the keys for the MACs (checksums with a secret key) in the
    /// question's buttons.
    pub(crate) async fn deliver(
        &self,
        leased: &Leased,
        service_url: &ServiceUrl,
        trust: &TrustPolicy,
        keys: Option<&QuestionKeys>,
    ) -> Verdict {
        let envelope = &leased.envelope;
        match self {
            Self::Connector(connector) => {
                let conversation = &envelope.address.conversation.id;
                let alert = message_of(envelope, keys);
                connector.send_in_any_cloud(trust, service_url, conversation, &alert).await
            }
            Self::DirectLine(line) => {
                let trigger = envelope.trigger_value(&leased.message.text);
                line.post_trigger(&trigger, envelope.traceparent.as_ref()).await
            }
        }
    }
}

/// Makes the chat message that the Connector gets for an alert. For `keys`, see [`DeliveryPath::deliver`].
pub(super) fn message_of(envelope: &Envelope, keys: Option<&QuestionKeys>) -> OutgoingMessage {
    envelope.message(keys)
}
