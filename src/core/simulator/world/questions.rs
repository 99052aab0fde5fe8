//! Operators' queries that show or end streams, in portions.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::core::delivery::Message;
use crate::core::delivery::query::{Found, StreamQuery, Task};
use crate::core::selector::Selector;

use super::super::names::{self, Sel};
use super::{CLIENTS, World};

/// An unfinished query.
pub(super) struct Question {
    shard: usize,
    query: Arc<StreamQuery>,
    answer: Arc<Mutex<Option<Found>>>,
}

impl World {
    /// Makes a shard end all streams of a topic or pattern, from the first slot on.
    pub(super) fn end_some(&mut self) {
        let shard = self.dice.usize(..self.shards.len());
        let asked = names::choose(&mut self.dice, 1, 1)[0];
        let question = self.ask(shard, Arc::new(query(asked.selector())), 0, Task::End);
        self.questions.push(question);
    }

    /// Asks for the next portions of the answered queries.
    pub(super) fn ask_on(&mut self) {
        for question in std::mem::take(&mut self.questions) {
            let Some(found) = question.answer.lock().take() else {
                self.questions.push(question);
                continue;
            };
            self.totals.portions += 1;
            if let Some(next) = found.next {
                let question = self.ask(question.shard, question.query, next, Task::End);
                self.questions.push(question);
            }
        }
    }

    fn ask(&mut self, shard: usize, query: Arc<StreamQuery>, from: u32, task: Task) -> Question {
        let answer = Arc::new(Mutex::new(None));
        let answered = Arc::clone(&answer);
        let answered = Box::new(move |found| *answered.lock() = Some(found));
        let message = Message::Find(Arc::clone(&query), from, task, answered);
        self.shards[shard].inbox.messages.push_back(message);
        Question {
            shard,
            query,
            answer,
        }
    }

    /// Checks that a query returns the streams of a topic or pattern, in any number of portions.
    /// Streams that end between two portions (turns take time, and tokens expire) may be in the
    /// result or not.
    pub(super) fn check_found(&mut self) {
        let asked = names::choose(&mut self.dice, 1, 1)[0];
        for shard in 0..self.shards.len() {
            let mut meant = self.meant(shard, asked);
            let query = Arc::new(query(asked.selector()));
            let (mut shown, mut from) = (Vec::new(), Some(0));
            while let Some(slot) = from {
                let question = self.ask(shard, Arc::clone(&query), slot, Task::Show(CLIENTS));
                self.turn(shard);
                let found = question.answer.lock().take().expect("one message");
                assert!(found.next != Some(slot), "a portion gets on");
                shown.extend(found.streams.into_iter().map(|stream| stream.id));
                from = found.next;
            }
            let left = self.meant(shard, asked);
            meant.retain(|id| left.contains(id) || shown.contains(id));
            assert_eq!(shown, meant, "{asked:?}");
        }
    }

    /// Ids of the streams of a topic or pattern, by slot.
    fn meant(&self, shard: usize, asked: Sel) -> Vec<String> {
        let meant = self.clients.iter().filter_map(|client| {
            let connection = client.connection.as_ref()?;
            let mut selectors = client.rights.selectors.iter();
            let is_meant = selectors.any(|own| meets(asked, *own));
            (connection.shard == shard && is_meant)
                .then(|| self.network.wires[&connection.wire].key)?
        });
        let mut meant: Vec<_> = meant.map(|key| (key.slot, key.serial)).collect();
        meant.sort_unstable();
        let ids = meant.iter();
        ids.map(|(slot, serial)| format!("{shard}-{slot}-{serial}"))
            .collect()
    }
}

fn query(selector: Selector) -> StreamQuery {
    StreamQuery {
        topic: Some(selector),
        ..StreamQuery::default()
    }
}

/// Whether a stream with `own` matches `asked`.
fn meets(asked: Sel, own: Sel) -> bool {
    match (asked, own) {
        (Sel::Topic(topic), own) | (own, Sel::Topic(topic)) => own.matches(topic),
        _ => asked == own,
    }
}
