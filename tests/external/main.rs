//! The node under the clients that people use: redis-cli, redis-benchmark, curl, the npm package `eventsource`, and Chromium.
//!
//! Built with the feature `external-tests`. `cargo xtask test` installs what they need; without it a test fails and says what is missing.

/// The node, and the conditions that tests wait for.
#[path = "../support/mod.rs"]
mod support;

/// Lines of a web server's log, with everything in them that ever broke a parser.
mod log_lines;
/// Other programs: run to their end, or read line by line while they run.
mod program;
/// The two `EventSource`s, each in its own process, told what to watch.
mod watcher;

/// What a browser allows and forbids across origins.
mod cors;
/// Open, named events, resume and gap, by both `EventSource`s.
mod eventsource;
/// The main job: a log in by every way, out to every client.
mod feed;
/// redis-cli and redis-benchmark as they come.
mod redis_tools;
