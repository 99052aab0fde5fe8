//! What a request passes before it is looked at: whose name it is sent under, and whether a web page may have sent it.
//!
//! The listener asks nobody for a password, so a browser on a machine that reaches it is the one stranger it has to fear: pages make it send requests.

use hyper::header;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use super::problem::Problem;
use crate::settings::Settings;
use crate::web::host::HostRule;
use crate::web::request_target;

/// Fields by which a browser says that a page has sent the request (Fetch §3.2, Fetch Metadata §2).
const OF_A_PAGE: [&str; 2] = ["origin", "sec-fetch-site"];

/// The checks of one listener.
pub(super) struct Guard {
    hosts: HostRule,
    target_bytes_max: usize,
}

impl Guard {
    /// By these settings.
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            hosts: HostRule::new(&settings.admin_hosts),
            target_bytes_max: settings.request_target_bytes_max,
        }
    }

    /// What holds for every request.
    pub(super) fn check(&self, request: &Parts) -> Result<(), Problem> {
        let limit = self.target_bytes_max;
        let target = request.uri.path_and_query();
        if target.is_some_and(|target| target.as_str().len() > limit) {
            return Err(Problem::new(
                StatusCode::URI_TOO_LONG,
                format!(
                    "the request target is longer than {limit} bytes (`request_target_bytes_max`)"
                ),
            ));
        }
        // hyper reads chunks less strictly than a proxy in front may, and no call here has a body. So nothing behind one that is chunked is run.
        if request.headers.contains_key(header::TRANSFER_ENCODING) {
            let detail = "the calls of this listener have no body; send none";
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail).last());
        }
        request_target::check(request)
            .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.to_string()))
    }

    /// What holds for everything but health: orchestrators send any `Host`, and learn nothing that a stranger must not know.
    pub(super) fn check_host(&self, request: &Parts) -> Result<(), Problem> {
        match request_target::authority(request) {
            Some(authority) if self.hosts.allows(&authority.host) => Ok(()),
            Some(authority) => Err(misdirected(&format!("the host {}", authority.host))),
            // HTTP/1.0, which no browser speaks.
            None if !request.headers.contains_key(header::HOST) => Ok(()),
            None => Err(misdirected("an empty `Host`")),
        }
    }

    /// What holds for calls that change something: no page is answered, whatever its name. Browsers send one of these fields with every call of a script
    /// or form that is not a `GET`.
    pub(super) fn check_writer(&self, request: &Parts) -> Result<(), Problem> {
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
}

fn misdirected(what: &str) -> Problem {
    let detail = format!(
        "{what} is not one that the admin listener answers for: those are addresses, localhost, and the names in `admin_hosts`"
    );
    Problem::new(StatusCode::MISDIRECTED_REQUEST, detail)
}
