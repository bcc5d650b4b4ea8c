//! Parses the expressions of an ARM template (a template of Azure Resource Manager). An expression is a
//! string that begins with `[` and ends with `]`, such as `[concat('a', 'b')]`. But a string that begins with
//! `[[` is plain text.

use thiserror::Error;

/// A parsed expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    /// A string between single quotes.
    Text(String),
    /// A whole number.
    Number(i64),
    /// A function with its arguments.
    Call { function: String, arguments: Vec<Expression> },
    /// A member of an object or an array: `of.key` or `of[key]`.
    Member { of: Box<Expression>, key: Box<Expression> },
}

/// A fault in the syntax of an expression.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("expected {expected} at character {position} of `{text}`")]
pub(super) struct SyntaxError {
    expected: &'static str,
    position: usize,
    text: String,
}

/// Parses a string of a template. Returns `None` if the string is plain text, such as `text` or `[[text]`.
pub(super) fn parse(text: &str) -> Result<Option<Expression>, SyntaxError> {
    let is_expression = text.starts_with('[') && text.ends_with(']') && !text.starts_with("[[");
    if !is_expression {
        return Ok(None);
    }
    let inner = &text[1..text.len() - 1];
    let mut parser = Parser { text: inner, at: 0 };
    let expression = parser.expression()?;
    parser.skip_blanks();
    if parser.at < inner.len() { parser.fail("the end") } else { Ok(Some(expression)) }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn expression(&mut self) -> Result<Expression, SyntaxError> {
        self.skip_blanks();
        let mut expression = match self.next_byte() {
            Some(b'\'') => self.string()?,
            Some(byte) if byte.is_ascii_digit() || byte == b'-' => self.number()?,
            Some(byte) if byte.is_ascii_alphabetic() => self.call()?,
            _ => return self.fail("a string, a number or a function"),
        };
        loop {
            let key = if self.skip(b'.') {
                Expression::Text(self.name()?)
            } else if self.skip(b'[') {
                let key = self.expression()?;
                self.expect(b']', "`]`")?;
                key
            } else {
                return Ok(expression);
            };
            expression = Expression::Member { of: Box::new(expression), key: Box::new(key) };
        }
    }

    /// Parses a string between single quotes. Two single quotes in the string mean one: `'it''s'` is the text
    /// `it's`.
    fn string(&mut self) -> Result<Expression, SyntaxError> {
        let mut text = String::new();
        self.at += 1;
        loop {
            let Some(length) = self.text[self.at..].find('\'') else { return self.fail("a closing quote") };
            text.push_str(&self.text[self.at..self.at + length]);
            self.at += length + 1;
            if self.next_byte() != Some(b'\'') {
                return Ok(Expression::Text(text));
            }
            text.push('\'');
            self.at += 1;
        }
    }

    fn number(&mut self) -> Result<Expression, SyntaxError> {
        let rest = &self.text[self.at..];
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '-');
        let digits = &rest[..end.unwrap_or(rest.len())];
        let Ok(number) = digits.parse() else { return self.fail("a whole number") };
        self.at += digits.len();
        Ok(Expression::Number(number))
    }

    fn call(&mut self) -> Result<Expression, SyntaxError> {
        let function = self.name()?;
        self.expect(b'(', "`(`")?;
        let mut arguments = Vec::new();
        self.skip_blanks();
        if self.skip(b')') {
            return Ok(Expression::Call { function, arguments });
        }
        loop {
            arguments.push(self.expression()?);
            self.skip_blanks();
            if self.skip(b')') {
                return Ok(Expression::Call { function, arguments });
            }
            self.expect(b',', "`,` or `)`")?;
        }
    }

    fn name(&mut self) -> Result<String, SyntaxError> {
        let rest = &self.text[self.at..];
        let length = rest.find(|character: char| !character.is_ascii_alphanumeric()).unwrap_or(rest.len());
        if length == 0 {
            return self.fail("a name");
        }
        self.at += length;
        Ok(rest[..length].to_owned())
    }

    fn next_byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip(&mut self, byte: u8) -> bool {
        let is_next = self.next_byte() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn skip_blanks(&mut self) {
        while self.next_byte().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), SyntaxError> {
        if self.skip(byte) { Ok(()) } else { self.fail(expected) }
    }

    fn fail<T>(&self, expected: &'static str) -> Result<T, SyntaxError> {
        Err(SyntaxError { expected, position: self.at + 1, text: self.text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn string_that_begins_with_two_brackets_or_lacks_a_bracket_is_plain_text() {
        for text in ["", "text", "[[text]", "[text", "text]"] {
            assert_eq!(parse(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn expression_is_parsed_into_calls_and_members() {
        let text = |text: &str| Expression::Text(text.to_owned());
        let call = |function: &str, arguments| Expression::Call { function: function.to_owned(), arguments };
        let member = |of, key| Expression::Member { of: Box::new(of), key: Box::new(key) };
        for (source, expected) in [
            ("['it''s']", text("it's")),
            ("[copyIndex()]", call("copyIndex", vec![])),
            ("[f( 'a' , -1 )]", call("f", vec![text("a"), Expression::Number(-1)])),
            ("[f().id]", member(call("f", vec![]), text("id"))),
            ("[f()[g()].id]", member(member(call("f", vec![]), call("g", vec![])), text("id"))),
        ] {
            assert_eq!(parse(source), Ok(Some(expected)), "{source}");
        }
    }

    #[test]
    fn syntax_error_names_the_expected_token_and_the_position() {
        for (source, expected) in [
            ("[]", "expected a string, a number or a function at character 1 of ``"),
            ("[f]", "expected `(` at character 2 of `f`"),
            ("[f('a]", "expected a closing quote at character 4 of `f('a`"),
            ("[f('a' 'b')]", "expected `,` or `)` at character 7 of `f('a' 'b')`"),
            ("[f())]", "expected the end at character 4 of `f())`"),
            ("[f().]", "expected a name at character 5 of `f().`"),
        ] {
            assert_eq!(parse(source).unwrap_err().to_string(), expected, "{source}");
        }
    }
}
