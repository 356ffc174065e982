//! The guard against server-side request forgery: for URLs that people give us and we then call.
//!
//! A URL is judged twice. [`check_url`] sees what is written in it; [`GuardedResolver`] sees what its host name means at
//! the moment of connecting, and hands on only addresses it has judged. A name that changes its meaning between two look-ups
//! therefore gains nothing: there is one look-up per connection, and the connection goes to its result.
//!
//! Both are needed: an HTTP client does not ask a resolver about an IP address, and a URL does not show where a name leads.
//! The caller owes the rest: no proxy, no redirects, limits on time and size.
//!
//! **Invariants**
//! - IPv6 is closed unless it is global unicast (`2000::/3`) and no exception; IPv4 is open unless listed.
//! - An IPv6 address that carries an IPv4 address (mapped, compatible, NAT64, 6to4) is never public.
//! - Allowing private networks opens what people run services on (loopback, RFC 1918, shared, unique local). Link-local stays
//!   closed, and so does what cannot be a service at all.
//! - Where a cloud keeps its metadata service stays closed: that is link-local for most, and for some an address among the shared,
//!   the unique local or the public ones.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::dns::{Name, Resolve, Resolving};
use url::{Host, Url};

use super::names::{Names, sockets};

#[cfg(test)]
mod tests;

/// Why a URL is not called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// Not https; or, with private networks allowed, neither https nor http.
    #[error("its scheme is not https")]
    Scheme,
    /// `user:password@` in front of the host: it serves to disguise the host, and to carry a secret into logs.
    #[error("it has a user name or password in it")]
    Credentials,
    /// A port that is neither the scheme's own nor 1024 and above.
    #[error("port {0} is not allowed")]
    Port(u16),
    /// No host.
    #[error("it has no host")]
    NoHost,
    /// The host is, or leads only to, addresses that are not to be called.
    #[error("its host is not a public address")]
    Address,
}

/// Judges what is written in a URL: scheme, credentials, port, and a host that is an IP address in any spelling the
/// URL standard knows (`0x7f.1`, `2130706433`, `[::ffff:7f00:1]`), all of which the parser has already made canonical.
///
/// Ports: 443, and 1024 and above, where self-hosted push servers live. Below are the well-known services (SSH, SMTP, LDAP,
/// …), which nobody serves HTTPS on and which must not be made to receive our bytes. With `allow_private` also plain http
/// on 80.
///
/// # Errors
/// The first reason found for not calling it.
pub fn check_url(url: &Url, allow_private: bool) -> Result<(), Forbidden> {
    match url.scheme() {
        "https" => {}
        "http" if allow_private => {}
        _ => return Err(Forbidden::Scheme),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Forbidden::Credentials);
    }
    match url.port_or_known_default() {
        Some(443 | 1024..) => {}
        Some(80) if allow_private => {}
        port => return Err(Forbidden::Port(port.unwrap_or(0))),
    }
    let open = match url.host().ok_or(Forbidden::NoHost)? {
        Host::Ipv4(address) => open(address.into(), allow_private),
        Host::Ipv6(address) => open(address.into(), allow_private),
        Host::Domain(name) => allow_private || !is_localhost(name),
    };
    if open { Ok(()) } else { Err(Forbidden::Address) }
}

/// RFC 6761 section 6.3: these names are loopback whatever a resolver says.
fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}

/// Who may be reached at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Anybody on the Internet.
    Public,
    /// This machine and the networks around it.
    Private,
    /// Nobody we have business with.
    Closed,
}

fn open(address: IpAddr, allow_private: bool) -> bool {
    match reach(address) {
        Reach::Public => true,
        Reach::Private => allow_private,
        Reach::Closed => false,
    }
}

fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

