//! Browser pages that may call this node (the CORS protocol of the Fetch standard).
//!
//! Besides answering browsers, this module refuses requests that a browser sends without asking: a
//! page may `POST` plain text to any address it can reach, a listener on loopback included. So a
//! publish that names a foreign origin is refused here, whatever the page is allowed to read.

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;

use super::config::CorsConfig;
use crate::web::origin::{OriginPattern, WebOrigin};
use crate::web::request_target;

/// Request headers that a page of any allowed origin may set.
const ALLOW_HEADERS: &str =
    "authorization, cache-control, last-event-id, content-type, idempotency-key";

/// Further request headers that a page allowed only by `*` may set. Tracers and libraries add
/// these, and they do not identify the caller. Other headers are not allowed even if asked for: a
/// proxy in front may mistake a header for another proxy's.
const ALLOW_HEADERS_OF_ANY: &str = "traceparent, tracestate, baggage, x-requested-with";

/// Most further headers that a listed origin may ask for…
const ASKED_HEADERS_MAX: usize = 32;
/// …and most bytes of their names together.
const ASKED_BYTES_MAX: usize = 1_024;

/// Response headers that a page may read.
const EXPOSE_HEADERS: &str =
    "Last-Event-ID, Link, ETag, WWW-Authenticate, Retry-After, Idempotency-Replayed";

/// Seconds for which a browser may cache a preflight's answer: the most that Chromium honours.
const PREFLIGHT_MAX_AGE_S: &str = "7200";

/// The allow-list.
#[derive(Debug, Default)]
pub(crate) struct Cors {
    origins: Vec<WebOrigin<'static>>,
    /// `*` is in the list.
    any: bool,
    credentials: bool,
}

/// Rights of a request's origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    /// No rights, or the request names no origin.
    None,
    /// The rights of every origin, without credentials.
    Any,
    /// The origin is listed by name.
    Origin(HeaderValue),
}

impl Cors {
    /// Builds the allow-list from its config.
    pub(crate) fn new(config: &CorsConfig) -> Self {
        let listed = config.origins.iter().filter_map(|origin| match origin {
            OriginPattern::Any => None,
            OriginPattern::Only(origin) => Some(origin.clone()),
        });
        Self {
            any: config.origins.contains(&OriginPattern::Any),
            origins: listed.collect(),
            credentials: config.credentials,
        }
    }

    /// Rights of the sender of these headers.
    pub(crate) fn grant(&self, request: &HeaderMap) -> Grant {
        let Some(origin) = sole(request, header::ORIGIN) else {
            return Grant::None;
        };
        if self.lists(WebOrigin::parse(origin.as_bytes()).as_ref()) {
            Grant::Origin(origin.clone())
        } else if self.any {
            Grant::Any
        } else {
            Grant::None
        }
    }

    fn lists(&self, origin: Option<&WebOrigin<'_>>) -> bool {
        origin.is_some_and(|origin| self.origins.contains(origin))
    }

    /// Whether this request may change something: it has no origin (it is not from a browser), or
    /// the origin is the node's own or allowed.
    pub(crate) fn may_write(&self, request: &Parts) -> bool {
        let headers = &request.headers;
        !headers.contains_key(header::ORIGIN)
            || self.grant(headers) != Grant::None
            || sole(headers, header::ORIGIN)
                .and_then(|origin| WebOrigin::parse(origin.as_bytes()))
                .is_some_and(|origin| is_own(&origin, request))
    }

    /// Whether the request is from a page that may act in its visitor's name: a page of the node's
    /// own origin, or of an origin that is allowed by name. `Origin` names the page, or else
    /// `Referer`; without both it is unknown.
    pub(crate) fn is_of_trusted_page(&self, request: &Parts) -> bool {
        let headers = &request.headers;
        let origin = if headers.contains_key(header::ORIGIN) {
            sole(headers, header::ORIGIN).and_then(|origin| WebOrigin::parse(origin.as_bytes()))
        } else {
            sole(headers, header::REFERER)
                .and_then(|referer| WebOrigin::of_address(referer.as_bytes()))
        };
        self.lists(origin.as_ref()) || origin.is_some_and(|origin| is_own(&origin, request))
    }

