//! The frames of an HTTP/2 connection, in both directions (RFC 9113).
//!
//! hyper and the library below it check the content of frames; this checks their number. A frame
//! that costs its sender nothing, and the node work or an answer that waits, spends from a budget
//! (RFC 9113 §10.5). The budget refills with time, and the node's own frames add to it: a browser
//! answers each event on a quiet stream with two `WINDOW_UPDATE`s, and a proxy does so for a
//! thousand streams. Only heads of frames are read, and no frame is held back.

mod budget;
mod frames;

use std::time::Instant;

use self::budget::{Budget, Limits};
use self::frames::{Frames, Head, Kind, Step};
use super::{Fault, Refusal};

/// Bytes of the client's preface, which come before its first frame (RFC 9113 §3.4).
const PREFACE_BYTES: usize = 24;

/// Frames without an effect on any request: `PING` and its answer, `SETTINGS`, `PRIORITY`,
/// `WINDOW_UPDATE`, `CONTINUATION`, empty `DATA`, extensions.
const CONTROL: Limits = Limits {
    burst: 1_000,
    per_second: 100,
    saved_max: 1 << 16,
};

/// Each `SETTINGS` is answered, and may change the window of every stream.
const SETTINGS_COST: u64 = 10;

/// Amount that each `HEADERS` or `DATA` frame of the node adds: two `WINDOW_UPDATE`s, and as much
/// again.
const EARNED_BY_FRAME: u64 = 4;

/// A client that reads in small pieces may announce each piece, for its stream and for the
/// connection. This many sent bytes add one.
const EARNED_BY_BYTES: u32 = 32;

/// Amount that a request adds: a priority and a window for its stream.
const EARNED_BY_REQUEST: u64 = 4;

/// Streams that end before they were answered: reset by the client, or by the node after the client
/// broke a rule.
const RESETS: Limits = Limits {
    burst: 200,
    per_second: 20,
    saved_max: 1 << 16,
};

/// Error codes of resets that are the node's own decision (RFC 9113 §7): `NO_ERROR`,
/// `INTERNAL_ERROR`, `CANCEL`.
const OWN_RESETS: [u32; 3] = [0, 2, 8];

/// The unfinished item that the node waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// The first `SETTINGS`.
    Settings,
    /// The first request.
    Request,
    /// The rest of a header block or of a frame other than `DATA`, since then.
    Frame(Instant),
    /// The rest of a `DATA` frame, since then.
    Data(Instant),
}

/// Follows the frames of one connection.
#[derive(Debug)]
pub(crate) struct Http2 {
    preface_left: usize,
    received: Frames,
    sent: Frames,
    /// Time at which the unfinished frame began.
    frame_since: Instant,
    /// Time at which the unfinished header block began.
    block_since: Option<Instant>,
    /// Bytes of the frames of the header block that has begun and not ended.
    block_bytes: usize,
    settled: bool,
    last_stream: u32,
    control: Budget,
    resets: Budget,
    fault: Option<Fault>,
}

