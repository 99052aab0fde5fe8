//! Checks on every request before a service gets it: the limits on its head, and the form of its
//! target and host.

use hyper::http::request::Parts;
use hyper::{StatusCode, Uri};

use super::config::ServerConfig;
use super::problem::Problem;
use crate::web::request_target;

/// Checks the head of a request.
pub(super) fn check(parts: &Parts, config: &ServerConfig) -> Result<(), Problem> {
    check_limits(parts, config)?;
    Ok(request_target::check(parts)?)
}

fn check_limits(parts: &Parts, config: &ServerConfig) -> Result<(), Problem> {
    let headers = &parts.headers;
    let target_bytes = target_bytes(&parts.uri);
    let target_max = config.target_bytes_max;
    if target_bytes > target_max {
        let detail = format!(
            "a request target of {target_bytes} bytes is longer than the {target_max} that `request_target_bytes_max` allows"
        );
        return Err(Problem::new(StatusCode::URI_TOO_LONG, detail));
    }
    let (count, count_max) = (headers.len(), config.header_count_max);
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
    let bytes_max = config.header_bytes_max;
    if target_bytes + fields > bytes_max {
        let bytes = target_bytes + fields;
        let detail = format!(
            "a request head of {bytes} bytes is larger than the {bytes_max} that `header_bytes_max` allows"
        );
        return Err(too_large(detail));
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
