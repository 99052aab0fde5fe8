//! The topics that a publisher may publish to.

use std::borrow::Cow;
use std::sync::Arc;

use hyper::StatusCode;
use thiserror::Error;

use crate::api::access::Caller;
use crate::api::reach::{Reach, TooMuch};
use crate::clock::unix_ms;
use crate::core::idempotency::{Owner, Scope};
use crate::core::selector::Selector;

/// The topics that a publisher may publish to.
pub(crate) enum Permission {
    /// All topics: the node is open.
    Any,
    /// A token's grant: topics that one of these matches, until it ends. A call may last longer
    /// than its token, because a stream of events has no end of its own.
    Granted {
        /// Selectors of the topics.
        topics: Arc<[Selector]>,
        /// In milliseconds since the unix epoch.
        ends_unix_ms: Option<u64>,
        /// The token's subject.
        subject: Option<Arc<str>>,
    },
}

/// Why an event may not be published.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Denied {
    /// No selector of the token matches the topic.
    #[error("the token may not publish to the topic {0:?}")]
    Reach(String),
    /// The check would take too long.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    /// The token was valid when the call began.
    #[error("the token has expired meanwhile")]
    Expired,
}

impl Denied {
    /// The status of the answer.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Expired => StatusCode::UNAUTHORIZED,
            Self::Reach(_) | Self::TooMuch(_) => StatusCode::FORBIDDEN,
        }
    }

    /// The member at fault.
    pub(super) fn field(&self) -> Option<&'static str> {
        (*self != Self::Expired).then_some("topic")
    }

    /// The value of `WWW-Authenticate` (RFC 6750 §3.1): another token would help.
    pub(super) fn challenge(&self) -> &'static str {
        match self {
            Self::Reach(_) | Self::TooMuch(_) => {
                "Bearer realm=\"fantail\", error=\"insufficient_scope\""
            }
            Self::Expired => "Bearer realm=\"fantail\", error=\"invalid_token\"",
        }
    }
}

impl Permission {
    /// The permission of this caller.
    pub(crate) fn of(caller: Caller) -> Self {
        match caller {
            Caller::Open => Self::Any,
            Caller::Anonymous => Self::Granted {
                topics: Arc::default(),
                ends_unix_ms: None,
                subject: None,
            },
            Caller::Bearer(access) => Self::Granted {
                topics: access.publish,
                ends_unix_ms: access.ends_unix_ms,
                subject: access.subject,
            },
        }
    }

    /// The publisher, as far as its idempotency keys are concerned: the token's subject, which
    /// stays when a token is renewed. Bearers of tokens without one are told apart by what they may
    /// publish to, so none can refer to an event of another that it could not publish itself.
    pub(super) fn owner(&self) -> Owner {
        Owner::new(match self {
            Self::Any => Scope::Anyone,
            Self::Granted {
                subject: Some(subject),
                ..
            } => Scope::Subject(subject),
            Self::Granted { topics, .. } => Scope::Grants(topics),
        })
    }

    /// Whether an event may have all of these topics. The check takes at most `steps_max` steps;
    /// `reach` counts the steps of a whole call.
    pub(crate) async fn check(
        &self,
        topics: &[Cow<'_, str>],
        steps_max: usize,
        reach: &mut Reach,
    ) -> Result<(), Denied> {
        self.check_time(unix_ms())?;
        let end = reach.steps().saturating_add(steps_max);
        for topic in topics {
            let allowed = match self {
                Self::Any => true,
                Self::Granted { topics, .. } => reach
                    .any_within(topics, topic, end)
                    .await
                    .ok_or(TooMuch(steps_max))?,
            };
            if !allowed {
                return Err(Denied::Reach(topic.to_string()));
            }
        }
        Ok(())
    }

    fn check_time(&self, now_unix_ms: u64) -> Result<(), Denied> {
        match self {
            Self::Granted {
                ends_unix_ms: Some(ends),
                ..
            } if now_unix_ms >= *ends => Err(Denied::Expired),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::core::selector::Syntax;

    fn granted(topics: &[&str], ends_unix_ms: Option<u64>) -> Permission {
        Permission::Granted {
            topics: topics.iter().map(|topic| Selector::exact(topic)).collect(),
            ends_unix_ms,
            subject: None,
        }
    }

    fn check(permission: &Permission, topics: &[&str]) -> Result<(), Denied> {
        let topics: Vec<_> = topics.iter().map(|topic| Cow::Borrowed(*topic)).collect();
        let mut reach = Reach::default();
        let checked = pin!(permission.check(&topics, 1_000, &mut reach));
        match checked.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(checked) => checked,
            Poll::Pending => panic!("a small check takes no turns"),
        }
    }

    #[test]
    fn a_token_may_end_before_its_call_does() {
        let permission = granted(&["a"], Some(10));
        assert_eq!(permission.check_time(9), Ok(()));
        let denied = permission.check_time(10).expect_err("over");
        assert_eq!(
            (denied.status(), denied.field()),
            (StatusCode::UNAUTHORIZED, None)
        );
    }

    #[test]
    fn every_topic_has_to_be_allowed() {
        let permission = granted(&["a", "b"], None);
        assert_eq!(check(&permission, &["a", "b"]), Ok(()));
        assert_eq!(
            check(&permission, &["a", "c"]),
            Err(Denied::Reach("c".into()))
        );
        assert_eq!(check(&Permission::Any, &["c"]), Ok(()));
    }

    #[test]
    fn what_takes_too_long_to_find_out_is_denied() {
        let template = |n: usize| format!("{{a,b}}{{c,d}}{{e{n}}}x");
        let selector = |n| Selector::parse(&template(n), Syntax::Mercure, 100).expect("one");
        let permission = Permission::Granted {
            topics: (0..20).map(selector).collect(),
            ends_unix_ms: None,
            subject: None,
        };
        let denied = check(&permission, &["0123456789\u{7f}x"]).expect_err("denied");
        assert_eq!(denied, Denied::TooMuch(TooMuch(1_000)));
        assert_eq!(
            (denied.status(), denied.field()),
            (StatusCode::FORBIDDEN, Some("topic"))
        );
        assert!(denied.to_string().contains("publish_check_steps_max"));
    }
}
