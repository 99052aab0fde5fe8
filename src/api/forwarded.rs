//! The client's address when a proxy forwards its request: `X-Forwarded-For`, as far as it can be
//! trusted.
//!
//! Every proxy appends the address that it was called from. So the entries up to the last trusted
//! proxy were written by trusted proxies, and those further left may be forged. `Forwarded` (RFC 7239)
//! is not read: if two fields had the same meaning, a client could set the one that its proxy
//! passes on untouched.

use std::net::{IpAddr, SocketAddr};

use hyper::header::HeaderMap;
use ipnet::IpNet;

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// Most addresses that are read: more than any chain of proxies has.
const HOPS_MAX: usize = 32;

/// The address of the client behind a connection from `peer`: the last one in the field that is not
/// a trusted proxy's. If the field has an entry that is no address, or only trusted proxies, it is
/// the last proxy that was reached.
pub(crate) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    let mut client = peer;
    if !is_trusted(peer) {
        return client;
    }
    let fields = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let hops = fields.flat_map(|field| field.as_bytes().rsplit(|byte| *byte == b','));
    for hop in hops.take(HOPS_MAX) {
        let Some(address) = address(hop) else { break };
        client = address;
        if !is_trusted(address) {
            break;
        }
    }
    client
}

/// An address as proxies write it: plain, with a port, in brackets, in quotes.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop.trim_ascii()).ok()?;
    let text = text.trim_matches('"');
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let plain = bare.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    plain
        .or_else(with_port)
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn of(peer: &str, fields: &[&str]) -> String {
        let trusted = ["10.0.0.0/8", "2001:db8::/32"].map(|text| text.parse().expect(text));
        let mut headers = HeaderMap::new();
        for field in fields {
            let value = HeaderValue::from_bytes(field.as_bytes()).expect(field);
            headers.append(X_FORWARDED_FOR, value);
        }
        client(peer.parse().expect(peer), &headers, &trusted).to_string()
    }

    #[test]
    fn the_last_address_that_is_no_proxys_is_the_client() {
        for (fields, client) in [
            (&["192.0.2.1"][..], "192.0.2.1"),
            (&["198.51.100.9, 192.0.2.1"], "192.0.2.1"),
            (
                &["198.51.100.9, 192.0.2.1, 10.2.3.4,2001:db8::7"],
                "192.0.2.1",
            ),
            (&["198.51.100.9", "192.0.2.1", "10.2.3.4"], "192.0.2.1"),
            (&["192.0.2.1:4711"], "192.0.2.1"),
            (&["\"[2001:db9::1]:4711\""], "2001:db9::1"),
            (&["[2001:db9::1]"], "2001:db9::1"),
            (&["::ffff:192.0.2.1"], "192.0.2.1"),
            // Only proxies.
            (&["10.9.9.9, 10.8.8.8"], "10.9.9.9"),
            (&[], "10.0.0.1"),
        ] {
            assert_eq!(of("10.0.0.1", fields), client, "{fields:?}");
        }
    }

    #[test]
    fn garbage_and_strangers_are_not_believed() {
        for fields in [
            &["unknown"][..],
            &[""],
            &["192.0.2.1, "],
            &["192.0.2.1, ü"],
            &["192.0.2.1 10.0.0.9"],
        ] {
            assert_eq!(of("10.0.0.1", fields), "10.0.0.1", "{fields:?}");
        }
        assert_eq!(of("10.0.0.1", &["192.0.2.1, x, 10.0.0.7"]), "10.0.0.7");
        assert_eq!(of("203.0.113.5", &["192.0.2.1"]), "203.0.113.5");
        let long = format!("192.0.2.1{}", ", 10.0.0.2".repeat(1_000));
        assert_eq!(of("10.0.0.1", &[&long]), "10.0.0.2");
    }
}
