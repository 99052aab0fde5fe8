//! Topic names: any UTF-8 string from one byte up to a configured length. `reserved` decides which
//! are the node's own.

mod reserved;

use thiserror::Error;

pub use reserved::{HUB_PATH, is_reserved};

/// Why a string is not a topic.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TopicError {
    /// The name has no bytes.
    #[error("a topic must not be empty")]
    Empty,
    /// The name is longer than the setting `topic_bytes_max`.
    #[error("a topic of {length} bytes is longer than the {max} that `topic_bytes_max` allows")]
    TooLong {
        /// Length found, in bytes.
        length: usize,
        /// Length allowed, in bytes.
        max: usize,
    },
}

/// Checks that `name` is a valid topic.
///
/// # Errors
/// [`TopicError`] if it is empty or longer than `topic_bytes_max` bytes.
pub fn check(name: &str, topic_bytes_max: usize) -> Result<(), TopicError> {
    match name.len() {
        0 => Err(TopicError::Empty),
        length if length > topic_bytes_max => Err(TopicError::TooLong {
            length,
            max: topic_bytes_max,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_checked_at_its_edges() {
        assert_eq!(check("", 4), Err(TopicError::Empty));
        assert_eq!(check("abcd", 4), Ok(()));
        assert_eq!(
            check("abcde", 4),
            Err(TopicError::TooLong { length: 5, max: 4 })
        );
    }
}
