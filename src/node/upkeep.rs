//! Makes every thread of the node return freed memory, when that is due.

use std::time::{Duration, Instant};

use rustix::param::page_size;
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Handle;
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::hub::Hub;
use crate::memory::{self, Reading, Step, Upkeep};

/// Time from one reading to the next…
const PAUSE: Duration = Duration::from_secs(1);
/// …and after a round of the heaps, until its threads sleep again.
const PAUSE_AFTER_ROUND: Duration = Duration::from_millis(200);

/// Tasks for each I/O thread in a round, and the number of yields of each: a thread that takes one
/// wakes the next.
const NUDGES: usize = 2;
const YIELDS: usize = 4;

/// The node's upkeep; runs on the thread that calls it.
pub(super) struct NodeUpkeep {
    upkeep: Upkeep,
    pause: Duration,
    started: Instant,
}

impl NodeUpkeep {
    pub(super) fn new() -> Self {
        Self {
            upkeep: Upkeep::default(),
            pause: Duration::ZERO,
            started: Instant::now(),
        }
    }

    /// Waits until the next reading is due.
    pub(super) async fn next(&self) {
        sleep(self.pause).await;
    }

    /// Takes a reading, and acts on it if needed.
    pub(super) fn turn(&mut self, hub: &Hub) {
        self.pause = PAUSE;
        let step = read(self.started).and_then(|reading| self.upkeep.read(reading));
        match step {
            Some(Step::Heaps) => {
                memory::begin_round();
                hub.wake_shards();
                nudge_io_threads();
                memory::join_round();
                self.pause = PAUSE_AFTER_ROUND;
            }
            Some(Step::FilePages) => memory::release_file_pages(),
            None => {}
        }
    }
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
