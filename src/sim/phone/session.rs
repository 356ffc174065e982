//! Speaking to the server: access tokens, proofs of possession, requests and replies (device protocol, sections 3 and 8).
//!
//! **Invariants**
//! - Every call carries a proof of its own; none is sent twice.
//! - Signing in happens once for callers that need it together.
//! - A call is repeated by itself only after 401 `invalid_token`, or after 401 `invalid_dpop_proof` once the server's time was
//!   taken from `Date`: the server has then done nothing.

use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::sync::MutexGuard;

use super::Phone;
use super::error::Error;
use crate::clock::Timestamp;
use crate::secret::{Secret, b64u, random, sha256};

/// A token is renewed so long before it ends.
const RENEW_BEFORE: Duration = Duration::from_mins(1);

/// An access token and when to renew it.
pub(super) struct Token {
    text: Secret,
    renew_at: Timestamp,
}

/// An answer of the server.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The JSON body; null when there is none, a string when it is no JSON.
    pub body: Value,
}

impl Reply {
    async fn of(request: RequestBuilder) -> Result<Self, Error> {
        let response = request.send().await?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await?;
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
        Ok(Self { status, headers, body })
    }

    /// The body of a 2xx answer.
    ///
    /// # Errors
    /// [`Error::Refused`] with the problem of any other.
    pub fn accepted(self) -> Result<Value, Error> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        let text = |member: &str| self.body[member].as_str().unwrap_or_default().to_owned();
        Err(Error::Refused { status: self.status, code: text("code"), detail: text("detail"), retry_after: self.retry_after() })
    }

    /// The problem's stable code; empty when the body is no problem.
    #[must_use]
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// The seconds of `Retry-After`.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = self.headers.get(RETRY_AFTER)?.to_str().ok()?;
        seconds.parse().ok().map(Duration::from_secs)
    }

    fn is_unauthorized_as(&self, code: &str) -> bool {
        self.status == 401 && self.code() == code
    }
}

impl Phone {
    /// `GET` of a path with its query, signed in.
    ///
    /// # Errors
    /// [`Error::Unanswered`], and what signing in can meet. A refusal is a [`Reply`].
    pub async fn get(&self, path: &str) -> Result<Reply, Error> {
        self.call(Method::GET, path, None, None).await
    }

