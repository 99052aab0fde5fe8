//! Which browser pages may call this node (the CORS protocol of the Fetch standard).
//!
//! Besides telling browsers, this module guards what a browser would do without asking: a page may `POST` plain text to any address it can reach, a
//! listener on loopback included. So a publish that names a foreign origin is refused here, whatever the page is allowed to read.

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::uri::Authority;

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
    /// is allowed. `authority` is that of the request's target, which HTTP/2 has instead of the header `Host`.
    pub(super) fn may_write(&self, request: &HeaderMap, authority: Option<&Authority>) -> bool {
        let Some(origin) = request.get(header::ORIGIN) else {
            return true;
        };
        self.grant(request) != Grant::None || is_own(origin.as_bytes(), host(request, authority))
    }

    /// Whether a page that may act in its visitor's name sent these headers: one of the node's own, or of an origin that is allowed by name. The page
    /// is told by `Origin`, or else by `Referer`; without both nobody knows.
    pub(super) fn is_of_trusted_page(
        &self,
        request: &HeaderMap,
        authority: Option<&Authority>,
    ) -> bool {
        let origin = match (request.get(header::ORIGIN), request.get(header::REFERER)) {
            (Some(origin), _) => origin.as_bytes(),
            (None, Some(referer)) => origin_of(referer.as_bytes()),
            (None, None) => return false,
        };
        let is_listed = |one: &String| one.as_bytes() == origin;
        self.origins.iter().any(is_listed) || is_own(origin, host(request, authority))
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

/// The host that a request was sent to.
fn host<'r>(request: &'r HeaderMap, authority: Option<&'r Authority>) -> Option<&'r [u8]> {
    let authority = authority.map(|authority| authority.as_str().as_bytes());
    let host = request.get(header::HOST).map(HeaderValue::as_bytes);
    host.or(authority)
}

/// Scheme and authority of an address: what is before its path.
fn origin_of(address: &[u8]) -> &[u8] {
    let after_scheme = memchr::memmem::find(address, b"://").map_or(0, |at| at + 3);
    let end = address[after_scheme..]
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#' | b'\\'));
    end.map_or(address, |end| &address[..after_scheme + end])
}

/// Whether `origin` is the host that the request was sent to, under either scheme (a proxy may have ended TLS).
fn is_own(origin: &[u8], host: Option<&[u8]>) -> bool {
    let authority = origin
        .strip_prefix(b"https://")
        .or_else(|| origin.strip_prefix(b"http://"));
    host.is_some_and(|host| authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host)))
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
        assert!(cors.may_write(&HeaderMap::new(), None));
        assert!(cors.may_write(&request("http://node:8080"), None));
        assert!(!cors.may_write(&request("http://evil.example"), None));
        assert!(!cors.may_write(&request("null"), None));
        let open = Cors::new(&["http://evil.example".into()], false);
        assert!(open.may_write(&request("http://evil.example"), None));
    }

    #[test]
    fn http2_names_its_host_in_the_target() {
        let mut headers = request("https://node.example");
        headers.remove(header::HOST);
        let authority = Authority::from_static("node.example");
        let cors = Cors::default();
        assert!(cors.may_write(&headers, Some(&authority)));
        assert!(!cors.may_write(&headers, None));
    }

    #[test]
    fn a_cookie_needs_a_page_that_is_known() {
        let cors = Cors::new(&["https://a.example".into(), "*".into()], false);
        let trusts = |name: header::HeaderName, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("node:8080"));
            headers.insert(name, HeaderValue::from_static(value));
            cors.is_of_trusted_page(&headers, None)
        };
        assert!(!cors.is_of_trusted_page(&HeaderMap::new(), None));
        for good in ["https://a.example", "http://node:8080", "https://NODE:8080"] {
            assert!(trusts(header::ORIGIN, good), "{good}");
            assert!(trusts(header::REFERER, good), "{good}");
        }
        for good in [
            "https://a.example/x",
            "http://node:8080?a",
            "http://node:8080/",
        ] {
            assert!(trusts(header::REFERER, good), "{good}");
        }
        for bad in [
            "null",
            "https://b.example",
            "",
            "https://a.example.b",
            "node:8080",
            "x://node:8080",
        ] {
            assert!(!trusts(header::ORIGIN, bad), "{bad}");
            assert!(!trusts(header::REFERER, bad), "{bad}");
        }
        assert!(!trusts(
            header::REFERER,
            "https://b.example/https://a.example/"
        ));
        assert!(!trusts(header::REFERER, "http://node:8080@b.example/"));
    }
}
