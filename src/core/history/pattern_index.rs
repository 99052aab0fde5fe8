//! Finds the patterns that may match a topic, without examining the others.
//!
//! Each pattern is in one bucket, under a text that all of its topics contain: their start, their
//! end, or four or two bytes somewhere within. Of the texts that a pattern offers, the one with the
//! fewest patterns is used. So templates that start alike and end otherwise, or differ only in the
//! middle, do not share a bucket. Only patterns that offer no text at all (`{a}{b}`) are compared
//! with every topic.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;

use crate::core::selector::Selector;
use crate::core::table::{Arena, PartTable};

use super::pattern_ref::PatternRef;

/// Lengths of texts within a topic.
const WINDOWS: [usize; 2] = [4, 2];

/// Up to this many younger patterns are compared with a topic without a search for candidates.
const FEW: usize = 8;

/// The place of a text within a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    Start,
    End,
    Within,
}

/// The patterns under one text.
#[derive(Debug)]
struct Bucket {
    place: Place,
    text: Box<[u8]>,
    patterns: u32,
}

/// The bucket of a pattern.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BucketId(u32);

/// All patterns by bucket and by age.
#[derive(Debug, Default)]
pub(super) struct PatternIndex {
    buckets: Arena<Bucket>,
    by_text: PartTable<u32>,
    /// Number of buckets for each length of text, by place.
    lengths: [BTreeMap<usize, usize>; 3],
    /// Slots of patterns by bucket and serial number.
    members: BTreeMap<(u32, u32), u32>,
    /// Slots of patterns by serial number.
    by_serial: BTreeMap<u32, u32>,
    hasher: DefaultHashBuilder,
}

impl PatternIndex {
    /// Adds a pattern; its serial number is above all others'.
    pub(super) fn add(&mut self, selector: &Selector, serial: u32, slot: u32) -> BucketId {
        let (place, text) = self.best_text(selector);
        let number = self
            .find(place, text)
            .unwrap_or_else(|| self.add_bucket(place, text));
        if let Some(bucket) = self.buckets.get_mut(number) {
            bucket.patterns += 1;
        }
        self.members.insert((number, serial), slot);
        self.by_serial.insert(serial, slot);
        BucketId(number)
    }

    pub(super) fn remove(&mut self, BucketId(number): BucketId, serial: u32) {
        self.members.remove(&(number, serial));
        self.by_serial.remove(&serial);
        let Some(bucket) = self.buckets.get_mut(number) else {
            return;
        };
        bucket.patterns -= 1;
        if bucket.patterns == 0 {
            self.remove_bucket(number);
        }
    }

