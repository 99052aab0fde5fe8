//! What a publisher may publish to.

use std::borrow::Cow;
use std::sync::Arc;

use thiserror::Error;

use crate::http::access::Caller;
use crate::http::mercure;
use crate::selector::Selector;

/// The topics that a publisher may publish to.
#[derive(Debug)]
pub(in crate::http) enum Permission {
    /// All: the node is open.
    Any,
    /// Those that one of these matches.
    Only(Arc<[Selector]>),
}

/// Why an event may not be published.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(in crate::http) enum Denied {
    /// No selector of the token matches the topic.
    #[error("the token may not publish to the topic {0:?}")]
    Reach(String),
    /// The node's own events have that topic.
    #[error("{0:?} is a topic of the node's own, as all at and below `{path}` are", path = mercure::PATH)]
    Reserved(String),
}

impl Denied {
    /// What `WWW-Authenticate` says (RFC 6750 §3.1), where another token would help.
    pub(in crate::http) fn challenge(&self) -> Option<&'static str> {
        matches!(self, Self::Reach(_))
            .then_some("Bearer realm=\"fantail\", error=\"insufficient_scope\"")
    }
}

impl Permission {
    /// What this publisher may publish to.
    pub(in crate::http) fn of(caller: Caller) -> Self {
        match caller {
            Caller::Open => Self::Any,
            Caller::Anonymous => Self::Only(Arc::default()),
            Caller::Bearer(access) => Self::Only(access.publish),
        }
    }

    /// Whether an event may have all of these topics.
    pub(in crate::http) fn check(&self, topics: &[Cow<'_, str>]) -> Result<(), Denied> {
        for topic in topics {
            if mercure::reserved::is_reserved(topic) {
                return Err(Denied::Reserved(topic.to_string()));
            }
            let allowed = match self {
                Self::Any => true,
                Self::Only(selectors) => selectors.iter().any(|one| one.matches(topic)),
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

    #[test]
    fn every_topic_has_to_be_allowed() {
        let permission = Permission::Only([Selector::exact("a"), Selector::exact("b")].into());
        assert_eq!(permission.check(&["a".into(), "b".into()]), Ok(()));
        assert_eq!(
            permission.check(&["a".into(), "c".into()]),
            Err(Denied::Reach("c".into()))
        );
        assert_eq!(Permission::Any.check(&["c".into()]), Ok(()));
    }

    #[test]
    fn the_nodes_own_topics_are_nobodys() {
        let topic = "/.well-known/mercure/subscriptions/a/b";
        for permission in [
            Permission::Any,
            Permission::Only([Selector::exact(topic)].into()),
        ] {
            let denied = permission.check(&[topic.into()]).expect_err("denied");
            assert_eq!(denied, Denied::Reserved(topic.into()));
            assert_eq!(denied.challenge(), None);
        }
    }
}