impl Http2 {
    /// For a connection on which nothing was received.
    #[must_use]
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            preface_left: PREFACE_BYTES,
            received: Frames::default(),
            sent: Frames::default(),
            frame_since: now,
            block_since: None,
            block_bytes: 0,
            settled: false,
            last_stream: 0,
            control: Budget::new(CONTROL, now),
            resets: Budget::new(RESETS, now),
            fault: None,
        }
    }

    /// Follows the received `bytes`; returns how many of them may pass.
    pub(crate) fn receive(&mut self, bytes: &[u8], now: Instant) -> usize {
        if self.fault.is_some() {
            return 0;
        }
        let preface = bytes.len().min(self.preface_left);
        self.preface_left -= preface;
        let mut rest = &bytes[preface..];
        loop {
            if self.received.at_boundary() && !rest.is_empty() {
                self.frame_since = now;
            }
            let before = rest.len();
            match self.received.step(&mut rest) {
                None => return bytes.len(),
                Some(Step::Head(head)) => {
                    if let Err(fault) = self.received_head(head, now) {
                        self.fault = Some(fault);
                        return bytes.len() - before;
                    }
                }
                Some(Step::End(head, _)) => self.received_frame(head, now),
            }
        }
    }

    fn received_head(&mut self, head: Head, now: Instant) -> Result<(), Fault> {
        if !self.settled {
            if head.kind != Kind::Settings {
                return Err(Fault::NoSettings);
            }
            self.settled = true;
        }
        if matches!(head.kind, Kind::Headers | Kind::Continuation) {
            self.block_bytes += head.length as usize;
        }
        let cost = match head.kind {
            Kind::Headers => {
                if head.stream > self.last_stream {
                    self.last_stream = head.stream;
                    self.control.earn(EARNED_BY_REQUEST);
                }
                0
            }
            Kind::Data if head.length > 0 || head.ends_stream() => 0,
            Kind::Reset => return self.reset(now),
            Kind::Settings => SETTINGS_COST,
            _ => 1,
        };
        if self.control.spend(cost, now) {
            Ok(())
        } else {
            Err(Fault::Frames)
        }
    }

    fn received_frame(&mut self, head: Head, now: Instant) {
        match head.kind {
            Kind::Headers | Kind::Continuation if head.ends_headers() => {
                self.block_since = None;
                self.block_bytes = 0;
            }
            Kind::Headers => self.block_since = Some(now),
            _ => {}
        }
    }

    fn reset(&mut self, now: Instant) -> Result<(), Fault> {
        if self.resets.spend(1, now) {
            Ok(())
        } else {
            Err(Fault::Resets)
        }
    }

    /// Follows the sent `bytes`.
    pub(crate) fn send(&mut self, bytes: &[u8], now: Instant) {
        let mut rest = bytes;
        while let Some(step) = self.sent.step(&mut rest) {
            if let Step::End(head, start) = step {
                self.sent_frame(head, start, now);
            }
        }
    }

    fn sent_frame(&mut self, head: Head, start: [u8; 4], now: Instant) {
        match head.kind {
            Kind::Headers => {
                self.control.earn(EARNED_BY_FRAME);
                self.resets.earn(1);
            }
            Kind::Data => {
                let by_bytes = u64::from(head.length / EARNED_BY_BYTES);
                self.control.earn(EARNED_BY_FRAME + by_bytes);
            }
            Kind::Reset if !OWN_RESETS.contains(&u32::from_be_bytes(start)) => {
                if let Err(fault) = self.reset(now) {
                    self.fault.get_or_insert(fault);
                }
            }
            _ => {}
        }
    }

    /// Bytes of the frames of the header block that has begun and not ended; 0 outside of one.
    pub(super) fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    /// Lets no further byte pass, if that is not so already.
    pub(crate) fn refuse(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    /// The reason if no byte passes any more.
    #[must_use]
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.fault.map(|fault| Refusal {
            fault,
            in_head: false,
        })
    }

    /// The unfinished item of the connection; `None` between two frames.
    #[must_use]
    pub(crate) fn waiting(&self) -> Option<Waiting> {
        let in_frame = !self.received.at_boundary();
        if !self.settled || self.preface_left > 0 {
            Some(Waiting::Settings)
        } else if let Some(since) = self.block_since {
            Some(Waiting::Frame(since))
        } else if in_frame && self.received.is_in(Kind::Data) {
            Some(Waiting::Data(self.frame_since))
        } else if in_frame {
            Some(Waiting::Frame(self.frame_since))
        } else if self.last_stream == 0 {
            Some(Waiting::Request)
        } else {
            None
        }
    }

    /// A `GOAWAY` with the reason of the refusal (RFC 9113 §6.8), unless the last frame was sent in
    /// part: the `GOAWAY` would be read as its rest.
    #[must_use]
    pub(crate) fn farewell(&self) -> Option<[u8; 17]> {
        let fault = self.fault.filter(|_| self.sent.at_boundary())?;
        let mut frame = [0; 17];
        frame[2] = 8;
        frame[3] = 7;
        frame[9..13].copy_from_slice(&self.last_stream.to_be_bytes());
        frame[13..].copy_from_slice(&fault.code().to_be_bytes());
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const SETTINGS: u8 = 4;
    const PING: u8 = 6;
    const WINDOW_UPDATE: u8 = 8;
    const END_HEADERS: u8 = 4;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u32).to_be_bytes();
        let mut bytes = vec![length[1], length[2], length[3], kind, flags];
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn opened(now: Instant) -> Http2 {
        let mut guard = Http2::new(now);
        let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        assert_eq!(guard.receive(&hello, now), hello.len());
        guard
    }

    /// Sends the same frame until it is refused; returns how many passed.
    fn passed(guard: &mut Http2, frame: &[u8], now: Instant, most: usize) -> usize {
        let sent = (0..most).take_while(|_| guard.receive(frame, now) == frame.len());
        sent.count()
    }

    #[test]
    fn frames_that_cost_nothing_are_many_but_not_endless() {
        let now = Instant::now();
        for kind in [2, 4, 6, 7, 8, 9, 10, 0xfa] {
            let mut guard = opened(now);
            let count = passed(&mut guard, &frame(kind, 0, 0, &[0; 6]), now, 100_000);
            assert!((90..=1_000).contains(&count), "{kind}: {count}");
            let refusal = guard.refusal().expect("a refusal");
            assert_eq!(refusal.fault, Fault::Frames);
            assert_eq!(guard.receive(b"x", now), 0, "nothing passes any more");
        }
        let mut guard = opened(now);
        assert!(passed(&mut guard, &frame(0, 0, 1, &[]), now, 100_000) <= 1_000);
    }

    #[test]
    fn bodies_and_requests_are_no_flood() {
        let now = Instant::now();
        let mut guard = opened(now);
        for frame in [frame(0, 0, 1, b"x"), frame(1, END_HEADERS, 1, b"x")] {
            assert_eq!(passed(&mut guard, &frame, now, 10_000), 10_000);
        }
    }

    #[test]
    fn a_client_that_pings_now_and_then_does_so_for_ever() {
        let mut now = Instant::now();
        let mut guard = opened(now);
        for _ in 0..10_000 {
            now += Duration::from_millis(20);
            let ping = frame(PING, 0, 0, &[0; 8]);
            assert_eq!(guard.receive(&ping, now), ping.len());
        }
    }

    #[test]
    fn what_the_node_sends_may_be_acknowledged() {
        let now = Instant::now();
        let mut guard = opened(now);
        let update = frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]);
        for _ in 0..10_000 {
            guard.send(&frame(0, 0, 1, &[b'x'; 200]), now);
            for _ in 0..4 {
                assert_eq!(guard.receive(&update, now), update.len());
            }
        }
        guard.send(&frame(0, 0, 1, &[b'x'; 16 << 10]), now);
        assert!(passed(&mut guard, &update, now, 10_000) >= 20);
    }

    #[test]
    fn a_client_of_small_windows_may_return_credit_for_every_100_bytes() {
        let now = Instant::now();
        let mut guard = opened(now);
        for _ in 0..10_000 {
            guard.send(&frame(0, 0, 1, &[b'x'; 1_000]), now);
            for _ in 0..10 {
                for stream in [0, 1] {
                    let update = frame(WINDOW_UPDATE, 0, stream, &[0, 0, 0, 100]);
                    assert_eq!(guard.receive(&update, now), update.len());
                }
            }
        }
    }

    #[test]
    fn streams_that_were_answered_may_be_reset() {
        let now = Instant::now();
        let reset = frame(3, 0, 1, &[0, 0, 0, 8]);
        let mut guard = opened(now);
        for _ in 0..1_000 {
            guard.send(&frame(1, END_HEADERS, 1, b"x"), now);
        }
        assert_eq!(passed(&mut guard, &reset, now, 10_000), 1_200);
        assert_eq!(guard.refusal().map(|r| r.fault), Some(Fault::Resets));
    }

    #[test]
    fn resets_that_the_client_provokes_count_and_the_nodes_own_do_not() {
        let now = Instant::now();
        for (code, refused) in [
            (1, true),
            (3, true),
            (5, true),
            (7, true),
            (0, false),
            (2, false),
            (8, false),
        ] {
            let mut guard = opened(now);
            for _ in 0..1_000 {
                guard.send(&frame(3, 0, 1, &[0, 0, 0, code]), now);
            }
            assert_eq!(guard.refusal().is_some(), refused, "{code}");
        }
    }

    #[test]
    fn what_is_under_way_is_known() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut guard = Http2::new(now);
        assert_eq!(guard.waiting(), Some(Waiting::Settings));
        guard.receive(PREFACE, now);
        assert_eq!(guard.waiting(), Some(Waiting::Settings));
        guard.receive(&frame(SETTINGS, 0, 0, &[]), now);
        assert_eq!(guard.waiting(), Some(Waiting::Request));
        let head = frame(1, 0, 1, b"xx");
        guard.receive(&head[..3], later);
        assert_eq!(guard.waiting(), Some(Waiting::Frame(later)));
        guard.receive(&head[3..], later);
        assert_eq!(
            guard.waiting(),
            Some(Waiting::Frame(later)),
            "no END_HEADERS"
        );
        guard.receive(&frame(9, END_HEADERS, 1, &[]), later);
        assert_eq!(guard.waiting(), None);
        let data = frame(0, 0, 1, b"data");
        guard.receive(&data[..10], later);
        assert_eq!(guard.waiting(), Some(Waiting::Data(later)));
        guard.receive(&data[10..], later);
        assert_eq!(guard.waiting(), None);
    }

    #[test]
    fn the_first_frame_is_settings() {
        let now = Instant::now();
        let mut guard = Http2::new(now);
        let bytes = [PREFACE, &frame(PING, 0, 0, &[0; 8])].concat();
        assert_eq!(guard.receive(&bytes, now), PREFACE.len());
        assert_eq!(guard.refusal().map(|r| r.fault), Some(Fault::NoSettings));
    }

    #[test]
    fn the_farewell_is_a_frame_of_its_own() {
        let now = Instant::now();
        let mut guard = opened(now);
        guard.receive(&frame(1, END_HEADERS, 5, b"x"), now);
        assert_eq!(guard.farewell(), None);
        let half = frame(0, 0, 1, b"four");
        guard.send(&half[..11], now);
        guard.refuse(Fault::Resets);
        assert_eq!(guard.farewell(), None, "it would be read as data");
        guard.send(&half[11..], now);
        let bytes = guard.farewell().expect("a frame");
        assert_eq!(bytes.to_vec(), frame(7, 0, 0, &[0, 0, 0, 5, 0, 0, 0, 11]));
    }

    proptest! {
        #[test]
        fn it_is_the_same_however_the_bytes_are_cut(
            frames in proptest::collection::vec((0u8..12, 0u8..8, 0u32..4, 0usize..20), 0..300),
            repeat in 1usize..20,
            cuts in proptest::collection::vec(1usize..40, 1..50),
        ) {
            let now = Instant::now();
            let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
            for _ in 0..repeat {
                for &(kind, flags, stream, length) in &frames {
                    bytes.extend(frame(kind, flags, stream, &vec![0; length]));
                }
            }
            let mut whole = Http2::new(now);
            let passed = whole.receive(&bytes, now);
            let mut parts = Http2::new(now);
            let mut cuts = cuts.iter().cycle();
            let mut rest = &bytes[..];
            let mut passed_in_parts = 0;
            while !rest.is_empty() {
                let count = rest.len().min(*cuts.next().expect("endless"));
                passed_in_parts += parts.receive(&rest[..count], now);
                rest = &rest[count..];
            }
            prop_assert_eq!(whole.refusal(), parts.refusal());
            prop_assert_eq!(whole.waiting(), parts.waiting());
            // The number of passed bytes may differ by the beginning of the refused head.
            prop_assert!(passed_in_parts >= passed && passed_in_parts < passed + 9);
        }
    }
}
