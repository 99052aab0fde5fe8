//! Whether a topic is an expansion of a template.
//!
//! A topic matches if some values of the variables (undefined, strings, lists, associative arrays)
//! make the template expand to it (RFC 6570 §3.2). RFC 6570 defines no matching, so these rules are
//! ours: a variable that is used twice may have two values; any percent-encoded triplet may stand
//! in a value; the keys of an associative array are written with the characters of values; a
//! parameter (`;`) without a value may keep its `=`. Text outside of expressions matches as it is
//! written, and percent-encoded if it is not ASCII.
//!
//! There is no backtracking and must never be: a set holds all positions of the topic at which a
//! piece of the template may end, and each piece turns one set into the next by one walk over the
//! topic, or a few for a variable. So the number of steps is proportional to the topic's length
//! times the template's, and the memory is a few sets.

use smallvec::SmallVec;

use super::characters::{Set, encoded_character, unit};
use super::positions::Positions;
use super::template::{
    Expression, Modifier, Operator, Part, Style, Variable, parts, prefix, suffix,
};

/// The cost of one position of a walk, in the unit of [`matches`]. Measured, like the next one.
const POSITION_COST: usize = 8;

/// The cost of one more set of positions: it is built, moved and united, however few positions it
/// has.
const SET_COST: usize = 50;

/// Whether `topic` is an expansion of `template`, and the cost of the comparison: about a nanosecond
/// a step.
pub(super) fn matches(template: &str, topic: &str) -> (bool, usize) {
    // Prefix or suffix exclude nearly all topics that a template is compared with.
    if !(topic.starts_with(prefix(template)) && topic.ends_with(suffix(template))) {
        return (false, template.len());
    }
    let mut matcher = Matcher::new(topic);
    let expands = matcher.expands(template);
    (expands, template.len() + matcher.cost)
}

/// A walk over one topic.
pub(super) struct Matcher<'a> {
    topic: &'a str,
    /// Positions visited and bytes compared.
    pub(super) steps: usize,
    /// The same with the sets that were built, each at its price.
    cost: usize,
}

impl<'a> Matcher<'a> {
    pub(super) fn new(topic: &'a str) -> Self {
        Self {
            topic,
            steps: 0,
            cost: 0,
        }
    }

    pub(super) fn expands(&mut self, template: &str) -> bool {
        let mut at = self.none();
        at.add(0);
        for part in parts(template) {
            at = match part {
                Part::Literal(literal) => self.literal(&at, literal),
                Part::Expression(expression) => self.expression(at, &expression),
            };
            if at.first().is_none() {
                return false;
            }
        }
        at.has(self.topic.len())
    }

    fn none(&mut self) -> Positions {
        self.cost += SET_COST;
        Positions::none(self.topic.len())
    }

    fn copy(&mut self, positions: &Positions) -> Positions {
        self.cost += SET_COST;
        positions.clone()
    }

    fn visit(&mut self) {
        self.steps += 1;
        self.cost += POSITION_COST;
    }

    /// Each variable may be undefined, and so may be all: then nothing is written, not even the
    /// operator's first character.
    fn expression(&mut self, from: Positions, expression: &Expression<'_>) -> Positions {
        let operator = &expression.operator;
        let start = match operator.first {
            Some(byte) => self.byte(&from, byte),
            None => self.copy(&from),
        };
        // Positions after at least one written variable.
        let mut written = self.none();
        for variable in expression.variables().flatten() {
            let mut entry = self.byte(&written, operator.separator);
            entry.unite(&start);
            if entry.first().is_some() {
                written.unite(&self.value(&entry, operator, &variable));
            }
        }
        written.unite(&from);
        written
    }

    /// One defined variable.
    fn value(
        &mut self,
        from: &Positions,
        operator: &Operator,
        variable: &Variable<'_>,
    ) -> Positions {
        match (operator.style, variable.modifier) {
            (Style::Unnamed, _) => self.unnamed(from, operator, variable.modifier),
            // The keys of an array take the place of the name, and a key may equal the name.
            (_, Modifier::Explode) => self.pairs(from, operator),
            (style, modifier) => {
                let named = self.literal(from, variable.name);
                let behind = self.byte(&named, b'=');
                let mut reached = self.unnamed(&behind, operator, modifier);
                if style == Style::Parameter {
                    reached.unite(&named);
                }
                reached
            }
        }
    }

