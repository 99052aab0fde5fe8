//! Whether the node answers for the host of a request.

use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use super::resource::Resource;
use crate::server::problem::Problem;
use crate::web::host::HostRule;
use crate::web::request_target::{self, WrongHost};

/// Health is answered under any name, and without one, because load balancers make names up. The
/// target of `CONNECT` is not the requested host. Without a rule, any name is answered.
pub(super) fn check(parts: &Parts, hosts: Option<&HostRule>) -> Result<(), Problem> {
    let path = parts.uri.path();
    let is_health = matches!(Resource::of(path), Some(Resource::Health | Resource::Ready));
    if is_health || parts.method == Method::CONNECT {
        return Ok(());
    }
    let (status, detail) = match request_target::check_host(parts, hosts) {
        Ok(()) => return Ok(()),
        Err(WrongHost::Empty) => (
            StatusCode::BAD_REQUEST,
            "the `Host` header must not be empty",
        ),
        Err(WrongHost::Foreign(_)) => (
            StatusCode::MISDIRECTED_REQUEST,
            "this node does not answer for the host of the request, but for IP addresses, `localhost`, and the names in the setting `hosts`",
        ),
    };
    Err(Problem::new(status, detail).field("host"))
}
