//! Which browser pages may call this node (the CORS protocol of the Fetch standard).
//!
//! Besides telling browsers, this module guards what a browser would do without asking: a page may `POST` plain text to any address it can reach, a
//! listener on loopback included. So a publish that names a foreign origin is refused here, whatever the page is allowed to read.

use hyper::header::{self, HeaderMap, HeaderValue};

/// Request headers that a page may set.
const ALLOW_HEADERS: &str = "authorization, cache-control, last-event-id, content-type";

/// Response headers that a page may read.
const EXPOSE_HEADERS: &str = "Last-Event-ID";

/// Seconds for which a browser may remember a preflight's answer: the most that Chromium honours.
const PREFLIGHT_MAX_AGE_S: &str = "7200";

/// The allow-list.
#[derive(Debug, Default)]
pub(super) struct Cors {
    origins: Vec<String>,
    /// `*` is in the list.
    any: bool,
    credentials: bool,
}

/// What a request's origin may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Grant {
    /// Nothing; or the request names no origin.
    None,
    /// What anyone may, without credentials.
    Any,
    /// It is in the list by name.
    Origin(HeaderValue),
}

impl Cors {
    /// The settings `cors_origins` and `cors_credentials`.
    pub(super) fn new(origins: &[String], credentials: bool) -> Self {
        Self {
            any: origins.iter().any(|origin| origin == "*"),
            origins: origins
                .iter()
                .filter(|&origin| origin != "*")
                .cloned()
                .collect(),
            credentials,
        }
    }

    /// What the sender of these headers may do.
    pub(super) fn grant(&self, request: &HeaderMap) -> Grant {
        let Some(origin) = request.get(header::ORIGIN) else {
            return Grant::None;
        };
        if self
            .origins
            .iter()
            .any(|one| one.as_bytes() == origin.as_bytes())
        {
            Grant::Origin(origin.clone())
        } else if self.any {
            Grant::Any
        } else {
            Grant::None
        }
    }

    /// Whether these headers may come with a request that changes something: there is no origin (not a browser), it is the node's own, or it
    /// is allowed.
    pub(super) fn may_write(&self, request: &HeaderMap) -> bool {
        let Some(origin) = request.get(header::ORIGIN) else {
            return true;
        };
        self.grant(request) != Grant::None || is_own(origin, request.get(header::HOST))
    }

    /// Calls `each` with every header that a response to such a request carries.
    pub(super) fn each_header(
        &self,
        grant: &Grant,
        mut each: impl FnMut(header::HeaderName, HeaderValue),
    ) {
        if !self.origins.is_empty() {
            // A cache must not give one origin's answer to another.
            each(header::VARY, HeaderValue::from_static("origin"));
        }
        match grant {
            Grant::None => return,
            Grant::Any => {
                each(
                    header::ACCESS_CONTROL_ALLOW_ORIGIN,
                    HeaderValue::from_static("*"),
                );
            }
            Grant::Origin(origin) => {
                each(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                if self.credentials {
                    let yes = HeaderValue::from_static("true");
                    each(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
                }
            }
        }
        let expose = HeaderValue::from_static(EXPOSE_HEADERS);
        each(header::ACCESS_CONTROL_EXPOSE_HEADERS, expose);
    }

    /// Adds those headers to a response.
    pub(super) fn apply(&self, grant: &Grant, response: &mut HeaderMap) {
        self.each_header(grant, |name, value| {
            response.append(name, value);
        });
    }

    /// Adds what the answer to a preflight says besides, when the origin may call at all.
    pub(super) fn apply_preflight(
        &self,
        grant: &Grant,
        methods: &'static str,
        response: &mut HeaderMap,
    ) {
        if *grant == Grant::None {
            return;
        }
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_METHODS, methods),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOW_HEADERS),
            (header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE_S),
        ] {
            response.insert(name, HeaderValue::from_static(value));
        }
    }
}

/// Whether `origin` is the host that the request was sent to, under either scheme (a proxy may have ended TLS).
fn is_own(origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
    let (Ok(origin), Some(Ok(host))) = (origin.to_str(), host.map(HeaderValue::to_str)) else {
        return false;
    };
    origin
        .split_once("://")
        .is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(origin: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        headers.insert(header::HOST, HeaderValue::from_static("node:8080"));
        headers
    }

    fn answer(cors: &Cors, origin: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        cors.apply(&cors.grant(&request(origin)), &mut headers);
        headers
    }

    #[test]
    fn a_listed_origin_is_named_and_may_send_cookies() {
        let cors = Cors::new(&["https://a.example".into()], true);
        let headers = answer(&cors, "https://a.example");
        assert_eq!(headers["access-control-allow-origin"], "https://a.example");
        assert_eq!(headers["access-control-allow-credentials"], "true");
        assert_eq!(headers["access-control-expose-headers"], "Last-Event-ID");
        assert_eq!(headers["vary"], "origin");
        let refused = answer(&cors, "https://b.example");
        assert!(!refused.contains_key("access-control-allow-origin"));
        assert_eq!(refused["vary"], "origin");
    }

    #[test]
    fn any_origin_never_gets_credentials() {
        let cors = Cors::new(&["*".into(), "https://a.example".into()], true);
        let headers = answer(&cors, "https://b.example");
        assert_eq!(headers["access-control-allow-origin"], "*");
        assert!(!headers.contains_key("access-control-allow-credentials"));
        let listed = answer(&cors, "https://a.example");
        assert_eq!(listed["access-control-allow-credentials"], "true");
    }

    #[test]
    fn a_foreign_page_cannot_publish() {
        let cors = Cors::new(&[], false);
        assert!(cors.may_write(&HeaderMap::new()));
        assert!(cors.may_write(&request("http://node:8080")));
        assert!(!cors.may_write(&request("http://evil.example")));
        assert!(!cors.may_write(&request("null")));
        let open = Cors::new(&["http://evil.example".into()], false);
        assert!(open.may_write(&request("http://evil.example")));
    }
}
