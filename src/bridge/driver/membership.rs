//! Whether this node may announce subscribers: only while its roster is known to be its own.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// How the node stands to its roster. Each state has the roster's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The roster does not exist yet, as far as is known.
    New(u64),
    /// The former program of this process had the roster. It is not known yet whether it is still
    /// this node's.
    Former(u64),
    /// It is this node's.
    Joined(u64),
    /// The node was taken for dead. Others empty the roster.
    Dead(u64),
    /// The node ends.
    Left(u64),
}

impl State {
    fn name(self) -> u64 {
        match self {
            Self::New(name)
            | Self::Former(name)
            | Self::Joined(name)
            | Self::Dead(name)
            | Self::Left(name) => name,
        }
    }
}

/// Why the node may not announce anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotJoined {
    /// Its roster is not known yet.
    Waits,
    /// It was taken for dead.
    Dead,
    /// It ends.
    Left,
}

/// The state, for the tasks and the hub's handle.
pub(super) struct Membership(watch::Sender<State>);

impl Membership {
    /// With the roster of the former program, or with a new one.
    pub(super) fn goes_on(former: Option<u64>) -> Self {
        let state = former.map_or_else(|| State::New(new_name()), State::Former);
        Self(watch::Sender::new(state))
    }

    pub(super) fn state(&self) -> State {
        *self.0.borrow()
    }

    pub(super) fn name(&self) -> u64 {
        self.state().name()
    }

    /// The name of the roster, once it is this node's.
    pub(super) async fn joined(&self, longest: Duration) -> Result<u64, NotJoined> {
        let mut states = self.0.subscribe();
        let known = states.wait_for(|state| !matches!(state, State::New(_) | State::Former(_)));
        let known = async { known.await.map(|state| *state) };
        match timeout(longest, known).await {
            Ok(Ok(State::Joined(name))) => Ok(name),
            Ok(Ok(State::Dead(_))) => Err(NotJoined::Dead),
            Ok(_) => Err(NotJoined::Left),
            Err(_) => Err(NotJoined::Waits),
        }
    }

    pub(super) fn join(&self, name: u64) {
        self.0.send_if_modified(|state| {
            let is_expected = matches!(*state, State::New(now) | State::Former(now) if now == name);
            if is_expected {
                *state = State::Joined(name);
            }
            is_expected
        });
    }

    /// The roster is no longer this node's.
    pub(super) fn died(&self, name: u64) {
        self.0.send_if_modified(|state| {
            let is_alive = !matches!(state, State::Dead(_) | State::Left(_));
            let is_current = is_alive && state.name() == name;
            if is_current {
                *state = State::Dead(name);
            }
            is_current
        });
    }

    /// Begins a new roster, after a death.
    pub(super) fn begin_again(&self) {
        self.0.send_if_modified(|state| {
            let is_dead = matches!(state, State::Dead(_));
            if is_dead {
                *state = State::New(new_name());
            }
            is_dead
        });
    }

    /// The node ends, and announces nothing more.
    pub(super) fn leave(&self) {
        let name = self.name();
        self.0.send_replace(State::Left(name));
    }

    /// Resolves when the node learns of its death, or that it ends.
    pub(super) async fn is_over(&self) {
        let mut states = self.0.subscribe();
        let is_over = |state: &State| matches!(state, State::Dead(_) | State::Left(_));
        let _ = states.wait_for(is_over).await;
    }
}

fn new_name() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_roster_that_is_the_nodes_own_is_changed() {
        let membership = Membership::goes_on(None);
        let name = membership.name();
        let soon = Duration::from_millis(1);
        assert_eq!(membership.joined(soon).await, Err(NotJoined::Waits));
        membership.join(name);
        assert_eq!(membership.joined(soon).await, Ok(name));
        membership.died(name.wrapping_add(1));
        assert_eq!(membership.joined(soon).await, Ok(name), "another one died");
        membership.died(name);
        assert_eq!(membership.joined(soon).await, Err(NotJoined::Dead));
        membership.join(name);
        assert_eq!(membership.joined(soon).await, Err(NotJoined::Dead));
        membership.begin_again();
        assert_ne!(membership.name(), name);
        membership.join(membership.name());
        membership.leave();
        assert_eq!(membership.joined(soon).await, Err(NotJoined::Left));
    }
}
