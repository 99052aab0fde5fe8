//! Erasing a topic's history for an operator.
//!
//! To streams it is as if the events had been evicted: a client that resumes gets a gap, by the
//! topic's name or by a pattern, and a client without a right to private events learns of public
//! ones only.

use crate::core::event::EventId;

use super::Store;

impl Store {
    /// Evicts events of a topic up to `through`, at most `steps` of them; returns how many, and
    /// whether none is left. An event that has other topics is kept there.
    pub fn erase(&mut self, name: &str, through: EventId, steps: usize) -> (usize, bool) {
        self.upkeep = self.work();
        let mut work = self.work();
        for erased in 0..steps {
            let first = self.topics.find(name).and_then(|index| {
                let log = self.topics.get(index).log.as_ref();
                Some((index, log?.first_id()?))
            });
            let Some((index, _)) = first.filter(|(_, id)| *id <= through) else {
                return (erased, true);
            };
            if work.is_spent() || !self.keep_up(index) {
                return (erased, false);
            }
            self.spend_on_telling(index, &mut work);
            self.evict_oldest(index);
        }
        (steps, false)
    }
}
