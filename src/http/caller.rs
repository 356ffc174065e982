//! Who calls, and what with: the extractors that every handler begins with.
//!
//! **Invariants**
//! - A handler has a [`Call`] only through here, so none is reached without its credentials having been looked at.
//! - Credentials are taken from headers, never from a URL.
//! - A DPoP proof serves one request on this node (remembered here) and one change on any node (consumed with the change).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::Operation;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

use super::input::object;
use super::problem::Problem;
use super::{App, State};
use crate::clock::Timestamp;
use crate::identity::{Call, Caller, Once, UsedProof, dpop};
use crate::secret::{Secret, tagged_sha256};

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Marks a connection of the server's own Unix socket, which only its operator can open.
#[derive(Clone, Copy, Debug)]
pub struct LocalSocket;

/// The caller of a request without a body.
pub(super) struct Read(pub(super) Call);

/// The caller and the body of a request with one.
pub(super) struct Write<T>(pub(super) Call, pub(super) T);

/// A body from whoever sends it, before they have credentials.
pub(super) struct Anonymous<T>(pub(super) T);

/// The one `DPoP` header of a request, unread: for calls that prove more than who calls.
pub(super) struct ProofHeader(pub(super) Option<String>);

impl FromRequestParts<State> for ProofHeader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &State) -> Result<Self, Problem> {
        one_proof(&parts.headers).map(|text| Self(text.map(str::to_owned)))
    }
}

/// The text of the `DPoP` header, when there is one.
fn one_proof(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all("dpop").iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(refused_proof("missing", "send exactly one `DPoP` header"));
    }
    value.to_str().map(Some).map_err(|_| refused_proof("malformed", "the `DPoP` header is not text"))
}

fn refused_proof(reason: &'static str, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "invalid_dpop_proof", detail).with("reason", reason)
}

impl FromRequestParts<State> for Read {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &State) -> Result<Self, Problem> {
        call(parts, app, &[]).await.map(Self)
    }
}

impl<T: DeserializeOwned> FromRequest<State> for Write<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &State) -> Result<Self, Problem> {
        let (mut parts, body) = split(request, app).await?;
        let call = call(&mut parts, app, &body).await?;
        Ok(Self(call, json(&parts.headers, &body)?))
    }
}

impl<T: DeserializeOwned> FromRequest<State> for Anonymous<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &State) -> Result<Self, Problem> {
        let (parts, body) = split(request, app).await?;
        Ok(Self(json(&parts.headers, &body)?))
    }
}

/// The head and the whole body of a request, within the limits of both.
pub(super) async fn split(request: Request, app: &State) -> Result<(Parts, Bytes), Problem> {
    let (parts, body) = request.into_parts();
    let reading = Bytes::from_request(Request::from_parts(parts.clone(), body), app);
    let read = tokio::time::timeout(BODY_TIMEOUT, reading).await;
    let slow = || Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", "the body did not arrive in time");
    let body = read.map_err(|_| slow())?.map_err(|rejection| {
        let status = rejection.status();
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            Problem::new(status, "body_too_large", "the body may have at most 64 KiB")
        } else {
            Problem::new(status, "body_unreadable", "the body could not be read to its end")
        }
    })?;
    crate::crash_point!("request-read");
    Ok((parts, body))
}

/// Whether the body is said to be of this media type, parameters apart.
pub(super) fn is_media_type(headers: &HeaderMap, expected: &str) -> bool {
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    said.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(expected)
}

/// The body as `T`, or a problem that names the field.
fn json<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, Problem> {
    if !is_media_type(headers, "application/json") {
        let detail = "the body must be JSON: send `Content-Type: application/json`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", detail));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let mut track = serde_path_to_error::Track::new();
    let read = object(serde_path_to_error::Deserializer::new(&mut reader, &mut track));
    let value: T = read.map_err(|error| {
        let detail = error.to_string();
        match field(&track.path().to_string(), &detail) {
            None => Problem::new(StatusCode::BAD_REQUEST, "invalid_request", detail),
            Some(field) => Problem::field(field, detail),
        }
    })?;
    reader.end().map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "invalid_request", error.to_string()))?;
    Ok(value)
}

/// The field an error is about: where parsing stood, or below it the field that is unknown, missing or there twice.
pub(super) fn field(path: &str, detail: &str) -> Option<String> {
    let named = ["unknown field `", "missing field `", "duplicate field `", "duplicate name `"]
        .iter()
        .find_map(|start| detail.strip_prefix(start)?.split('`').next());
    match (path, named) {
        (".", None) => None,
        (".", Some(name)) => Some(name.to_owned()),
        (path, Some(name)) if path != name && !path.ends_with(&format!(".{name}")) => Some(format!("{path}.{name}")),
        (path, _) => Some(path.to_owned()),
    }
}

