//! Log lines about refused clients: one for each at `debug`, and one a minute that any were
//! refused.
//!
//! Must never write a token, nor the query of a request, which may hold one.

use std::fmt::Display;
use std::net::IpAddr;

use hyper::header::{self, HeaderMap};
use hyper::http::request::Parts;
use tracing::{debug, warn};

use crate::once_a_minute::OnceAMinute;

/// Target of these lines. Operators write it into `log_level`, so it outlives the names of modules.
const TARGET: &str = "fantail::http";

/// Bytes of a path or header in a log line.
const TEXT_BYTES_LOGGED: usize = 200;

static TOKENS: OnceAMinute = OnceAMinute::new();
static STREAMS: OnceAMinute = OnceAMinute::new();
static ORIGINS: OnceAMinute = OnceAMinute::new();

/// A request was refused for its token, or for lack of one.
pub(crate) fn token(client: IpAddr, path: &str, why: &dyn Display) {
    debug!(target: TARGET, %client, path = cut(path), %why, "request refused for its token");
    if let Some(left_out) = TOKENS.due() {
        warn!(target: TARGET, left_out, %why, "a request was refused for its token; the level `debug` shows each, `fantail_tokens_refused_total` how many");
    }
}

/// A subscription was refused. `expected`: the node drains, so the refusal needs no line of its
/// own.
pub(crate) fn stream(client: IpAddr, parts: &Parts, why: &dyn Display, expected: bool) {
    debug!(target: TARGET, %client, path = cut(parts.uri.path()), %why, "stream shed");
    if !expected && let Some(left_out) = STREAMS.due() {
        warn!(target: TARGET, left_out, %why, "a stream was turned away for lack of room; `fantail_streams_shed_total` counts them");
    }
}

/// A page of a foreign origin was refused.
pub(crate) fn origin(client: IpAddr, headers: &HeaderMap, path: &str) {
    let origin = headers.get(header::ORIGIN);
    let origin = origin.map(|origin| cut(&String::from_utf8_lossy(origin.as_bytes())).to_owned());
    debug!(target: TARGET, %client, path = cut(path), origin, "request of a foreign origin refused");
    if let Some(left_out) = ORIGINS.due() {
        warn!(
            target: TARGET, left_out,
            origin, "a page of an origin that is not in `cors_origins` was refused"
        );
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_LOGGED)]
}
