//! The fields `format` and `mentions` of an envelope, which say how the alert looks.

use bot_framework::json::{FieldError, Fields, put};
use bot_framework::{Mention, TextFormat};
use serde_json::{Map, Value, json};

/// The format of an alert's text, and the people whom the alert mentions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// `format`: the format of `text`.
    pub format: TextFormat,
    /// `mentions`: `[{id, name}]`.
    pub mentions: Vec<Mention>,
}

impl Look {
    pub(crate) fn take(fields: &mut Fields) -> Result<Self, FieldError> {
        let format = match fields.string("format")? {
            None => TextFormat::default(),
            Some(word) => {
                TextFormat::from_word(&word).ok_or_else(|| fields.error("format", "`plain` or `markdown`"))?
            }
        };
        let mention = |mut mention: Fields| {
            Ok(Mention { id: mention.required_string("id")?, name: mention.required_string("name")? })
        };
        let mentions = fields.objects("mentions")?.into_iter().map(mention).collect::<Result<_, _>>()?;
        Ok(Self { format, mentions })
    }

    pub(crate) fn put(&self, object: &mut Map<String, Value>) {
        put(object, "format", Some(self.format.as_str()).filter(|_| self.format != TextFormat::default()));
        let mention = |mention: &Mention| json!({"id": mention.id, "name": mention.name});
        let mentions: Vec<Value> = self.mentions.iter().map(mention).collect();
        put(object, "mentions", Some(mentions).filter(|mentions| !mentions.is_empty()));
    }
}
