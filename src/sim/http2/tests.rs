//! A client that nobody here wrote (the `h2` crate), for the tests of whatever speaks HTTP/2.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{Request, Response};
use h2::client::{Builder, SendRequest};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// One connection of a client.
pub(in crate::sim) struct Client {
    pub(in crate::sim) send: SendRequest<Bytes>,
    pub(in crate::sim) ended: JoinHandle<Result<(), h2::Error>>,
}

/// TLS with the protocols offered, trusting one authority.
pub(in crate::sim) async fn secured(
    address: SocketAddr,
    authority: &str,
    protocol: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

impl Client {
    /// A client that takes `streams` for allowed until it is told otherwise.
    pub(in crate::sim) async fn connect(address: SocketAddr, authority: &str, streams: usize) -> Self {
        let stream = secured(address, authority, b"h2").await.unwrap();
        let (send, connection) = Builder::new().initial_max_send_streams(streams).handshake::<_, Bytes>(stream).await.unwrap();
        Self { send, ended: tokio::spawn(connection) }
    }

    /// Sends a request and reads its answer whole.
    pub(in crate::sim) async fn call(&self, request: Request<Bytes>) -> Result<Response<Bytes>, h2::Error> {
        let mut send = self.send.clone().ready().await?;
        let (head, body) = request.into_parts();
        let (answer, mut stream) = send.send_request(Request::from_parts(head, ()), body.is_empty())?;
        drop(send);
        if !body.is_empty() {
            stream.send_data(body, true)?;
        }
        let (head, mut body) = answer.await?.into_parts();
        let mut whole = Vec::new();
        while let Some(chunk) = body.data().await {
            let chunk = chunk?;
            body.flow_control().release_capacity(chunk.len())?;
            whole.extend_from_slice(&chunk);
        }
        Ok(Response::from_parts(head, whole.into()))
    }
}
