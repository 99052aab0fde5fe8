//! Splits a script into words, texts, numbers and signs, with Lua's rules.

use super::Refusal;

/// A token of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Name(Box<str>),
    Text(Box<[u8]>),
    Integer(i64),
    Sign(Sign),
}

/// A sign between words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Dot,
    Concat,
    Comma,
    Semicolon,
    Assign,
    Length,
    Plus,
    Minus,
    Open,
    Close,
    OpenIndex,
    CloseIndex,
}

/// A token, and its line, from 1.
pub(super) type Placed = (Token, u32);

/// All tokens of a script.
pub(super) fn tokens(text: &[u8]) -> Result<Vec<Placed>, Refusal> {
    let mut lexer = Lexer {
        rest: after_engine(text),
        line: 1,
    };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks()?;
        let line = lexer.line;
        match lexer.next()? {
            Some(token) => tokens.push((token, line)),
            None => return Ok(tokens),
        }
    }
}

/// The script after its line `#!lua`, if it has one. That line counts as the first.
fn after_engine(text: &[u8]) -> &[u8] {
    match text.strip_prefix(b"#!lua") {
        Some(rest) if rest.first() == Some(&b'\n') || rest.starts_with(b"\r\n") => rest,
        _ => text,
    }
}

struct Lexer<'t> {
    rest: &'t [u8],
    line: u32,
}

impl<'t> Lexer<'t> {
    fn refuse<T>(&self, what: &'static str) -> Result<T, Refusal> {
        let line = self.line;
        Err(Refusal::Unknown { line, what })
    }

