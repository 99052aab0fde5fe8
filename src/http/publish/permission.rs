//! What a publisher may publish to.

use std::borrow::Cow;
use std::sync::Arc;

use hyper::StatusCode;
use thiserror::Error;

use crate::event::unix_ms;
use crate::http::access::Caller;
use crate::selector::Selector;

/// The topics that a publisher may publish to.
pub(in crate::http) enum Permission {
    /// All: the node is open.
    Any,
    /// What a token grants: topics that one of these matches, until it ends. A call may last longer than its token, for a stream of events has no
    /// end of its own.
    Granted {
        /// Matching the topics.
        topics: Arc<[Selector]>,
        /// In milliseconds since the unix epoch.
        ends_unix_ms: Option<u64>,
    },
}

/// Why an event may not be published.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(in crate::http) enum Denied {
    /// No selector of the token matches the topic.
    #[error("the token may not publish to the topic {0:?}")]
    Reach(String),
    /// The token was valid when the call began.
    #[error("the token has expired meanwhile")]
    Expired,
}

impl Denied {
    /// The status of the answer.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Expired => StatusCode::UNAUTHORIZED,
            Self::Reach(_) => StatusCode::FORBIDDEN,
        }
    }

    /// The member at fault.
    pub(super) fn field(&self) -> Option<&'static str> {
        (*self != Self::Expired).then_some("topic")
    }

    /// What `WWW-Authenticate` says (RFC 6750 §3.1): another token would help.
    pub(super) fn challenge(&self) -> &'static str {
        match self {
            Self::Reach(_) => "Bearer realm=\"fantail\", error=\"insufficient_scope\"",
            Self::Expired => "Bearer realm=\"fantail\", error=\"invalid_token\"",
        }
    }
}

impl Permission {
    /// What this publisher may publish to.
    pub(in crate::http) fn of(caller: Caller) -> Self {
        match caller {
            Caller::Open => Self::Any,
            Caller::Anonymous => Self::Granted {
                topics: Arc::default(),
                ends_unix_ms: None,
            },
            Caller::Bearer(access) => Self::Granted {
                topics: access.publish,
                ends_unix_ms: access.ends_unix_ms,
            },
        }
    }

    /// Whether an event may have all of these topics.
    pub(in crate::http) fn check(&self, topics: &[Cow<'_, str>]) -> Result<(), Denied> {
        self.check_at(topics, unix_ms())
    }

    fn check_at(&self, topics: &[Cow<'_, str>], now_unix_ms: u64) -> Result<(), Denied> {
        if let Self::Granted {
            ends_unix_ms: Some(ends),
            ..
        } = self
            && now_unix_ms >= *ends
        {
            return Err(Denied::Expired);
        }
        for topic in topics {
            let allowed = match self {
                Self::Any => true,
                Self::Granted { topics, .. } => topics.iter().any(|one| one.matches(topic)),
            };
            if !allowed {
                return Err(Denied::Reach(topic.to_string()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(topics: &[&str], ends_unix_ms: Option<u64>) -> Permission {
        Permission::Granted {
            topics: topics.iter().map(|topic| Selector::exact(topic)).collect(),
            ends_unix_ms,
        }
    }

    #[test]
    fn a_token_may_end_before_its_call_does() {
        let permission = granted(&["a"], Some(10));
        assert_eq!(permission.check_at(&["a".into()], 9), Ok(()));
        let denied = permission.check_at(&["a".into()], 10).expect_err("over");
        assert_eq!(
            (denied.status(), denied.field()),
            (StatusCode::UNAUTHORIZED, None)
        );
    }

    #[test]
    fn every_topic_has_to_be_allowed() {
        let permission = granted(&["a", "b"], None);
        assert_eq!(permission.check(&["a".into(), "b".into()]), Ok(()));
        assert_eq!(
            permission.check(&["a".into(), "c".into()]),
            Err(Denied::Reach("c".into()))
        );
        assert_eq!(Permission::Any.check(&["c".into()]), Ok(()));
    }
}
