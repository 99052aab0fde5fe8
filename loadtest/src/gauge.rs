//! The resources that processes and the kernel use, read from `/proc` (the crate `procfs`).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use parking_lot::Mutex;
use procfs::Current;
use procfs::process::{Process, all_processes};

/// Pause between two readings while memory settles.
const SETTLE_PAUSE: Duration = Duration::from_millis(200);
/// Memory has settled once it has stayed within [`SETTLED_BYTES`] for this long.
const SETTLE_WINDOW: Duration = Duration::from_secs(2);
/// Change of memory that counts as none.
const SETTLED_BYTES: u64 = 64 * 1024;
/// Memory that has not settled by then is read as it is.
const SETTLE_DEADLINE: Duration = Duration::from_secs(20);

/// Processes that are watched, with all that they started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauge {
    roots: Vec<u32>,
    /// Reasons to doubt its readings.
    doubts: Arc<Mutex<BTreeSet<&'static str>>>,
}

/// Memory at one moment, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Proportional share of all pages of the processes: pages that several of them share count
    /// once.
    pub(crate) process: u64,
    /// Memory that the kernel holds for the whole machine: slab (sockets of both ends among it) and
    /// TCP buffers.
    pub(crate) kernel: u64,
}

impl Gauge {
    /// Watches these processes and their descendants.
    pub(crate) fn new(roots: Vec<u32>) -> Self {
        Self {
            roots,
            doubts: Arc::default(),
        }
    }

    /// The first of the processes that is not there.
    pub(crate) fn missing(&self) -> Option<u32> {
        let there = |pid: &u32| Process::new(*pid as i32).is_ok_and(|process| process.is_alive());
        self.roots.iter().copied().find(|pid| !there(pid))
    }

    /// Reasons to doubt the readings so far, in sentences.
    pub(crate) fn doubts(&self) -> Vec<&'static str> {
        if self.missing().is_some() {
            self.doubts.lock().insert(
                "the server's process has ended: its memory and CPU time are not all there",
            );
        }
        self.doubts.lock().iter().copied().collect()
    }

    /// Whether a process is watched.
    pub(crate) fn watching(&self) -> bool {
        !self.roots.is_empty()
    }

    /// The roots and all their descendants, as of now.
    pub(crate) fn pids(&self) -> Vec<i32> {
        let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
        for process in all_processes().into_iter().flatten().flatten() {
            if let Ok(stat) = process.stat() {
                children.entry(stat.ppid).or_default().push(stat.pid);
            }
        }
        let mut pids: Vec<i32> = self.roots.iter().map(|pid| *pid as i32).collect();
        let mut next = 0;
        while let Some(pid) = pids.get(next) {
            // A child may have been named, too.
            let found = children.remove(pid).unwrap_or_default();
            let new = found.into_iter().filter(|child| !pids.contains(child));
            let new: Vec<i32> = new.collect();
            pids.extend(new);
            next += 1;
        }
        pids
    }

    /// CPU time used until now, user and system together, of those that still run.
    pub(crate) fn cpu(&self) -> Duration {
        self.pids().into_iter().filter_map(cpu_of).sum()
    }

    /// Memory now.
    pub(crate) fn memory(&self) -> Memory {
        let pids = if self.watching() {
            self.pids()
        } else {
            Vec::new()
        };
        Memory {
            process: pids.into_iter().filter_map(|pid| self.memory_of(pid)).sum(),
            kernel: kernel_bytes(),
        }
    }

    fn memory_of(&self, pid: i32) -> Option<u64> {
        let process = Process::new(pid).ok()?;
        let pss = process.smaps_rollup().ok().and_then(|rollup| {
            let mapping = rollup.memory_map_rollup.0.into_iter().next()?;
            mapping.extension.map.get("Pss").copied()
        });
        // Kernels without smaps_rollup, and other users' processes, still report the resident
        // pages.
        pss.or_else(|| {
            let resident = process.statm().ok()?.resident * procfs::page_size();
            self.doubts.lock().insert(
                "a process does not tell its proportional share of memory: all that is resident counts, also what it shares",
            );
            Some(resident)
        })
    }

    /// Open file descriptors.
    pub(crate) fn files(&self) -> u64 {
        let count = |pid| {
            Process::new(pid)
                .and_then(|process| process.fd_count())
                .unwrap_or(0)
        };
        self.pids().into_iter().map(|pid| count(pid) as u64).sum()
    }

    /// Waits until memory has stopped to change, and returns it.
    pub(crate) fn settled(&self) -> Memory {
        let start = Instant::now();
        let mut now = self.memory();
        let (mut base, mut since) = (now, Instant::now());
        while since.elapsed() < SETTLE_WINDOW && start.elapsed() < SETTLE_DEADLINE {
            std::thread::sleep(SETTLE_PAUSE);
            now = self.memory();
            // The kernel's figure is the whole machine's and never quite still: it is not waited
            // for.
            if now.process.abs_diff(base.process) > SETTLED_BYTES {
                (base, since) = (now, Instant::now());
            }
            if !self.watching() {
                return now;
            }
        }
        if since.elapsed() < SETTLE_WINDOW {
            self.doubts
                .lock()
                .insert("memory did not stand still before it was read");
        }
        now
    }
}

