//! The same services over HTTP/1.1, for providers that speak it too.
//!
//! A connection that is to be reset is closed without an answer, and one that is to fall silent answers nothing more: hyper holds the
//! socket.

use std::pin::pin;
use std::sync::{Arc, Mutex};

use axum::BoxError;
use axum::body::{Body, Bytes};
use axum::http::{self, Response as HttpResponse};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::http2::{Act, Answer, Disturbance, Ended, Field, Processed, Request, Response, Service};
use crate::clock::Clock;

/// So much of a body is read.
const BODY_LIMIT: usize = 65_536;

/// A connection that is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed without an answer")]
pub(super) struct Closed;

/// Serves one connection until it ends.
pub(super) async fn drive<S: Service>(
    stream: TlsStream<TcpStream>,
    service: Arc<S>,
    session: S::Session,
    clock: &Clock,
    stop: &CancellationToken,
) -> Ended {
    let session = Arc::new(Mutex::new(session));
    let answered = service_fn(|request: http::Request<Incoming>| {
        let (service, session) = (Arc::clone(&service), Arc::clone(&session));
        async move { answer(&*service, &session, clock, request).await }
    });
    let serving = pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), answered));
    tokio::select! {
        ended = serving => if ended.is_ok() { Ended::ByClient } else { Ended::Reset },
        () = stop.cancelled() => Ended::Stopped,
    }
}

/// The answer to one request; without one, the connection is to be closed. Where there is to be none, it does not end.
pub(super) async fn answer<S: Service, B>(
    service: &S,
    session: &Mutex<S::Session>,
    clock: &Clock,
    request: http::Request<B>,
) -> Result<HttpResponse<Body>, Closed>
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let request = whole(request).await.ok_or(Closed)?;
    let lock = || session.lock().expect("nothing panics while holding it");
    let mut act: Act<S::Session> = service.receive(&mut lock(), request);
    loop {
        act = match act.answer {
            Answer::After(time, later) => {
                clock.sleep_until(clock.now().after(time)).await;
                later(&mut lock())
            }
            Answer::Response(response) => return written(response, act.disturbance.as_ref()),
            Answer::Reset(_) => return Err(Closed),
            Answer::Nothing => {
                return match act.disturbance {
                    None | Some(Disturbance::Silence) => std::future::pending().await,
                    Some(_) => Err(Closed),
                };
            }
        };
    }
}

async fn whole<B>(request: http::Request<B>) -> Option<Request>
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_LIMIT).collect().await.ok()?.to_bytes();
    let field = |name: &http::HeaderName, value: &http::HeaderValue| Field {
        name: name.as_str().into(),
        value: String::from_utf8_lossy(value.as_bytes()).as_ref().into(),
    };
    Some(Request {
        stream: 0,
        method: head.method.as_str().into(),
        path: head.uri.path_and_query()?.as_str().into(),
        fields: head.headers.iter().map(|(name, value)| field(name, value)).collect(),
        body: body.to_vec(),
    })
}

fn written(response: Response, disturbance: Option<&Disturbance>) -> Result<HttpResponse<Body>, Closed> {
    let mut written = HttpResponse::builder().status(response.status);
    for (name, value) in response.headers {
        written = written.header(name, value);
    }
    match disturbance {
        Some(Disturbance::GoAway { which: Processed::All, .. }) => written = written.header("connection", "close"),
        Some(Disturbance::Reset | Disturbance::GoAway { .. }) => return Err(Closed),
        _ => {}
    }
    written.body(Body::from(Bytes::from(response.body))).map_err(|_| Closed)
}
