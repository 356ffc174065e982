//! The way to Apple: name, address, TLS.
//!
//! **Invariants**
//! - Every connection asks the name anew, as Apple wishes; what it meant last serves when nobody answers within 1 s.
//! - Nothing is said before TLS (1.2 or later) has shown that it is Apple, and that it speaks HTTP/2.
//! - Each phase has its own limit: 3 s to connect, the name included and 1 s for each of several addresses, 5 s to agree on keys.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::uri::Authority;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use url::{Host, Url};

use super::SetupError;
use crate::clock::Clock;
use crate::push::tls;
use crate::secret::random;

const CONNECT: Duration = Duration::from_secs(3);

/// What the name may take of it while there are addresses to go on with.
const LOOKUP: Duration = Duration::from_secs(1);

/// What one address may take of it while there are others.
const EACH: Duration = Duration::from_secs(1);

const AGREE: Duration = Duration::from_secs(5);

/// The port of https.
const PORT: u16 = 443;

/// One way, used for every connection.
pub(super) struct Way {
    authority: Authority,
    host: String,
    port: u16,
    name: ServerName<'static>,
    tls: TlsConnector,
    /// Where the name led last.
    known: Mutex<Vec<SocketAddr>>,
}

impl Way {
    pub(super) fn new(endpoint: &Url, ca_pem: Option<&[u8]>) -> Result<Self, SetupError> {
        let plain = endpoint.scheme() == "https"
            && endpoint.path() == "/"
            && endpoint.query().is_none()
            && endpoint.fragment().is_none()
            && endpoint.username().is_empty()
            && endpoint.password().is_none();
        let host = endpoint.host().filter(|_| plain).ok_or(SetupError::Endpoint)?;
        // An address of IPv6 has brackets in a URL, and none elsewhere.
        let bare = match host {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        Ok(Self {
            authority: Authority::try_from(endpoint.authority()).map_err(|_| SetupError::Endpoint)?,
            name: ServerName::try_from(bare.clone()).map_err(|_| SetupError::Endpoint)?,
            host: bare,
            port: endpoint.port().unwrap_or(PORT),
            tls: TlsConnector::from(Arc::new(tls::client(ca_pem, &[b"h2"])?)),
            known: Mutex::default(),
        })
    }

    /// `api.push.apple.com`, with the port where it is not that of https.
    pub(super) fn authority(&self) -> Authority {
        self.authority.clone()
    }

    /// A new connection that speaks HTTP/2. The error is for operators.
    pub(super) async fn open(&self, clock: &Clock) -> Result<TlsStream<TcpStream>, String> {
        let tcp = within(clock, CONNECT, "no connection", self.connect(clock)).await?;
        let tls = within(clock, AGREE, "TLS", self.tls.connect(self.name.clone(), tcp)).await?;
        if tls.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err("TLS: the peer does not speak HTTP/2".to_owned());
        }
        Ok(tls)
    }

    async fn connect(&self, clock: &Clock) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name leads nowhere");
        let lookup = async { Ok(tokio::net::lookup_host((self.host.as_str(), self.port)).await?.collect()) };
        let addresses = self.addresses(clock, lookup).await?;
        let limit = if addresses.len() > 1 { EACH } else { CONNECT };
        for address in addresses {
            match limited(clock, limit, TcpStream::connect(address)).await {
                Ok(tcp) => {
                    tcp.set_nodelay(true)?;
                    return Ok(tcp);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Where the name leads, from a random one on: connections spread over all of them.
    async fn addresses(
        &self,
        clock: &Clock,
        lookup: impl Future<Output = io::Result<Vec<SocketAddr>>>,
    ) -> io::Result<Vec<SocketAddr>> {
        let limit = if self.known().is_empty() { CONNECT } else { LOOKUP };
        let found = limited(clock, limit, lookup).await;
        let mut known = self.known();
        let mut addresses = match found {
            Ok(found) if !found.is_empty() => {
                known.clone_from(&found);
                found
            }
            Err(error) if known.is_empty() => return Err(error),
            Ok(_) | Err(_) => known.clone(),
        };
        let [turn] = random();
        let by = usize::from(turn) % addresses.len().max(1);
        addresses.rotate_left(by);
        Ok(addresses)
    }

    fn known(&self) -> MutexGuard<'_, Vec<SocketAddr>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn within<T>(clock: &Clock, limit: Duration, what: &str, doing: impl Future<Output = io::Result<T>>) -> Result<T, String> {
    limited(clock, limit, doing).await.map_err(|error| format!("{what}: {error}"))
}

async fn limited<T>(clock: &Clock, limit: Duration, doing: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let until = clock.now().after(limit);
    tokio::select! {
        biased;
        done = doing => done,
        () = clock.sleep_until(until) => {
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("not within {} s", limit.as_secs())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(endpoint: &str, ca_pem: Option<&[u8]>) -> Result<Way, SetupError> {
        Way::new(&endpoint.parse().unwrap(), ca_pem)
    }

    fn authority() -> String {
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem()
    }

    #[test]
    fn an_endpoint_is_a_host_behind_tls() {
        let pem = authority();
        for (endpoint, name) in [
            ("https://api.push.apple.com", "api.push.apple.com"),
            ("https://api.push.apple.com:2197/", "api.push.apple.com:2197"),
            ("https://[::1]:2197", "[::1]:2197"),
            ("https://127.0.0.1", "127.0.0.1"),
        ] {
            assert_eq!(way(endpoint, Some(pem.as_bytes())).unwrap().authority(), name);
        }
        for bad in [
            "http://api.push.apple.com",
            "https://api.push.apple.com/3",
            "https://api.push.apple.com/?x",
            "https://a:b@api.push.apple.com",
            "file:///etc",
        ] {
            assert!(matches!(way(bad, Some(pem.as_bytes())), Err(SetupError::Endpoint)), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_resolver_that_does_not_answer_leaves_the_addresses_known_last() {
        let way = way("https://localhost", Some(authority().as_bytes())).unwrap();
        let clock = Clock::manual(crate::clock::Timestamp::from_seconds(1_800_000_000));
        let led = vec![SocketAddr::from(([192, 0, 2, 1], PORT))];
        assert_eq!(way.addresses(&clock, std::future::ready(Ok(led.clone()))).await.unwrap(), led);
        let (found, ()) = tokio::join!(way.addresses(&clock, std::future::pending()), async { clock.advance(LOOKUP) });
        assert_eq!(found.unwrap(), led);
    }

    #[test]
    fn a_ca_file_holds_certificates() {
        for bad in ["", "hunter2", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
            assert!(matches!(way("https://localhost", Some(bad.as_bytes())), Err(SetupError::Ca)), "{bad:?}");
        }
    }
}
