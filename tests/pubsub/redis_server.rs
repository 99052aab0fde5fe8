//! The `redis-server` of a test, which keeps nothing.

use crate::server::Keeps;
pub(crate) use crate::server::Server as Redis;

impl Redis {
    pub(crate) fn empty() -> Self {
        Self::empty_with(&[])
    }

    /// A server with these arguments.
    pub(crate) fn empty_with(arguments: &[&str]) -> Self {
        Self::start(Keeps::Nothing, arguments)
    }

    /// A server with these users, as in its configuration.
    pub(crate) fn with_users(users: &[&str]) -> Self {
        let words = users
            .iter()
            .flat_map(|user| ["--user"].into_iter().chain(user.split(' ')));
        Self::empty_with(&words.collect::<Vec<_>>())
    }

    /// Publishes a message; returns the number of subscriptions that it went to.
    pub(crate) fn publish(&self, channel: &str, message: impl AsRef<[u8]>) -> i64 {
        let mut command = redis::cmd("PUBLISH");
        command.arg(channel).arg(message.as_ref());
        command.query(&mut self.connection()).expect("published")
    }
}
