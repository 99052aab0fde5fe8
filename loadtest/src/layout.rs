//! The topics of each stream, and the topic of each event.
//!
//! One rule covers every case: stream `i` has the topics `(i * each + j) % pool` for `j < each`,
//! and event `e` has the topic `e % pool`. One topic for all is a pool of one; a topic for each
//! stream is a pool as large as the number of streams.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Topics of all streams.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Layout {
    name: String,
    each: usize,
    pool: usize,
}

/// Topics that do not add up.
#[derive(Debug, Error)]
#[error(
    "--topics {each}: a stream has at least one topic, and at most as many as there are (--pool {pool})"
)]
pub(crate) struct LayoutError {
    each: usize,
    pool: usize,
}

impl Layout {
    /// The topics called `name`, `each` of them for each of `streams` streams. With `{i}` in the
    /// name there are `pool` of them, or one for each stream; without, one, or `pool` with a number
    /// appended.
    pub(crate) fn new(
        name: &str,
        each: usize,
        pool: Option<usize>,
        streams: usize,
    ) -> Result<Self, LayoutError> {
        let numbered = name.contains("{i}");
        let pool = match pool {
            Some(pool) => pool,
            None if numbered => streams.max(1),
            None => each,
        };
        if each == 0 || each > pool {
            return Err(LayoutError { each, pool });
        }
        let name = if numbered || pool == 1 {
            name.to_owned()
        } else {
            format!("{name}-{{i}}")
        };
        Ok(Self { name, each, pool })
    }

    /// Number of different topics.
    pub(crate) fn pool(&self) -> usize {
        self.pool
    }

    /// Topics of a stream.
    pub(crate) fn each(&self) -> usize {
        self.each
    }

    /// Name of a topic.
    pub(crate) fn name(&self, topic: usize) -> String {
        self.name.replace("{i}", &topic.to_string())
    }

    /// Topics of a stream.
    pub(crate) fn topics(&self, stream: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.each).map(move |j| (stream * self.each + j) % self.pool)
    }

    /// Which of the stream's topics this is, if it is one of them.
    pub(crate) fn place(&self, stream: usize, topic: usize) -> Option<usize> {
        if topic >= self.pool {
            return None;
        }
        let first = stream * self.each % self.pool;
        let place = (topic + self.pool - first) % self.pool;
        (place < self.each).then_some(place)
    }

    /// Topic of event number `event` (from zero).
    pub(crate) fn topic_of(&self, event: u64) -> usize {
        (event % self.pool as u64) as usize
    }

    /// How many of the first `events` events have a topic; so the number of its newest event, from
    /// one.
    pub(crate) fn published(&self, topic: usize, events: u64) -> u64 {
        let pool = self.pool as u64;
        events / pool + u64::from((topic as u64) < events % pool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(name: &str, each: usize, pool: Option<usize>) -> Layout {
        Layout::new(name, each, pool, 100).expect("adds up")
    }

    #[test]
    fn one_topic_a_topic_a_stream_and_many_of_a_pool() {
        let one = layout("t", 1, None);
        assert_eq!((one.pool(), one.name(0)), (1, "t".to_owned()));
        let own = layout("t{i}", 1, None);
        assert_eq!((own.pool(), own.name(7)), (100, "t7".to_owned()));
        let many = layout("t", 3, Some(10));
        assert_eq!(many.topics(3).collect::<Vec<_>>(), [9, 0, 1]);
        assert_eq!(many.name(9), "t-9");
    }

    #[test]
    fn the_place_of_a_topic_is_where_the_list_has_it() {
        for each in 1..=5 {
            let layout = layout("t", each, Some(5));
            for stream in 0..20 {
                let list: Vec<usize> = layout.topics(stream).collect();
                for topic in 0..6 {
                    let place = list.iter().position(|other| *other == topic);
                    assert_eq!(
                        layout.place(stream, topic),
                        place,
                        "{each} {stream} {topic}"
                    );
                }
            }
        }
    }

    #[test]
    fn events_are_counted_topic_by_topic() {
        let layout = layout("t", 1, Some(3));
        for events in 0..20 {
            for topic in 0..3 {
                let counted = (0..events).filter(|e| layout.topic_of(*e) == topic).count();
                assert_eq!(layout.published(topic, events), counted as u64);
            }
        }
    }

    #[test]
    fn more_topics_than_there_are_is_an_error() {
        let error = Layout::new("t", 4, Some(3), 1).expect_err("too many");
        assert_eq!(
            error.to_string(),
            "--topics 4: a stream has at least one topic, and at most as many as there are (--pool 3)"
        );
    }
}
