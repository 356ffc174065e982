//! Where a request comes from, as far as it can be known.
//!
//! **Invariants**
//! - What a header says is believed only as far as a trusted proxy wrote it: from the right, up to the first address that is no proxy.
//! - An address decides nothing. It is recorded and shown, so that a person can tell their own phone from a stranger's.

use std::net::IpAddr;

use axum::http::HeaderMap;

use crate::config::Network;

/// The peer of a connection; none on the Unix socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClientAddress(pub(super) IpAddr);

/// The address that `peer` speaks for: itself, unless it is a trusted proxy that says more in `X-Forwarded-For`.
pub(super) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> ClientAddress {
    let is_proxy = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    if !is_proxy(client) {
        return ClientAddress(client);
    }
    // Each proxy appends the peer that it saw; the same header may come in several lines (RFC 9110 section 5.3).
    let lines: Vec<&str> = headers.get_all("x-forwarded-for").iter().map(|line| line.to_str().unwrap_or("?")).collect();
    for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        let Some(address) = address(hop.trim()) else { break };
        client = address;
        if !is_proxy(client) {
            break;
        }
    }
    ClientAddress(client)
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let parsed = bare.parse().ok().or_else(|| Some(text.parse::<std::net::SocketAddr>().ok()?.ip()));
    parsed.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, lines: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let trusted: Vec<Network> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        client_address(peer.parse().unwrap(), &headers, &trusted).0.to_string()
    }

    #[test]
    fn a_header_is_believed_as_far_as_a_trusted_proxy_wrote_it() {
        let (proxies, client) = (["10.0.0.0/8"], "203.0.113.9");
        assert_eq!(seen(client, &["198.51.100.1"], &proxies), client, "whoever is no proxy speaks for themselves");
        assert_eq!(seen(client, &["198.51.100.1"], &[]), client);
        assert_eq!(seen("10.0.0.1", &[client], &proxies), client);
        assert_eq!(
            seen("10.0.0.1", &["198.51.100.1, 203.0.113.9"], &proxies),
            client,
            "what the client wrote itself is not believed"
        );
        assert_eq!(seen("10.0.0.1", &["198.51.100.1", "203.0.113.9, 10.2.0.1"], &proxies), client, "through two proxies");
        assert_eq!(seen("::ffff:10.0.0.1", &["203.0.113.9:4711"], &proxies), client);
        assert_eq!(seen("10.0.0.1", &["[2001:db8::9]:4711"], &proxies), "2001:db8::9");
        assert_eq!(seen("10.0.0.1", &["[2001:db8::9]"], &proxies), "2001:db8::9");
    }

    #[test]
    fn where_nothing_sensible_is_said_it_is_the_proxy() {
        for lines in [&[][..], &[""], &["unknown"], &["203.0.113.9, garbage"], &["\u{e9}"]] {
            assert_eq!(seen("10.0.0.1", lines, &["10.0.0.1"]), "10.0.0.1", "{lines:?}");
        }
        assert_eq!(seen("10.0.0.1", &["10.0.0.7"], &["10.0.0.0/8"]), "10.0.0.7", "a proxy may be a client too");
    }
}
