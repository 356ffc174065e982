//! Where names lead: asked anew for each connection, and the last answer while nobody answers.
//!
//! **Invariants**
//! - An answer counts, also one that leads nowhere; only where there is none does the last one.
//! - So many names are remembered and no more: some of them are strangers' words.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// How a name is looked up: the operating system's way, or a test's.
pub(crate) type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// How long a name may take to be looked up before the last answer does.
const LOOKUP: Duration = Duration::from_secs(2);

/// How many names' last answers are kept: anybody with a device can name another.
const KEPT: usize = 1_024;

/// Looks names up. Cheap to clone: clones share what they remember.
///
/// As a resolver for [`reqwest`] it hands on every address: for hosts that the configuration names.
#[derive(Clone)]
pub(crate) struct Names {
    lookup: Lookup,
    kept: Arc<Mutex<HashMap<String, Vec<IpAddr>>>>,
}

impl Names {
    /// By the operating system's resolver.
    pub(crate) fn system() -> Self {
        Self::with(Arc::new(|name| Box::pin(system_lookup(name))))
    }

    /// By another way of looking names up.
    pub(crate) fn with(lookup: Lookup) -> Self {
        Self { lookup, kept: Arc::default() }
    }

    /// Where `name` leads, as far as it is `open`; nowhere when an answer leads to nothing that is.
    pub(crate) async fn addresses(&self, name: String, open: impl Fn(IpAddr) -> bool + Send) -> io::Result<Vec<IpAddr>> {
        let found = (self.lookup)(name.clone());
        let late = || io::Error::new(io::ErrorKind::TimedOut, "the name was not looked up in time");
        match tokio::time::timeout(LOOKUP, found).await.unwrap_or_else(|_| Err(late())) {
            Ok(mut addresses) => {
                addresses.retain(|address| open(*address));
                if !addresses.is_empty() {
                    self.keep(&name, &addresses);
                }
                Ok(addresses)
            }
            // What was judged once is as good as it was; the connection fails if nobody is there any more.
            Err(error) => self.last(&name).ok_or(error),
        }
    }

    fn keep(&self, name: &str, addresses: &[IpAddr]) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT && !kept.contains_key(name) {
            let another = kept.keys().next().cloned();
            another.map(|another| kept.remove(&another));
        }
        kept.insert(name.to_owned(), addresses.to_vec());
    }

    fn last(&self, name: &str) -> Option<Vec<IpAddr>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let (names, name) = (self.clone(), name.as_str().to_owned());
        Box::pin(async move { Ok(sockets(names.addresses(name, |_| true).await?)) })
    }
}

/// As [`reqwest`] takes them: port 0 stands for the port of the URL.
pub(crate) fn sockets(addresses: Vec<IpAddr>) -> Addrs {
    Box::new(addresses.into_iter().map(|ip| SocketAddr::new(ip, 0)))
}

async fn system_lookup(name: String) -> io::Result<Vec<IpAddr>> {
    let found = tokio::net::lookup_host((name, 0)).await?;
    Ok(found.map(|socket| socket.ip()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_names_do_not_pile_up() {
        let names = Names::system();
        for n in 0..KEPT + 10 {
            names.keep(&format!("{n}.example.com"), &[IpAddr::from([93, 184, 216, 34])]);
        }
        assert_eq!(names.kept.lock().unwrap().len(), KEPT);
        assert!(names.last(&format!("{}.example.com", KEPT + 9)).is_some());
    }
}
