//! The kernel's figures of this process, from `/proc/self`.
//!
//! Only values that the kernel keeps as counters are read. Nothing here may walk the page tables or
//! list the file descriptors, because that is slow exactly when there are a million streams.

use std::{fmt, fs};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::page::{Labels, Page};

/// Figures of this process; `None` if the kernel does not report one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Process {
    /// Resident memory, in bytes.
    resident_bytes: Option<u64>,
    /// Address space, in bytes.
    virtual_bytes: Option<u64>,
    /// CPU time of all threads, user and system, in seconds.
    cpu_seconds: Option<f64>,
    /// Start, as seconds since 1970.
    start_seconds: Option<f64>,
    /// Threads.
    threads: Option<u64>,
    /// Open file descriptors.
    open_fds: Option<u64>,
    /// Most file descriptors that it may open.
    max_fds: Option<u64>,
}

impl Process {
    /// Reads them.
    fn read() -> Self {
        let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
        let pages = |n| Some(field(&statm, n)? * page_size() as u64);
        // proc_pid_stat(5): fields are counted after the command name, which ends at the last
        // parenthesis; `state` is 0 here.
        let stat = stat.rsplit(')').next().unwrap_or_default();
        let ticks = |n| Some(field(stat, n)? as f64 / clock_ticks_per_second() as f64);
        Self {
            resident_bytes: pages(1),
            virtual_bytes: pages(0),
            cpu_seconds: ticks(11).zip(ticks(12)).map(|(user, system)| user + system),
            start_seconds: ticks(19)
                .zip(boot_seconds(&boot))
                .map(|(since, boot)| boot + since),
            threads: field(stat, 17),
            open_fds: open_fds(),
            max_fds: getrlimit(Resource::Nofile).current,
        }
    }
}

/// The `n`-th number of a line of numbers.
fn field(line: &str, n: usize) -> Option<u64> {
    line.split_whitespace().nth(n)?.parse().ok()
}

fn boot_seconds(stat: &str) -> Option<f64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

/// Since Linux 6.2 the size of the directory is the number of its entries. Before, it is 0, and
/// counting them would be too slow.
fn open_fds() -> Option<u64> {
    let size = fs::metadata("/proc/self/fd").ok()?.len();
    (size > 0).then_some(size)
}

/// The kernel's figures of this process, under the names that every Prometheus client uses.
#[derive(Debug)]
pub(super) struct ThisProcess;

impl Collector for ThisProcess {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(&mut encoder);
        let process = Process::read();
        if let Some(seconds) = process.cpu_seconds {
            // A counter of fractions, unlike the counters above.
            let (help, unit) = ("User and system CPU time.", Some(&Unit::Seconds));
            let counter = MetricType::Counter;
            page.0
                .encode_descriptor("process_cpu", help, unit, counter)?
                .encode_counter::<NoLabelSet, _, u64>(&seconds, None)?;
        }
        let count = |n: Option<u64>| n.map(|n| n as f64);
        let gauges: [(&str, &str, Option<&Unit>, Option<f64>); 6] = [
            (
                "process_resident_memory",
                "Resident memory.",
                Some(&Unit::Bytes),
                count(process.resident_bytes),
            ),
            (
                "process_virtual_memory",
                "Address space.",
                Some(&Unit::Bytes),
                count(process.virtual_bytes),
            ),
            (
                "process_start_time",
                "Start of the process since 1970.",
                Some(&Unit::Seconds),
                process.start_seconds,
            ),
            ("process_threads", "Threads.", None, count(process.threads)),
            (
                "process_open_fds",
                "Open file descriptors (Linux 6.2 and later).",
                None,
                count(process.open_fds),
            ),
            (
                "process_max_fds",
                "Most file descriptors that may be open.",
                None,
                count(process.max_fds),
            ),
        ];
        for (name, help, unit, value) in gauges {
            if let Some(value) = value {
                page.gauges(name, help, unit, [(Labels::new(), value)])?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn this_process_is_described() {
        let process = Process::read();
        assert!(process.resident_bytes.is_some_and(|bytes| bytes > 100_000));
        assert!(process.virtual_bytes > process.resident_bytes);
        assert!(process.threads.is_some_and(|threads| threads >= 1));
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.expect("a clock after 1970").as_secs_f64();
        let age = now - process.start_seconds.expect("a start");
        assert!((-2.0..3600.0).contains(&age), "started {age} s ago");
        let cpu = process.cpu_seconds.expect("CPU time");
        assert!((0.0..3600.0).contains(&cpu));
    }
}
