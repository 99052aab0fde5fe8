//! The command line: what can be asked for, with defaults, and where it is refused before anything
//! is opened.

pub(crate) mod shared;
pub(crate) mod values;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::assertion::Assertion;
use crate::message::HopTo;
use crate::scenario::cluster;
use shared::Common;
use values::{duration, pause, positive_rate, rate, share, size, times};

/// Measures how many Server-Sent Events streams a server holds, how fast it delivers, and that
/// nothing is lost.
///
/// Every scenario opens streams to --url, publishes to --publish, and checks on every stream that
/// each event came exactly once and in order. It starts the server itself (--spawn) or is told its
/// process (--pid), to measure what that uses. Without options it expects a Fantail on its default
/// ports.
#[derive(Debug, Parser)]
// What stands later wins: `compare` appends to what its file says.
#[command(
    name = "fantail-loadtest",
    version,
    max_term_width = 110,
    args_override_self = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The scenarios.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Opens many streams, holds them, and says what one costs: memory on both sides of the
    /// kernel's line, CPU of a connect.
    ///
    /// Memory of a stream is the slope between two counts (--at), settled, since the first streams
    /// also pay for what later ones share.
    Density(DensityArgs),
    /// Publishes one event at a time, at a rate, and in bursts: latency of deliveries, deliveries a
    /// second, CPU of each.
    Fanout(FanoutArgs),
    /// Publishes as fast as the server takes it, over the Redis protocol and HTTP.
    Ingest(IngestArgs),
    /// A share of the streams leaves and comes back with its cursor every second while events flow:
    /// nothing may be lost.
    Churn(ChurnArgs),
    /// A share of the readers stalls or crawls: the others must not feel it, and memory must come
    /// back.
    Slow(SlowArgs),
    /// All of it for hours, with a line a minute.
    Soak(SoakArgs),
    /// The server is restarted or upgraded while events flow: what is lost, doubled or told as a
    /// gap, and how long everyone waits.
    ///
    /// Streams come back with their cursor, as an EventSource does: after what `retry:` says, and
    /// never again after an answer that is no stream. Publishers are on every way in that the server
    /// has, each with topics of its own. Streams that are opened after each restart, with cursors
    /// from a second before it, check the history.
    Restart(RestartArgs),
    /// Several nodes that are to look like one server: streams hop from node to node with their
    /// cursor, nodes are killed and come back, publishers send again what failed, with idempotency
    /// keys.
    ///
    /// Give --url once for each node, or --spawn and --nodes. It fails unless nothing is lost,
    /// doubled or told as a gap (--gaps-allowed), ids rise on every stream, and every event has the
    /// same id on all nodes. Ids and keys are those of Fantail.
    Cluster(ClusterArgs),
    /// What several nodes reach of what their log (Redis, Valkey) reaches alone: events a second at
    /// full speed, and the latency that they add.
    ///
    /// The log alone is measured in the same run, on a key that is made for it and deleted: as many
    /// connections append, and one tail a node reads all.
    Ceiling(CeilingArgs),
    /// Runs one scenario against several servers in turn, interleaved and repeated, and shows their
    /// ratios.
    Compare(CompareArgs),
    /// The least that a server can do, as the yardstick of the others: no HTTP parsing, no topics,
    /// a bare loop of send().
    Floor(FloorArgs),
    /// A client process; started by the program itself.
    #[command(hide = true)]
    Reader,
}

impl Command {
    /// The options that all scenarios share; `None` if the command is not a scenario.
    pub(crate) fn common(&self) -> Option<&Common> {
        Some(match self {
            Self::Density(args) => &args.common,
            Self::Fanout(args) => &args.common,
            Self::Ingest(args) => &args.common,
            Self::Churn(args) => &args.common,
            Self::Slow(args) => &args.common,
            Self::Soak(args) => &args.common,
            Self::Restart(args) => &args.common,
            Self::Cluster(args) => &args.common,
            Self::Ceiling(args) => &args.common,
            Self::Compare(_) | Self::Floor(_) | Self::Reader => return None,
        })
    }