    /// Calls `each` with every CORS header of the response to such a request.
    pub(crate) fn each_header(
        &self,
        grant: &Grant,
        mut each: impl FnMut(header::HeaderName, HeaderValue),
    ) {
        if self.any || !self.origins.is_empty() {
            // A cache must not serve one origin's answer to another.
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

    /// Adds the further headers of the answer to a preflight, if the origin may call at all.
    pub(crate) fn apply_preflight(
        &self,
        methods: &'static str,
        request: &HeaderMap,
        response: &mut HeaderMap,
    ) {
        let headers = match self.grant(request) {
            Grant::None => return,
            Grant::Any => {
                let allowed = format!("{ALLOW_HEADERS}, {ALLOW_HEADERS_OF_ANY}");
                HeaderValue::try_from(allowed).ok()
            }
            Grant::Origin(_) => HeaderValue::try_from(headers_for_listed(request)).ok(),
        };
        if let Some(headers) = headers {
            response.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, headers);
        }
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_METHODS, methods),
            (header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE_S),
        ] {
            response.insert(name, HeaderValue::from_static(value));
        }
    }
}

/// The headers that a listed origin may set: the usual ones, and those it asks for, within bounds.
/// The browser refuses the others.
fn headers_for_listed(request: &HeaderMap) -> String {
    let mut allowed = ALLOW_HEADERS.to_owned();
    let bytes_max = allowed.len() + ASKED_BYTES_MAX;
    let asked = request
        .get_all(header::ACCESS_CONTROL_REQUEST_HEADERS)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| header::HeaderName::from_bytes(name.trim_ascii()).ok());
    let mut more = 0;
    for name in asked {
        let is_there = allowed.split(", ").any(|header| header == name.as_str());
        if is_there || allowed.len() + 2 + name.as_str().len() > bytes_max {
            continue;
        }
        if more == ASKED_HEADERS_MAX {
            break;
        }
        more += 1;
        allowed.push_str(", ");
        allowed.push_str(name.as_str());
    }
    allowed
}

