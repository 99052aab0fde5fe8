//! Options that all scenarios have.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jsonwebtoken::Algorithm;

use super::values::{algorithm, duration, pause, positive_rate};
use crate::assertion::Assertion;
use crate::publisher::recipe::Wishes;
use crate::target::Preset;

/// What all scenarios have. It stands last in each: its headings would take in what follows.
#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    #[command(flatten)]
    pub(crate) tokens: TokenArgs,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// The server.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "The server")]
pub(crate) struct TargetArgs {
    /// Where streams are opened. {i} is the stream's number, {topic} its first topic, {topics} all
    /// as topic=a&topic=b, {token} its token. Without a path, that of --preset. With --spawn,
    /// {http} is a free port. Repeatable: one URL for each node, on which streams are spread evenly.
    #[arg(long, default_value = "http://127.0.0.1:8080", value_name = "URL")]
    pub(crate) url: Vec<String>,
    /// The kind of server, for paths and bodies that are not given.
    #[arg(long, default_value = "fantail", value_enum)]
    pub(crate) preset: Preset,
    /// Where events are published: http://, https://, or redis:// (the same as resp://) with a name
    /// and password if need be, as in redis://name:password@host:7379. {topic} is the event's
    /// topic. With --spawn, {http} and {ingest} are free ports. Repeatable: one URL for each node
    /// [default: as --preset says, for each --url].
    #[arg(long, value_name = "URL")]
    pub(crate) publish: Vec<String>,
    /// HTTP method of publishing [default: POST].
    #[arg(long, value_name = "METHOD")]
    pub(crate) publish_method: Option<String>,
    /// Header field of publishing, such as 'Authorization: Bearer …'; {topic}, {key} and {token}
    /// may stand in it. Repeatable.
    #[arg(long, value_name = "NAME: VALUE")]
    pub(crate) publish_header: Vec<String>,
    /// Body of publishing; {topic}, {data}, {i}, the event's number, and {key}, an idempotency key,
    /// are written as the content type asks for [default: {data}].
    #[arg(long, value_name = "TEXT")]
    pub(crate) publish_body: Option<String>,
    /// Command of publishing over the Redis protocol [default: PUBLISH {topic} {data}].
    #[arg(long, value_name = "WORDS")]
    pub(crate) publish_command: Option<String>,
    /// Publishes private events, which only streams with a token for their topic are sent: the
    /// preset's path and body, and the command XADD {topic} * data {data} private 1 over the Redis
    /// protocol.
    #[arg(long, conflicts_with_all = ["publish_body", "publish_command"])]
    pub(crate) private: bool,
    /// Events under way on one publishing connection [default: 64 over the Redis protocol, 1 over
    /// HTTP].
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) publish_pipeline: Option<usize>,
    /// Header field of a stream's request; placeholders as in --url. Repeatable.
    #[arg(long, value_name = "NAME: VALUE")]
    pub(crate) header: Vec<String>,
    /// Cookie of a stream's request; placeholders as in --url.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) cookie: Option<String>,
    /// Name of the topic. With {i} in it there are as many as --pool says, or else one for each
    /// stream.
    #[arg(long, default_value = "t", value_name = "NAME")]
    pub(crate) topic: String,
    /// Topics of each stream, out of --pool.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) topics: usize,
    /// Number of different topics.
    #[arg(long, value_name = "N")]
    pub(crate) pool: Option<usize>,
    /// Bytes of data in an event.
    #[arg(long, default_value_t = 128, value_name = "N")]
    pub(crate) data_bytes: usize,
    /// Certificates of authorities to trust (PEM), instead of Mozilla's.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// A stream is open at its response head: for servers that send nothing more until the first
    /// event.
    #[arg(long)]
    pub(crate) no_prime: bool,
    /// Name of the event by which the server tells that it left something out.
    #[arg(long, default_value = "gap", value_name = "NAME")]
    pub(crate) gap_event: String,
    /// Starts the server with this command (words as in a shell, but no shell), measures it and all
    /// that it starts, and ends it. {http}, {ingest} and {admin} are free ports, {node} is the
    /// node's number from 0.
    #[arg(long, value_name = "COMMAND", conflicts_with = "pid")]
    pub(crate) spawn: Option<String>,
    /// Nodes to start with --spawn, each with ports of its own in --url and --publish.
    #[arg(long, default_value_t = 1, value_name = "N", requires = "spawn", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) nodes: u16,
    /// Process ids of a running server, to measure it and all that it started.
    #[arg(long, value_delimiter = ',', value_name = "PID")]
    pub(crate) pid: Vec<u32>,
    /// Events have idempotency keys, where the preset knows how.
    #[arg(skip)]
    pub(crate) keyed: bool,
    /// A name for the target in tables, instead of its URL.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

