//! What the server's processes and the kernel use, read from `/proc`.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::param::{clock_ticks_per_second, page_size};

/// Pause between two readings while memory settles.
const SETTLE_PAUSE: Duration = Duration::from_millis(200);
/// Memory has settled once it has stayed within [`SETTLED_BYTES`] for so long.
const SETTLE_WINDOW: Duration = Duration::from_secs(2);
/// Change of memory that counts as none.
const SETTLED_BYTES: u64 = 64 * 1024;
/// Memory that has not settled by then is read as it is.
const SETTLE_DEADLINE: Duration = Duration::from_secs(20);

/// The processes of a server; with none of them everything reads as zero.
#[derive(Clone, Debug)]
pub(crate) struct Gauge {
    pids: Vec<u32>,
}

/// Memory at one moment, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// Proportional share of all pages: shared memory of several processes is counted once.
    pub(crate) pss: u64,
    /// Resident pages.
    pub(crate) rss: u64,
    /// Pages that belong to one process alone.
    pub(crate) private: u64,
    /// What the kernel holds for the whole machine: slab (sockets of both ends among it) and TCP buffers.
    pub(crate) kernel: u64,
}

impl Gauge {
    /// Watches these processes.
    pub(crate) fn new(pids: &[u32]) -> Self {
        Self {
            pids: pids.to_vec(),
        }
    }

    /// Whether there is a process to watch.
    pub(crate) fn watching(&self) -> bool {
        !self.pids.is_empty()
    }

    /// CPU time used until now, user and system together.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let mut ticks = 0;
        for pid in &self.pids {
            let stat = read(&format!("/proc/{pid}/stat"))?;
            // The command name, in parentheses, may hold anything; `utime` and `stime` are the 12th and 13th field after it.
            let fields = stat.rsplit(')').next().unwrap_or_default();
            for field in fields.split_whitespace().skip(11).take(2) {
                ticks += field.parse::<u64>()?;
            }
        }
        Ok(Duration::from_secs(ticks) / u32::try_from(clock_ticks_per_second())?)
    }

    /// Memory now.
    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        let mut sum = Memory {
            kernel: kernel_bytes(),
            ..Memory::default()
        };
        for pid in &self.pids {
            match fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) {
                Ok(text) => {
                    sum.pss += kib(&text, "Pss:");
                    sum.rss += kib(&text, "Rss:");
                    sum.private += kib(&text, "Private_Clean:") + kib(&text, "Private_Dirty:");
                }
                Err(_) => {
                    // Kernels without smaps_rollup, and other users' processes, still tell this much.
                    let text = read(&format!("/proc/{pid}/statm"))?;
                    let pages = |n| -> Option<u64> { text.split(' ').nth(n)?.parse().ok() };
                    let page = page_size() as u64;
                    let rss = pages(1).context("reading resident pages")? * page;
                    sum.rss += rss;
                    sum.pss += rss;
                    sum.private += rss.saturating_sub(pages(2).unwrap_or(0) * page);
                }
            }
        }
        Ok(sum)
    }

    /// Waits until memory has stopped to change, and returns it.
    pub(crate) fn settled(&self) -> anyhow::Result<Memory> {
        let start = Instant::now();
        let mut now = self.memory()?;
        let (mut base, mut since) = (now.pss, Instant::now());
        while self.watching()
            && since.elapsed() < SETTLE_WINDOW
            && start.elapsed() < SETTLE_DEADLINE
        {
            std::thread::sleep(SETTLE_PAUSE);
            now = self.memory()?;
            if now.pss.abs_diff(base) > SETTLED_BYTES {
                (base, since) = (now.pss, Instant::now());
            }
        }
        Ok(now)
    }
}

fn kernel_bytes() -> u64 {
    let slab = fs::read_to_string("/proc/meminfo").map_or(0, |text| kib(&text, "Slab:"));
    let sockets = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    let tcp_pages = sockets
        .lines()
        .find(|line| line.starts_with("TCP:"))
        .and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .unwrap_or(0);
    slab + tcp_pages * page_size() as u64
}

/// The value of a `Name:   123 kB` line, in bytes; zero when there is none.
fn kib(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}

fn read(path: &str) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {path} (is --pid right?)"))
}
