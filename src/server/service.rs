//! The seam between a listener and what it serves.
//!
//! A [`Service`] decides the answer to each request: a response, or a stream. The listener does the
//! rest: it reads requests, bounds and times them, sends responses, and lets go of sockets that
//! become streams.

use std::net::IpAddr;

use hyper::http::request::Parts;

use super::fields::Fields;
use super::outcome::Outcome;
use super::request_body::RequestBody;
use super::transport::Transport;

/// What a listener serves. The public API and the admin listener are one each.
pub(crate) trait Service: Send + Sync + 'static {
    /// Header fields that every answer to a request with this head has, refusals by the listener
    /// included.
    fn fields(&self, _head: &Parts) -> Fields {
        Fields::default()
    }

    /// Answers a request whose head is within the listener's limits. Must not block; what has to
    /// wait is returned as a future.
    fn answer(&self, request: Request) -> Outcome;
}

/// A request.
pub(crate) struct Request {
    /// Its head.
    pub(crate) parts: Parts,
    /// Its body.
    pub(crate) body: RequestBody,
    /// Address of the connection's other end: a proxy's, where one has brought the request.
    pub(crate) peer: IpAddr,
    /// How a stream reaches its client.
    pub(crate) transport: Transport,
    /// What [`Service::fields`] said. A service adds them to the head of a stream; the listener
    /// adds them to responses.
    pub(crate) fields: Fields,
}
