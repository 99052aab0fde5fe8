//! The layers of the crate, and the modules that each must never use.

use crate::resolve::{Target, place, top};
use crate::source::{Module, Tree, Use};

/// The layers, from the top down. A module imports from lower layers only: none of a higher one,
/// and none of the others in its own.
///
/// The program, then one node's life, then the outside world's terms, then order and HTTP, then
/// delivery; below them the layers without I/O.
pub(crate) const LAYERS: [&[&str]; 14] = [
    &["main"],
    &["program", "embed", "value"],
    &["node"],
    &["cli"],
    &["token"],
    &["settings"],
    &["api", "ingest", "admin", "bridge"],
    &["hub", "server"],
    &["shard"],
    &["logging"],
    &["auth"],
    &["state"],
    &["core"],
    &[
        "web",
        "metrics",
        "clock",
        "backoff",
        "closing",
        "once_a_minute",
        "orders",
        "plural",
        "bom",
        "json",
        "memory",
        "secret",
    ],
];

/// A module's forbidden imports, whatever the layers allow.
pub(crate) struct Ban {
    pub(crate) module: &'static str,
    /// Starts of paths, of this crate or of others.
    pub(crate) paths: &'static [&'static str],
    why: &'static str,
}

pub(crate) const BANS: [Ban; 12] = [
    Ban {
        module: "core",
        paths: &[
            "tokio",
            "hyper",
            "http_body_util",
            "hyper_util",
            "mio",
            "rustix",
            "libc",
            "socket2",
            "clap",
            "tracing_subscriber",
            "crossbeam_channel",
        ],
        why: "it does no I/O and has no command line",
    },
    Ban {
        module: "core",
        paths: &[
            "std::fs",
            "std::env",
            "std::process",
            "std::thread",
            "std::net::TcpListener",
            "std::net::TcpStream",
            "std::net::UdpSocket",
            "std::net::ToSocketAddrs",
            "std::os::unix::net",
        ],
        why: "it does no I/O and starts nothing",
    },
    Ban {
        module: "core",
        paths: &["std::time::Instant::now", "std::time::SystemTime::now"],
        why: "it has no clock: time comes in with each call",
    },
    Ban {
        module: "server",
        paths: &[
            "crate::core::topic",
            "crate::core::selector",
            "crate::core::event",
            "crate::core::history",
        ],
        why: "it knows no topics",
    },
    Ban {
        module: "server",
        paths: &[
            "crate::auth",
            "crate::settings",
            "crate::shard::mailbox",
            "crate::shard::reactor",
        ],
        why: "it knows neither tokens nor settings, and lets go of sockets without knowing to whom",
    },
    Ban {
        module: "core",
        paths: &["crate::clock"],
        why: "it has no clock: time comes in with each call",
    },
    Ban {
        module: "shard",
        paths: &[
            "hyper",
            "hyper_util",
            "http_body_util",
            "tokio",
            "crate::settings",
        ],
        why: "it delivers, and neither speaks HTTP nor reads settings",
    },
    Ban {
        module: "hub",
        paths: &["crate::settings"],
        why: "it has its own config, which `node` makes",
    },
    Ban {
        module: "api",
        paths: &["crate::settings"],
        why: "it has its own config, which `node` makes",
    },
    Ban {
        module: "ingest",
        paths: &["crate::settings"],
        why: "it has its own config, which `node` makes",
    },
    Ban {
        module: "admin",
        paths: &["crate::settings"],
        why: "it has its own config, which `node` makes",
    },
    Ban {
        module: "logging",
        paths: &["crate::settings"],
        why: "it has its own config, which `node` makes",
    },
];

/// A message for each import that breaks a rule. Code under `#[cfg(test)]` is left out: a test may
/// build its fixtures from any layer.
pub(crate) fn broken(tree: &Tree) -> Vec<String> {
    let mut messages = Vec::new();
    for (number, module) in tree.modules.iter().enumerate() {
        for used in module.uses.iter().filter(|used| !used.in_test) {
            let target = tree.resolve(number, &used.path);
            let found = match &target {
                Some(Target::Inside(other)) => upward(module, other).or_else(|| {
                    let path = [&["crate".to_owned()], other.path.as_slice()].concat();
                    banned(module, &path.join("::"))
                }),
                Some(Target::Outside(path)) => banned(module, &path.join("::")),
                None => None,
            };
            messages.extend(found.map(|rule| message(module, used, &rule)));
        }
    }
    messages.sort();
    messages.dedup();
    messages
}

/// A message for each module at the top that is in no layer, and for each name of a layer that is
/// no module.
pub(crate) fn unplaced(tree: &Tree) -> Vec<String> {
    let at_top = |module: &&Module| module.path.len() == 1;
    let modules: Vec<&str> = tree.modules.iter().filter(at_top).map(top).collect();
    let placed: Vec<&str> = LAYERS.concat();
    let without = modules.iter().filter(|module| !placed.contains(module));
    let gone = placed.iter().filter(|module| !modules.contains(module));
    without
        .map(|module| format!("`{module}` is in no layer (tests/layers/rules.rs)"))
        .chain(gone.map(|module| format!("there is no module `{module}` (tests/layers/rules.rs)")))
        .collect()
}

fn message(module: &Module, used: &Use, rule: &str) -> String {
    format!("{}: {rule} ({used})", place(&module.file, used.line))
}

fn layer(module: &Module) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&top(module)))
}

fn upward(from: &Module, to: &Module) -> Option<String> {
    let (own, other) = (layer(from)?, layer(to)?);
    let (from, to) = (top(from), top(to));
    if from == to || own < other {
        return None;
    }
    let why = if own == other {
        "they are side by side"
    } else {
        "imports point down"
    };
    Some(format!("`{from}` must not import `{to}`: {why}"))
}

fn banned(module: &Module, path: &str) -> Option<String> {
    let mut bans = BANS.iter().filter(|ban| ban.module == top(module));
    bans.find_map(|ban| {
        let is_in = |banned: &&&str| {
            let rest = path.strip_prefix(**banned);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let banned = ban.paths.iter().find(is_in)?;
        Some(format!(
            "`{}` must not know `{banned}`: {}",
            ban.module, ban.why
        ))
    })
}
