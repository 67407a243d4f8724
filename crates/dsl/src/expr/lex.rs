//! Words, symbols and strings of the language, read on demand so that strings may hold expressions.

use super::error::ParseError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Symbol(&'static str),
    Word(&'a str),
    /// `.name`
    Field(&'a str),
    /// `$name`, without its `$`
    Variable(&'a str),
    /// `@name`, without its `@`
    Format(&'a str),
    Number(&'a str),
    /// The opening quote of a string.
    Quote,
    End,
}

#[derive(Clone, Copy)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    position: usize,
    /// The next token, where it starts and where it ends.
    ahead: Option<(Token<'a>, usize, usize)>,
}

/// Longest first.
const SYMBOLS: &[&str] = &[
    "//=", "|=", "+=", "-=", "*=", "/=", "%=", "==", "!=", "<=", ">=", "//", "..", ".", "[", "]", "(", ")",
    "{", "}", "|", ",", ":", ";", "=", "<", ">", "+", "-", "*", "/", "%", "?",
];

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Lexer { text, position: 0, ahead: None }
    }

    /// Where the text is read, without looking ahead.
    pub(super) fn start(&self) -> usize {
        self.ahead.map_or(self.position, |(_, start, _)| start)
    }

    /// Where the next token starts.
    pub(super) fn at(&mut self) -> usize {
        // A bad token is reported by whoever takes it; here its start is enough.
        if self.peek().is_err() {
            return self.position;
        }
        self.start()
    }

    pub(super) fn peek(&mut self) -> Result<Token<'a>, ParseError> {
        if let Some((token, _, _)) = self.ahead {
            return Ok(token);
        }
        self.space();
        let start = self.position;
        let (token, length) = self.read(&self.text[start..])?;
        self.ahead = Some((token, start, start + length));
        Ok(token)
    }

    pub(super) fn next(&mut self) -> Result<Token<'a>, ParseError> {
        let token = self.peek()?;
        if let Some((_, _, end)) = self.ahead.take() {
            self.position = end;
        }
        Ok(token)
    }

    pub(super) fn take_symbol(&mut self, symbol: &'static str) -> Result<bool, ParseError> {
        let same = self.peek()? == Token::Symbol(symbol);
        if same {
            self.next()?;
        }
        Ok(same)
    }

    pub(super) fn take_word(&mut self, word: &'static str) -> Result<bool, ParseError> {
        let same = self.peek()? == Token::Word(word);
        if same {
            self.next()?;
        }
        Ok(same)
    }

    /// The text of a string up to its end (`false`) or up to an interpolation (`true`).
    pub(super) fn text(&mut self) -> Result<(String, bool), ParseError> {
        let mut text = String::new();
        loop {
            let rest = &self.text[self.position..];
            let Some(stop) = rest.find(['"', '\\']) else {
                return Err(self.problem(self.position, "the string has no closing quote"));
            };
            text.push_str(&rest[..stop]);
            self.position += stop + 1;
            if rest.as_bytes()[stop] == b'"' {
                return Ok((text, false));
            }
            let escape = rest.as_bytes().get(stop + 1).copied().unwrap_or(0);
            let plain = match escape {
                b'"' => '"',
                b'\\' => '\\',
                b'/' => '/',
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'(' => {
                    self.position += 1;
                    return Ok((text, true));
                }
                b'u' => {
                    self.position += 1;
                    text.push(self.unicode()?);
                    continue;
                }
                _ => return Err(self.problem(self.position, "unknown escape in the string")),
            };
            self.position += 1;
            text.push(plain);
        }
    }

    /// Reads the `)` after an interpolation without reading on.
    pub(super) fn close_interpolation(&mut self) -> Result<(), ParseError> {
        if self.take_symbol(")")? {
            return Ok(());
        }
        let at = self.at();
        Err(self.problem(at, "expected `)` at the end of the interpolation"))
    }

    fn unicode(&mut self) -> Result<char, ParseError> {
        let first = self.four_digits()?;
        if (0xD800..0xDC00).contains(&first) && self.text[self.position..].starts_with("\\u") {
            self.position += 2;
            let second = self.four_digits()?;
            let low = second.wrapping_sub(0xDC00);
            if low < 0x400 {
                let code = 0x10000 + ((first - 0xD800) << 10) + low;
                return char::from_u32(code).ok_or_else(|| self.problem(self.position, "no such character"));
            }
        }
        Ok(char::from_u32(first).unwrap_or('\u{FFFD}'))
    }

    fn four_digits(&mut self) -> Result<u32, ParseError> {
        let digits = self.text.get(self.position..self.position + 4);
        let code = digits.filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = code.and_then(|d| u32::from_str_radix(d, 16).ok());
        let code = code.ok_or_else(|| self.problem(self.position, "expected four hexadecimal digits"))?;
        self.position += 4;
        Ok(code)
    }

    fn space(&mut self) {
        loop {
            let rest = self.text[self.position..].trim_start();
            self.position = self.text.len() - rest.len();
            if !rest.starts_with('#') {
                return;
            }
            self.position += rest.find('\n').unwrap_or(rest.len());
        }
    }

    fn read(&self, rest: &'a str) -> Result<(Token<'a>, usize), ParseError> {
        let bytes = rest.as_bytes();
        let Some(&first) = bytes.first() else { return Ok((Token::End, 0)) };
        let second = bytes.get(1).copied().unwrap_or(0);
        match first {
            b'"' => Ok((Token::Quote, 1)),
            b'.' if second.is_ascii_digit() => self.number(rest),
            b'0'..=b'9' => self.number(rest),
            b'.' if starts_name(second) => {
                let length = name_length(&bytes[1..]);
                Ok((Token::Field(&rest[1..=length]), length + 1))
            }
            b'$' | b'@' => {
                if !starts_name(second) {
                    return Err(self.problem(self.position, "expected a name after this sign"));
                }
                let length = name_length(&bytes[1..]);
                let name = &rest[1..=length];
                Ok((if first == b'$' { Token::Variable(name) } else { Token::Format(name) }, length + 1))
            }
            _ if starts_name(first) => {
                let length = name_length(bytes);
                if rest[length..].starts_with("::") {
                    return Err(self.problem(self.position, "expressions have no modules"));
                }
                Ok((Token::Word(&rest[..length]), length))
            }
            _ => match SYMBOLS.iter().find(|s| rest.starts_with(**s)) {
                Some(symbol) => Ok((Token::Symbol(symbol), symbol.len())),
                None => Err(self.problem(self.position, "unexpected character")),
            },
        }
    }

    fn number(&self, rest: &'a str) -> Result<(Token<'a>, usize), ParseError> {
        let bytes = rest.as_bytes();
        let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let mut length = digits(0);
        if bytes.get(length) == Some(&b'.') && bytes.get(length + 1) != Some(&b'.') {
            length += 1 + digits(length + 1);
        }
        if matches!(bytes.get(length), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
            let exponent = digits(length + 1 + sign);
            if exponent == 0 {
                return Err(self.problem(self.position + length, "expected digits after the exponent"));
            }
            length += 1 + sign + exponent;
        }
        Ok((Token::Number(&rest[..length]), length))
    }

    fn problem(&self, offset: usize, message: &str) -> ParseError {
        ParseError { message: message.to_owned(), offset: offset.min(self.text.len()), hint: None }
    }
}

fn starts_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

fn name_length(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count()
}
