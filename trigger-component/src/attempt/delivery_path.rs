//! The two ways to deliver an alert: the poller posts it to the Connector, or it posts a trigger to the bot
//! over Direct Line and the bot sends the alert. The 2017 template works in the second way.

use bot_framework::{Connector, DirectLine, OutgoingMessage, ServiceUrl, TrustPolicy, Verdict};
use envelope::Envelope;
use envelope::words::Words;
use platform::Host;

use crate::schedule::Leased;

/// The way that the variable `delivery` selects.
#[derive(Debug)]
pub(crate) enum DeliveryPath<'a, H> {
    /// `connector`.
    Connector(Connector<'a, H>),
    /// `directline`.
    DirectLine(DirectLine<'a, H>),
}

impl<H: Host> DeliveryPath<'_, H> {
    /// Fetches the bot's token if the Connector needs one. The run calls this before it starts the first
    /// message.
    pub(crate) async fn get_ready(&self) -> Result<(), Verdict> {
        match self {
            Self::Connector(connector) => connector.get_ready().await,
            Self::DirectLine(_) => Ok(()),
        }
    }

    /// Returns the host of a message with its region, because one region can fail alone.
    pub(crate) fn region<'s>(&self, service_url: &'s ServiceUrl) -> &'s str {
        match self {
            Self::Connector(_) => service_url.region(),
            Self::DirectLine(_) => "Direct Line",
        }
    }

    /// Delivers a message. The caller has checked its `serviceUrl`.
    pub(crate) async fn deliver(
        &self,
        leased: &Leased,
        service_url: &ServiceUrl,
        trust: &TrustPolicy,
    ) -> Verdict {
        let envelope = &leased.envelope;
        match self {
            Self::Connector(connector) => {
                let alert = message_of(envelope);
                connector
                    .send_in_any_cloud(trust, service_url, &envelope.address.conversation.id, &alert)
                    .await
            }
            Self::DirectLine(line) => {
                let trigger = envelope.trigger_value(&leased.message.text);
                line.post_trigger(&trigger, envelope.traceparent.as_ref()).await
            }
        }
    }
}

/// Makes the message of an alert, as the Connector gets it.
pub(super) fn message_of(envelope: &Envelope) -> OutgoingMessage {
    let text = Words::of(&envelope.address).alert(&envelope.text);
    let alert = OutgoingMessage::new(&envelope.address, &text).with(&envelope.activity);
    alert.in_trace(envelope.traceparent.as_ref())
}
