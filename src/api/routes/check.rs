//! What every request passes before it is looked at: the limits on its head, its target, and the host that it was sent to.

use hyper::header;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode, Uri};

use super::resource::Resource;
use crate::server::problem::Problem;
use crate::settings::Settings;
use crate::web::host::HostRule;
use crate::web::request_target;

/// What holds for every request.
pub(super) fn check(
    parts: &Parts,
    settings: &Settings,
    hosts: Option<&HostRule>,
) -> Result<(), Problem> {
    check_limits(parts, settings)?;
    request_target::check(parts)?;
    check_host(parts, hosts)
}

/// Whether the node answers for the host. Health is told under any name, and without one: those who balance load make them up. What `CONNECT` names is not
/// the host that was asked.
fn check_host(parts: &Parts, hosts: Option<&HostRule>) -> Result<(), Problem> {
    let path = parts.uri.path();
    let is_health = matches!(Resource::of(path), Some(Resource::Health | Resource::Ready));
    if is_health || parts.method == Method::CONNECT {
        return Ok(());
    }
    let Some(authority) = request_target::authority(parts) else {
        // A field that is there is empty: any other was read before.
        let is_empty = parts.headers.contains_key(header::HOST);
        return if is_empty {
            let detail = "the `Host` header must not be empty";
            Err(Problem::new(StatusCode::BAD_REQUEST, detail).field("host"))
        } else {
            // HTTP/1.0, which no browser speaks.
            Ok(())
        };
    };
    if hosts.is_none_or(|hosts| hosts.allows(&authority.host)) {
        return Ok(());
    }
    let detail = "this node does not answer for the host of the request, but for IP addresses, `localhost`, and the names in the setting `hosts`";
    Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail).field("host"))
}

fn check_limits(parts: &Parts, settings: &Settings) -> Result<(), Problem> {
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
