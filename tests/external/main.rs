//! The node under the clients that people use: redis-cli, redis-benchmark, curl, packages of npm,
//! Python, PHP and Ruby, web frameworks, Chromium and Firefox, and behind proxies.
//!
//! Built with the feature `external-tests`. `cargo xtask test` installs the programs that they
//! need; without one, its test fails and names it.

/// The node, and the conditions that tests wait for.
#[path = "../support/mod.rs"]
mod support;

/// A node with keys, its tokens, and a publisher.
mod hub;
/// Lines of a web server's log, with everything in them that ever broke a parser.
mod log_lines;
/// Other programs: run to their end, or read line by line while they run.
mod program;
/// The subscribing clients, each in its own process, with orders of what to watch.
mod watcher;

/// Tokens in cookies, in a browser, across origins.
mod cookies;
/// The browser's rules across origins.
mod cors;
/// Open, named events, resume and gap, by both `EventSource`s.
mod eventsource;
/// System calls that fail, by strace: the hand-over and the history file.
mod faults;
/// The main job: a log in by every way, out to every client.
mod feed;
/// Applications of web frameworks, as `docs/INTEGRATIONS.md` shows them.
mod integrations;
/// The page of metrics, by the parsers of Prometheus's own client.
mod metrics;
/// Transactions, pipelines and scripts of Redis clients.
mod pipelines;
/// Private events, resume and refusal, by every client that sends tokens.
mod private;
/// Pages behind proxies, while the node is away.
mod proxies;
/// Publishers of the Mercure protocol: Symfony's component and plain httpx.
mod publishers;
/// redis-cli and redis-benchmark, unmodified.
mod redis_tools;
/// The example units, under a real systemd.
mod systemd;