    /// The assertions that the scenario has of itself, before those of the user.
    pub(crate) fn assertions(&self) -> Vec<Assertion> {
        match self {
            Self::Cluster(args) => cluster::assertions(args),
            _ => Vec::new(),
        }
    }
}

/// Options of `density`.
#[derive(Args, Clone, Debug)]
pub(crate) struct DensityArgs {
    /// Streams to open.
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub(crate) streams: usize,
    /// Counts at which to settle and read memory, ascending; the last is the number of streams
    /// [default: a third and all of --streams].
    #[arg(long, value_delimiter = ',', value_name = "N,N")]
    pub(crate) at: Vec<usize>,
    /// Time to hold the streams idle, with the server's CPU time measured.
    #[arg(long, value_parser = duration, default_value = "0s", value_name = "TIME")]
    pub(crate) hold: Duration,
    /// Events published to every topic afterwards, one at a time, to see that each stream is alive.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) events: u64,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Options of `fanout`.
#[derive(Args, Clone, Debug)]
pub(crate) struct FanoutArgs {
    /// Streams to open.
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub(crate) streams: usize,
    /// Counts at which to settle and read memory; the last is the number of streams [default: a
    /// third and all of --streams].
    #[arg(long, value_delimiter = ',', value_name = "N,N")]
    pub(crate) at: Vec<usize>,
    /// Events published one at a time: each waits until every stream has the one before.
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(crate) one_at_a_time: u64,
    /// Events a second at a steady rate; an event's latency counts from when it was due. 0 leaves
    /// this out.
    #[arg(long, default_value = "10", value_parser = rate, value_name = "N")]
    pub(crate) rate: f64,
    /// How long to publish at that rate.
    #[arg(long = "for", value_parser = duration, default_value = "5s", value_name = "TIME")]
    pub(crate) time: Duration,
    /// Events back to back in a burst; 0 leaves this out.
    #[arg(long, default_value_t = 40, value_name = "N")]
    pub(crate) burst: u64,
    /// Bursts, each when every stream has the one before.
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) bursts: u32,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Options of `ingest`.
#[derive(Args, Clone, Debug)]
pub(crate) struct IngestArgs {
    /// Streams that are open meanwhile, each subscribed to every topic that is published; with
    /// some, the truth is checked, too.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) streams: usize,
    /// Publishing connections, each with a topic of its own.
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) connections: u16,
    /// How long to publish each way.
    #[arg(long = "for", value_parser = duration, default_value = "5s", value_name = "TIME")]
    pub(crate) time: Duration,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Options of `churn`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ChurnArgs {
    /// Streams to open.
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub(crate) streams: usize,
    /// Share of the streams that leaves a second.
    #[arg(long, value_parser = share, default_value = "20%", value_name = "SHARE")]
    pub(crate) share: f64,
    /// Longest time that a stream is away.
    #[arg(long, value_parser = duration, default_value = "500ms", value_name = "TIME")]
    pub(crate) away: Duration,
    /// Events a second meanwhile.
    #[arg(long, default_value = "20", value_parser = rate, value_name = "N")]
    pub(crate) rate: f64,
    /// How long.
    #[arg(long = "for", value_parser = duration, default_value = "10s", value_name = "TIME")]
    pub(crate) time: Duration,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Options of `slow`.
#[derive(Args, Clone, Debug)]
pub(crate) struct SlowArgs {
    /// Streams to open.
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub(crate) streams: usize,
    /// Share of the streams that is slow.
    #[arg(long, value_parser = share, default_value = "10%", value_name = "SHARE")]
    pub(crate) share: f64,
    /// Bytes a second that a slow stream reads; 0: it reads nothing at all.
    #[arg(long, value_parser = size, default_value = "0", value_name = "SIZE")]
    pub(crate) crawl: u64,
    /// Receive buffer of a slow stream.
    #[arg(long, value_parser = size, default_value = "4KiB", value_name = "SIZE")]
    pub(crate) slow_buffer: u64,
    /// Events a second, without slow streams and then with them.
    #[arg(long, default_value = "20", value_parser = rate, value_name = "N")]
    pub(crate) rate: f64,
    /// How long, each.
    #[arg(long = "for", value_parser = duration, default_value = "10s", value_name = "TIME")]
    pub(crate) time: Duration,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Options of `soak`.
#[derive(Args, Clone, Debug)]
pub(crate) struct SoakArgs {
    /// Streams to open.
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub(crate) streams: usize,
    /// Share of the streams that leaves a second and comes back.
    #[arg(long, value_parser = share, default_value = "1%", value_name = "SHARE")]
    pub(crate) churn: f64,
    /// Longest time that a stream is away.
    #[arg(long, value_parser = duration, default_value = "2s", value_name = "TIME")]
    pub(crate) away: Duration,
    /// Share of the streams that reads slowly.
    #[arg(long, value_parser = share, default_value = "1%", value_name = "SHARE")]
    pub(crate) slow: f64,
    /// Bytes a second that a slow stream reads; 0: it reads nothing at all.
    #[arg(long, value_parser = size, default_value = "1KiB", value_name = "SIZE")]
    pub(crate) crawl: u64,
    /// Events a second.
    #[arg(long, default_value = "10", value_parser = rate, value_name = "N")]
    pub(crate) rate: f64,
    /// How long.
    #[arg(long = "for", value_parser = duration, default_value = "1h", value_name = "TIME")]
    pub(crate) time: Duration,
    /// Time between two lines.
    #[arg(long, value_parser = pause, default_value = "1m", value_name = "TIME")]
    pub(crate) every: Duration,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Options of `restart`.
#[derive(Args, Clone, Debug)]
pub(crate) struct RestartArgs {
    /// Streams to open.
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub(crate) streams: usize,
    /// How the server is restarted.
    #[arg(long, default_value_t = RestartKind::StopStart, value_enum)]
    pub(crate) kind: RestartKind,
    /// Events a second, on all ways in together.
    #[arg(long, default_value = "100", value_parser = positive_rate, value_name = "N")]
    pub(crate) rate: f64,
    /// How long to publish; the restart begins in the middle. With --times, as long as they take.
    #[arg(long = "for", value_parser = pause, default_value = "20s", value_name = "TIME")]
    pub(crate) time: Duration,
    /// Restarts, one after the other.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) times: u32,
    /// Time between the starts of two restarts; the next waits until a second after the end of the
    /// one before.
    #[arg(long, value_parser = pause, default_value = "5s", value_name = "TIME")]
    pub(crate) every: Duration,
    /// The command of an upgrade, such as 'target/release/fantail upgrade --config fantail.toml',
    /// instead of SIGUSR2; an exit code other than 0 is a failure. {http}, {ingest} and {admin} as
    /// in --spawn.
    #[arg(long, value_name = "COMMAND")]
    pub(crate) upgrade_command: Option<String>,
    /// Time without an answer after which an event has failed.
    #[arg(long, value_parser = pause, default_value = "10s", value_name = "TIME")]
    pub(crate) publish_timeout: Duration,
    /// Events that fail are sent again until the server takes them; then some may come twice.
    #[arg(long)]
    pub(crate) publish_retries: bool,
    /// Streams that are opened after each restart, with cursors from a second before it.
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub(crate) history_streams: usize,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// How a server is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum RestartKind {
    /// SIGTERM, and started again with the same command when it has ended.
    #[value(alias = "stop")]
    StopStart,
    /// SIGKILL, and started again.
    Kill,
    /// SIGUSR2 or --upgrade-command: it replaces its program while it runs.
    Upgrade,
    /// Started a second time on the same addresses, and the first ended by SIGTERM when the second
    /// listens.
    DrainBeside,
}

impl fmt::Display for RestartKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StopStart => "stop-start",
            Self::Kill => "kill",
            Self::Upgrade => "upgrade",
            Self::DrainBeside => "drain-beside",
        })
    }
}

