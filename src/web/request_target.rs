//! The host that a request was sent to (RFC 9112 §3.2, RFC 9113 §8.3.1), and whether its target has
//! the form that its method needs.
//!
//! All code that needs the host of a request must use this module: the header `Host` alone can
//! differ from the target.

use hyper::Method;
use hyper::Version;
use hyper::header;
use hyper::http::request::Parts;
use thiserror::Error;

use crate::web::host::{Authority, Host, HostRule};
use crate::web::origin;

/// The path of `OPTIONS *`.
pub const ASTERISK: &str = "*";

/// Why the host of a request is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TargetError {
    /// No `Host` where one is needed.
    #[error("the request must name its host, in one `Host` header or in its target")]
    NoHost,
    /// Several `Host` fields.
    #[error("there must be one `Host` header, not several")]
    Hosts,
    /// An invalid `Host`.
    #[error("the `Host` header must be a host name or address, and a port if need be")]
    Host,
    /// A target with an invalid authority.
    #[error("the authority of the target must be a host name or address, and a port if need be")]
    Authority,
    /// Two hosts over HTTP/2.
    #[error("`Host` and `:authority` must be the same")]
    Differ,
    /// A target that is neither a path nor an address.
    #[error("the target must be a path, or an http or https address")]
    Form,
    /// `*` with another method than `OPTIONS`.
    #[error("the target `*` is for `OPTIONS` alone")]
    Asterisk,
    /// `CONNECT` to something other than a host and a port.
    #[error("the target of `CONNECT` must be a host and a port")]
    Connect,
}

/// Checks the target and `Host`.
///
/// # Errors
/// [`TargetError`].
pub fn check(parts: &Parts) -> Result<(), TargetError> {
    check_form(parts)?;
    let mut fields = parts.headers.get_all(header::HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(TargetError::Hosts);
    }
    let target = parts.uri.authority();
    if field.is_none() && (parts.version == Version::HTTP_11 || is_http2(parts) && target.is_none())
    {
        return Err(TargetError::NoHost);
    }
    if is_http2(parts) && target.is_some() && field.is_some_and(|field| field.is_empty()) {
        return Err(TargetError::Differ);
    }
    // An empty field names no host; callers that need one find that out.
    let field = field
        .filter(|field| !field.is_empty())
        .map(|field| parse(field.as_bytes()).ok_or(TargetError::Host))
        .transpose()?;
    let target = target
        .map(|target| parse(target.as_str().as_bytes()).ok_or(TargetError::Authority))
        .transpose()?;
    match (field, target) {
        (Some(field), Some(target)) if is_http2(parts) => {
            let scheme = parts.uri.scheme_str().unwrap_or("http");
            let same = origin::are_same(&field, &target, scheme);
            same.then_some(()).ok_or(TargetError::Differ)
        }
        // RFC 9112 §3.2.2: the target wins.
        _ => Ok(()),
    }
}

/// The authority of a request that has passed [`check`]; `None` if it names none.
pub fn authority(parts: &Parts) -> Option<Authority<'_>> {
    match parts.uri.authority() {
        Some(target) => parse(target.as_str().as_bytes()),
        None => parse(parts.headers.get(header::HOST)?.as_bytes()),
    }
}

/// Why a listener does not answer for the host of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrongHost<'a> {
    /// The `Host` is empty.
    Empty,
    /// The listener has other names.
    Foreign(Host<'a>),
}

/// Whether a listener answers for the host of a request that has passed [`check`]; without a rule,
/// any host is fine.
///
/// # Errors
/// [`WrongHost`].
pub fn check_host<'a>(parts: &'a Parts, rule: Option<&HostRule>) -> Result<(), WrongHost<'a>> {
    match authority(parts) {
        Some(Authority { host, .. }) if rule.is_none_or(|rule| rule.allows(&host)) => Ok(()),
        Some(Authority { host, .. }) => Err(WrongHost::Foreign(host)),
        // A present field is empty: any other was parsed before.
        None if parts.headers.contains_key(header::HOST) => Err(WrongHost::Empty),
        // HTTP/1.0, which no browser uses.
        None => Ok(()),
    }
}

fn parse(text: &[u8]) -> Option<Authority<'_>> {
    Authority::parse(std::str::from_utf8(text).ok()?)
}

fn is_http2(parts: &Parts) -> bool {
    parts.version == Version::HTTP_2
}

