//! The form in which a client wants its stream: `with=topic` and `heartbeat=event`.
//!
//! Must never repeat a value, which could be a token.

use thiserror::Error;

use crate::hub::Encoding;
use crate::server::query;

/// Adds fields to each event. Its only value is `topic`.
const WITH: &str = "with";

/// The form of heartbeats: `silent` or `event`.
const HEARTBEAT: &str = "heartbeat";

/// The parameters that this module reads.
pub(super) const PARAMETERS: [&str; 2] = [WITH, HEARTBEAT];

/// What a client asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Presentation {
    has_topics: bool,
    has_heartbeat_events: bool,
}

/// A wrong value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum PresentationError {
    /// Of `with`.
    #[error(
        "`with` must be `topic`, which adds lines with its topics to each event; or leave it out"
    )]
    With,
    /// Of `heartbeat`.
    #[error(
        "`heartbeat` must be `silent` (the default; moves the last event id and fires nothing) or `event` (fires `heartbeat`)"
    )]
    Heartbeat,
    /// Two values of `heartbeat` that differ.
    #[error("`heartbeat` must not be both `silent` and `event`; give it once")]
    Both,
}

impl PresentationError {
    /// The parameter at fault.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::With => WITH,
            Self::Heartbeat | Self::Both => HEARTBEAT,
        }
    }
}

impl Presentation {
    /// Reads the parameters of a query. Others are not its affair, and neither is text that is not
    /// UTF-8: it is no name of a parameter.
    ///
    /// # Errors
    /// [`PresentationError`] for a wrong value.
    pub(super) fn parse(query: Option<&str>) -> Result<Self, PresentationError> {
        let mut presentation = Self::default();
        let mut has_silent_heartbeats = false;
        for (name, value) in query.into_iter().flat_map(query::pairs).flatten() {
            match (&*name, &*value) {
                (WITH, "topic") => presentation.has_topics = true,
                (WITH, _) => return Err(PresentationError::With),
                (HEARTBEAT, "event") => presentation.has_heartbeat_events = true,
                (HEARTBEAT, "silent") => has_silent_heartbeats = true,
                (HEARTBEAT, _) => return Err(PresentationError::Heartbeat),
                _ => {}
            }
        }
        if has_silent_heartbeats && presentation.has_heartbeat_events {
            return Err(PresentationError::Both);
        }
        Ok(presentation)
    }

    /// The encoding of the stream on a connection that needs this one.
    pub(super) fn of(self, mut encoding: Encoding) -> Encoding {
        if self.has_topics {
            encoding = encoding.with_topics();
        }
        if self.has_heartbeat_events {
            encoding = encoding.with_heartbeat_events();
        }
        encoding
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_has_its_values_and_no_others() {
        let of = |query| Presentation::parse(Some(query)).map(|it| it.of(Encoding::CHUNKED));
        let plain = Encoding::CHUNKED;
        let both = plain.with_topics().with_heartbeat_events();
        for (query, encoding) in [
            ("topic=with", plain),
            ("with=topic", plain.with_topics()),
            ("w%69th=t%6fpic&with=topic", plain.with_topics()),
            ("heartbeat=silent", plain),
            ("heartbeat=event&topic=a", plain.with_heartbeat_events()),
            ("heartbeat=event&with=topic&heartbeat=event", both),
        ] {
            assert_eq!(of(query), Ok(encoding), "{query}");
        }
        for (query, error) in [
            ("with", PresentationError::With),
            ("with=", PresentationError::With),
            ("with=topics", PresentationError::With),
            ("with=Topic", PresentationError::With),
            ("with=topic,id", PresentationError::With),
            ("with=topic&with=id", PresentationError::With),
            ("heartbeat=", PresentationError::Heartbeat),
            ("heartbeat=15", PresentationError::Heartbeat),
            ("heartbeat=comment", PresentationError::Heartbeat),
            ("heartbeat=silent&heartbeat=event", PresentationError::Both),
        ] {
            assert_eq!(of(query), Err(error), "{query}");
        }
        assert_eq!(Presentation::parse(None), Ok(Presentation::default()));
    }
}
