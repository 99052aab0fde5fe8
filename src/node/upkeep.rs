//! Makes every thread of the node return freed memory, when that is due.

use std::time::{Duration, Instant};

use rustix::param::page_size;
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::hub::Hub;
use crate::memory::{self, Filling, Pressure, Reading, Step, Upkeep};

/// Time from one reading to the next while the process has nothing to do, and while it works: an
/// attack can fill memory within a second.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_BUSY: Duration = Duration::from_millis(50);

/// A process that used less of one core than this since the last reading has nothing to do.
const IDLE: f64 = 0.02;

/// Time from one reading of [`Upkeep`] to the next…
const UPKEEP_PAUSE: Duration = Duration::from_secs(1);
/// …and after a round of the heaps, until its threads sleep again.
const PAUSE_AFTER_ROUND: Duration = Duration::from_millis(200);

/// Tasks for each I/O thread in a round, and the number of yields of each: a thread that takes one
/// wakes the next.
const NUDGES: usize = 2;
const YIELDS: usize = 4;

/// Requests hold much memory: a reading is due.
static BUSY: Notify = Notify::const_new();

/// The node's upkeep; runs on the thread that calls it.
pub(super) struct NodeUpkeep {
    upkeep: Upkeep,
    pressure: Pressure,
    started: Instant,
    /// Time to the next reading.
    pause: Duration,
    last: Option<Reading>,
    /// When [`Upkeep`] gets its next reading.
    upkeep_due: Duration,
}

impl NodeUpkeep {
    /// The upkeep of the node with this hub.
    pub(super) fn new(hub: &Hub) -> Self {
        hub.budget().watch(|| {
            memory::set_eager(true);
            BUSY.notify_one();
        });
        Self {
            upkeep: Upkeep::default(),
            pressure: Pressure::default(),
            started: Instant::now(),
            pause: Duration::ZERO,
            last: None,
            upkeep_due: Duration::ZERO,
        }
    }

    /// Waits until the next reading is due.
    pub(super) async fn next(&self) {
        tokio::select! {
            () = sleep(self.pause) => {}
            () = BUSY.notified() => {}
        }
    }

    /// Takes a reading, and acts on it if needed.
    pub(super) fn turn(&mut self, hub: &Hub) {
        self.pause = PAUSE;
        let Some(reading) = read(self.started) else {
            return;
        };
        if self.last.is_some_and(|last| is_busy(last, reading)) {
            self.pause = PAUSE_BUSY;
        }
        self.last = Some(reading);
        self.relieve(hub, reading);
        if reading.at < self.upkeep_due {
            return;
        }
        self.upkeep_due = reading.at + UPKEEP_PAUSE;
        memory::release_unused();
        match self.upkeep.read(reading) {
            Some(Step::Heaps) => {
                round(hub);
                self.upkeep_due = reading.at + PAUSE_AFTER_ROUND;
            }
            Some(Step::FilePages) => memory::release_file_pages(),
            None => {}
        }
    }

    /// Keeps freed memory from taking the process beyond its budget.
    fn relieve(&mut self, hub: &Hub, reading: Reading) {
        let account = hub.budget();
        let budget = account
            .max()
            .saturating_add(hub.history_limits().budget_bytes);
        let (anonymous, budget) = (reading.anonymous, budget as u64);
        // Without need, the history is not asked for its size: that takes the desk's lock.
        let counted = if Pressure::is_large(anonymous, budget) {
            (account.used_by_all() + hub.history_size().bytes) as u64
        } else {
            0
        };
        let relief = self.pressure.read(Filling {
            at: reading.at,
            anonymous,
            counted,
            budget,
        });
        memory::set_eager(relief.is_eager || account.is_busy());
        if relief.round {
            round(hub);
        }
    }
}

fn is_busy(last: Reading, now: Reading) -> bool {
    let cpu = now.cpu.saturating_sub(last.cpu);
    cpu > now.at.saturating_sub(last.at).mul_f64(IDLE)
}

/// Makes every thread return its freed memory.
fn round(hub: &Hub) {
    memory::begin_round();
    hub.wake_shards();
    nudge_io_threads();
    memory::join_round();
}

/// The I/O threads take part when they next go to sleep.
fn nudge_io_threads() {
    let runtime = Handle::current();
    for _ in 0..runtime.metrics().num_workers() * NUDGES {
        runtime.spawn(async {
            for _ in 0..YIELDS {
                yield_now().await;
            }
        });
    }
}

/// The current figures of the process; `None` if the kernel does not report them.
fn read(started: Instant) -> Option<Reading> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = statm.split_whitespace().skip(1);
    let mut pages = || pages.next()?.parse::<u64>().ok();
    let (resident, shared) = (pages()?, pages()?);
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    Some(Reading {
        at: started.elapsed(),
        cpu: Duration::new(cpu.tv_sec.unsigned_abs(), cpu.tv_nsec as u32),
        anonymous: resident.saturating_sub(shared) * page_size() as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_memory_and_time() {
        let reading = read(Instant::now()).expect("a reading");
        assert!(
            reading.anonymous > 0 && reading.cpu > Duration::ZERO,
            "{reading:?}"
        );
    }
}