/// Tokens.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Tokens (JSON Web Tokens)")]
pub(crate) struct TokenArgs {
    /// What the token of each stream says, a JSON object: {i} is the stream's number, {topic} its
    /// first topic; \u007b is a brace that is to stand. The token goes where {token} is in --url,
    /// --header or --cookie, or else into a field Authorization.
    #[arg(long, value_name = "JSON", requires = "signing")]
    pub(crate) token_claims: Option<String>,
    /// What the token of publishing over HTTP says, without placeholders. It goes where {token} is
    /// in --publish or --publish-header, or else into a field Authorization [default with --preset
    /// mercure and a key: {"mercure":{"publish":["*"]}}].
    #[arg(long, value_name = "JSON", requires = "signing")]
    pub(crate) publish_token_claims: Option<String>,
    /// File with what signs tokens: a private key (PEM, PKCS #8) or a secret.
    #[arg(long, value_name = "FILE", group = "signing")]
    pub(crate) token_key: Option<PathBuf>,
    /// Secret that signs tokens. Other users of this machine can read it in the list of processes;
    /// --token-key keeps it from them.
    #[arg(long, value_name = "TEXT", group = "signing")]
    pub(crate) token_secret: Option<String>,
    /// Algorithm of the signature [default: HS256 of a secret, ES256, ES384, EdDSA or RS256 of a
    /// private key].
    #[arg(long, value_name = "NAME", value_parser = algorithm, requires = "signing")]
    pub(crate) token_algorithm: Option<Algorithm>,
    /// The tokens of streams end (exp) so long after the start of the run.
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "token_claims")]
    pub(crate) token_exp: Option<Duration>,
}

/// The load generator.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "The load generator")]
pub(crate) struct LoadArgs {
    /// Connections opened a second; unbounded without.
    #[arg(long, value_parser = positive_rate, value_name = "N")]
    pub(crate) connect_rate: Option<f64>,
    /// Connections that each client process opens at the same time.
    #[arg(long, default_value_t = 256, value_name = "N", value_parser = positive)]
    pub(crate) connecting: usize,
    /// Client processes; 0: as few as the limit on open files allows.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) processes: usize,
    /// Source addresses, in turn; repeatable. Without, those of 127.0.0.0/8 for a loopback target,
    /// else the kernel's choice.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) source: Vec<IpAddr>,
    /// Time without any progress after which something counts as failed.
    #[arg(long, value_parser = pause, default_value = "30s", value_name = "TIME")]
    pub(crate) timeout: Duration,
    /// Streams that the server ends come back with their cursor, as an EventSource does; ingest,
    /// churn, slow, soak and restart always do so. Those of restart come back with this also after
    /// an answer that is no stream, which ends an EventSource for good.
    #[arg(long)]
    pub(crate) reconnect: bool,
}

/// What to do with the result.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "The result")]
pub(crate) struct OutputArgs {
    /// Writes everything as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Writes a self-contained page with plots.
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
    /// Fails (exit code 1) unless this holds, such as 'lost == 0' or 'p99 < 50ms'; repeatable. The
    /// names are those of --json.
    #[arg(long, value_name = "CONDITION")]
    pub(crate) assert: Vec<Assertion>,
}

impl OutputArgs {
    /// Whether anything is asked for.
    pub(crate) fn is_empty(&self) -> bool {
        self.json.is_none() && self.report.is_none() && self.assert.is_empty()
    }
}

impl TargetArgs {
    /// The options of publishing, other than its address.
    pub(crate) fn wishes(&self, token: Option<String>) -> Wishes {
        Wishes {
            method: self.publish_method.clone(),
            headers: self.publish_header.clone(),
            body: self.publish_body.clone(),
            command: self.publish_command.clone(),
            pipeline: self.publish_pipeline,
            private: self.private,
            keyed: self.keyed,
            token,
        }
    }
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..) => Ok(number),
        _ => Err("expected a number from 1".to_owned()),
    }
}