    /// Of the texts that all topics of a pattern contain, the one with the fewest patterns. The
    /// start comes first: it is found with one search.
    fn best_text<'s>(&self, selector: &'s Selector) -> (Place, &'s [u8]) {
        let mut best = (Place::Start, selector.prefix().as_bytes());
        let mut fewest = if best.1.is_empty() {
            u32::MAX
        } else {
            self.patterns_in(Place::Start, best.1)
        };
        let mut offer = |place, text: &'s [u8]| {
            if fewest > 0 && !text.is_empty() {
                let patterns = self.patterns_in(place, text);
                if patterns < fewest {
                    (best, fewest) = ((place, text), patterns);
                }
            }
        };
        offer(Place::End, selector.suffix().as_bytes());
        selector.each_piece(|piece| {
            let length = WINDOWS.into_iter().find(|length| piece.len() >= *length);
            if let Some(length) = length {
                for window in piece.as_bytes().windows(length) {
                    offer(Place::Within, window);
                }
            }
        });
        best
    }

    fn patterns_in(&self, place: Place, text: &[u8]) -> u32 {
        let bucket = self
            .find(place, text)
            .and_then(|number| self.buckets.get(number));
        bucket.map_or(0, |bucket| bucket.patterns)
    }

    fn find(&self, place: Place, text: &[u8]) -> Option<u32> {
        let is_it = |number: &u32| {
            let bucket = self.buckets.get(*number);
            bucket.is_some_and(|bucket| bucket.place == place && *bucket.text == *text)
        };
        let hash = self.hasher.hash_one((place, text));
        self.by_text.find(hash, is_it).copied()
    }

    fn add_bucket(&mut self, place: Place, text: &[u8]) -> u32 {
        let number = self.buckets.insert(Bucket {
            place,
            text: text.into(),
            patterns: 0,
        });
        let (buckets, hasher) = (&self.buckets, &self.hasher);
        let hash = hasher.hash_one((place, text));
        self.by_text
            .insert_unique(hash, number, |other| hash_of(buckets, hasher, *other));
        *self.lengths[place as usize].entry(text.len()).or_default() += 1;
        number
    }

    fn remove_bucket(&mut self, number: u32) {
        let (buckets, hasher) = (&self.buckets, &self.hasher);
        let hash = hash_of(buckets, hasher, number);
        let is_it = |other: &u32| *other == number;
        self.by_text
            .remove(hash, is_it, |other| hash_of(buckets, hasher, *other));
        let Some(bucket) = self.buckets.remove(number) else {
            return;
        };
        let lengths = &mut self.lengths[bucket.place as usize];
        if let Some(count) = lengths.get_mut(&bucket.text.len()) {
            *count -= 1;
            if *count == 0 {
                lengths.remove(&bucket.text.len());
            }
        }
    }

    /// The patterns that may match `topic` and are younger than the one with serial number `seen`,
    /// the oldest first. The cost is the result, a search for each length of start and end, and
    /// some for each byte of the topic.
    pub(super) fn younger(&self, topic: &str, seen: u32) -> Vec<PatternRef> {
        let after = (std::ops::Bound::Excluded(seen), std::ops::Bound::Unbounded);
        let mut all = self.by_serial.range(after);
        let few: Vec<_> = all.by_ref().take(FEW).map(reference).collect();
        if all.next().is_none() {
            return few;
        }
        let mut found = Vec::new();
        let topic = topic.as_bytes();
        for length in self.lengths_of(Place::Start, topic) {
            self.collect(Place::Start, &topic[..length], seen, &mut found);
        }
        for length in self.lengths_of(Place::End, topic) {
            self.collect(Place::End, &topic[topic.len() - length..], seen, &mut found);
        }
        for length in self.lengths_of(Place::Within, topic) {
            for window in topic.windows(length) {
                self.collect(Place::Within, window, seen, &mut found);
            }
        }
        found.sort_unstable_by_key(|pattern| pattern.serial);
        // A text may occur in a topic several times.
        found.dedup();
        found
    }

    fn lengths_of(&self, place: Place, topic: &[u8]) -> impl Iterator<Item = usize> {
        let lengths = self.lengths[place as usize].range(..=topic.len());
        lengths.map(|(length, _)| *length)
    }

    fn collect(&self, place: Place, text: &[u8], seen: u32, found: &mut Vec<PatternRef>) {
        if let Some(number) = self.find(place, text) {
            let after = std::ops::Bound::Excluded((number, seen));
            let last = std::ops::Bound::Included((number, u32::MAX));
            let members = self.members.range((after, last));
            found.extend(members.map(|((_, serial), slot)| reference((serial, slot))));
        }
    }

    /// Bytes that its tables have allocated, without the trees, which own nothing while they are
    /// empty.
    #[cfg(test)]
    pub(super) fn allocated_bytes(&self) -> usize {
        assert_eq!(self.members.len(), self.by_serial.len());
        let nodes = self.members.len() * size_of::<[u32; 5]>();
        self.buckets.allocated_bytes() + self.by_text.allocated_bytes() + nodes
    }
}

fn reference((serial, slot): (&u32, &u32)) -> PatternRef {
    PatternRef {
        slot: *slot,
        serial: *serial,
    }
}