/// The value of a field that occurs once. A browser never sends two, and the node could not choose
/// between them.
fn sole(headers: &HeaderMap, name: header::HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Whether `origin` is the host that the request was sent to.
fn is_own(origin: &WebOrigin<'_>, request: &Parts) -> bool {
    request_target::authority(request).is_some_and(|authority| origin.is_at(&authority))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origins: &[&str], credentials: bool) -> Cors {
        let origins = origins
            .iter()
            .map(|origin| origin.parse().expect("an origin"))
            .collect();
        Cors::new(&CorsConfig {
            origins,
            credentials,
        })
    }

    fn request(origin: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        headers.insert(header::HOST, HeaderValue::from_static("node:8080"));
        headers
    }

    fn answer(cors: &Cors, origin: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        cors.each_header(&cors.grant(&request(origin)), |name, value| {
            headers.append(name, value);
        });
        headers
    }

    #[test]
    fn a_listed_origin_is_named_and_may_send_cookies() {
        let cors = self::cors(&["https://a.example"], true);
        let headers = answer(&cors, "https://a.example");
        assert_eq!(headers["access-control-allow-origin"], "https://a.example");
        assert_eq!(headers["access-control-allow-credentials"], "true");
        assert_eq!(headers["access-control-expose-headers"], EXPOSE_HEADERS);
        assert_eq!(headers["vary"], "origin");
        let refused = answer(&cors, "https://b.example");
        assert!(!refused.contains_key("access-control-allow-origin"));
        assert_eq!(refused["vary"], "origin");
    }

    #[test]
    fn any_origin_never_gets_credentials() {
        let cors = self::cors(&["*", "https://a.example"], true);
        let headers = answer(&cors, "https://b.example");
        assert_eq!(headers["access-control-allow-origin"], "*");
        assert!(!headers.contains_key("access-control-allow-credentials"));
        let listed = answer(&cors, "https://a.example");
        assert_eq!(listed["access-control-allow-credentials"], "true");
    }

    /// A request to `node:8080` with this field.
    fn sent(name: header::HeaderName, value: &str) -> Parts {
        let request = hyper::Request::builder()
            .header(header::HOST, "node:8080")
            .header(name, value);
        request.body(()).expect("a request").into_parts().0
    }

    #[test]
    fn a_foreign_page_cannot_publish() {
        let cors = Cors::new(&CorsConfig::default());
        let may_write = |cors: &Cors, origin| cors.may_write(&sent(header::ORIGIN, origin));
        assert!(cors.may_write(&sent(header::ACCEPT, "*/*")));
        assert!(may_write(&cors, "http://node:8080"));
        assert!(!may_write(&cors, "http://evil.example"));
        assert!(!may_write(&cors, "null"));
        let open = self::cors(&["http://evil.example"], false);
        assert!(may_write(&open, "http://evil.example"));
        let mut two = sent(header::ORIGIN, "http://node:8080");
        let evil = HeaderValue::from_static("http://evil.example");
        two.headers.append(header::ORIGIN, evil);
        assert!(!cors.may_write(&two) && !open.may_write(&two));
    }

    #[test]
    fn the_target_says_which_host_is_the_nodes_own() {
        let mut request = sent(header::ORIGIN, "https://node.example");
        let cors = Cors::default();
        assert!(!cors.may_write(&request));
        request.uri = "http://node.example/".parse().expect("an address");
        assert!(cors.may_write(&request), "HTTP/2, or an absolute target");
        request
            .headers
            .insert(header::ORIGIN, HeaderValue::from_static("http://node:8080"));
        assert!(
            !cors.may_write(&request),
            "`Host` says otherwise and does not count"
        );
    }

    #[test]
    fn an_origin_is_the_same_with_and_without_its_port() {
        let cors = self::cors(&["HTTPS://A.example:443", "http://[0::1]:80"], false);
        for origin in ["https://a.example", "https://a.example:443", "http://[::1]"] {
            assert!(
                matches!(cors.grant(&request(origin)), Grant::Origin(_)),
                "{origin}"
            );
        }
        for origin in [
            "http://a.example",
            "https://a.example:80",
            "https://a.example.",
        ] {
            assert_eq!(cors.grant(&request(origin)), Grant::None, "{origin}");
        }
    }

    #[test]
    fn a_cookie_needs_a_page_that_is_known() {
        let cors = self::cors(&["https://a.example", "*"], false);
        let trusts = |name, value| cors.is_of_trusted_page(&sent(name, value));
        assert!(!trusts(header::ACCEPT, "*/*"));
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

    #[test]
    fn a_listed_origin_may_set_what_it_asks_for_within_bounds() {
        let cors = self::cors(&["https://a.example", "*"], false);
        let allowed = |origin, asked: &str| {
            let mut headers = request(origin);
            let asked = HeaderValue::from_str(asked).expect("a value");
            headers.insert(header::ACCESS_CONTROL_REQUEST_HEADERS, asked);
            let mut response = HeaderMap::new();
            cors.apply_preflight("GET", &headers, &mut response);
            let value = &response[header::ACCESS_CONTROL_ALLOW_HEADERS];
            value.to_str().expect("text").to_owned()
        };
        let listed = |asked: &str| {
            let all = allowed("https://a.example", asked);
            let more = all.strip_prefix(ALLOW_HEADERS).expect("the usual ones");
            more.to_owned()
        };
        assert_eq!(listed("content-type,Authorization"), "");
        assert_eq!(
            listed("traceparent, X-Requested-With,,baggage ,traceparent,a b,x:y"),
            ", traceparent, x-requested-with, baggage"
        );
        let many: Vec<String> = (0..100).map(|n| format!("x-{n}")).collect();
        assert_eq!(
            listed(&many.join(",")).matches(", ").count(),
            ASKED_HEADERS_MAX
        );
        let long = format!("x-{},x-short", "y".repeat(ASKED_BYTES_MAX));
        assert_eq!(listed(&long), ", x-short");
        let any = allowed("https://b.example", "traceparent, x-forwarded-user");
        assert!(
            any.contains("traceparent") && !any.contains("x-forwarded-user"),
            "{any}"
        );
    }
}