    /// A value without a name before it.
    fn unnamed(&mut self, from: &Positions, operator: &Operator, modifier: Modifier) -> Positions {
        let set = if operator.reserved {
            Set::UNRESERVED_OR_RESERVED
        } else {
            Set::UNRESERVED
        };
        match modifier {
            // Members of lists are joined by commas.
            Modifier::None => self.run(from, set.with(b',')),
            Modifier::Prefix(length) => self.run_at_most(from, set, length),
            Modifier::Explode => {
                let mut reached = self.run(from, set.with(operator.separator));
                // With reserved characters, the set above contains all pairs.
                if !operator.reserved {
                    reached.unite(&self.pairs(from, operator));
                }
                reached
            }
        }
    }

    /// Positions after `text`, as it is written or percent-encoded.
    fn literal(&mut self, from: &Positions, text: &str) -> Positions {
        let mut reached = self.none();
        let mut next = from.first();
        while let Some(at) = next {
            if let Some(end) = self.literal_at(at, text) {
                reached.add(end);
            }
            next = from.next(at + 1);
        }
        reached
    }

    fn literal_at(&mut self, start: usize, text: &str) -> Option<usize> {
        let topic = self.topic.as_bytes();
        let mut at = start;
        self.visit();
        for byte in text.bytes() {
            self.steps += 1;
            self.cost += 1;
            let actual = *topic.get(at)?;
            at += match byte {
                _ if actual == byte => 1,
                _ if byte.is_ascii() => return None,
                _ if topic.get(at..at + 3)? == encoded(byte) => 3,
                _ => return None,
            };
        }
        Some(at)
    }

    fn byte(&mut self, from: &Positions, byte: u8) -> Positions {
        let mut reached = self.none();
        let mut next = from.first();
        while let Some(at) = next {
            self.visit();
            if self.topic.as_bytes().get(at) == Some(&byte) {
                reached.add(at + 1);
            }
            next = from.next(at + 1);
        }
        reached
    }

    /// Any number of units of a set.
    fn run(&mut self, from: &Positions, set: Set) -> Positions {
        let mut reached = self.copy(from);
        let mut next = from.first();
        while let Some(at) = next {
            self.visit();
            match unit(self.topic, at, set) {
                0 => {}
                length => reached.add(at + length),
            }
            next = reached.next(at + 1);
        }
        reached
    }

    /// At most `length` characters; one that is written as several triplets counts once.
    fn run_at_most(&mut self, from: &Positions, set: Set, length: u16) -> Positions {
        let mut reached = self.copy(from);
        // For each position, the largest number of characters that may still follow. More is never
        // worse, so the largest is enough.
        let mut left: SmallVec<[u16; 128]> = SmallVec::from_elem(0, self.topic.len() + 1);
        let mut next = from.first();
        while let Some(at) = next {
            self.visit();
            if from.has(at) {
                left[at] = length;
            }
            if let Some(less) = left[at].checked_sub(1) {
                let several = encoded_character(self.topic.as_bytes(), at);
                for step in [unit(self.topic, at, set), several] {
                    if step > 0 {
                        reached.add(at + step);
                        left[at + step] = left[at + step].max(less);
                    }
                }
            }
            next = reached.next(at + 1);
        }
        reached
    }

    /// Keys with values, joined by the operator's separator: an associative array, or a list whose
    /// members all have the variable's name.
    fn pairs(&mut self, from: &Positions, operator: &Operator) -> Positions {
        // A key may end a pair only if an empty value leaves its `=` out.
        let bare = operator.style == Style::Parameter;
        let mut keys = self.copy(from);
        let mut values = self.none();
        for at in from.first().unwrap_or_default()..=self.topic.len() {
            self.visit();
            let (in_key, in_value) = (keys.has(at), values.has(at));
            if !in_key && !in_value {
                continue;
            }
            let byte = self.topic.as_bytes().get(at);
            if byte == Some(&operator.separator) && (in_value || bare) {
                keys.add(at + 1);
            }
            if byte == Some(&b'=') && in_key {
                values.add(at + 1);
            }
            let length = unit(self.topic, at, Set::UNRESERVED);
            if length > 0 && in_key {
                keys.add(at + length);
            }
            if length > 0 && in_value {
                values.add(at + length);
            }
        }
        if bare {
            values.unite(&keys);
        }
        values
    }
}

/// A byte as a triplet, as in an expansion.
fn encoded(byte: u8) -> [u8; 3] {
    let digit = |value: u8| b"0123456789ABCDEF"[usize::from(value)];
    [b'%', digit(byte >> 4), digit(byte & 15)]
}
