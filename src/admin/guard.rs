//! What a request passes before it is looked at: whose name it is sent under, and whether a web page may have sent it.
//!
//! The listener asks nobody for a password, so a browser on a machine that reaches it is the one stranger it has to fear: pages make it send requests.

use hyper::header;
use hyper::{Method, Request, StatusCode, Version};

use super::problem::Problem;
use crate::config::Settings;
use crate::host::{Authority, HostRule};

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
    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<(), Problem> {
        let limit = self.target_bytes_max;
        let target = request.uri().path_and_query();
        if target.is_some_and(|target| target.as_str().len() > limit) {
            return Err(Problem::new(
                StatusCode::URI_TOO_LONG,
                format!(
                    "the request target is longer than {limit} bytes (`request_target_bytes_max`)"
                ),
            ));
        }
        // RFC 9112 §3.2: a request that lacks Host, or has two, must be answered 400.
        let hosts = request.headers().get_all(header::HOST).iter().count();
        if hosts > 1 || hosts == 0 && request.version() == Version::HTTP_11 {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                format!("one Host field is needed, and there are {hosts}"),
            ));
        }
        Ok(())
    }

    /// What holds for everything but health: orchestrators send any `Host`, and learn nothing that a stranger must not know.
    pub(super) fn check_host<B>(&self, request: &Request<B>) -> Result<(), Problem> {
        // RFC 9112 §3.2.2: the target's own authority wins over the field.
        let named = match request.uri().authority() {
            Some(authority) => authority.as_str(),
            None => match request.headers().get(header::HOST) {
                // HTTP/1.0, which no browser speaks.
                None => return Ok(()),
                // What is no text is no host.
                Some(field) => field.to_str().unwrap_or("\0"),
            },
        };
        if named.is_empty() {
            return Err(misdirected("an empty `Host`"));
        }
        let authority = Authority::parse(named).ok_or_else(|| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "`Host` must be a host name or address, and a port if need be",
            )
        })?;
        if self.hosts.allows(&authority.host) {
            Ok(())
        } else {
            Err(misdirected(&format!("the host {named:?}")))
        }
    }

    /// What holds for calls that change something: no page is answered, whatever its name. Browsers send one of these fields with every call of a script
    /// or form that is not a `GET`.
    pub(super) fn check_writer<B>(&self, request: &Request<B>) -> Result<(), Problem> {
        let reads = [Method::GET, Method::HEAD].contains(request.method());
        let of_a_page = OF_A_PAGE
            .iter()
            .find(|name| request.headers().contains_key(**name));
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
