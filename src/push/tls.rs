//! Whom those trust over TLS who call providers that the configuration names: the operating system's authorities, and those of a file.
//!
//! **Invariants**
//! - `ca_file` means the same for every carrier: reqwest trusts by the same verifier.

use std::sync::Arc;

use rustls_platform_verifier::Verifier;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{self, ClientConfig};

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum NoTls {
    /// The file holds no certificate, or a damaged one.
    #[error("ca_file: holds no PEM certificate")]
    Ca,
    /// For instance because the operating system trusts nobody.
    #[error("TLS cannot be set up: {0}")]
    Tls(rustls::Error),
}

/// TLS 1.2 or later, of whoever `ca_pem` and the operating system vouch for, who speaks one of `protocols` (ALPN).
///
/// # Errors
/// [`NoTls`].
pub fn client(ca_pem: Option<&[u8]>, protocols: &[&[u8]]) -> Result<ClientConfig, NoTls> {
    let more = match ca_pem {
        None => Vec::new(),
        Some(pem) => CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|_| NoTls::Ca)?,
    };
    if ca_pem.is_some() && more.is_empty() {
        return Err(NoTls::Ca);
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Verifier::new_with_extra_roots(more, provider.clone()).map_err(NoTls::Tls)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(NoTls::Tls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}