/// Options of `cluster`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ClusterArgs {
    /// Streams to open, spread over the nodes.
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub(crate) streams: usize,
    /// The node to which a stream hops. One that is ended or not let in goes there, too.
    #[arg(long, default_value = "random", value_enum)]
    pub(crate) hop: HopTo,
    /// How long a stream stays on a node before it hops, at random between the two.
    #[arg(long, default_value = "1s..3s", value_parser = times, value_name = "TIME..TIME")]
    pub(crate) hop_every: (Duration, Duration),
    /// Events a second, on all nodes together.
    #[arg(long, default_value = "100", value_parser = positive_rate, value_name = "N")]
    pub(crate) rate: f64,
    /// How long to publish.
    #[arg(long = "for", value_parser = pause, default_value = "20s", value_name = "TIME")]
    pub(crate) time: Duration,
    /// Publishing connections to each node, by the usual way in or by each --publish. They go to
    /// another node when theirs takes none.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(crate) connections: u16,
    /// Time without an answer after which an event is sent again.
    #[arg(long, value_parser = pause, default_value = "10s", value_name = "TIME")]
    pub(crate) publish_timeout: Duration,
    /// Kills a node so often, one after the other; each comes back before the next is killed.
    /// Nodes of --spawn are killed by a signal and started again by their command; others only by
    /// --kill-command and --start-command.
    #[arg(long, value_parser = pause, value_name = "TIME")]
    pub(crate) kill_every: Option<Duration>,
    /// The signal that ends a node of --spawn.
    #[arg(long, default_value = "kill", value_enum)]
    pub(crate) kill_signal: KillSignal,
    /// The command that kills a node that runs already, such as 'systemctl kill -s KILL
    /// fantail@{node}' (words as in a shell, but no shell); {node} is the node's number from 0.
    #[arg(long, value_name = "COMMAND")]
    pub(crate) kill_command: Option<String>,
    /// The command that starts it again, such as 'systemctl start fantail@{node}'; it has to end.
    #[arg(long, value_name = "COMMAND")]
    pub(crate) start_command: Option<String>,
    /// How long a killed node stays away before it is started.
    #[arg(long, value_parser = duration, default_value = "0s", value_name = "TIME")]
    pub(crate) down: Duration,
    /// Gaps that streams may be told, all together.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) gaps_allowed: u64,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// How a node is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum KillSignal {
    /// SIGKILL.
    Kill,
    /// SIGTERM.
    Term,
}

