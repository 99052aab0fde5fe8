//! The idempotency keys of a publish call.
//!
//! The key in the header stands for the whole call: the events of an array or a stream have it with
//! their index. The key in an event's member `key` stands for that event, in whatever call it comes
//! again. A call has one kind or the other.

use std::sync::OnceLock;

use hyper::header::HeaderMap;

use super::error::PublishError;
use super::key_header::{self, HeaderError};
use super::permission::Permission;
use crate::api::node::Node;
use crate::core::event::Event;
use crate::core::idempotency::{KeyError, Name, Owner, Place};

/// The keys of a call.
pub(crate) struct CallKeys<'c> {
    permission: &'c Permission,
    header: Option<String>,
    owner: OnceLock<Owner>,
}

impl<'c> CallKeys<'c> {
    /// Reads the header of a call.
    ///
    /// # Errors
    /// [`PublishError`] if it has no key that the node remembers.
    pub(crate) fn new(
        permission: &'c Permission,
        headers: &HeaderMap,
        node: &Node,
    ) -> Result<Self, PublishError> {
        let header = key_header::read(headers)?;
        if header.is_some() && !node.hub.event_limits().remembers_keys {
            return Err(HeaderError::Key(KeyError::Off).into());
        }
        Ok(Self {
            permission,
            header,
            owner: OnceLock::new(),
        })
    }

    /// Whether the key is in the header.
    pub(super) fn are_of_header(&self) -> bool {
        self.header.is_some()
    }

    /// The name of an event's key, if it has one. `place` is its place in the call, and `index` its
    /// index in an array.
    pub(super) fn name_of(
        &self,
        event: &Event<'_>,
        place: Place,
        index: Option<usize>,
    ) -> Result<Option<Name>, PublishError> {
        let (key, place) = match (&self.header, event.key.as_deref()) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => return Err(PublishError::TwoKeys { index }),
            (Some(key), None) => (key.as_str(), place),
            (None, Some(key)) => (key, Place::ONLY),
        };
        let owner = *self.owner.get_or_init(|| self.permission.owner());
        Ok(Some(Name::new(owner, key, place)))
    }
}