    /// `POST` of a JSON body, signed in.
    ///
    /// # Errors
    /// As [`Phone::get`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Reply, Error> {
        self.call(Method::POST, path, Some(body), None).await
    }

    /// `POST` of a JSON body that may be repeated under the same idempotency `key`, signed in.
    ///
    /// # Errors
    /// As [`Phone::get`].
    pub async fn post_once(&self, path: &str, key: &str, body: &Value) -> Result<Reply, Error> {
        self.call(Method::POST, path, Some(body), Some(key)).await
    }

    /// `PUT` of a JSON body, signed in.
    ///
    /// # Errors
    /// As [`Phone::get`].
    pub async fn put(&self, path: &str, body: &Value) -> Result<Reply, Error> {
        self.call(Method::PUT, path, Some(body), None).await
    }

    /// `DELETE`, signed in, with a JSON body when there is one.
    ///
    /// # Errors
    /// As [`Phone::get`].
    pub async fn delete(&self, path: &str, body: Option<&Value>) -> Result<Reply, Error> {
        self.call(Method::DELETE, path, body, None).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>, key: Option<&str>) -> Result<Reply, Error> {
        let reply = self.call_once(&method, path, body, key).await?;
        if reply.is_unauthorized_as("invalid_token") {
            *self.token.lock().await = None;
            return self.call_once(&method, path, body, key).await;
        }
        if reply.is_unauthorized_as("invalid_dpop_proof") && self.take_time_from(&reply) {
            return self.call_once(&method, path, body, key).await;
        }
        Ok(reply)
    }

    async fn call_once(&self, method: &Method, path: &str, body: Option<&Value>, key: Option<&str>) -> Result<Reply, Error> {
        let token = self.access_token().await?;
        let proof = self.proof(method, path, Some(&token));
        let mut authorization = HeaderValue::try_from(format!("DPoP {}", token.expose()))
            .map_err(|_| Error::Protocol("an access token that no header can carry".to_owned()))?;
        authorization.set_sensitive(true);
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        Reply::of(request.header(AUTHORIZATION, authorization).header("dpop", proof)).await
    }

    /// A call without credentials.
    pub(super) async fn post_anonymously(&self, path: &str, body: &Value) -> Result<Reply, Error> {
        Reply::of(self.request(&Method::POST, path).json(body)).await
    }

    fn request(&self, method: &Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.issuer());
        self.http.request(method.clone(), url)
    }

    /// Signs in anew, whether or not there is a token. Every call does so by itself when it has to.
    ///
    /// # Errors
    /// [`Error::NotEnrolled`]; [`Error::Refused`] when the device was revoked.
    pub async fn sign_in(&self) -> Result<(), Error> {
        let slot = self.token.lock().await;
        self.fetch_token(slot).await.map(drop)
    }

    async fn access_token(&self) -> Result<Secret, Error> {
        let slot = self.token.lock().await;
        match slot.as_ref() {
            Some(token) if self.now() < token.renew_at => Ok(token.text.clone()),
            _ => self.fetch_token(slot).await,
        }
    }

    async fn fetch_token(&self, mut slot: MutexGuard<'_, Option<Token>>) -> Result<Secret, Error> {
        let mut reply = self.ask_for_token().await?;
        if reply.is_unauthorized_as("invalid_dpop_proof") && self.take_time_from(&reply) {
            reply = self.ask_for_token().await?;
        }
        let body = reply.accepted()?;
        let text = body["access_token"].as_str();
        let (Some(text), Some(seconds)) = (text, body["expires_in"].as_u64()) else {
            let missing = "a token reply without access_token or expires_in";
            return Err(Error::Protocol(missing.to_owned()));
        };
        let text = Secret::new(text.to_owned());
        let ends_at = self.now().after(Duration::from_secs(seconds));
        *slot = Some(Token { text: text.clone(), renew_at: ends_at.before(RENEW_BEFORE) });
        Ok(text)
    }

    async fn ask_for_token(&self) -> Result<Reply, Error> {
        let path = "/v1/token";
        let assertion = self.assertion(path)?;
        let form = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", assertion.as_str())];
        let proof = self.proof(&Method::POST, path, None);
        Reply::of(self.request(&Method::POST, path).header("dpop", proof).form(&form)).await
    }

    /// RFC 7523: the device says who it is.
    fn assertion(&self, path: &str) -> Result<String, Error> {
        let device = self.device_id()?;
        let now = self.now().as_seconds();
        let header = json!({"alg": "ES256", "typ": "phoneops-assertion+jwt", "kid": device});
        let claims = json!({"iss": device, "sub": device, "aud": format!("{}{path}", self.issuer()),
            "iat": now, "exp": now + 60, "jti": b64u(random::<16>())});
        Ok(self.device_key.jws(&header, &claims))
    }

    /// RFC 9449: a proof for exactly one call. `path` may have a query, which is not part of `htu`.
    fn proof(&self, method: &Method, path: &str, token: Option<&Secret>) -> String {
        let bare = path.split(['?', '#']).next().unwrap_or(path);
        let mut claims = json!({"jti": b64u(random::<16>()), "htm": method.as_str(),
            "htu": format!("{}{bare}", self.issuer()), "iat": self.now().as_seconds()});
        if let Some(token) = token {
            claims["ath"] = json!(b64u(sha256(token.expose().as_bytes())));
        }
        let header = json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": self.device_key.jwk()});
        self.device_key.jws(&header, &claims)
    }

    /// The present instant, corrected by what the server's `Date` said.
    pub(super) fn now(&self) -> Timestamp {
        let offset = self.offset_micros.load(Ordering::SeqCst);
        Timestamp::from_micros(self.clock.now().as_micros().saturating_add(offset))
    }

    /// Sets the phone's clock by the reply's `Date`; false when that changes nothing, so that trying again is useless.
    fn take_time_from(&self, reply: &Reply) -> bool {
        let Some(date) = reply.headers.get(DATE).and_then(|date| date.to_str().ok()) else {
            return false;
        };
        let Ok(date) = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date) else {
            return false;
        };
        let off = date.as_second() - self.now().as_seconds();
        let correction = off.saturating_mul(1_000_000);
        self.offset_micros.fetch_add(correction, Ordering::SeqCst);
        off.abs() > 1
    }
}
