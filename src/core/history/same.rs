//! Events to which their publishers gave the same id, in one order.

use std::collections::BTreeSet;

/// At least one of them; mostly exactly one, which costs no allocation.
#[derive(Debug)]
pub(super) enum Same<T> {
    One(T),
    Many(BTreeSet<T>),
}

impl<T: Copy + Ord> Same<T> {
    /// The oldest.
    pub(super) fn first(&self) -> Option<T> {
        self.iter().next()
    }

    /// All, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = T> + '_ {
        let (one, many) = match self {
            Self::One(one) => (Some(*one), None),
            Self::Many(many) => (None, Some(many.iter().copied())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    pub(super) fn contains(&self, event: T) -> bool {
        match self {
            Self::One(one) => *one == event,
            Self::Many(many) => many.contains(&event),
        }
    }

    pub(super) fn insert(&mut self, event: T) {
        match self {
            Self::One(one) => *self = Self::Many(BTreeSet::from([*one, event])),
            Self::Many(many) => _ = many.insert(event),
        }
    }

    /// Removes one; returns whether none is left. The last one stays, for the caller that drops all
    /// of it.
    pub(super) fn remove(&mut self, event: T) -> bool {
        match self {
            Self::One(one) => return *one == event,
            Self::Many(many) => {
                many.remove(&event);
                if let (Some(one), 1) = (many.first().copied(), many.len()) {
                    *self = Self::One(one);
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_comes_first_whatever_is_taken_out() {
        let mut same = Same::One(2);
        same.insert(5);
        same.insert(9);
        assert_eq!(same.iter().collect::<Vec<_>>(), [2, 5, 9]);
        assert!(same.contains(9) && !same.contains(3));
        assert!(!same.remove(5));
        assert!(!same.remove(2));
        assert!(matches!(same, Same::One(9)));
        assert!(!same.remove(2), "it is none of them");
        assert!(same.remove(9));
        assert_eq!(same.first(), Some(9));
    }
}
