//! The admin listener of a node that is not started yet: it is alive, and not ready.

use hyper::{Method, StatusCode};

use super::routes::{not_allowed, text};
use crate::server::outcome::Outcome;
use crate::server::problem::Problem;
use crate::server::service::{Request, Service};

/// Answers health checks while a node loads its history.
pub(super) struct Starting;

impl Service for Starting {
    fn answer(&self, request: Request) -> Outcome {
        let is_read = matches!(request.parts.method, Method::GET | Method::HEAD);
        match request.parts.uri.path() {
            "/healthz" if is_read => Outcome::Now(text("ok\n", "text/plain; charset=utf-8")),
            "/healthz" => Outcome::problem(not_allowed("GET, HEAD")),
            _ => Outcome::problem(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the node is starting: it loads its history",
            )),
        }
    }
}
