//! Who is there: the start and end of subscriptions that ask to be announced.

/// A stream whose start and end are to be announced.
#[derive(Debug)]
pub struct Pending {}

/// Dropped with its stream, however that ends.
#[derive(Debug)]
pub(crate) struct Guard {}

impl Pending {
    /// The stream has begun; called under the store's lock, just before its shard learns of it.
    pub(crate) fn begin(self) -> Guard {
        Guard {}
    }
}
