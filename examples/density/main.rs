//! Measures what many open streams cost a Server-Sent Events server, and what a delivery costs it.
//!
//! ```text
//! cargo run --release -- serve &
//! cargo run --release --example density -- --pid $! --streams 10000 --publish 20 --burst 40
//! ```
//!
//! The tool knows nothing of the server but its URL, where to publish, and its process id: any server can be measured,
//! and `examples/floor.rs` is the one that does the least. Each line of the output is a name, a value and a unit.

mod args;
mod crew;
mod gauge;
mod layout;
mod protocol;
mod publish;
mod stream;
mod worker;

use std::fmt::Display;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use clap::Parser;

use args::Args;
use crew::Crew;
use gauge::{Gauge, Memory};
use layout::Layout;
use publish::Publisher;

fn main() -> anyhow::Result<()> {
    let mut args = Args::parse();
    let per_process = crew::streams_per_process()?;
    if let Some(share) = args.worker {
        return worker::run(&args, share);
    }
    args.workers = args.workers.max(args.total().div_ceil(per_process)).max(1);
    let mut run = Run {
        layout: Layout::new(&args)?,
        gauge: Gauge::new(&args.pid),
        crew: Crew::start(&args)?,
        args,
        due: Vec::new(),
        published: 0,
        empty: Memory::default(),
    };
    run.open()?;
    run.hold("idle")?;
    if run.args.publish + run.args.burst > 0 {
        run.deliver()?;
        run.hold("idle_after")?;
        run.memory_after()?;
    }
    run.check()
}

/// One run of the tool: its stages, in order.
struct Run {
    args: Args,
    layout: Layout,
    gauge: Gauge,
    crew: Crew,
    /// Deliveries that each client process is due until now.
    due: Vec<u64>,
    published: u64,
    /// Memory without any stream.
    empty: Memory,
}

impl Run {
    /// Opens the streams step by step and shows what they cost.
    fn open(&mut self) -> anyhow::Result<()> {
        let (mut opened, mut spent, mut cpu) = (0, Duration::ZERO, Duration::ZERO);
        let mut before = self.gauge.settled()?;
        self.empty = before;
        self.memory_line(0, before);
        for count in self.args.steps() {
            let (start, cpu_before) = (Instant::now(), self.gauge.cpu()?);
            self.crew.open(count)?;
            spent += start.elapsed();
            cpu += self.gauge.cpu()? - cpu_before;
            let now = self.gauge.settled()?;
            self.memory_line(count, now);
            let added = count - opened;
            let slope = |from: u64, to: u64| (to as f64 - from as f64) / added as f64;
            if self.gauge.watching() {
                let range = format!("B from {opened} to {count}");
                line(
                    "process_bytes_per_stream",
                    slope(before.pss, now.pss),
                    0,
                    &range,
                );
            }
            line(
                "kernel_bytes_per_stream",
                slope(before.kernel, now.kernel),
                0,
                "B, both ends",
            );
            (opened, before) = (count, now);
        }
        line(
            "connects_per_s",
            opened as f64 / spent.as_secs_f64(),
            0,
            "/s",
        );
        self.cpu_line("connect_cpu", cpu, opened as u64);
        Ok(())
    }

    /// Does nothing for `--hold`, and shows the CPU time that the server needs for it.
    fn hold(&self, name: &str) -> anyhow::Result<()> {
        if self.args.hold.is_zero() {
            return Ok(());
        }
        let before = self.gauge.cpu()?;
        std::thread::sleep(self.args.hold);
        let used = self.gauge.cpu()? - before;
        let percent = 100.0 * used.as_secs_f64() / self.args.hold.as_secs_f64();
        line(&format!("{name}_cpu"), percent, 2, "% of a core");
        Ok(())
    }

    /// Publishes the events one at a time and then the burst.
    fn deliver(&mut self) -> anyhow::Result<()> {
        let receivers = self.receivers();
        let mut publisher = Publisher::connect(&self.args)?;
        self.due = vec![0; self.args.workers];

        let mut reach = Vec::new();
        let (cpu, mut deliveries) = (self.gauge.cpu()?, 0);
        for _ in 0..self.args.publish {
            let (time, delivered) = self.round(&mut publisher, &receivers, 1)?;
            reach.push(time);
            deliveries += delivered;
        }
        if !reach.is_empty() {
            reach.sort_unstable();
            for (name, share) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
                let rank = (reach.len() as f64 * share).ceil() as usize;
                let ms = reach[rank.saturating_sub(1)].as_secs_f64() * 1e3;
                line(&format!("reach_all_{name}"), ms, 2, "ms");
            }
            self.cpu_line("delivery_cpu", self.gauge.cpu()? - cpu, deliveries);
        }

