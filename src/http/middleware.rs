//! What surrounds every route: spans, headers, time limits, panics.
//!
//! **Invariants**
//! - A log line names the route's template, never the path: paths of capabilities are secrets.
//! - A panic in a handler is a 500 for its caller and nothing for anybody else.

use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::extract::{MatchedPath, Request, State as Extract};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use tracing::Instrument as _;

use super::State;
use super::client_address::{Peer, client_address};
use super::problem::Problem;
use crate::clock::Timestamp;

pub(super) fn around(routes: Router<State>, app: &State) -> Router<State> {
    routes
        .fallback(async || Problem::not_found("there is nothing here; see /openapi.json"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this does not take that method")
        })
        .layer(from_fn_with_state(app.clone(), surround))
}

async fn surround(Extract(app): Extract<State>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    let client = peer.map(|peer| client_address(peer, request.headers(), &app.trusted_proxies));
    if let Some(client) = client {
        request.extensions_mut().insert(client);
    }
    let route = request.extensions().get::<MatchedPath>().map_or("-", |path| path.as_str()).to_owned();
    let method = request.method().clone();
    let span = tracing::debug_span!("request", %method, route, client = client.map(|client| tracing::field::display(client.0)));
    let served = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span).await;
    let mut response = served.unwrap_or_else(|_| {
        tracing::error!(%method, route, "a handler panicked");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong here; the log says what")
            .into_response()
    });
    count(&method, &route, response.status());
    let headers = response.headers_mut();
    if let Ok(date) = HeaderValue::from_str(&http_date(app.clock.now())) {
        headers.insert(header::DATE, date);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // The web app says for itself how long it may be kept and what it may do.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'");
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(nothing);
    crate::crash_point!("reply-built");
    response
}

fn count(method: &Method, route: &str, status: StatusCode) {
    metrics::counter!("phoneops_http_requests_total", "method" => named(method), "route" => route.to_owned(),
        "status" => status.as_u16().to_string())
    .increment(1);
}

/// A method as metrics name it: whoever sends others makes no label of their own.
fn named(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

/// IMF-fixdate (RFC 9110 section 5.6.7).
fn http_date(now: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(now.as_micros())
        .map(|instant| instant.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_nobody_knows_is_another() {
        for method in ["GET", "PATCH", "OPTIONS"] {
            assert_eq!(named(&Method::from_bytes(method.as_bytes()).unwrap()), method);
        }
        for method in ["get", "BREW", "X0123456789"] {
            assert_eq!(named(&Method::from_bytes(method.as_bytes()).unwrap()), "other");
        }
    }
}
