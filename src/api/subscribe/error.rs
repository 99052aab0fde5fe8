//! Why a subscription is malformed. Must never repeat a value, which could be a token.

use hyper::StatusCode;
use thiserror::Error;

use super::super::parameters::UnknownParameter;
use super::super::past::PastError;
use super::super::presentation::PresentationError;
use crate::core::selector::SelectorError;
use crate::hub::presence::SUBSCRIPTIONS_PER_STREAM_MAX;
use crate::server::problem::Problem;
use crate::server::query::QueryError;

/// Why a subscription is malformed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum SubscribeError {
    /// The query or path is not UTF-8.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// No topic was named.
    #[error("name at least one topic: {0}")]
    NoTopic(&'static str),
    /// More topics than the setting `topics_per_stream_max`.
    #[error("{count} topics are more than the {max} that `topics_per_stream_max` allows")]
    TooManyTopics {
        /// Different topics found.
        count: usize,
        /// Topics allowed.
        max: usize,
    },
    /// More than [`SUBSCRIPTIONS_PER_STREAM_MAX`].
    #[error(
        "{count} topics are more than the {SUBSCRIPTIONS_PER_STREAM_MAX} of one stream here, where each is announced (`mercure_subscriptions`): \
         use templates, or `/events`"
    )]
    TooManyAnnounced {
        /// Different topics found.
        count: usize,
    },
    /// More patterns than the setting `patterns_per_stream_max`.
    #[error(
        "{count} patterns are more than the {max} that `patterns_per_stream_max` allows; those that the token names do not count"
    )]
    TooManyPatterns {
        /// Different patterns found that no token names.
        count: usize,
        /// Patterns allowed.
        max: usize,
    },
    /// One of them is not a topic.
    #[error(transparent)]
    Topic(#[from] SelectorError),
    /// An unknown parameter.
    #[error(transparent)]
    Unknown(#[from] UnknownParameter),
    /// The start that it asks for.
    #[error(transparent)]
    Past(#[from] PastError),
    /// A wrong value of a parameter for the form of the stream.
    #[error(transparent)]
    Presentation(#[from] PresentationError),
    /// A parameter of another version of the protocol.
    #[error(
        "`{0}` is of Mercure 1.0; this hub speaks Mercure 0.x (draft-dunglas-mercure-07): name what you subscribe to as `topic=…` (a topic, \
         a URI template, or `*`), and what a token grants in its claim `mercure`"
    )]
    OtherVersion(&'static str),
}

impl From<SubscribeError> for Problem {
    fn from(error: SubscribeError) -> Self {
        let problem = Self::new(StatusCode::BAD_REQUEST, error.to_string());
        match error {
            SubscribeError::Unknown(unknown) => match unknown.name() {
                Some(name) => problem.field(name),
                None => problem,
            },
            SubscribeError::OtherVersion(name) => problem.field(name),
            SubscribeError::Past(past) => problem.field(past.field()),
            SubscribeError::Presentation(wrong) => problem.field(wrong.field()),
            _ => problem.field("topic"),
        }
    }
}
