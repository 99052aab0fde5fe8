//! What every request passes before it is looked at: the limits on its head, and `Host`.

use hyper::header::{self, HeaderMap};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{StatusCode, Uri, Version};

use crate::config::Settings;
use crate::http::problem::Problem;

/// What holds for every request: the limits on its head, and `Host` (RFC 9112 §3.2).
pub(super) fn check(parts: &Parts, settings: &Settings) -> Result<(), Problem> {
    let headers = &parts.headers;
    let target_bytes = target_bytes(&parts.uri);
    let target_max = settings.request_target_bytes_max;
    if target_bytes > target_max {
        let detail = format!(
            "a request target of {target_bytes} bytes is longer than the {target_max} that `request_target_bytes_max` allows"
        );
        return Err(Problem::new(StatusCode::URI_TOO_LONG, detail));
    }
    let (count, count_max) = (headers.len(), settings.header_count_max);
    if count > count_max {
        let detail = format!(
            "{count} header fields are more than the {count_max} that `header_count_max` allows"
        );
        return Err(too_large(detail));
    }
    // Name, colon, space, value, line break.
    let fields: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    let bytes_max = settings.header_bytes_max;
    if target_bytes + fields > bytes_max {
        let bytes = target_bytes + fields;
        let detail = format!(
            "a request head of {bytes} bytes is larger than the {bytes_max} that `header_bytes_max` allows"
        );
        return Err(too_large(detail));
    }
    if parts.version == Version::HTTP_11 {
        check_host(headers)?;
    }
    Ok(())
}

fn too_large(detail: String) -> Problem {
    Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, detail)
}

fn target_bytes(uri: &Uri) -> usize {
    let authority = uri
        .authority()
        .map_or(0, |authority| authority.as_str().len());
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    authority + path
}

fn check_host(headers: &HeaderMap) -> Result<(), Problem> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let wrong = match (hosts.next(), hosts.next()) {
        (None, _) => "HTTP/1.1 requires a `Host` header",
        (Some(_), Some(_)) => "there must be one `Host` header, not several",
        // An empty one is right where the target has no authority.
        (Some(host), None) if host.is_empty() || Authority::try_from(host.as_bytes()).is_ok() => {
            return Ok(());
        }
        (Some(_), None) => {
            "the `Host` header must be a host name or address, and a port if need be"
        }
    };
    Err(Problem::new(StatusCode::BAD_REQUEST, wrong).field("host"))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn host_is_required_single_and_valid() {
        let of = |values: &[&'static str]| {
            let headers: HeaderMap = values
                .iter()
                .map(|value| (header::HOST, HeaderValue::from_static(value)))
                .collect();
            check_host(&headers).is_ok()
        };
        assert!(of(&["a.example:80"]) && of(&["[::1]:80"]) && of(&[""]));
        assert!(!of(&[]) && !of(&["a", "a"]) && !of(&["a b"]) && !of(&["a/b"]));
    }
}