        if self.args.burst > 0 {
            let (cpu, mut deliveries, mut time) = (self.gauge.cpu()?, 0, Duration::ZERO);
            for _ in 0..self.args.bursts {
                let (took, delivered) = self.round(&mut publisher, &receivers, self.args.burst)?;
                time += took;
                deliveries += delivered;
            }
            let per_second = deliveries as f64 / time.as_secs_f64();
            line("burst_deliveries", per_second, 0, "/s");
            self.cpu_line("burst_delivery_cpu", self.gauge.cpu()? - cpu, deliveries);
        }
        Ok(())
    }

    /// Publishes `events` back to back and waits until every stream has its own; returns the time and the deliveries.
    fn round(
        &mut self,
        publisher: &mut Publisher,
        receivers: &[u64],
        events: u64,
    ) -> anyhow::Result<(Duration, u64)> {
        let before: u64 = self.due.iter().sum();
        let mut batch = Vec::new();
        for event in self.published..self.published + events {
            let topic = self.layout.topic_of(event);
            let mut data = (event + 1).to_string();
            data.extend(std::iter::repeat_n(
                ' ',
                usize::from(data.len() < self.args.data_bytes),
            ));
            data.extend(std::iter::repeat_n(
                'x',
                self.args.data_bytes.saturating_sub(data.len()),
            ));
            batch.push((self.layout.name(topic), data));
            let workers = self.args.workers;
            for (due, more) in self.due.iter_mut().zip(&receivers[topic * workers..]) {
                *due += more;
            }
        }
        self.published += events;
        self.crew.expect(&self.due)?;
        let start = Instant::now();
        publisher.publish(&batch)?;
        if !self.crew.reached(&self.due)? {
            self.check()?;
            bail!("not every stream has its events (--timeout)");
        }
        Ok((start.elapsed(), self.due.iter().sum::<u64>() - before))
    }

    /// How many streams of each client process have each topic, topic by topic.
    fn receivers(&self) -> Vec<u64> {
        let workers = self.args.workers;
        let mut receivers = vec![0; self.layout.pool() * workers];
        for stream in 0..self.args.total() {
            for topic in self.layout.topics(stream) {
                receivers[topic * workers + stream % workers] += 1;
            }
        }
        receivers
    }

    fn memory_after(&self) -> anyhow::Result<()> {
        let after = self.gauge.settled()?;
        self.memory_line(self.args.total(), after);
        if self.gauge.watching() {
            let grown = after.pss as f64 - self.empty.pss as f64;
            let name = "process_bytes_after_load";
            line(name, grown / self.args.total() as f64, 0, "B a stream");
        }
        Ok(())
    }

    /// Fails unless every stream got each of its events exactly once and in order, and nothing else.
    fn check(&mut self) -> anyhow::Result<()> {
        let found = self.crew.check(self.published)?;
        line("streams", self.args.total() as f64, 0, "");
        line("events_lost", found.lost as f64, 0, "");
        line("events_doubled", found.doubled as f64, 0, "");
        line("foreign_data", found.other as f64, 0, "");
        line("streams_ended", found.ended as f64, 0, "");
        ensure!(
            found == crew::Checked::default(),
            "a stream ended, or missed, repeated or made up events"
        );
        Ok(())
    }

    fn memory_line(&self, streams: usize, memory: Memory) {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        if self.gauge.watching() {
            println!(
                "# {streams} streams: PSS {:.1} MiB, RSS {:.1} MiB, private {:.1} MiB; kernel {:.1} MiB",
                mib(memory.pss),
                mib(memory.rss),
                mib(memory.private),
                mib(memory.kernel)
            );
        }
    }

    fn cpu_line(&self, name: &str, used: Duration, times: u64) {
        if self.gauge.watching() && times > 0 {
            line(name, used.as_secs_f64() * 1e6 / times as f64, 2, "µs");
        }
    }
}

fn line(name: &str, value: f64, decimals: usize, unit: impl Display) {
    println!("{name:<28} {value:>14.decimals$} {unit}");
}
