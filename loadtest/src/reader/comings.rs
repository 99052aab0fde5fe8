//! Streams that open, end and come back, and streams that open late at the position of another.

use super::fleet::Fleet;
use super::stream::{End, Position, Stream};
use crate::stamp;

/// Different reasons that are counted separately; further ones are counted together.
const REASONS_MAX: usize = 100;

impl Fleet {
    /// Notes the positions of some open streams, spread evenly.
    pub(super) fn remember(&mut self, streams: usize) {
        let clients = self.streams.iter().filter(|stream| {
            // One that was opened late is no client.
            !stream.late && stream.open(self.job.no_prime)
        });
        let mut positions: Vec<Position> = clients.filter_map(Stream::position).collect();
        let step = (positions.len() / streams.max(1)).max(1);
        self.positions = positions.drain(..).step_by(step).take(streams).collect();
    }

    /// Opens a stream at each of the noted positions.
    pub(super) fn open_late(&mut self) {
        for position in std::mem::take(&mut self.positions) {
            self.target += 1;
            self.streams.push(Stream::at(position));
            self.connect(self.streams.len() - 1);
        }
    }

    /// Ends the streams that were opened late; what they received stays known.
    pub(super) fn end_late(&mut self) {
        for number in 0..self.streams.len() {
            let stream = &mut self.streams[number];
            if !stream.late {
                continue;
            }
            if stream.connected() && !stream.open(self.job.no_prime) {
                self.connecting -= 1;
            }
            stream.end();
            stream.finished = true;
        }
    }

    /// The stream's response has begun with a first block.
    pub(super) fn has_opened(&mut self, number: usize) {
        self.connecting -= 1;
        self.moved();
        let now = stamp::now();
        let stream = &mut self.streams[number];
        let took = now.saturating_sub(stream.begun);
        stream.turned_away = 0;
        if stream.late {
            stream.was_open = true;
            return;
        }
        self.open += 1;
        self.opened += 1;
        self.opened_at = now;
        stream.returned = stream.was_open;
        if stream.returned {
            self.counts.returned += 1;
            self.counts.returned_without_cursor += u64::from(!stream.gave_cursor);
        }
        stream.was_open = true;
        self.latencies.open.saturating_record(took);
    }

    /// The server has ended the open stream.
    pub(super) fn has_been_cut(&mut self, number: usize) {
        let stream = &mut self.streams[number];
        if stream.late {
            return;
        }
        self.open -= 1;
        if stream.has_heard() {
            stream.cut_at = stamp::now();
            self.cut += 1;
            return;
        }
        // It never was back.
        self.counts.sent_away += 1;
        if stream.returned {
            self.counts.returned -= 1;
            self.counts.returned_without_cursor -= u64::from(!stream.gave_cursor);
        }
    }

    /// The open stream has received something: more than a `retry:` if it is back.
    pub(super) fn has_received(&mut self, number: usize) {
        let stream = &mut self.streams[number];
        if stream.cut_at > 0 && stream.has_heard() {
            let away = stamp::now().saturating_sub(std::mem::take(&mut stream.cut_at));
            self.latencies.away.saturating_record(away);
        }
    }

    /// The stream's connection ended, not by its own will.
    pub(super) fn ended(&mut self, number: usize, end: &End) {
        let text = end.to_string();
        let text = if self.reasons.len() < REASONS_MAX || self.reasons.contains_key(&text) {
            text
        } else {
            "something else".to_owned()
        };
        *self.reasons.entry(text).or_default() += 1;
        self.moved();
        let stream = &mut self.streams[number];
        stream.end();
        let for_good = self.job.event_source && matches!(end, End::Refused(_) | End::NoStream(_));
        if self.job.reconnect && (stream.was_open || stream.late) && !for_good {
            let retry = stream.retry_ms;
            self.go_elsewhere(number);
            self.restless.come_back_after_end(number, retry);
            return;
        }
        stream.finished = true;
        self.failed += usize::from(!stream.late);
        if std::mem::take(&mut stream.awaited) {
            self.awaited -= 1;
        }
    }
}
