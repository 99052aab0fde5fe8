//! What is left of a request body when its request is answered.

use hyper::body::Incoming;

/// The unread rest of a request body.
pub(crate) struct Unread {
    pub(super) incoming: Incoming,
    /// The client has been asked for it, or sends it unasked. False where it waits for `100
    /// Continue` and has not been told to go on.
    pub(super) is_coming: bool,
}