fn check_form(parts: &Parts) -> Result<(), TargetError> {
    let uri = &parts.uri;
    if parts.method == Method::CONNECT {
        let is_place = uri.scheme().is_none() && uri.port().is_some() && uri.path().len() <= 1;
        return is_place.then_some(()).ok_or(TargetError::Connect);
    }
    match (uri.scheme_str(), uri.authority()) {
        (None, Some(_)) => return Err(TargetError::Form),
        (Some(scheme), _)
            if !["http", "https"]
                .iter()
                .any(|known| scheme.eq_ignore_ascii_case(known)) =>
        {
            return Err(TargetError::Form);
        }
        _ => {}
    }
    match uri.path() {
        ASTERISK if parts.method != Method::OPTIONS => Err(TargetError::Asterisk),
        ASTERISK => Ok(()),
        path if path.starts_with('/') => Ok(()),
        _ => Err(TargetError::Form),
    }
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn parts(version: Version, method: &str, target: &str, hosts: &[&str]) -> Parts {
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .version(version);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        request.body(()).expect("a request").into_parts().0
    }

    #[test]
    fn host_is_single_and_valid_and_required_where_the_version_says_so() {
        use TargetError::{Host, Hosts, NoHost};
        for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
            let of = |hosts: &[&str]| check(&parts(version, "GET", "/", hosts));
            for good in ["a.example:80", "[::1]:80", "", "a:"] {
                assert_eq!(of(&[good]), Ok(()), "{good}");
            }
            for bad in [
                "a b", "a/b", "u@a", "u:p@a", "a:b", "a:99999", "[zz]", ":80", "a,b c",
            ] {
                assert_eq!(of(&[bad]), Err(Host), "{bad}");
            }
            assert_eq!(of(&["a", "a"]), Err(Hosts));
            assert_eq!(of(&["", "a"]), Err(Hosts));
            let none = if version == Version::HTTP_10 {
                Ok(())
            } else {
                Err(NoHost)
            };
            assert_eq!(of(&[]), none);
        }
    }

    #[test]
    fn the_authority_of_the_target_wins_and_over_http2_nothing_may_differ() {
        let host = |parts: &Parts| format!("{:?}", authority(parts).expect("one").host);
        let absolute = parts(Version::HTTP_11, "GET", "http://a/", &["b"]);
        assert_eq!(check(&absolute), Ok(()));
        assert!(host(&absolute).contains("\"a\""));
        let of =
            |target: &str, hosts: &[&str]| check(&parts(Version::HTTP_2, "GET", target, hosts));
        assert_eq!(of("http://a/", &["b"]), Err(TargetError::Differ));
        assert_eq!(of("http://a/", &[""]), Err(TargetError::Differ));
        assert_eq!(of("http://a/", &["a:81"]), Err(TargetError::Differ));
        for (target, field) in [
            ("http://a/", "A"),
            ("http://a/", "a:80"),
            ("https://a:443/", "a"),
            ("http://[::1]/", "[0::1]"),
        ] {
            assert_eq!(of(target, &[field]), Ok(()), "{target} {field}");
        }
        assert_eq!(of("http://a/", &[]), Ok(()));
        assert_eq!(of("http://u@a/", &[]), Err(TargetError::Authority));
        let absolute = |target| check(&parts(Version::HTTP_11, "GET", target, &["a"]));
        for bad in ["http://u@a/", "http://a:99999/", "http://a:b/"] {
            assert_eq!(absolute(bad), Err(TargetError::Authority), "{bad}");
        }
    }

    #[test]
    fn each_method_has_its_forms() {
        let of = |method, target| check(&parts(Version::HTTP_11, method, target, &["a"]));
        for (method, target) in [
            ("OPTIONS", "*"),
            ("GET", "/"),
            ("GET", "HTTPS://a/"),
            ("CONNECT", "a:80"),
            ("CONNECT", "[::1]:443"),
        ] {
            assert_eq!(of(method, target), Ok(()), "{method} {target}");
        }
        for (method, target, error) in [
            ("GET", "*", TargetError::Asterisk),
            ("POST", "*", TargetError::Asterisk),
            ("GET", "a", TargetError::Form),
            ("GET", "a:80", TargetError::Form),
            ("OPTIONS", "a:80", TargetError::Form),
            ("GET", "ftp://a/", TargetError::Form),
            ("CONNECT", "/", TargetError::Connect),
            ("CONNECT", "a", TargetError::Connect),
            ("CONNECT", "http://a:80/", TargetError::Connect),
            ("CONNECT", "*", TargetError::Connect),
        ] {
            assert_eq!(of(method, target), Err(error), "{method} {target}");
        }
    }
}
