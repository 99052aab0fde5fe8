//! Environment variables of Kubernetes, which sets some in every container for each service of the
//! namespace ("Service", environment variables). Those of a service called `fantail` or
//! `fantail-ingest` begin like ours.
//!
//! They are recognized by name *and* value, so that `FANTAIL_PORT=9000`, which was meant as a
//! setting, is not one of them.

use std::net::{IpAddr, SocketAddr};

const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// Whether it is such a variable. `key` is its name without our prefix; it begins with the rest of
/// the service's name:
///
/// ```text
/// SERVICE_HOST=10.0.0.11      SERVICE_PORT=6379            SERVICE_PORT_<name>=6379
/// PORT=tcp://10.0.0.11:6379   PORT_6379_TCP=tcp://10.0.0.11:6379
/// PORT_6379_TCP_PROTO=tcp     PORT_6379_TCP_PORT=6379      PORT_6379_TCP_ADDR=10.0.0.11
/// ```
pub(super) fn is_service_link(key: &str, value: &str) -> bool {
    let words: Vec<&str> = key.split('_').collect();
    // The service's own name may hold any of these words.
    (0..words.len()).any(|at| is_link(&words[at..], value))
}

fn is_link(words: &[&str], value: &str) -> bool {
    match words {
        ["SERVICE", "HOST"] => is_address(value),
        ["SERVICE", "PORT", ..] => is_port(value),
        ["PORT"] => PROTOCOLS.iter().any(|protocol| is_url(value, protocol)),
        ["PORT", port, protocol, rest @ ..] if is_port(port) && PROTOCOLS.contains(protocol) => {
            match rest {
                [] => is_url(value, protocol),
                ["PROTO"] => value == protocol.to_ascii_lowercase(),
                ["PORT"] => value == *port,
                ["ADDR"] => is_address(value),
                _ => false,
            }
        }
        _ => false,
    }
}

fn is_address(value: &str) -> bool {
    value.parse::<IpAddr>().is_ok()
}

fn is_port(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_digit()) && value.parse::<u16>().is_ok()
}

/// `tcp://10.0.0.11:6379`
fn is_url(value: &str, protocol: &str) -> bool {
    value.split_once("://").is_some_and(|(scheme, address)| {
        scheme == protocol.to_ascii_lowercase() && address.parse::<SocketAddr>().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_of_a_service_are_told_by_name_and_value() {
        for (key, value) in [
            ("SERVICE_HOST", "10.0.0.11"),
            ("INGEST_SERVICE_HOST", "fd00::1"),
            ("SERVICE_PORT", "6379"),
            ("SERVICE_PORT_HTTP_PUBLIC", "80"),
            ("PORT", "tcp://10.0.0.11:6379"),
            ("PORT", "udp://[fd00::1]:53"),
            ("A_B_PORT", "sctp://10.0.0.11:1"),
            ("PORT_6379_TCP", "tcp://10.0.0.11:6379"),
            ("INGEST_PORT_53_UDP", "udp://10.0.0.11:53"),
            ("PORT_6379_TCP_PROTO", "tcp"),
            ("PORT_6379_TCP_PORT", "6379"),
            ("PORT_6379_TCP_ADDR", "10.0.0.11"),
            // A service called `fantail-service-port`.
            ("SERVICE_PORT_SERVICE_HOST", "10.0.0.11"),
        ] {
            assert!(is_service_link(key, value), "{key}={value}");
        }
        for (key, value) in [
            ("PORT", "9000"),
            ("PORT", "127.0.0.1:9000"),
            ("PORT", "http://10.0.0.11:80"),
            ("PORT", "tcp://example.org:80"),
            ("PORT", "tcp://10.0.0.11"),
            ("INGEST_PORT", "7379"),
            ("HOST", "10.0.0.11"),
            ("SERVICE_HOST", "localhost"),
            ("SERVICE_PORT", "http"),
            ("SERVICE_PORT", "70000"),
            ("SERVICE_PORT", "+80"),
            ("SERVICE_PORTS", "80"),
            ("PORT_6379_TCP", "6379"),
            ("PORT_6379_TCP", "udp://10.0.0.11:6379"),
            ("PORT_6379_TCP_PROTO", "udp"),
            ("PORT_6379_TCP_PORT", "80"),
            ("PORT_6379_TCP_ADDR", "example.org"),
            ("PORT_6379_TCP_NAME", "x"),
            ("PORT_HTTP_TCP_ADDR", "10.0.0.11"),
            ("PORT_6379", "tcp://10.0.0.11:6379"),
            ("", ""),
        ] {
            assert!(!is_service_link(key, value), "{key}={value}");
        }
    }
}
