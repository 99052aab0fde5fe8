//! The unread rest of a request body after its request is answered.

use hyper::body::Incoming;

/// The unread rest of a request body.
pub(crate) struct Unread {
    pub(super) incoming: Incoming,
    /// The client was asked for it, or sends it unasked. False while the client waits for `100
    /// Continue`.
    pub(super) is_coming: bool,
}
