//! Opening streams, and the cost of one.

use std::time::Duration;

use super::Session;
use super::Timeline;
use crate::gauge::{Memory, Stretch};
use crate::outcome::{Group, Unit};
use crate::progress::Stage;
use crate::scenario::ScenarioError;

/// Shortest time between two points of the plot of connects, in seconds: opening is often over in a
/// fraction of one.
const CONNECTS_STEP: f64 = 0.05;

impl Session {
    /// Opens streams step by step, with memory settled at each, and reports their cost.
    pub(crate) fn open(&mut self, steps: &[usize]) -> Result<(), ScenarioError> {
        let mut memory = vec![(0, self.empty)];
        let mut connects = Timeline::new(CONNECTS_STEP);
        let mut opened = 0;
        let (mut spent, mut stretch) = (Duration::ZERO, Stretch::default());
        for step in steps {
            let stage = Stage::counted("opening streams", *step as u64);
            let (start, watch) = (crate::stamp::now(), self.watch());
            let last = self.crew.open(*step, self.rate, |progress| {
                stage.at(progress.open as u64);
                let time = spent + crate::stamp::since(start, progress.at);
                connects.note(time.as_secs_f64(), progress.opened);
            })?;
            let took = crate::stamp::since(start, last);
            stretch.add(&self.stop(watch, "opening streams"));
            spent += took;
            let open = self.crew.progress().open;
            stage.done(&format!(
                "opened {open} of {step} streams in {:.2} s ({:.0}/s)",
                took.as_secs_f64(),
                (open.saturating_sub(opened)) as f64 / took.as_secs_f64().max(1e-9)
            ));
            opened = open;
            self.open = open;
            memory.push((open, self.gauge.settled()));
        }
        self.note_opening(opened, spent, &stretch, &connects)?;
        self.note_memory(&memory);
        Ok(())
    }

    fn note_opening(
        &mut self,
        opened: usize,
        spent: Duration,
        stretch: &Stretch,
        connects: &Timeline,
    ) -> Result<(), ScenarioError> {
        let rate = opened as f64 / spent.as_secs_f64().max(1e-9);
        let record = &mut self.recorder;
        record.figure(
            Group::Streams,
            "connects_per_s",
            "streams opened a second",
            rate,
            Unit::PerSecond,
        );
        if self.gauge.watching() && opened > 0 {
            let cpu = stretch.server.div_f64(opened as f64);
            record.time(Group::Server, "connect_cpu", "CPU a connect", cpu);
        }
        self.opening.extend(self.crew.sample()?.open);
        let (x, y) = (("time", Unit::Seconds), ("streams opened", Unit::PerSecond));
        self.recorder.series(
            "connects",
            "streams opened a second",
            x,
            y,
            connects.rates(),
        );
        Ok(())
    }

    /// Memory per stream: the slope from the first step to the last, or from nothing if there is
    /// only one.
    fn note_memory(&mut self, memory: &[(usize, Memory)]) {
        let [first, .., last] = memory else { return };
        let base = if memory.len() > 2 { memory[1] } else { *first };
        let slope = |from: (usize, u64), to: (usize, u64)| {
            (to.1 as f64 - from.1 as f64) / (to.0 as f64 - from.0 as f64)
        };
        let process = |at: (usize, Memory)| (at.0, at.1.process);
        let kernel = |at: (usize, Memory)| (at.0, at.1.kernel);
        let record = &mut self.recorder;
        if last.0 > base.0 {
            if self.gauge.watching() {
                let value = slope(process(base), process(*last));
                let label = format!(
                    "process memory a stream, slope from {} to {}",
                    base.0, last.0
                );
                record.slope(
                    Group::Memory,
                    "process_bytes_per_stream",
                    &label,
                    value,
                    Unit::Bytes,
                );
                let value = slope(process(*first), process(*last));
                let label = "process memory a stream, counted from none";
                record.slope(
                    Group::Memory,
                    "process_bytes_per_stream_from_none",
                    label,
                    value,
                    Unit::Bytes,
                );
            }
            let value = slope(kernel(base), kernel(*last));
            let label = "kernel memory a stream, both ends on this machine";
            record.slope(
                Group::Memory,
                "kernel_bytes_per_stream",
                label,
                value,
                Unit::Bytes,
            );
        }
        let (x, y) = (("streams", Unit::Count), ("memory", Unit::Bytes));
        let points = |value: fn(&Memory) -> u64| {
            memory
                .iter()
                .map(|(n, m)| (*n as f64, value(m) as f64))
                .collect()
        };
        if self.gauge.watching() {
            record.figure(
                Group::Memory,
                "process_bytes_at_rest",
                "process memory at rest, without a stream",
                first.1.process as f64,
                Unit::Bytes,
            );
            record.figure(
                Group::Memory,
                "process_bytes",
                "process memory",
                last.1.process as f64,
                Unit::Bytes,
            );
            record.count(Group::Server, "files", "open files", self.gauge.files());
            record.series(
                "process_memory",
                "process",
                x,
                y,
                points(|memory| memory.process),
            );
        }
        record.series(
            "kernel_memory",
            "kernel, whole machine",
            x,
            y,
            points(|memory| memory.kernel),
        );
    }

    /// Memory after the load, against that without a stream.
    pub(crate) fn note_memory_after(&mut self) {
        // The server may have closed some since.
        let open = self.crew.progress().open;
        if self.gauge.watching() && open > 0 {
            let after = self.gauge.settled();
            let grown = after.process as f64 - self.empty.process as f64;
            let label = "process memory a stream after the load, counted from none";
            let value = grown / open as f64;
            self.recorder.slope(
                Group::Memory,
                "process_bytes_after_load",
                label,
                value,
                Unit::Bytes,
            );
            self.recorder.figure(
                Group::Memory,
                "process_bytes_total_after_load",
                "process memory after the load",
                after.process as f64,
                Unit::Bytes,
            );
        }
    }
}