/// What is not public in IPv4 (IANA's special-purpose registry, RFC 6890): network, prefix length, who may be reached. The first
/// that an address is in counts.
const SPECIAL_V4: [(Ipv4Addr, u32, Reach); 17] = [
    (Ipv4Addr::new(100, 100, 100, 200), 32, Reach::Closed), // cloud metadata among the shared
    (Ipv4Addr::UNSPECIFIED, 8, Reach::Closed),              // "this network": 0.0.0.0 connects to oneself
    (Ipv4Addr::new(10, 0, 0, 0), 8, Reach::Private),
    (Ipv4Addr::new(100, 64, 0, 0), 10, Reach::Private), // shared by carriers (RFC 6598) and by overlay networks
    (Ipv4Addr::new(127, 0, 0, 0), 8, Reach::Private),
    (Ipv4Addr::new(169, 254, 0, 0), 16, Reach::Closed), // link-local: cloud metadata
    (Ipv4Addr::new(172, 16, 0, 0), 12, Reach::Private),
    (Ipv4Addr::new(192, 0, 0, 0), 24, Reach::Closed),   // protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24, Reach::Closed),   // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24, Reach::Closed), // 6to4 relays, withdrawn
    (Ipv4Addr::new(192, 168, 0, 0), 16, Reach::Private),
    (Ipv4Addr::new(198, 18, 0, 0), 15, Reach::Closed),    // benchmarking
    (Ipv4Addr::new(198, 51, 100, 0), 24, Reach::Closed),  // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24, Reach::Closed),   // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4, Reach::Closed),      // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4, Reach::Closed),      // reserved, and the broadcast address
    (Ipv4Addr::new(168, 63, 129, 16), 32, Reach::Closed), // a cloud's host agent at a public address
];

fn reach_v4(address: Ipv4Addr) -> Reach {
    let bits = address.to_bits();
    SPECIAL_V4
        .iter()
        .find(|(network, length, _)| (bits ^ network.to_bits()) >> (32 - length) == 0)
        .map_or(Reach::Public, |(_, _, reach)| *reach)
}

/// What is not public inside `2000::/3`, or not closed outside it. The first that an address is in counts.
const SPECIAL_V6: [(Ipv6Addr, u32, Reach); 8] = [
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128, Reach::Closed), // cloud metadata among the unique local
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128, Reach::Closed),  // another's
    (Ipv6Addr::LOCALHOST, 128, Reach::Private),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, Reach::Private), // unique local
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, Reach::Closed), // protocol assignments: Teredo, ORCHID, benchmarking
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, Reach::Closed), // documentation
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, Reach::Closed), // documentation
    (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3, Reach::Public),  // everything else that is global unicast
];

fn reach_v6(address: Ipv6Addr) -> Reach {
    if let Some(inner) = carried_v4(address) {
        // Somebody's translator leads there, so it is never public, and never better than where it leads.
        return match reach_v4(inner) {
            Reach::Public | Reach::Private => Reach::Private,
            Reach::Closed => Reach::Closed,
        };
    }
    let bits = address.to_bits();
    SPECIAL_V6
        .iter()
        .find(|(network, length, _)| (bits ^ network.to_bits()) >> (128 - length) == 0)
        .map_or(Reach::Closed, |(_, _, reach)| *reach)
}

/// The IPv4 address inside an IPv4-mapped, IPv4-compatible (RFC 4291 section 2.5.5), NAT64 (RFC 6052) or 6to4 (RFC 3056)
/// address. `::` and `::1` are not taken for compatible addresses. A NAT64 of one's own (RFC 8215) is not read, since nothing
/// tells where in it the address stands, and stays closed.
fn carried_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, _] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        _ => None,
    }
}

/// A resolver for [`reqwest`] that hands on only addresses which may be called.
///
/// It fails with [`Forbidden::Address`] when none is left. While names cannot be looked up, it hands on those that it handed on last.
#[derive(Clone)]
pub struct GuardedResolver {
    allow_private: bool,
    names: Names,
}

impl GuardedResolver {
    /// Over the operating system's resolver.
    #[must_use]
    pub fn new(allow_private: bool) -> Self {
        Self { allow_private, names: Names::system() }
    }

    /// Over another way of looking names up.
    #[cfg(test)]
    pub(crate) fn with_lookup(allow_private: bool, lookup: super::names::Lookup) -> Self {
        Self { allow_private, names: Names::with(lookup) }
    }
}

impl fmt::Debug for GuardedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedResolver").field("allow_private", &self.allow_private).finish_non_exhaustive()
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (allow_private, names) = (self.allow_private, self.names.clone());
        let name = name.as_str().to_owned();
        Box::pin(async move {
            let addresses = names.addresses(name, |address| open(address, allow_private)).await?;
            if addresses.is_empty() { Err(Forbidden::Address.into()) } else { Ok(sockets(addresses)) }
        })
    }
}