/// Options of `ceiling`.
#[derive(Args, Clone, Debug)]
pub(crate) struct CeilingArgs {
    /// The log of the nodes: redis://, with a name and password if need be. Nothing of it is read
    /// or written but a key that is this run's own.
    #[arg(long, value_name = "URL")]
    pub(crate) log: String,
    /// Tails of the log alone [default: one for each node].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) tails: Option<u16>,
    /// Publishing connections for each node; as many in all append to the log alone.
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(crate) connections: u16,
    /// Streams, each of which receives everything [default: one for each node].
    #[arg(long, value_name = "N")]
    pub(crate) streams: Option<usize>,
    /// Events a second when latency is measured.
    #[arg(long, default_value = "1000", value_parser = positive_rate, value_name = "N")]
    pub(crate) rate: f64,
    /// How long, of each measurement.
    #[arg(long = "for", value_parser = pause, default_value = "5s", value_name = "TIME")]
    pub(crate) time: Duration,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Options of `compare`.
#[derive(Args, Clone, Debug)]
pub(crate) struct CompareArgs {
    /// The targets and the scenario: a TOML file such as loadtest/peers/peers.toml.
    pub(crate) file: PathBuf,
    /// Only these targets; repeatable.
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// Rounds, instead of what the file says.
    #[arg(long, value_name = "N")]
    pub(crate) rounds: Option<usize>,
    /// Options of the scenario after --, added to those of the file.
    #[arg(last = true, value_name = "OPTION")]
    pub(crate) options: Vec<String>,
    /// Writes the table as Markdown.
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// Writes everything as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Writes a self-contained page with plots.
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
}

/// Options of `floor`.
#[derive(Args, Clone, Debug)]
pub(crate) struct FloorArgs {
    /// Address for streams.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub(crate) listen: std::net::SocketAddr,
    /// Address for publishers, Redis protocol (PUBLISH only).
    #[arg(long, default_value = "127.0.0.1:7379", value_name = "ADDRESS")]
    pub(crate) ingest_listen: std::net::SocketAddr,
    /// Threads that send.
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: u16,
}
