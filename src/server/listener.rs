//! One listener: the state that its connections share, and the path of every request.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::Request as HttpRequest;
use hyper::body::{Body, Incoming};
use hyper::header;
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use parking_lot::Mutex;

use super::answers::Answers;
use super::bodies::Bodies;
use super::carried::Carried;
use super::check::check;
use super::config::ServerConfig;
use super::connections::Connections;
use super::guard::http1::Http1;
use super::guard::{Guard, Limits};
use super::outcome::Outcome;
use super::problem;
use super::request_body::{Pace, RequestBody};
use super::serve::Setup;
use super::service::{Request, Service};
use super::transport::Transport;
use crate::core::budget::Budget;
use crate::metrics::HttpMetrics;
use crate::orders::{Order, Orders};

/// hyper's own bounds on a request head are this many times the settings. Between the two, a
/// request is read and answered with a problem document that names the setting; beyond, hyper
/// answers with a bare status.
const HEAD_SLACK: usize = 2;

/// Header fields that hyper parses without allocating. A larger number is set only if the settings
/// allow more.
const HEADERS_INLINE: usize = 100;

/// Most bytes that a connection may buffer while it reads a request or writes an answer. Enough to
/// read a large body in few calls.
const CONNECTION_BUFFER_BYTES: usize = 64 * 1024;

/// The state that all connections of a listener share.
pub(crate) struct Listener {
    pub(super) config: ServerConfig,
    pub(super) connections: Arc<Connections>,
    pub(super) metrics: Arc<HttpMetrics>,
    /// hyper's HTTP/1 configuration.
    pub(super) http1: http1::Builder,
    pub(super) orders: Orders,
    /// Connections that wait for the end of a freeze.
    kept: Mutex<Vec<Carried>>,
    answers: Arc<Answers>,
    bodies: Bodies,
    service: Box<dyn Service>,
}

impl Listener {
    /// Serves `setup.service` as the orders say.
    pub(super) fn new(setup: Setup, connections: Arc<Connections>, orders: Orders) -> Self {
        let bodies_max = setup.config.body_bytes_max;
        Self {
            http1: http1_builder(&setup.config),
            bodies: Bodies::new(bodies_max, setup.budget, Arc::clone(&setup.metrics)),
            config: setup.config,
            connections,
            metrics: setup.metrics,
            orders,
            kept: Mutex::default(),
            answers: setup.answers,
            service: setup.service,
        }
    }

    /// Keeps a connection until the end of the freeze. Returns it if that has come.
    pub(super) fn keep(&self, mut carried: Carried) -> Option<Carried> {
        // The listener takes the kept ones after the order has changed, so none is forgotten.
        let mut kept = self.kept.lock();
        if self.orders.current() != Order::Freeze {
            return Some(carried);
        }
        carried.settle();
        kept.push(carried);
        None
    }

    /// The connections that are kept.
    pub(super) fn take_kept(&self) -> Vec<Carried> {
        std::mem::take(&mut *self.kept.lock())
    }

    /// The node's account.
    pub(super) fn budget(&self) -> &Arc<Budget> {
        self.bodies.budget()
    }

    /// The guard of a new HTTP/1 connection.
    pub(super) fn http1_guard(&self) -> Guard {
        let guard = Http1::new(Limits {
            trailer_bytes_max: self.config.header_bytes_max,
            trailer_count_max: self.config.header_count_max,
        });
        Guard::Http1(if self.config.chunked_bodies {
            guard
        } else {
            guard.without_codings()
        })
    }

    /// Answers a request, now or later.
    pub(super) fn answer(
        &self,
        peer: IpAddr,
        transport: &Transport,
        request: HttpRequest<Incoming>,
    ) -> Outcome {
        let (parts, incoming) = request.into_parts();
        let body = self.body(&parts, incoming, transport);
        let fields = self.service.fields(&parts);
        let by_browser = problem::is_opened_in_browser(&parts.headers);
        let is_safe = parts.method.is_safe();
        let outcome = match check(&parts, &self.config) {
            Ok(()) => self.service.answer(Request {
                parts,
                body,
                peer,
                transport: transport.clone(),
                fields: fields.clone(),
            }),
            Err(problem) => Outcome::problem(problem),
        };
        let answers = Arc::clone(&self.answers);
        let transport = transport.clone();
        outcome.with_response(move |response| {
            answers.charge(&transport, is_safe, response);
            fields.apply(response.headers_mut());
            if by_browser {
                problem::show_in_browser(response);
            }
        })
    }

    fn body(&self, parts: &Parts, incoming: Incoming, transport: &Transport) -> RequestBody {
        let held = (!incoming.is_end_stream())
            .then(|| self.bodies.begin(transport.body_room(), head_bytes(parts)));
        let exchange = transport.exchange().cloned();
        let awaited = parts.headers.contains_key(header::EXPECT);
        RequestBody::new(incoming, Pace::of(&self.config), held, exchange, awaited)
    }
}

/// Bytes that the target and the fields of a request head take up.
fn head_bytes(parts: &Parts) -> usize {
    let target = parts
        .uri
        .path_and_query()
        .map_or("", |target| target.as_str());
    let fields = parts.headers.iter();
    let fields = fields.map(|(name, value)| name.as_str().len() + value.len());
    target.len() + fields.sum::<usize>()
}

fn http1_builder(config: &ServerConfig) -> http1::Builder {
    let head_bytes_max = config.header_bytes_max.saturating_mul(HEAD_SLACK);
    let mut builder = http1::Builder::new();
    builder
        // `phase_timer` keeps the time, at a lower cost.
        .header_read_timeout(None)
        // A client may end its side and still read. This also spares a second read for every
        // request.
        .half_close(true)
        // Answers are short: one buffer and one write.
        .writev(false)
        .max_header_size(head_bytes_max)
        .max_buf_size(CONNECTION_BUFFER_BYTES.max(head_bytes_max));
    if config.header_count_max > HEADERS_INLINE {
        builder.max_headers(config.header_count_max);
    }
    builder
}
