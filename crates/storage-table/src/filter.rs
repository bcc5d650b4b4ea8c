//! Queries of a table, and their filters. Callers build filters with functions, so that the service never
//! reads a caller's text as an operator.

/// A query of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The condition on the entities.
    pub filter: Filter,
    /// The highest number of entities on one page: 1 to 1000.
    pub top: u16,
    /// The properties to return in addition to the keys. If the list is empty, the service returns all
    /// properties.
    pub select: Vec<&'static str>,
}

/// A condition on entities. The service has an index of the keys, but no index of the other properties. To
/// check a condition on another property, the service reads every entity that matches the conditions on the
/// keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The comparisons, such as `RowKey ge 'a'`. An entity has to match all of them.
    terms: Vec<String>,
}

impl Filter {
    /// Matches every entity of the table.
    pub fn everything() -> Self {
        Self { terms: Vec::new() }
    }

    /// Matches the entities of one partition.
    pub fn partition(partition: &str) -> Self {
        Self::term("PartitionKey", "eq", &quoted(partition))
    }

    /// Matches the entities of the partitions from `from` (inclusive) to `to` (exclusive).
    pub fn partitions(from: &str, to: &str) -> Self {
        Self::range("PartitionKey", from, to)
    }

    /// Limits the filter to the row keys from `from` (inclusive) to `to` (exclusive).
    #[must_use]
    pub fn rows(self, from: &str, to: &str) -> Self {
        self.and(Self::range("RowKey", from, to))
    }

    /// Limits the filter to the row keys that begin with `prefix`.
    #[must_use]
    pub fn rows_starting_with(self, prefix: &str) -> Self {
        match after_prefix(prefix) {
            Some(end) => self.rows(prefix, &end),
            None => self.and(Self::term("RowKey", "ge", &quoted(prefix))),
        }
    }

    /// Matches if the Int64 property `name` is less than `value`.
    pub fn before(name: &'static str, value: i64) -> Self {
        Self::term(name, "lt", &format!("{value}L"))
    }

    /// Matches if the Int64 property `name` is `value` or more.
    pub fn at_least(name: &'static str, value: i64) -> Self {
        Self::term(name, "ge", &format!("{value}L"))
    }

    /// Matches if the Int64 property `name` is `value`.
    pub fn int64(name: &'static str, value: i64) -> Self {
        Self::term(name, "eq", &format!("{value}L"))
    }

    /// Matches if the String property `name` is `value`.
    pub fn text(name: &'static str, value: &str) -> Self {
        Self::term(name, "eq", &quoted(value))
    }

    /// Matches if the String property `name` sorts before `value`.
    pub fn text_before(name: &'static str, value: &str) -> Self {
        Self::term(name, "lt", &quoted(value))
    }

    /// Matches if the String property `name` is `value` or sorts after `value`.
    pub fn text_at_least(name: &'static str, value: &str) -> Self {
        Self::term(name, "ge", &quoted(value))
    }

    /// Matches if the Boolean property `name` is `value`.
    pub fn flag(name: &'static str, value: bool) -> Self {
        Self::term(name, "eq", &value.to_string())
    }

    /// Matches if both filters match.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.terms.extend(other.terms);
        self
    }

    fn term(name: &str, operator: &str, literal: &str) -> Self {
        Self { terms: vec![format!("{name} {operator} {literal}")] }
    }

    fn range(name: &str, from: &str, to: &str) -> Self {
        Self::term(name, "ge", &quoted(from)).and(Self::term(name, "lt", &quoted(to)))
    }

    /// Returns the value of the URL parameter `$filter`, without URL encoding. `None` if the filter matches
    /// every entity.
    pub(crate) fn expression(&self) -> Option<String> {
        (!self.terms.is_empty()).then(|| self.terms.join(" and "))
    }
}

/// Returns a string literal, with the quotes inside the text doubled.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Returns a text that sorts after every text with this prefix. The function replaces the last character of
/// the prefix with the next character in Unicode: `run-` becomes `run.`. If the next character would be above
/// U+FFFF, the function drops the last character, and replaces the character before it. `None` if no
/// character is left.
fn after_prefix(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        // Some implementations of the service (Azure and its emulators) sort texts by UTF-16 units, and
        // others sort texts by code points. Up to U+FFFF, both orders are the same. But by UTF-16 units,
        // U+10000 sorts before U+FFFF. If the prefix is U+FFFF, and this function returned the next character
        // U+10000, the result would sort before the prefix. So `next` is never above U+FFFF.
        let next = (u32::from(last) + 1..=0xFFFF).find_map(char::from_u32);
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_becomes_an_expression_with_quoted_literals() {
        for (filter, expected) in [
            (Filter::everything(), None),
            (Filter::partition("o'b"), Some("PartitionKey eq 'o''b'")),
            (Filter::partition("x' or 'a' eq 'a"), Some("PartitionKey eq 'x'' or ''a'' eq ''a'")),
            (
                Filter::partition("p").rows("a", "b"),
                Some("PartitionKey eq 'p' and RowKey ge 'a' and RowKey lt 'b'"),
            ),
            (
                Filter::partition("p").rows_starting_with("run-"),
                Some("PartitionKey eq 'p' and RowKey ge 'run-' and RowKey lt 'run.'"),
            ),
            (Filter::everything().rows_starting_with(""), Some("RowKey ge ''")),
            (Filter::partitions("a", "b"), Some("PartitionKey ge 'a' and PartitionKey lt 'b'")),
            (
                Filter::partition("p").and(Filter::before("until", 5)),
                Some("PartitionKey eq 'p' and until lt 5L"),
            ),
            (
                Filter::text("state", "sent").and(Filter::flag("done", true)),
                Some("state eq 'sent' and done eq true"),
            ),
        ] {
            assert_eq!(filter.expression().as_deref(), expected);
        }
    }

    #[test]
    fn text_after_a_prefix_ends_with_the_next_character() {
        for (prefix, expected) in [
            ("a", Some("b")),
            ("", None),
            ("a\u{FFFF}", Some("b")),
            ("\u{D7FF}", Some("\u{E000}")),
            ("a🦀", Some("b")),
        ] {
            assert_eq!(after_prefix(prefix).as_deref(), expected);
        }
    }
}
