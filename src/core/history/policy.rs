//! Policies for streams that are too slow for the history.

/// What happens to a stream if an event that it has not seen is evicted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowConsumerPolicy {
    /// End the stream; the client resumes with its cursor and gets the gap then.
    #[default]
    Disconnect,
    /// Jump to the oldest kept event and report the gap.
    Skip,
    /// Conflate: whenever the stream is behind, jump to the newest event of the topic and report
    /// the gap.
    Latest,
}

/// A policy for the topics that start with `prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowConsumerRule {
    /// Start of the topic names; the longest matching prefix wins.
    pub prefix: String,
    /// Policy on those topics.
    pub policy: SlowConsumerPolicy,
}

/// The policies of a node: one for all topics, and exceptions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlowConsumerPolicies {
    /// Policy on topics without a rule.
    pub default: SlowConsumerPolicy,
    /// Exceptions.
    pub rules: Vec<SlowConsumerRule>,
}

impl SlowConsumerPolicies {
    /// The policy on a topic: that of the rule with the longest prefix, or else the default.
    #[must_use]
    pub fn of(&self, topic: &str) -> SlowConsumerPolicy {
        let rules = self.rules.iter();
        rules
            .filter(|rule| topic.starts_with(&rule.prefix))
            .max_by_key(|rule| rule.prefix.len())
            .map_or(self.default, |rule| rule.policy)
    }
}