/// The hash of the place and the text of a bucket.
fn hash_of(buckets: &Arena<Bucket>, hasher: &DefaultHashBuilder, number: u32) -> u64 {
    let bucket = buckets.get(number);
    bucket.map_or(0, |bucket| hasher.hash_one((bucket.place, &*bucket.text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::selector::Syntax;

    fn index(texts: impl Iterator<Item = String>) -> PatternIndex {
        let mut index = PatternIndex::default();
        for (number, text) in texts.enumerate() {
            let selector = Selector::parse(&text, Syntax::Native, 1_024).expect("a pattern");
            index.add(&selector, number as u32 + 1, number as u32);
        }
        index
    }

    /// Ten thousand templates that started alike were all compared with every new topic.
    #[test]
    fn templates_that_start_alike_are_told_apart_by_what_else_they_have() {
        let shapes: [fn(usize) -> String; 6] = [
            |n| format!("room-{n}/{{id}}"),
            |n| format!("room/{{id}}/comments/{n}"),
            |n| format!("{{+path}}/{n}/comments/{{id}}"),
            |n| format!("{{a}}/x{n}y/{{b}}/{{c}}"),
            |n| format!("*/user-{n}/*"),
            |n| format!("{{a}}-{n}"),
        ];
        for shape in shapes {
            let index = index((1_000..11_000).map(shape));
            for topic in ["room/17", "room-7/1", "a/b/c/d", "publish/123456"] {
                let found = index.younger(topic, 0).len();
                assert!(found <= 20, "{found} for {topic} by {}", shape(1));
            }
        }
    }

    #[test]
    fn every_pattern_is_found_for_each_of_its_topics() {
        let texts = [
            "*",
            "**",
            "a/*",
            "a/**",
            "*/c",
            "a/*/c",
            "*/b/*",
            "{x}",
            "a/{x}",
            "{x}/c",
            "{+x}b{+y}",
            "{x}é/{y}",
            "{a}{b}",
            "a{?q}",
            "a/{x}/c",
            "{+x}/b/{+y}",
            "{x}aa{+y}",
            "*é/b",
            "é/*/c",
            "{/x,y}",
        ];
        let selectors: Vec<_> = texts
            .iter()
            .map(|text| Selector::parse(text, Syntax::Native, 100).expect("a pattern"))
            .collect();
        let mut index = index(texts.iter().map(|text| (*text).to_owned()));
        let topics = [
            "a",
            "a/b",
            "a/b/c",
            "é/b/c",
            "xé/y",
            "x%C3%A9/y",
            "b",
            "aab",
            "aaaa",
            "/x/y",
            "a?q=1",
            "*é/b",
        ];
        for topic in topics.into_iter().chain(texts) {
            let found = index.younger(topic, 0);
            for (slot, selector) in selectors.iter().enumerate() {
                let is_found = found.iter().any(|pattern| pattern.slot == slot as u32);
                assert!(
                    is_found || !selector.matches(topic),
                    "{selector:?} for {topic}"
                );
            }
            let younger = index.younger(topic, 7);
            assert!(younger.iter().all(|pattern| pattern.serial > 7));
            assert!(found.is_sorted_by_key(|pattern| pattern.serial));
        }
        for (number, selector) in selectors.iter().enumerate() {
            let serial = number as u32 + 1;
            let bucket = index
                .members
                .iter()
                .find(|(_, slot)| **slot == number as u32);
            let ((bucket, _), _) = bucket.expect("it was added");
            index.remove(BucketId(*bucket), serial);
            assert!(
                index
                    .younger(selector.text(), serial - 1)
                    .iter()
                    .all(|found| found.serial > serial)
            );
        }
        assert_eq!(index.allocated_bytes(), 0);
        assert!(index.lengths.iter().all(BTreeMap::is_empty));
    }
}
