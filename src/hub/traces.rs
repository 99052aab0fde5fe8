//! Traced topics: first those of the settings, then those that operators choose while the node
//! runs. Kept in memory only.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use thiserror::Error;

use super::config::TracesConfig;
use crate::core::selector::Selector;

/// There are as many traces as `trace_topics_max` allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0} topics and patterns are traced already, the most that `trace_topics_max` allows")]
pub struct TooManyTraces(usize);

/// The topics and patterns whose events are logged.
#[derive(Debug)]
pub struct Traces {
    /// Whether the list is not empty: publishers check this for every event.
    any: AtomicBool,
    selectors: RwLock<Vec<Selector>>,
    max: usize,
}

impl Traces {
    pub(super) fn new(TracesConfig { selectors, max }: TracesConfig) -> Self {
        Self {
            any: AtomicBool::new(!selectors.is_empty()),
            max: max.max(selectors.len()),
            selectors: RwLock::new(selectors),
        }
    }

    /// Whether any topic is traced.
    #[must_use]
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// The traced topics and patterns, in the order in which they were added.
    #[must_use]
    pub fn list(&self) -> Vec<Selector> {
        self.selectors.read().clone()
    }

    /// Adds these.
    ///
    /// # Errors
    /// [`TooManyTraces`]; then nothing has changed.
    pub fn add(&self, selectors: Vec<Selector>) -> Result<(), TooManyTraces> {
        let mut all = self.selectors.write();
        let mut list = all.clone();
        for selector in selectors {
            if !list.contains(&selector) {
                list.push(selector);
            }
        }
        if list.len() > self.max {
            return Err(TooManyTraces(self.max));
        }
        self.any.store(!list.is_empty(), Ordering::Relaxed);
        *all = list;
        Ok(())
    }

    /// Removes these; all of them if none is named.
    pub fn remove(&self, selectors: &[Selector]) {
        let mut all = self.selectors.write();
        all.retain(|selector| !selectors.is_empty() && !selectors.contains(selector));
        self.any.store(!all.is_empty(), Ordering::Relaxed);
    }

    /// Whether events with this topic are traced.
    pub(super) fn concern(&self, topic: &str) -> bool {
        let selectors = self.selectors.read();
        selectors.iter().any(|selector| selector.matches(topic))
    }
}
