//! The result of a run: all that the table, the JSON file, the HTML page and `--assert` show.
//!
//! These types are the JSON schema of `--json`. A member may be added; one that is there keeps its
//! meaning.

use serde::{Deserialize, Serialize};

/// Version of the JSON schema.
pub const SCHEMA: u32 = 1;

/// The result of one run of one scenario against one target.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Outcome {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Name and version of the program.
    pub tool: String,
    /// The scenario's subcommand: `density`, `fanout` …
    pub scenario: String,
    /// The target, as the user wrote it: a name, or the URL template.
    pub target: String,
    /// When the run started, RFC 3339, UTC.
    pub started: String,
    /// How long it took.
    pub seconds: f64,
    /// The machine of the run.
    pub machine: Machine,
    /// The command line, without the program.
    pub arguments: Vec<String>,
    /// The figures, in the order in which they are shown; names are unique.
    pub figures: Vec<Figure>,
    /// Latency distributions; names are unique.
    pub latencies: Vec<Latency>,
    /// Values over the course of the run, for plots; names are unique.
    pub series: Vec<Series>,
    /// Why connections were refused, or streams ended before their time.
    pub reasons: Vec<Reason>,
    /// Reasons to doubt the figures, in sentences: the generator was the limit, a process could not
    /// be read …
    pub warnings: Vec<String>,
    /// Why the run ended early, or measured nothing, if so: its figures are from before.
    #[serde(default)]
    pub failure: Option<String>,
}

/// The machine that the load test ran on.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Machine {
    /// Processors that this program may use.
    pub cores: usize,
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// The processor's model name.
    pub processor: String,
    /// The kernel's name and release.
    pub kernel: String,
}

/// One figure.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Figure {
    /// The name for `--assert` and for programs: lower case and underscores, such as
    /// `connects_per_s`.
    pub name: String,
    /// Its name for people, without unit: `connects`, `CPU a delivery, one event at a time`.
    pub label: String,
    /// The heading it stands under.
    pub group: Group,
    /// The value, in the base unit.
    pub value: f64,
    /// Its unit.
    pub unit: Unit,
    /// A text in place of a value that could not be measured: `below resolution` (the value is 0
    /// then).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Headings of figures, in their order.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Streams opened, refused, closed.
    Streams,
    /// Lost, doubled, out of order, reported as a gap.
    Truth,
    /// Latency and rates of deliveries.
    Delivery,
    /// Rates and latency of publishing.
    Publishing,
    /// Memory a stream and in all, on both sides of the kernel's line.
    Memory,
    /// CPU time of the server.
    Server,
    /// The load generator's own usage.
    Generator,
}

/// Base units of figures.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A number of things.
    Count,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Things a second.
    PerSecond,
    /// A share of one: 0.25 is shown as 25 %.
    Share,
    /// Processors' worth of time: 1.5 is one core and a half.
    Cores,
}

/// A latency distribution.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Latency {
    /// Name for programs: `delivery_rate`, `reach_all` …
    pub name: String,
    /// Its name for people.
    pub label: String,
    /// How many values it is made of.
    pub count: u64,
    /// `(quantile, seconds)`, both ascending, quantiles from 0 to 1.
    pub quantiles: Vec<(f64, f64)>,
}

/// Points of a plot.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Series {
    /// Name for programs: `deliveries`, `process_memory`, `kernel_memory`, `connects` …
    pub name: String,
    /// Its name for people.
    pub label: String,
    /// The x axis.
    pub x: Axis,
    /// The y axis.
    pub y: Axis,
    /// The points, x ascending.
    pub points: Vec<(f64, f64)>,
}

/// An axis of a plot.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Axis {
    /// Its quantity, without unit: `time`, `streams`, `memory`.
    pub label: String,
    /// Its unit.
    pub unit: Unit,
}

/// Something that happened to streams, and how often.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Reason {
    /// The event: `connect: connection refused`, `answered 503 Service Unavailable` …
    pub text: String,
    /// How often.
    pub count: u64,
}

/// Several targets under the same scenario.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Comparison {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Name of the target that ratios refer to; one of `targets`.
    pub baseline: String,
    /// The targets, in the order of the file.
    pub targets: Vec<Compared>,
    /// Targets that were not run, and why.
    pub skipped: Vec<Reason>,
}

/// One target of a comparison.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Compared {
    /// Its name.
    pub name: String,
    /// The outcome of each round, in order.
    pub rounds: Vec<Outcome>,
}
