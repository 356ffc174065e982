//! TLS for those who put no proxy in front: one certificate, from files, followed when they are renewed.
//!
//! **Invariants**
//! - A certificate is used only together with the private key that belongs to it; a renewal that does not fit is refused, and the old
//!   one stays.
//! - No connection is cut by a renewal.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::{Error as PemError, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use x509_cert::der::Decode as _;

use crate::clock::Timestamp;
use crate::config::TlsFiles;

/// How often the files are looked at. Certificates are renewed weeks before they end.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How long a client may take to agree on keys.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Certificate files that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One of the files cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// One of the files is not what it should be.
    #[error("{path}: {why}")]
    Invalid {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// The chain and the key, once they are known to belong together.
fn load(files: &TlsFiles, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let TlsFiles { certificate, key } = files;
    let invalid = |path: &Path, why: String| TlsError::Invalid { path: path.to_owned(), why };
    let found = CertificateDer::pem_file_iter(certificate).map_err(|error| pem(certificate, error))?;
    let chain = found.collect::<Result<Vec<_>, _>>().map_err(|error| pem(certificate, error))?;
    if chain.is_empty() {
        return Err(invalid(certificate, "holds no PEM certificate".into()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| pem(key, error))?;
    CertifiedKey::from_der(chain, private, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            invalid(key, format!("is not the key of the certificate in {}", certificate.display()))
        }
        other => invalid(certificate, other.to_string()),
    })
}

/// When each file was written last.
fn written(files: &TlsFiles) -> [Option<SystemTime>; 2] {
    [&files.certificate, &files.key].map(|path| std::fs::metadata(path).and_then(|found| found.modified()).ok())
}

fn pem(path: &Path, error: PemError) -> TlsError {
    let path = path.to_owned();
    match error {
        PemError::Io(source) => TlsError::Unreadable { path, source },
        PemError::NoItemsFound => TlsError::Invalid { path, why: "holds no PEM private key".into() },
        other => TlsError::Invalid { path, why: format!("is not PEM: {other:?}") },
    }
}

/// What is to be known of a certificate before phones meet it.
#[derive(Clone, Copy, Debug)]
pub struct Certificate {
    /// When it ends.
    pub not_after: Timestamp,
    /// Whether it is for the host that was asked about.
    pub names_host: bool,
}

/// Reads the files as the server would, and what the certificate says of itself.
///
/// # Errors
/// [`TlsError`], naming the file.
pub fn examine_certificate(files: &TlsFiles, host: &str) -> Result<Certificate, TlsError> {
    let invalid = |why: String| TlsError::Invalid { path: files.certificate.clone(), why };
    let loaded = load(files, &aws_lc_rs::default_provider())?;
    let own = loaded.end_entity_cert().map_err(|error| invalid(error.to_string()))?;
    let parsed = ParsedCertificate::try_from(own).map_err(|error| invalid(error.to_string()))?;
    let validity = x509_cert::Certificate::from_der(own).map_err(|error| invalid(error.to_string()))?;
    let seconds = validity.tbs_certificate().validity().not_after.to_unix_duration().as_secs();
    let names_host = ServerName::try_from(host).is_ok_and(|name| verify_server_name(&parsed, &name).is_ok());
    Ok(Certificate { not_after: Timestamp::from_seconds(i64::try_from(seconds).unwrap_or(i64::MAX)), names_host })
}

/// The certificate in use.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// The server's side of TLS.
#[derive(Clone)]
pub struct Tls {
    files: TlsFiles,
    provider: Arc<CryptoProvider>,
    current: Arc<Current>,
    acceptor: TlsAcceptor,
    /// When the files in use were written.
    seen: [Option<SystemTime>; 2],
}

impl Tls {
    /// Loads both files.
    ///
    /// # Errors
    /// [`TlsError`], naming the file.
    ///
    /// # Panics
    /// Never: the provider supports the protocol versions that the library holds safe.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        // Before they are read: what is written meanwhile is noticed at the next look.
        let seen = written(&files);
        let current = Arc::new(Current(RwLock::new(Arc::new(load(&files, &provider)?))));
        let mut config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("the provider supports TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { files, provider, current, acceptor: TlsAcceptor::from(Arc::new(config)), seen })
    }

    /// Agrees on keys with a client; nothing when it does not in time.
    pub(super) async fn accept(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        // Port scanners and clients that do not trust us are no news.
        tokio::time::timeout(HANDSHAKE, self.acceptor.accept(stream)).await.ok()?.ok()
    }

    /// Takes up renewed files until `closing`.
    pub async fn follow(self, closing: CancellationToken) {
        let mut seen = self.seen;
        while closing.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let now = written(&self.files);
            if now != seen && self.renew() {
                seen = now;
            }
        }
    }

    /// Whether the files are in use now.
    fn renew(&self) -> bool {
        match load(&self.files, &self.provider) {
            Ok(renewed) => {
                *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(renewed);
                tracing::info!("the renewed certificate is in use");
                true
            }
            // Renewed one after the other, the files may not fit for a moment; the next look finds the second.
            Err(error) => {
                tracing::warn!(%error, "the certificate files changed and cannot be used; the old certificate stays");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests;
