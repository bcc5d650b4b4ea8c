//! The shapes (formats) of the payloads that the crate can read. A payload is the body of a sender's request.

use std::fmt;

/// The shape of a payload: the format in which the sender writes the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Plain text, or JSON or a form with a member such as `text` or `title`. Apprise and Gotify send this
    /// shape.
    Plain,
    /// A MessageCard, the format of Teams' former incoming webhooks.
    MessageCard,
    /// An Adaptive Card, alone or in a JSON message. Programs post such a message to Teams' Workflows.
    AdaptiveCard,
    /// Prometheus Alertmanager's webhook, version 4.
    Alertmanager,
    /// The webhook of Grafana's alerting.
    Grafana,
    /// Azure Monitor's common alert schema.
    AzureMonitor,
    /// A message for Slack's incoming webhooks.
    Slack,
    /// An event that GitHub posts to a webhook.
    GitHub,
    /// CloudEvents 1.0: structured, batch or binary.
    CloudEvents,
    /// Azure Event Grid's own schema.
    EventGrid,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Self; 10] = [
        Self::Plain,
        Self::MessageCard,
        Self::AdaptiveCard,
        Self::Alertmanager,
        Self::Grafana,
        Self::AzureMonitor,
        Self::Slack,
        Self::GitHub,
        Self::CloudEvents,
        Self::EventGrid,
    ];

    /// Finds a shape by the shape's name in the URL `/api/alerts/from/<name>`, such as `alertmanager` or
    /// `azuremonitor`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|shape| shape.name() == name)
    }

    /// The name of the shape in the URL `/api/alerts/from/<name>`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::MessageCard => "messagecard",
            Self::AdaptiveCard => "adaptivecard",
            Self::Alertmanager => "alertmanager",
            Self::Grafana => "grafana",
            Self::AzureMonitor => "azuremonitor",
            Self::Slack => "slack",
            Self::GitHub => "github",
            Self::CloudEvents => "cloudevents",
            Self::EventGrid => "eventgrid",
        }
    }

    /// The name in the last line of a card, such as `Alertmanager` in `by webhook · Alertmanager`.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Plain => "text",
            Self::MessageCard => "MessageCard",
            Self::AdaptiveCard => "Adaptive Card",
            Self::Alertmanager => "Alertmanager",
            Self::Grafana => "Grafana",
            Self::AzureMonitor => "Azure Monitor",
            Self::Slack => "Slack format",
            Self::GitHub => "GitHub",
            Self::CloudEvents => "CloudEvents",
            Self::EventGrid => "Event Grid",
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
