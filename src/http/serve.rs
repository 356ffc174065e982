//! Accepting connections, with limits on how long and how large anything may be.
//!
//! **Invariants**
//! - A client that sends its head slowly, or never, is cut off; so is one that keeps an idle connection too long.
//! - When the house closes, connections finish the request they are in and are then closed.

use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::client_address::Peer;
use super::tls::Tls;

/// How long a client may take to send a request's head; also how long a connection may idle between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// How long closing waits for requests that are under way.
const CLOSING: Duration = Duration::from_secs(10);

/// Serves `router` on TCP until `closing`, by TLS where there is a certificate, and returns when its connections are closed.
pub async fn tcp(listener: TcpListener, tls: Option<Tls>, router: Router, closing: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = closing.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let peer = Some(Peer(peer.ip()));
                // Replies are small and somebody waits for each.
                let _ = stream.set_nodelay(true);
                match tls.clone() {
                    None => drop(connections.spawn(connection(stream, peer, router.clone(), closing.clone()))),
                    Some(tls) => drop(connections.spawn(encrypted(stream, tls, peer, router.clone(), closing.clone()))),
                }
            }
            Err(error) => pause(&error).await,
        }
    }
    finish(connections).await;
}

/// Serves `router` on a Unix socket until `closing`.
pub async fn unix(listener: UnixListener, router: Router, closing: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = closing.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => drop(connections.spawn(connection(stream, None, router.clone(), closing.clone()))),
            Err(error) => pause(&error).await,
        }
    }
    finish(connections).await;
}

/// Out of file descriptors, most likely: others will be closed in a moment, and spinning helps nobody.
async fn pause(error: &std::io::Error) {
    tracing::warn!(%error, "a connection was not accepted");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

async fn finish(connections: TaskTracker) {
    connections.close();
    if tokio::time::timeout(CLOSING, connections.wait()).await.is_err() {
        tracing::warn!("some requests were still under way when the server closed");
    }
}

async fn encrypted(stream: TcpStream, tls: Tls, peer: Option<Peer>, router: Router, closing: CancellationToken) {
    if let Some(stream) = tls.accept(stream).await {
        connection(stream, peer, router, closing).await;
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, peer: Option<Peer>, router: Router, closing: CancellationToken) {
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        router.clone().oneshot(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = closing.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    // A client that went away in the middle is no news.
    let _ = connection.await;
}
