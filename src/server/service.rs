//! The seam between a listener and the service behind it.
//!
//! A [`Service`] decides the answer to each request: a response, or a stream. The listener does the
//! rest: it reads requests, bounds and times them, sends responses, and detaches sockets that
//! become streams.

use std::net::IpAddr;

use hyper::http::request::Parts;

use super::fields::Fields;
use super::outcome::Outcome;
use super::request_body::RequestBody;
use super::transport::Transport;

/// The behaviour behind a listener. The public API and the admin listener are one each.
pub(crate) trait Service: Send + Sync + 'static {
    /// Header fields of every answer to a request with this head, refusals by the listener
    /// included.
    fn fields(&self, _head: &Parts) -> Fields {
        Fields::default()
    }

    /// Answers a request whose head is within the listener's limits. Must not block; an answer that
    /// has to wait is returned as a future.
    fn answer(&self, request: Request) -> Outcome;
}

/// A request.
pub(crate) struct Request {
    /// Its head.
    pub(crate) parts: Parts,
    /// Its body.
    pub(crate) body: RequestBody,
    /// Address of the connection's other end. Behind a proxy, it is the proxy's.
    pub(crate) peer: IpAddr,
    /// How a stream reaches its client.
    pub(crate) transport: Transport,
    /// The result of [`Service::fields`]. A service adds them to the head of a stream; the listener
    /// adds them to responses.
    pub(crate) fields: Fields,
}
