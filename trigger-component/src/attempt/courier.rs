//! How an alert gets to its conversation: straight through the Connector, or as a trigger to the bot over Direct Line,
//! which sends it on, as in the 2017 template.

use bot_framework::{Connector, DirectLine, OutgoingMessage, ServiceUrl, TrustPolicy, Verdict};
use envelope::words::Words;
use platform::Host;

use crate::schedule::Leased;

/// Variable `delivery`, ready to go.
#[derive(Debug)]
pub(crate) enum Courier<'a, H> {
    /// `connector`.
    Connector(Connector<'a, H>),
    /// `directline`.
    DirectLine(DirectLine<'a, H>),
}

impl<H: Host> Courier<'_, H> {
    /// Before the first message's turn comes.
    pub(crate) async fn get_ready(&self) -> Result<(), Verdict> {
        match self {
            Self::Connector(connector) => connector.get_ready().await,
            Self::DirectLine(_) => Ok(()),
        }
    }

    /// The host that a message is sent to, with its region: what can be out.
    pub(crate) fn region<'s>(&self, service_url: &'s ServiceUrl) -> &'s str {
        match self {
            Self::Connector(_) => service_url.region(),
            Self::DirectLine(_) => "Direct Line",
        }
    }

    /// Delivers a message whose serviceUrl has been agreed to.
    pub(crate) async fn deliver(
        &self,
        leased: &Leased,
        service_url: &ServiceUrl,
        trust: &TrustPolicy,
    ) -> Verdict {
        let envelope = &leased.envelope;
        match self {
            Self::Connector(connector) => {
                let text = Words::of(&envelope.address).alert(&envelope.text);
                let alert = OutgoingMessage::new(&envelope.address, &text).with(&envelope.activity);
                connector
                    .send_in_any_cloud(trust, service_url, &envelope.address.conversation.id, &alert)
                    .await
            }
            Self::DirectLine(line) => line.post_trigger(&envelope.trigger_value(&leased.message.text)).await,
        }
    }
}
