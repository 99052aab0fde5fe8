//! What the tool is told on its command line.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;

/// Opens many Server-Sent Events streams and measures what they cost the server.
///
/// The stages run in this order: open the streams (to each count of `--at` in turn), hold, publish one at a time,
/// publish a burst, hold again, and check that every stream received each of its events exactly once and in order.
#[derive(Clone, Debug, Parser)]
pub(crate) struct Args {
    /// Address of the server.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub(crate) target: SocketAddr,

    /// Request target. `{topics}` becomes `topic=a&topic=b` with the topics of the stream, `{topic}` the first of them,
    /// `{i}` the number of the stream.
    #[arg(long, default_value = "/events?{topics}")]
    pub(crate) path: String,

    /// Name of the topic. With `{i}` in it there are as many topics as `--pool` says, or else one for each stream.
    #[arg(long, default_value = "t")]
    pub(crate) topic: String,

    /// Topics that each stream subscribes to, out of `--pool`.
    #[arg(long, default_value_t = 1)]
    pub(crate) topics: usize,

    /// Number of different topics.
    #[arg(long)]
    pub(crate) pool: Option<usize>,

    /// Streams to open.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) streams: usize,

    /// Counts at which to settle and read the server's memory, ascending, instead of only at `--streams`.
    #[arg(long, value_delimiter = ',')]
    pub(crate) at: Vec<usize>,

    /// Seconds to stay idle before and after the events, with the server's CPU time measured.
    #[arg(long, value_parser = seconds, default_value = "0")]
    pub(crate) hold: Duration,

    /// Process ids of the server, whose memory and CPU time are read and added up.
    #[arg(long, value_delimiter = ',')]
    pub(crate) pid: Vec<u32>,

    /// Events to publish one at a time, each waiting until every stream has it.
    #[arg(long, default_value_t = 0)]
    pub(crate) publish: u64,

    /// Events to publish back to back, after those.
    #[arg(long, default_value_t = 0)]
    pub(crate) burst: u64,

    /// Times that the burst is published; the figures are those of all of them together.
    #[arg(long, default_value_t = 5)]
    pub(crate) bursts: u32,

    /// Where to publish: Redis protocol (`PUBLISH`), unless `--publish-path` is given.
    #[arg(long, default_value = "127.0.0.1:7379")]
    pub(crate) publish_addr: SocketAddr,

    /// Publish by HTTP `POST` to this path instead; `{topic}` becomes the topic.
    #[arg(long)]
    pub(crate) publish_path: Option<String>,

    /// Bytes of data in an event.
    #[arg(long, default_value_t = 128)]
    pub(crate) data_bytes: usize,

    /// Client processes; 0 = as few as the file limit allows.
    #[arg(long, default_value_t = 0)]
    pub(crate) workers: usize,

    /// Connections that each client process opens at the same time.
    #[arg(long, default_value_t = 256)]
    pub(crate) connecting: usize,

    /// Seconds without any progress after which a stage has failed.
    #[arg(long, value_parser = seconds, default_value = "30")]
    pub(crate) timeout: Duration,

    /// Counts a stream as open at its response head, for servers that send nothing more until the first event.
    #[arg(long)]
    pub(crate) no_prime: bool,

    /// Set by the tool itself in the client processes that it starts.
    #[arg(long, hide = true)]
    pub(crate) worker: Option<Share>,
}

impl Args {
    /// The counts to settle at, ascending and without doubles; the last is the number of streams.
    pub(crate) fn steps(&self) -> Vec<usize> {
        let mut steps = if self.at.is_empty() {
            vec![self.streams]
        } else {
            self.at.clone()
        };
        steps.sort_unstable();
        steps.dedup();
        steps
    }

    /// The number of streams that will be open at the end.
    pub(crate) fn total(&self) -> usize {
        self.steps().last().copied().unwrap_or(0)
    }
}

/// Which client process this is, of how many; written `2/8`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    /// Its number, from zero.
    pub(crate) number: usize,
    /// Client processes in all.
    pub(crate) of: usize,
}

impl FromStr for Share {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (number, of) = text.split_once('/').context("expected NUMBER/OF")?;
        Ok(Self {
            number: number.parse()?,
            of: of.parse()?,
        })
    }
}

fn seconds(text: &str) -> anyhow::Result<Duration> {
    Ok(Duration::try_from_secs_f64(text.parse()?)?)
}
