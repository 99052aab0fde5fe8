//! The queries of the admin listener's calls. Unknown, repeated and malformed parameters are
//! refused: a misspelt filter must not match every stream.

use std::borrow::Cow;

use hyper::StatusCode;

use crate::core::selector::{Selector, Syntax};
use crate::hub::StreamQuery;
use crate::server::problem::Problem;
use crate::server::query::{self, QueryError};
use crate::web::network::network;

/// Streams shown by default.
const SHOWN_DEFAULT: usize = 20;

/// Most streams shown at once: the answer is built in memory.
const SHOWN_MAX: usize = 1_000;

/// Most topics that one call names.
const TOPICS_MAX: usize = 100;

/// The streams to show.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// The streams that are furthest behind.
    Slowest(usize),
    /// The streams that match.
    Meant(StreamQuery, usize),
}

fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

/// `GET /streams?slowest=` or `?topic=&subject=&address=&limit=`.
pub(super) fn shown(query: &str, topic_bytes_max: usize) -> Result<Shown, Problem> {
    let mut asked = Asked::default();
    asked.read(query, topic_bytes_max, &["slowest", "limit"])?;
    match (asked.slowest, asked.limit) {
        (Some(_), _) if !asked.query.is_empty() => Err(bad(
            "`slowest` does not go with `topic`, `subject` or `address`",
        )),
        (Some(_), Some(_)) => Err(bad("`slowest` is a limit: give `limit` or `slowest`")),
        (Some(count), None) => Ok(Shown::Slowest(count)),
        (None, None) if asked.query.is_empty() => Ok(Shown::Slowest(SHOWN_DEFAULT)),
        (None, limit) => Ok(Shown::Meant(asked.query, limit.unwrap_or(SHOWN_DEFAULT))),
    }
}

/// `DELETE /streams?topic=&subject=&address=`. At least one is required, so that a slip does not
/// end all streams.
pub(super) fn meant(query: &str, topic_bytes_max: usize) -> Result<StreamQuery, Problem> {
    let mut asked = Asked::default();
    asked.read(query, topic_bytes_max, &[])?;
    if asked.query.is_empty() {
        return Err(bad(
            "name the streams to end: `topic`, `subject` or `address`",
        ));
    }
    Ok(asked.query)
}

#[derive(Default)]
struct Asked {
    query: StreamQuery,
    slowest: Option<usize>,
    limit: Option<usize>,
}

impl Asked {
    fn read(
        &mut self,
        query: &str,
        topic_bytes_max: usize,
        counts: &[&str],
    ) -> Result<(), Problem> {
        for pair in pairs(query) {
            let (name, value) = pair?;
            let twice = || bad(format!("`{name}` is given twice"));
            match &*name {
                "topic" => put(&mut self.query.topic, selector(&value, topic_bytes_max)?),
                "subject" if value.is_empty() => return Err(bad("`subject` is empty")),
                "subject" => put(&mut self.query.subject, (*value).into()),
                "address" => {
                    let address = network(&value).ok_or_else(|| {
                        bad(format!("`address` is {value:?}; it must be an address or a network such as 10.0.0.0/8"))
                    })?;
                    put(&mut self.query.address, address)
                }
                "slowest" if counts.contains(&"slowest") => {
                    put(&mut self.slowest, count("slowest", &value)?)
                }
                "limit" if counts.contains(&"limit") => put(&mut self.limit, count("limit", &value)?),
                _ => {
                    let names = ["topic", "subject", "address"].iter().chain(counts);
                    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
                    return Err(bad(format!(
                        "unknown parameter {name:?}; there are {}",
                        names.join(", ")
                    )));
                }
            }
            .ok_or_else(twice)?;
        }
        Ok(())
    }
}

/// Fills an empty place.
fn put<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

fn count(name: &str, value: &str) -> Result<usize, Problem> {
    match query::number(value) {
        Some(count @ 1..=SHOWN_MAX) => Ok(count),
        _ => Err(bad(format!(
            "`{name}` is {value:?}; it must be a number from 1 to {SHOWN_MAX}"
        ))),
    }
}