/// CPU time of a process and all its threads, to the nanosecond: the clock that
/// `clock_getcpuclockid(3)` names.
fn cpu_of(pid: i32) -> Option<Duration> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid)).ok()?;
    clock_gettime(clock).ok().map(Duration::from)
}

fn kernel_bytes() -> u64 {
    let slab = procfs::Meminfo::current().map_or(0, |memory| memory.slab);
    let sockets = std::fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    let pages: u64 = sockets
        .lines()
        .find(|line| line.starts_with("TCP:"))
        .and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .unwrap_or(0);
    slab + pages * procfs::page_size()
}

/// Reads memory now and then, in a thread of its own.
#[derive(Debug)]
pub(crate) struct Sampler {
    last: Arc<Mutex<Memory>>,
    /// The thread ends with it.
    _end: mpsc::Sender<()>,
}

impl Sampler {
    /// Reads memory at once, and then so often.
    pub(crate) fn start(gauge: Gauge, every: Duration) -> Self {
        let last = Arc::new(Mutex::new(gauge.memory()));
        let (end, ended) = mpsc::channel();
        let shared = Arc::clone(&last);
        std::thread::spawn(move || {
            while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                *shared.lock() = gauge.memory();
            }
        });
        Self { last, _end: end }
    }

    /// The last reading.
    pub(crate) fn last(&self) -> Memory {
        *self.last.lock()
    }
}

/// Cores that are busy over a stretch of time, for the server and for this program.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    start: Instant,
    server: Duration,
    readers: Vec<Duration>,
    own: Duration,
}

/// CPU time of a stretch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stretch {
    /// How long it was.
    pub(crate) time: Duration,
    /// CPU time of the server.
    pub(crate) server: Duration,
    /// CPU time of this program, client processes included.
    pub(crate) generator: Duration,
    /// CPU time of the busiest process of this program, each of which does its work in one thread.
    pub(crate) busiest: Duration,
}

impl Stopwatch {
    /// Begins a stretch.
    pub(crate) fn start(server: &Gauge, readers: &[u32]) -> Self {
        Self {
            start: Instant::now(),
            server: server.cpu(),
            readers: readers
                .iter()
                .map(|pid| cpu_of(*pid as i32).unwrap_or_default())
                .collect(),
            own: cpu_of(std::process::id() as i32).unwrap_or_default(),
        }
    }

    /// Ends it.
    pub(crate) fn stop(self, server: &Gauge, readers: &[u32]) -> Stretch {
        let end = Self::start(server, readers);
        let readers: Vec<Duration> = end
            .readers
            .iter()
            .zip(&self.readers)
            .map(|(end, start)| end.saturating_sub(*start))
            .collect();
        let own = end.own.saturating_sub(self.own);
        Stretch {
            time: end.start - self.start,
            server: end.server.saturating_sub(self.server),
            generator: own + readers.iter().sum::<Duration>(),
            busiest: readers.into_iter().max().unwrap_or_default().max(own),
        }
    }
}

impl Stretch {
    /// Adds another stretch.
    pub(crate) fn add(&mut self, other: &Self) {
        self.time += other.time;
        self.server += other.server;
        self.generator += other.generator;
        self.busiest += other.busiest;
    }

    /// Cores' worth of a CPU time.
    pub(crate) fn cores(&self, used: Duration) -> f64 {
        used.as_secs_f64() / self.time.as_secs_f64().max(1e-9)
    }
}

/// A description of this machine.
pub(crate) fn machine() -> crate::outcome::Machine {
    let processor = procfs::CpuInfo::current()
        .ok()
        .and_then(|info| info.model_name(0).map(str::to_owned));
    let kernel = rustix::system::uname();
    crate::outcome::Machine {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_bytes: procfs::Meminfo::current().map_or(0, |memory| memory.mem_total),
        processor: processor.unwrap_or_else(|| "unknown".to_owned()),
        kernel: format!(
            "{} {}",
            kernel.sysname().to_string_lossy(),
            kernel.release().to_string_lossy()
        ),
    }
}
