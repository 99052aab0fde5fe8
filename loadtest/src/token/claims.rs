//! The claims of tokens: a JSON object that may contain the stream's number and topic.

use serde_json::{Map, Value};

use super::TokenError;
use crate::layout::Layout;
use crate::target;
use crate::template::Template;

/// Placeholders in the claims of a stream.
const PLACEHOLDERS: [&str; 2] = ["topic", "i"];
const FLAG: &str = "--token-claims";

/// The claims of all streams.
#[derive(Clone, Debug)]
pub(crate) struct Claims {
    template: Template,
    expires: Option<u64>,
}

impl Claims {
    /// Reads them, and sees that they are a JSON object once the placeholders are replaced.
    pub(crate) fn new(
        text: &str,
        expires: Option<u64>,
        layout: &Layout,
    ) -> Result<Self, TokenError> {
        let template = Template::new(text, &PLACEHOLDERS)?;
        let claims = Self { template, expires };
        claims.of(layout, 0)?;
        Ok(claims)
    }

    /// Whether all streams have the same.
    pub(crate) fn same_for_all(&self) -> bool {
        !PLACEHOLDERS.iter().any(|name| self.template.has(name))
    }

    /// Those of a stream.
    pub(crate) fn of(
        &self,
        layout: &Layout,
        stream: usize,
    ) -> Result<Map<String, Value>, TokenError> {
        let text = self
            .template
            .fill(|name| target::json_text(&target::stream_value(layout, stream, name, false)));
        let mut claims = parse(FLAG, &text)?;
        if let Some(expires) = self.expires {
            claims.insert("exp".to_owned(), expires.into());
        }
        Ok(claims)
    }
}

/// Claims without placeholders.
pub(crate) fn parse(flag: &'static str, text: &str) -> Result<Map<String, Value>, TokenError> {
    serde_json::from_str(text).map_err(|error| TokenError::Claims {
        flag,
        text: text.to_owned(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(text: &str, topic: &str) -> Result<Claims, TokenError> {
        let layout = Layout::new(topic, 1, None, 3).expect("adds up");
        Claims::new(text, Some(9), &layout)
    }

    fn of(text: &str, topic: &str, stream: usize) -> String {
        let layout = Layout::new(topic, 1, None, 3).expect("adds up");
        let claims = claims(text, topic).expect("claims");
        Value::Object(claims.of(&layout, stream).expect("an object")).to_string()
    }

    #[test]
    fn every_stream_has_its_own_number_and_topic() {
        let text = r#"{"mercure": {"subscribe": ["{topic}", "all"]}, "sub": "u{i}", "n": {i}}"#;
        assert_eq!(
            of(text, "user/{i}", 2),
            r#"{"exp":9,"mercure":{"subscribe":["user/2","all"]},"n":2,"sub":"u2"}"#
        );
        assert!(!claims(text, "t").expect("claims").same_for_all());
        assert!(claims("{}", "t{i}").expect("claims").same_for_all());
    }

    #[test]
    fn a_topic_is_written_as_json_and_a_brace_can_stand() {
        let text = r#"{"mercure": {"subscribe": ["{topic}", "a/\u007bid}"]}}"#;
        assert_eq!(
            of(text, r#"a"b\c"#, 0),
            r#"{"exp":9,"mercure":{"subscribe":["a\"b\\c","a/{id}"]}}"#
        );
    }

    #[test]
    fn what_is_no_json_object_is_refused_with_what_it_became() {
        let error = claims(r#"{"sub": u{i}}"#, "t").expect_err("no JSON");
        assert!(
            error
                .to_string()
                .starts_with(r#"--token-claims "{\"sub\": u0}": expected value"#),
            "{error}"
        );
        assert!(claims("[]", "t").is_err());
        let error = claims(r#"{"sub": "{id}"}"#, "t").expect_err("no such placeholder");
        assert!(error.to_string().contains("there is no {id}"), "{error}");
        assert!(error.to_string().contains(r"\u007b"), "{error}");
    }
}