/// Topics and patterns of `/trace?topic=…`.
pub(super) fn traced(query: &str, topic_bytes_max: usize) -> Result<Vec<Selector>, Problem> {
    let mut selectors = Vec::new();
    for pair in pairs(query) {
        let (name, value) = pair?;
        if name != "topic" {
            return Err(bad(format!("unknown parameter {name:?}; there is `topic`")));
        }
        selectors.push(selector(&value, topic_bytes_max)?);
        if selectors.len() > TOPICS_MAX {
            return Err(bad(format!("more than {TOPICS_MAX} topics in one call")));
        }
    }
    Ok(selectors)
}

/// Checks that a call has no query, because its path says everything.
pub(super) fn none(query: &str) -> Result<(), Problem> {
    match pairs(query).next().transpose()? {
        Some((name, _)) => Err(bad(format!(
            "unknown parameter {name:?}; there are none here"
        ))),
        None => Ok(()),
    }
}

fn selector(text: &str, topic_bytes_max: usize) -> Result<Selector, Problem> {
    Selector::parse(text, Syntax::Native, topic_bytes_max)
        .map_err(|error| bad(format!("`topic`: {error}")))
}

/// The topic in a path: an exact name, whatever characters it has.
pub(super) fn topic(raw: &str, topic_bytes_max: usize) -> Result<String, Problem> {
    let name = query::decode_path(raw).map_err(refused)?;
    crate::core::topic::check(&name, topic_bytes_max).map_err(|error| bad(error.to_string()))?;
    Ok(name.into_owned())
}

fn pairs(query: &str) -> impl Iterator<Item = Result<(Cow<'_, str>, Cow<'_, str>), Problem>> {
    query::pairs(query).map(|pair| pair.map_err(refused))
}

fn refused(error: QueryError) -> Problem {
    bad(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown_by(query: &str) -> Result<Shown, u16> {
        shown(query, 1_024).map_err(status)
    }

    fn status(problem: Problem) -> u16 {
        problem.into_response().status().as_u16()
    }

    #[test]
    fn the_number_of_streams_is_bounded() {
        for (query, count) in [("", 20), ("slowest=1", 1), ("slowest=1000", 1000)] {
            assert_eq!(shown_by(query), Ok(Shown::Slowest(count)));
        }
        for (query, count) in [("limit=1", 1), ("limit=1000&", 1000)] {
            let all = StreamQuery::default();
            assert_eq!(shown_by(query), Ok(Shown::Meant(all, count)));
        }
        for query in [
            "slowest=0",
            "slowest=1001",
            "slowest=",
            "slowest=-1",
            "n=5",
            "limit=0",
            "limit=1001",
            "limit=1&limit=1",
            "limit=1&slowest=1",
            "topic=a&slowest=1",
        ] {
            assert_eq!(shown_by(query), Err(400), "{query}");
        }
    }

    #[test]
    fn a_filter_that_was_misspelt_means_nobody() {
        let meant = |query: &str| meant(query, 1_024).map_err(status);
        let found = meant("topic=a%2f*&subject=A+B%26&address=::ffff:10.1.2.3/104").expect("good");
        assert_eq!(
            found.topic.map(|topic| topic.text().to_owned()).as_deref(),
            Some("a/*")
        );
        assert_eq!(found.subject.as_deref(), Some("A B&"));
        assert_eq!(found.address, "10.0.0.0/8".parse().ok());
        for query in [
            "",
            "&",
            "subjet=a",
            "subject",
            "subject=",
            "subject=a&subject=b",
            "topic=",
            "topic=a&topic=a",
            "topic=%ff",
            "address=",
            "address=a",
            "address=10.0.0.0/33",
            "subject=a&limit=1",
            "subject=a&slowest=1",
        ] {
            assert_eq!(meant(query), Err(400), "{query}");
        }
    }

    #[test]
    fn a_topic_in_a_path_is_one_name() {
        let topic = |raw: &str| topic(raw, 1_024).map_err(status);
        assert_eq!(topic("a/b%2Fc+%7Bx%7D"), Ok("a/b/c+{x}".to_owned()));
        assert_eq!(topic(""), Err(400));
        assert_eq!(topic("%ff"), Err(400));
        assert_eq!(topic(&"a".repeat(1_025)), Err(400));
    }
}
