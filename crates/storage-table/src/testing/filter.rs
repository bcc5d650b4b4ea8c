//! The filters that the fake service knows: `eq`, `ge`, `gt`, `le` and `lt`, joined by `and`.

use serde_json::{Map, Value};

use super::request::with_single_quotes;
use crate::entity::{INT64, TYPE_SUFFIX};

/// A parsed filter. A *term* is one comparison, such as `RowKey ge 'a'`. An entity matches the filter if it
/// matches every term.
pub(super) struct Condition {
    terms: Vec<Term>,
}

struct Term {
    name: String,
    operator: String,
    literal: Literal,
}

#[derive(Debug)]
enum Literal {
    Text(String),
    Int64(i64),
    Int32(i64),
    Flag(bool),
}

impl Condition {
    /// Reads a filter, and panics if the fake service does not know the filter.
    pub(super) fn read(filter: &str) -> Self {
        let mut terms = Vec::new();
        let mut rest = filter;
        while !rest.is_empty() {
            let unknown = || -> ! { panic!("the fake table service does not know this filter: {filter}") };
            let [name, operator, after] = rest.splitn(3, ' ').collect::<Vec<_>>()[..] else { unknown() };
            if !["eq", "ge", "gt", "le", "lt"].contains(&operator) {
                unknown();
            }
            let (literal, after) = split_literal(after);
            terms.push(Term {
                name: name.to_owned(),
                operator: operator.to_owned(),
                literal: Literal::read(literal).unwrap_or_else(|| unknown()),
            });
            rest = match after {
                "" => "",
                after => after.strip_prefix(" and ").unwrap_or_else(|| unknown()),
            };
        }
        Self { terms }
    }

    pub(super) fn matches(&self, key: &(String, String), properties: &Map<String, Value>) -> bool {
        self.terms.iter().all(|term| term.matches(key, properties))
    }

    /// Whether the partition of `key` matches every term on `PartitionKey`. The other terms do not count.
    pub(super) fn allows_partition(&self, key: &(String, String)) -> bool {
        let mut terms = self.terms.iter().filter(|term| term.name == "PartitionKey");
        terms.all(|term| term.matches(key, &Map::new()))
    }
}

/// Splits a text into the literal at its beginning and the rest. A literal is a value, such as `'a'` or `5L`.
fn split_literal(text: &str) -> (&str, &str) {
    let end = if text.starts_with('\'') {
        let mut inside = false;
        let end = text.char_indices().find(|(index, character)| {
            inside ^= *character == '\'';
            !inside && !text[index + character.len_utf8()..].starts_with('\'') && *character == '\''
        });
        end.map_or(text.len(), |(index, _)| index + 1)
    } else {
        text.find(' ').unwrap_or(text.len())
    };
    text.split_at(end)
}

impl Literal {
    fn read(text: &str) -> Option<Self> {
        if let Some(inside) = text.strip_prefix('\'') {
            return inside.strip_suffix('\'').map(|inside| Self::Text(with_single_quotes(inside)));
        }
        match text {
            "true" => Some(Self::Flag(true)),
            "false" => Some(Self::Flag(false)),
            _ => match text.strip_suffix('L') {
                Some(digits) => digits.parse().ok().map(Self::Int64),
                None => text.parse().ok().map(Self::Int32),
            },
        }
    }
}

impl Term {
    fn matches(&self, key: &(String, String), properties: &Map<String, Value>) -> bool {
        let value = match self.name.as_str() {
            "PartitionKey" => Value::from(key.0.as_str()),
            "RowKey" => Value::from(key.1.as_str()),
            name => match properties.get(name) {
                Some(value) => value.clone(),
                None => return false,
            },
        };
        let is_int64 =
            properties.get(&format!("{}{TYPE_SUFFIX}", self.name)).is_some_and(|kind| kind == INT64);
        let order = match (&value, &self.literal) {
            (Value::String(text), Literal::Int64(literal)) if is_int64 => {
                text.parse::<i64>().expect("an Int64 is a number").cmp(literal)
            }
            (Value::String(text), Literal::Text(literal)) if !is_int64 => text.as_str().cmp(literal),
            (Value::Number(number), Literal::Int32(literal)) => {
                number.as_i64().expect("a whole number").cmp(literal)
            }
            (Value::Bool(flag), Literal::Flag(literal)) => flag.cmp(literal),
            (value, literal) => panic!(
                "{} is compared with another type: {value} (Int64: {is_int64}) and {literal:?}; Azure would return no entity",
                self.name
            ),
        };
        match self.operator.as_str() {
            "eq" => order.is_eq(),
            "ge" => order.is_ge(),
            "gt" => order.is_gt(),
            "le" => order.is_le(),
            _ => order.is_lt(),
        }
    }
}
