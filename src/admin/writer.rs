//! Whether a web page may have sent a request that changes something.
//!
//! The listener asks nobody for a password, so a browser on a machine that reaches it is the one
//! stranger it has to fear: pages make it send requests.

use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use crate::server::problem::Problem;

/// Fields by which a browser says that a page has sent the request (Fetch §3.2, Fetch Metadata §2).
const OF_A_PAGE: [&str; 2] = ["origin", "sec-fetch-site"];

/// What holds for calls that change something: no page is answered, whatever its name. Browsers
/// send one of these fields with every call of a script or form that is not a `GET`.
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
