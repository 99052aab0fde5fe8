//! The bytes of HTTP responses and of event streams, decoded piece by piece without a socket in
//! sight.

pub(crate) mod body;
pub(crate) mod event_id;
pub(crate) mod head;
pub(crate) mod sse;
