//! Which stream subscribes to which topics, and which topic an event goes to.
//!
//! One rule covers every case: stream `i` has the topics `(i * each + j) % pool` for `j < each`, and event `e` goes to topic
//! `e % pool`. One topic for all is a pool of one; a topic for each stream is a pool as large as the number of streams.

use crate::args::Args;

/// Topics of all streams.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    template: String,
    each: usize,
    pool: usize,
}

impl Layout {
    /// Derives the layout from the arguments.
    pub(crate) fn new(args: &Args) -> anyhow::Result<Self> {
        let numbered = args.topic.contains("{i}");
        let pool = match args.pool {
            Some(pool) => pool,
            None if numbered => args.total(),
            None => args.topics,
        };
        anyhow::ensure!(
            args.topics >= 1 && args.topics <= pool,
            "--topics {} must be between 1 and the number of different topics, {pool} (--pool)",
            args.topics
        );
        let template = if numbered || pool == 1 {
            args.topic.clone()
        } else {
            format!("{}-{{i}}", args.topic)
        };
        Ok(Self {
            template,
            each: args.topics,
            pool,
        })
    }

    /// Number of different topics.
    pub(crate) fn pool(&self) -> usize {
        self.pool
    }

    /// Name of a topic.
    pub(crate) fn name(&self, topic: usize) -> String {
        self.template.replace("{i}", &topic.to_string())
    }

    /// Topics of a stream.
    pub(crate) fn topics(&self, stream: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.each).map(move |j| (stream * self.each + j) % self.pool)
    }

    /// Request target of a stream.
    pub(crate) fn path(&self, template: &str, stream: usize) -> String {
        let names: Vec<String> = self.topics(stream).map(|topic| self.name(topic)).collect();
        template
            .replace("{topics}", &format!("topic={}", names.join("&topic=")))
            .replace("{topic}", &names[0])
            .replace("{i}", &stream.to_string())
    }

    /// Topic of event number `event`, counted from zero.
    pub(crate) fn topic_of(&self, event: u64) -> usize {
        (event % self.pool as u64) as usize
    }

    /// How many of the first `events` events a stream is due.
    pub(crate) fn due(&self, stream: usize, events: u64) -> u64 {
        let pool = self.pool as u64;
        self.topics(stream)
            .map(|topic| events / pool + u64::from((topic as u64) < events % pool))
            .sum()
    }
}