    /// Takes `count` bytes from the start of the script.
    fn take(&mut self, count: usize) -> &'t [u8] {
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        let lines = taken.iter().filter(|byte| **byte == b'\n').count();
        self.line += u32::try_from(lines).unwrap_or(u32::MAX);
        taken
    }

    /// Takes bytes as long as they satisfy a condition.
    fn take_while(&mut self, condition: impl Fn(u8) -> bool) -> &'t [u8] {
        let end = self.rest.iter().position(|byte| !condition(*byte));
        self.take(end.unwrap_or(self.rest.len()))
    }

    /// Skips white space and comments.
    fn skip_blanks(&mut self) -> Result<(), Refusal> {
        loop {
            self.take_while(|byte| byte.is_ascii_whitespace() || byte == 0x0b);
            if !self.rest.starts_with(b"--") {
                return Ok(());
            }
            self.take(2);
            if self.long_text()?.is_none() {
                self.take_while(|byte| byte != b'\n');
            }
        }
    }

    fn next(&mut self) -> Result<Option<Token>, Refusal> {
        let Some(&first) = self.rest.first() else {
            return Ok(None);
        };
        Ok(Some(match first {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let name = self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                Token::Name(name.iter().map(|byte| char::from(*byte)).collect())
            }
            b'0'..=b'9' => self.integer()?,
            b'\'' | b'"' => Token::Text(self.quoted()?.into()),
            b'[' => match self.long_text()? {
                Some(text) => Token::Text(text.into()),
                None => self.sign()?,
            },
            _ => self.sign()?,
        }))
    }

    /// A whole decimal number. Fractions, exponents and hexadecimal numbers have other letters and
    /// are not supported.
    fn integer(&mut self) -> Result<Token, Refusal> {
        // `1..2` is not a number in Lua either.
        let digits = self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
        let number = std::str::from_utf8(digits).ok();
        match number.and_then(|digits| digits.parse().ok()) {
            Some(number) => Ok(Token::Integer(number)),
            None => self.refuse("only whole numbers are understood"),
        }
    }

    fn sign(&mut self) -> Result<Token, Refusal> {
        let (sign, length) = match self.rest {
            [b'.', b'.', b'.', ..] => return self.refuse("`...` is not understood"),
            [b'.', b'.', ..] => (Sign::Concat, 2),
            [b'=', b'=', ..] => return self.refuse("conditions are not understood"),
            [b'.', ..] => (Sign::Dot, 1),
            [b',', ..] => (Sign::Comma, 1),
            [b';', ..] => (Sign::Semicolon, 1),
            [b'=', ..] => (Sign::Assign, 1),
            [b'#', ..] => (Sign::Length, 1),
            [b'+', ..] => (Sign::Plus, 1),
            [b'-', ..] => (Sign::Minus, 1),
            [b'(', ..] => (Sign::Open, 1),
            [b')', ..] => (Sign::Close, 1),
            [b'[', ..] => (Sign::OpenIndex, 1),
            [b']', ..] => (Sign::CloseIndex, 1),
            _ => return self.refuse("a character that is not understood"),
        };
        self.take(length);
        Ok(Token::Sign(sign))
    }

    /// Takes a text in brackets, `[[…]]` or `[=[…]=]`, if the script continues with one.
    fn long_text(&mut self) -> Result<Option<&'t [u8]>, Refusal> {
        let Some(inner) = self.rest.strip_prefix(b"[") else {
            return Ok(None);
        };
        let level = inner.iter().take_while(|byte| **byte == b'=').count();
        if inner.get(level) != Some(&b'[') {
            return Ok(None);
        }
        let mut close = vec![b'='; level + 2];
        close[0] = b']';
        close[level + 1] = b']';
        let start = level + 2;
        let Some(length) = memchr::memmem::find(&self.rest[start..], &close) else {
            return self.refuse("a text or comment in brackets does not end");
        };
        let text = &self.take(start + length + close.len())[start..start + length];
        // A line end right behind the bracket is not part of the text.
        let text = text.strip_prefix(b"\r\n").unwrap_or(text);
        Ok(Some(text.strip_prefix(b"\n").unwrap_or(text)))
    }

    /// Takes a text in quotes.
    fn quoted(&mut self) -> Result<Vec<u8>, Refusal> {
        let quote = self.take(1)[0];
        let mut text = Vec::new();
        loop {
            let plain = self.take_while(|byte| !matches!(byte, b'\\' | b'\n') && byte != quote);
            text.extend_from_slice(plain);
            match self.rest {
                [b'\\', _, ..] => self.escape(&mut text)?,
                [byte, ..] if *byte == quote => {
                    self.take(1);
                    return Ok(text);
                }
                _ => return self.refuse("a text in quotes does not end"),
            }
        }
    }

    /// Takes the character after a backslash.
    fn escape(&mut self, text: &mut Vec<u8>) -> Result<(), Refusal> {
        self.take(1);
        if self.rest[0].is_ascii_digit() {
            let digits = self.rest.iter().take(3);
            let count = digits.take_while(|byte| byte.is_ascii_digit()).count();
            let code = self.take(count).iter();
            let code = code.fold(0_u32, |code, digit| code * 10 + u32::from(digit - b'0'));
            match u8::try_from(code) {
                Ok(byte) => text.push(byte),
                Err(_) => return self.refuse("a number behind a backslash is above 255"),
            }
            return Ok(());
        }
        text.push(match self.take(1)[0] {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'a' => 0x07,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'v' => 0x0b,
            other => other,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(script: &str) -> Result<Vec<String>, Refusal> {
        let tokens = tokens(script.as_bytes())?;
        let text = |(token, _): &Placed| match token {
            Token::Name(name) => name.to_string(),
            Token::Text(text) => format!("{:?}", text.escape_ascii().to_string()),
            Token::Integer(number) => number.to_string(),
            Token::Sign(sign) => format!("{sign:?}"),
        };
        Ok(tokens.iter().map(text).collect())
    }

    #[test]
    fn words_texts_and_comments_are_split_as_in_lua() {
        for (script, expected) in [
            ("", &[][..]),
            (" a_1 \t\r\n 12;", &["a_1", "12", "Semicolon"]),
            ("a--b\nc --[[ d\n ]] e --[=[ ]] ]=]f", &["a", "c", "e", "f"]),
            (r#"'a"b' "c'd""#, &[r#""a\\\"b""#, r#""c\\'d""#]),
            (r"'\n\065\9x\q\''", &[r#""\\nA\\txq\\'""#]),
            ("[[a]b]] [==[\nx]]y]==]", &[r#""a]b""#, r#""x]]y""#]),
            (
                "t[1]..'x'",
                &["t", "OpenIndex", "1", "CloseIndex", "Concat", r#""x""#],
            ),
            ("#!lua\na", &["a"]),
            ("-1", &["Minus", "1"]),
        ] {
            let expected = expected.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(texts(script), Ok(expected), "{script}");
        }
    }

    #[test]
    fn tokens_know_their_lines() {
        let tokens = tokens(b"#!lua\na [[\n\n]] -- x\n--[[\n]] b").expect("valid");
        let lines: Vec<u32> = tokens.iter().map(|(_, line)| *line).collect();
        assert_eq!(lines, [2, 2, 6]);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for script in [
            "1.5",
            "0x10",
            "1e3",
            "99999999999999999999",
            "'a",
            "'a\nb'",
            "\"a'",
            "[[a",
            "--[[a",
            "a == b",
            "a ~= b",
            "a < 1",
            "...",
            "{}",
            "'\\300'",
            "a\0",
            "é",
            "#!lua flags=x\na",
            "'\\",
        ] {
            assert!(texts(script).is_err(), "{script}");
        }
    }
}
