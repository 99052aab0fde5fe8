//! Patterns that the streams of one client chose themselves, with a bound per client.
//!
//! Every topic is compared with every pattern that may match it, so each pattern costs all
//! publishers. Patterns that a token names are not counted here: the issuer of the token vouches
//! for them.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use parking_lot::Mutex;

use crate::core::delivery::PatternsRecord;
use crate::core::places::{Share, Shed};
use crate::core::selector::Selector;

/// Number of streams of one client with each pattern.
type Held = HashMap<Selector, u32>;

/// The patterns of all clients. Cheap to clone.
#[derive(Clone)]
pub(super) struct PatternShares {
    /// 0 = patterns are not counted.
    max: usize,
    /// The definition of a client.
    clients: Share,
    by_client: Arc<Mutex<HashMap<IpAddr, Held>>>,
}

/// The patterns that one stream chose; released on drop.
pub struct PatternShare {
    shares: PatternShares,
    client: IpAddr,
    patterns: Box<[Selector]>,
}

impl PatternShares {
    /// At most `max` patterns per client, or any number (0).
    pub(super) fn new(max: usize, clients: Share) -> Self {
        Self {
            max,
            clients,
            by_client: Arc::default(),
        }
    }

    /// Counts the patterns that a stream of the client at `address` chose, without duplicates;
    /// `None` if nothing is counted.
    pub(super) fn take<'s>(
        &self,
        address: IpAddr,
        patterns: impl Iterator<Item = &'s Selector>,
    ) -> Result<Option<PatternShare>, Shed> {
        if self.max == 0 {
            return Ok(None);
        }
        let patterns: Box<[Selector]> = patterns.cloned().collect();
        if patterns.is_empty() {
            return Ok(None);
        }
        let client = self.clients.client(address);
        let mut by_client = self.by_client.lock();
        let held = by_client.get(&client);
        let is_new = |one: &&Selector| held.is_none_or(|held| !held.contains_key(*one));
        let new = patterns.iter().filter(is_new).count();
        if new > 0 && held.map_or(0, Held::len) + new > self.max {
            return Err(Shed::AddressPatterns(self.max));
        }
        Ok(Some(self.count(&mut by_client, client, patterns)))
    }

    /// Counts the patterns of a restored stream, also above the bound; `None` if nothing is counted.
    pub(super) fn restore(&self, record: PatternsRecord) -> Option<PatternShare> {
        let client = self.clients.client(record.client);
        let mut by_client = self.by_client.lock();
        (self.max > 0).then(|| self.count(&mut by_client, client, record.patterns))
    }

    fn count(
        &self,
        by_client: &mut HashMap<IpAddr, Held>,
        client: IpAddr,
        patterns: Box<[Selector]>,
    ) -> PatternShare {
        let held = by_client.entry(client).or_default();
        // All streams of the client share one text of each pattern; copies would stay as long as
        // they are open.
        let share = |pattern: Selector| match held.entry(pattern) {
            Entry::Occupied(mut shared) => {
                *shared.get_mut() += 1;
                shared.key().clone()
            }
            Entry::Vacant(new) => {
                let pattern = new.key().clone();
                new.insert(1);
                pattern
            }
        };
        let patterns = patterns.into_iter().map(share).collect();
        PatternShare {
            shares: self.clone(),
            client,
            patterns,
        }
    }
}

impl PatternShare {
    /// The share as a plain value.
    pub(super) fn record(&self) -> PatternsRecord {
        PatternsRecord {
            client: self.client,
            patterns: self.patterns.clone(),
        }
    }
}

impl Drop for PatternShare {
    fn drop(&mut self) {
        let mut by_client = self.shares.by_client.lock();
        let Some(held) = by_client.get_mut(&self.client) else {
            return;
        };
        for pattern in &self.patterns {
            if let Some(count) = held.get_mut(pattern) {
                *count -= 1;
                if *count == 0 {
                    held.remove(pattern);
                }
            }
        }
        if held.is_empty() {
            by_client.remove(&self.client);
        }
    }
}

impl fmt::Debug for PatternShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PatternShare")
            .field("patterns", &self.patterns.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::core::selector::Syntax;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn patterns(texts: &[&str]) -> Vec<Selector> {
        let parse = |text: &&str| Selector::parse(text, Syntax::Native, 100).expect("a pattern");
        texts.iter().map(parse).collect()
    }

    #[test]
    fn a_client_has_its_share_of_different_patterns_and_gets_it_back() {
        let shares = PatternShares::new(2, Share::default());
        let take = |texts: &[&str]| shares.take(HERE, patterns(texts).iter());
        let first = take(&["a/*", "b/*"]).expect("room");
        let same = take(&["b/*"]).expect("no new one");
        assert_eq!(take(&["c/*"]).err(), Some(Shed::AddressPatterns(2)));
        let other = "192.0.2.1".parse().expect("an address");
        assert!(shares.take(other, patterns(&["c/*"]).iter()).is_ok());
        drop(first);
        let third = take(&["c/*"]).expect("one was given back");
        assert!(take(&["a/*"]).is_err(), "the second still holds one");
        drop((same, third));
        assert!(shares.by_client.lock().is_empty());
    }

    #[test]
    fn each_stream_of_a_client_kept_its_own_text_of_the_same_pattern() {
        let shares = PatternShares::new(2, Share::default());
        let take = || shares.take(HERE, patterns(&["a/*"]).iter());
        let text = |share: &PatternShare| share.patterns[0].text().as_ptr();
        let [first, second] = [take(), take()].map(|share| share.expect("room").expect("a share"));
        assert_eq!(text(&first), text(&second));
    }

    #[test]
    fn where_there_is_no_bound_nothing_is_kept() {
        let shares = PatternShares::new(0, Share::default());
        assert!(
            shares
                .take(HERE, patterns(&["a/*"]).iter())
                .expect("any")
                .is_none()
        );
        let shares = PatternShares::new(1, Share::default());
        assert!(shares.take(HERE, [].iter()).expect("none").is_none());
    }
    #[test]
    fn restored_patterns_are_counted_also_above_the_bound() {
        let before = PatternShares::new(3, Share::default());
        let share = before.take(HERE, patterns(&["a/*", "b/*"]).iter());
        let record = share.expect("room").expect("a share").record();
        let after = PatternShares::new(1, Share::default());
        let restored = after.restore(record.clone()).expect("a share");
        assert_eq!(restored.record(), record);
        let new = patterns(&["c/*"]);
        assert_eq!(
            after.take(HERE, new.iter()).err(),
            Some(Shed::AddressPatterns(1))
        );
        drop(restored);
        assert!(after.take(HERE, new.iter()).is_ok());
        let unbound = PatternShares::new(0, Share::default());
        assert!(unbound.restore(record).is_none());
    }
}
