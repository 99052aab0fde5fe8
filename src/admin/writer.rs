//! Whether a web page may have sent a request that changes something.
//!
//! The listener has no authentication, so the stranger to guard against is a browser on a machine
//! that reaches it: web pages make it send requests.

use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use crate::server::problem::Problem;

/// Fields with which a browser reports that a page has sent the request (Fetch §3.2, Fetch Metadata
/// §2).
const OF_A_PAGE: [&str; 2] = ["origin", "sec-fetch-site"];

/// Checks a call that changes something: requests of web pages are refused, whatever their host.
/// Browsers send one of these fields with every call of a script or form other than a `GET`.
pub(super) fn check(request: &Parts) -> Result<(), Problem> {
    let reads = [Method::GET, Method::HEAD].contains(&request.method);
    let of_a_page = OF_A_PAGE
        .iter()
        .find(|name| request.headers.contains_key(**name));
    match of_a_page {
        Some(name) if !reads => Err(Problem::new(
            StatusCode::FORBIDDEN,
            format!(
                "nothing is changed on behalf of web pages (the request has the field `{name}`)"
            ),
        )),
        _ => Ok(()),
    }
}
