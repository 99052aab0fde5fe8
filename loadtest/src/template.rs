//! Texts with placeholders: `http://127.0.0.1:8080/events/{topic}`.

use thiserror::Error;

/// A text with placeholders, checked when it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Placeholder(String),
}

/// A text whose placeholders cannot be filled in.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum TemplateError {
    /// An unknown name in braces.
    #[error("{text:?}: there is no {{{name}}} here; there are {known}")]
    Unknown {
        /// The whole text.
        text: String,
        /// The text in the braces.
        name: String,
        /// The known placeholders.
        known: String,
    },
}

impl Template {
    /// Reads a text in which the placeholders `known` may stand. Braces around anything that is no
    /// name stand for themselves, so that JSON needs no escaping.
    pub(crate) fn new(text: &str, known: &[&str]) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            plain.push_str(&rest[..open]);
            rest = &rest[open..];
            match name_in_braces(rest) {
                Some(name) if known.contains(&name) => {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    pieces.push(Piece::Placeholder(name.to_owned()));
                    rest = &rest[name.len() + 2..];
                }
                Some(name) => {
                    return Err(TemplateError::Unknown {
                        text: text.to_owned(),
                        name: name.to_owned(),
                        known: list(known),
                    });
                }
                None => {
                    plain.push('{');
                    rest = &rest[1..];
                }
            }
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        Ok(Self(pieces))
    }

    /// Whether a placeholder stands in it.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|piece| matches!(piece, Piece::Placeholder(other) if other == name))
    }

    /// The text with each placeholder replaced by `value` of its name.
    pub(crate) fn fill(&self, value: impl Fn(&str) -> String) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Placeholder(name) => text.push_str(&value(name)),
            }
        }
        text
    }
}

/// The name that the text begins with in braces: letters and underscores only.
fn name_in_braces(text: &str) -> Option<&str> {
    let name = text.strip_prefix('{')?.split_once('}')?.0;
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    (!name.is_empty() && name.bytes().all(letters)).then_some(name)
}

fn list(known: &[&str]) -> String {
    let names: Vec<String> = known.iter().map(|name| format!("{{{name}}}")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str) -> Result<String, TemplateError> {
        let template = Template::new(text, &["topic", "i"])?;
        Ok(template.fill(|name| format!("<{name}>")))
    }

    #[test]
    fn placeholders_are_replaced() {
        assert_eq!(fill("/a/{topic}?n={i}"), Ok("/a/<topic>?n=<i>".to_owned()));
        assert_eq!(fill(""), Ok(String::new()));
    }

    #[test]
    fn braces_of_json_stand_for_themselves() {
        assert_eq!(
            fill(r#"{"items":[{"channel":"{topic}"}], "n": {}}"#),
            Ok(r#"{"items":[{"channel":"<topic>"}], "n": {}}"#.to_owned())
        );
    }

    #[test]
    fn a_misspelt_placeholder_is_named_with_those_that_there_are() {
        let error = fill("/{topics}").expect_err("unknown");
        assert_eq!(
            error.to_string(),
            r#""/{topics}": there is no {topics} here; there are {topic}, {i}"#
        );
    }
}