async fn call(parts: &mut Parts, app: &State, body: &[u8]) -> Result<Call, Problem> {
    let (caller, proof) = authenticate(parts, app).await?;
    let once = once(parts, body)?;
    Ok(Call { caller, proof, once, heard: None })
}

async fn authenticate(parts: &Parts, app: &State) -> Result<(Caller, Option<UsedProof>), Problem> {
    let unauthenticated = || Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", "send `Authorization: Bearer` or `DPoP`");
    let mut given = parts.headers.get_all(header::AUTHORIZATION).iter();
    let Some(authorization) = given.next() else {
        if parts.extensions.get::<LocalSocket>().is_some() {
            return Ok((Caller::Operator, None));
        }
        return Err(unauthenticated());
    };
    if given.next().is_some() {
        // A proxy in front might have looked at the other one.
        return Err(unauthenticated());
    }
    let text = authorization.to_str().map_err(|_| unauthenticated())?;
    let (scheme, token) = text.split_once(' ').ok_or_else(unauthenticated)?;
    let token = Secret::new(token.trim().to_owned());
    if scheme.eq_ignore_ascii_case("bearer") {
        let refused = || Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", "the token is not known, or was revoked");
        return match app.identity.authenticate_bot(&token).await {
            Ok(caller) => Ok((caller, None)),
            Err(crate::identity::Failure::Db(error)) => Err(error.into()),
            Err(_) => Err(refused()),
        };
    }
    if scheme.eq_ignore_ascii_case("dpop") {
        return person(parts, app, &token).await;
    }
    Err(unauthenticated())
}

async fn person(parts: &Parts, app: &App, token: &Secret) -> Result<(Caller, Option<UsedProof>), Problem> {
    let now = app.clock.now();
    let invalid = |detail: &str| Problem::new(StatusCode::UNAUTHORIZED, "invalid_token", detail);
    let token_claims = app.identity.verify_token(token.expose(), now).map_err(|refusal| invalid(&refusal.to_string()))?;
    let proof = proof(parts, app, Some(token.expose()), now)?;
    if proof.thumbprint != token_claims.thumbprint {
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "invalid_dpop_proof",
            "the proof is signed by another key than the token is bound to",
        )
        .with("reason", "key_differs"));
    }
    let caller = match app.identity.authenticate_person(token_claims.user, token_claims.device).await {
        Ok(caller) => caller,
        Err(crate::identity::Failure::Db(error)) => return Err(error.into()),
        Err(_) => return Err(invalid("the device was revoked, or its person left")),
    };
    let used = UsedProof { sha256: proof.jti_sha256, expires_at: proof.expires_at };
    Ok((caller, Some(used)))
}

/// Checks the DPoP proof of this very request.
pub(super) fn proof(parts: &Parts, app: &App, token: Option<&str>, now: Timestamp) -> Result<dpop::Proof, Problem> {
    let text = one_proof(&parts.headers)?.ok_or_else(|| refused_proof("missing", "send exactly one `DPoP` header"))?;
    let url = format!("{}{}", app.issuer, parts.uri.path());
    let proof = dpop::verify(text, parts.method.as_str(), &url, token, now)
        .map_err(|refusal| refused_proof(refusal.code(), refusal.to_string()))?;
    if !app.seen.first_time(&proof, now) {
        return Err(refused_proof("replayed", "the proof was used before"));
    }
    Ok(proof)
}

fn once(parts: &Parts, body: &[u8]) -> Result<Option<Once>, Problem> {
    let Some(value) = parts.headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().unwrap_or_default().trim().to_owned();
    if key.is_empty() || key.len() > 255 || key.chars().any(char::is_control) {
        return Err(Problem::field("Idempotency-Key", "must have 1 to 255 printable characters"));
    }
    let request = [parts.method.as_str().as_bytes(), b" ", parts.uri.path().as_bytes(), b"\n", body].concat();
    Ok(Some(Once { key, request_sha256: tagged_sha256("phoneops.request.v1", &request) }))
}

/// The proofs this node has seen and that could still be replayed.
#[derive(Default)]
pub struct SeenProofs(Mutex<HashMap<[u8; 32], Timestamp>>);

impl SeenProofs {
    fn first_time(&self, proof: &dpop::Proof, now: Timestamp) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Forgetting is paid for by growing: each doubling is looked through once.
        if seen.len() == seen.capacity() {
            seen.retain(|_, expires_at| *expires_at >= now);
        }
        seen.insert(proof.jti_sha256, proof.expires_at).is_none()
    }
}

impl OperationInput for Read {}

impl OperationInput for ProofHeader {}

impl<T: schemars::JsonSchema> OperationInput for Write<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        axum::Json::<T>::operation_input(ctx, operation);
    }
}

impl<T: schemars::JsonSchema> OperationInput for Anonymous<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        axum::Json::<T>::operation_input(ctx, operation);
    }
}
