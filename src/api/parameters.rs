//! The allowed parameters of a call's query.
//!
//! An ignored parameter is a mistake that its sender cannot see. So the native calls refuse unknown
//! parameters, and name the one that was most likely meant. Must never repeat a value, nor a name
//! that could be a token.

use std::borrow::Cow;

use thiserror::Error;

use super::access;
use crate::server::query::{self, QueryError};

/// Parameters that clients add to get past caches; they are ignored.
const CACHE_BUSTERS: [&str; 6] = ["_", "t", "ts", "r", "cb", "nocache"];

/// Longest name that is repeated in an answer, in bytes: every token is longer.
const NAME_BYTES_MAX: usize = 32;

/// Lowest similarity at which a name is suggested.
const LIKENESS_MIN: f64 = 0.75;

/// Other servers' names of our parameters.
const SYNONYMS: [(&str, &str); 15] = [
    ("channel", "topic"),
    ("channels", "topic"),
    ("stream", "topic"),
    ("match", "topic"),
    ("subscribe", "topic"),
    ("tail", "last"),
    ("replay", "last"),
    ("cursor", "last_event_id"),
    ("from", "last_event_id"),
    ("token", "authorization"),
    ("access_token", "authorization"),
    ("jwt", "authorization"),
    ("type", "event"),
    ("name", "event"),
    ("cursor", "after"),
];

/// A parameter that the call does not know.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown parameter {shown}{hint}; {known}")]
pub(crate) struct UnknownParameter {
    /// The name as it was sent, if it may be repeated.
    name: Option<String>,
    shown: String,
    hint: String,
    known: String,
}

impl UnknownParameter {
    fn new(name: &str, known: &[&str]) -> Self {
        let may_be_shown = !name.is_empty()
            && name.len() <= NAME_BYTES_MAX
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-[]".contains(&byte));
        let name = may_be_shown.then(|| name.to_owned());
        let nearest = name.as_deref().and_then(|name| nearest(name, known));
        let quoted: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
        Self {
            shown: name
                .as_ref()
                .map_or("of the query".to_owned(), |name| format!("`{name}`")),
            name,
            hint: nearest.map_or(String::new(), |name| format!("; did you mean `{name}`?")),
            known: match &quoted[..] {
                [] => "there are none here".to_owned(),
                quoted => format!("known here: {}", quoted.join(", ")),
            },
        }
    }

    /// Its name, if it may be repeated.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

/// The known parameter that was most likely meant.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let name = name.to_ascii_lowercase();
    let mut synonyms = SYNONYMS.iter().filter(|(other, _)| *other == name);
    let synonym = synonyms.find_map(|(_, ours)| known.iter().find(|known| *known == ours));
    synonym.copied().or_else(|| {
        let letters = |name: &str| name.to_ascii_lowercase().replace(['_', '-'], "");
        let likeness = |known: &str| strsim::jaro_winkler(&letters(&name), &letters(known));
        let ranked = known.iter().map(|known| (likeness(known), *known));
        // Of equal ones the first, which is the one in the documentation.
        let best = ranked.reduce(|best, other| if other.0 > best.0 { other } else { best });
        best.filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
            .map(|(_, name)| name)
    })
}

/// Whether a parameter does not concern the call itself: its token, which was read before, or a
/// cache buster.
pub(crate) fn is_beside_the_call(name: &str) -> bool {
    name == access::QUERY_PARAMETER || CACHE_BUSTERS.contains(&name)
}

/// Refuses a parameter that is neither known nor beside the call.
pub(crate) fn check(name: &str, known: &[&str]) -> Result<(), UnknownParameter> {
    if known.contains(&name) || is_beside_the_call(name) {
        return Ok(());
    }
    Err(UnknownParameter::new(name, known))
}

/// Why a query is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum ParametersError {
    /// Not UTF-8.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A parameter that the call does not know.
    #[error(transparent)]
    Unknown(#[from] UnknownParameter),
}

impl ParametersError {
    /// The parameter at fault.
    pub(crate) fn field(&self) -> Option<&str> {
        match self {
            Self::Query(_) => None,
            Self::Unknown(unknown) => unknown.name(),
        }
    }
}

/// Name and value of each known parameter, in order.
pub(crate) fn known<'q>(
    query: Option<&'q str>,
    names: &[&str],
) -> impl Iterator<Item = Result<(Cow<'q, str>, Cow<'q, str>), ParametersError>> {
    let pairs = query.into_iter().flat_map(query::pairs);
    pairs.filter_map(|pair| match pair {
        Err(error) => Some(Err(error.into())),
        Ok((name, _)) if is_beside_the_call(&name) => None,
        Ok((name, value)) if names.contains(&&*name) => Some(Ok((name, value))),
        Ok((name, _)) => Some(Err(UnknownParameter::new(&name, names).into())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 5] = [
        "topic",
        "last_event_id",
        "lastEventID",
        "lastEventId",
        "last",
    ];

    #[test]
    fn the_nearest_parameter_is_named() {
        for (name, meant) in [
            ("topics", "topic"),
            ("Topic", "topic"),
            ("topic[]", "topic"),
            ("tpoic", "topic"),
            ("channel", "topic"),
            ("tail", "last"),
            ("cursor", "last_event_id"),
            ("last-event-id", "last_event_id"),
            ("lasteventid", "last_event_id"),
        ] {
            let error = check(name, &KNOWN).expect_err(name);
            let said = error.to_string();
            let meant = format!("did you mean `{meant}`?");
            assert!(said.contains(&meant), "{name}: {said}");
            assert_eq!(error.name(), Some(name));
        }
        let error = check("zzz", &KNOWN).expect_err("unknown").to_string();
        assert_eq!(
            error,
            "unknown parameter `zzz`; known here: `topic`, `last_event_id`, `lastEventID`, `lastEventId`, `last`"
        );
        for name in ["topic", "lastEventID", "authorization", "_", "t", "ts"] {
            assert_eq!(check(name, &KNOWN), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_parameter_without_a_name_is_not_shown_as_an_empty_one() {
        let error = check("", &KNOWN).expect_err("unknown");
        assert_eq!(error.name(), None);
        let said = error.to_string();
        assert!(
            said.starts_with("unknown parameter of the query;"),
            "{said}"
        );
    }

    #[test]
    fn a_name_that_could_be_a_token_is_not_repeated() {
        for name in [
            "eyJhbGciOiJIUzI1NiJ9.e30.c2ln",
            &"x".repeat(33),
            "a\"b",
            "ä",
        ] {
            let error = check(name, &KNOWN).expect_err(name);
            assert_eq!(error.name(), None, "{name}");
            assert!(!error.to_string().contains(name), "{error}");
        }
    }
}
