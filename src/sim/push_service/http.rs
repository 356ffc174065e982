//! The push service's HTTP face: `/push` for application servers, `/subscriptions` for phones, `/admin` for tests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::check::{self, Delivery, Refused, Vapid, refused};
use super::decrypt::Receiver;
use super::fault::{Fault, Script, mozilla_status};
use super::store::{Entry, NoSubscription, Store};
use crate::clock::Timestamp;
use crate::secret::from_b64u;

/// A phone may wait so long for a message in one call.
const WAIT_LIMIT: Duration = Duration::from_mins(1);

/// Marks an answer that must never be sent: the connection is closed instead.
#[derive(Clone)]
pub(super) struct Unanswered;

#[derive(Clone)]
pub(super) struct Service {
    pub(super) store: Arc<Store>,
    /// Scheme, host and port under which application servers reach the service.
    pub(super) origin: Arc<str>,
    pub(super) stop: CancellationToken,
}

pub(super) fn router(service: Service) -> Router {
    Router::new()
        .route("/push/{secret}", post(push).get(discover))
        .route("/messages/{id}", delete(withdraw))
        .route("/subscriptions", post(subscribe))
        .route("/subscriptions/{id}", delete(unsubscribe))
        .route("/subscriptions/{id}/messages", get(messages))
        .route("/admin/subscriptions/{id}/faults", post(script).delete(clear_faults))
        .route("/admin/journal", get(journal))
        .with_state(service)
}

impl IntoResponse for NoSubscription {
    fn into_response(self) -> Response {
        Refused::from(self).into_response()
    }
}

impl From<NoSubscription> for Refused {
    fn from(cause: NoSubscription) -> Self {
        let (status, reason) = match cause {
            NoSubscription::Unknown => (StatusCode::NOT_FOUND, "UnknownSubscription"),
            NoSubscription::Gone => (StatusCode::GONE, "Unsubscribed"),
        };
        refused(status, reason, cause.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = Json(json!({"reason": self.reason, "detail": self.detail}));
        (self.status, body).into_response()
    }
}

/// What a phone subscribes with. A real phone keeps `private_key`; here the service decrypts for it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSubscription {
    p256dh: String,
    auth: String,
    private_key: String,
    application_server_key: String,
}

impl NewSubscription {
    fn parse(&self) -> Option<(Receiver, [u8; 65])> {
        let private = PrivateKey::from_private_key(&ECDH_P256, &from_b64u(&self.private_key)?);
        let private = private.ok()?;
        let public: [u8; 65] = from_b64u(&self.p256dh)?.try_into().ok()?;
        if private.compute_public_key().ok()?.as_ref() != public {
            return None;
        }
        let auth = from_b64u(&self.auth)?.try_into().ok()?;
        let key: [u8; 65] = from_b64u(&self.application_server_key)?.try_into().ok()?;
        let receiver = Receiver { private, public, auth };
        (key[0] == 4).then_some((receiver, key))
    }
}

async fn subscribe(State(service): State<Service>, Json(new): Json<NewSubscription>) -> Result<Response, Refused> {
    let (receiver, key) = new.parse().ok_or_else(|| {
        let detail = "p256dh (65 bytes), auth (16), private_key (32, of p256dh), application_server_key (65), in base64url";
        refused(StatusCode::BAD_REQUEST, "BadSubscription", detail)
    })?;
    let (id, secret) = service.store.subscribe(receiver, key);
    let endpoint = format!("{}/push/{secret}", service.origin);
    let body = Json(json!({"id": id, "endpoint": endpoint}));
    Ok((StatusCode::CREATED, body).into_response())
}

async fn unsubscribe(State(service): State<Service>, Path(id): Path<String>) -> Result<StatusCode, NoSubscription> {
    service.store.unsubscribe(&id)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Since {
    #[serde(default)]
    after: u64,
    /// Seconds, fractions allowed.
    #[serde(default)]
    wait: f64,
}

async fn messages(
    State(service): State<Service>,
    Path(id): Path<String>,
    Query(since): Query<Since>,
) -> Result<Json<Value>, Refused> {
    let wait = Duration::try_from_secs_f64(since.wait)
        .map_err(|cause| refused(StatusCode::BAD_REQUEST, "BadWait", cause.to_string()))?;
    let waiting = service.store.messages(&id, since.after, wait.min(WAIT_LIMIT));
    let messages = tokio::select! {
        messages = waiting => messages?,
        () = service.stop.cancelled() => Vec::new(),
    };
    Ok(Json(json!({"messages": messages})))
}

async fn withdraw(State(service): State<Service>, Path(id): Path<String>) -> StatusCode {
    if service.store.withdraw(&id) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

async fn script(
    State(service): State<Service>,
    Path(id): Path<String>,
    Json(script): Json<Script>,
) -> Result<StatusCode, Refused> {
    if !script.is_possible() {
        let detail = "status must be 200 to 599, errno one of Mozilla's";
        return Err(refused(StatusCode::BAD_REQUEST, "BadStatus", detail));
    }
    service.store.script(&id, script)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn clear_faults(State(service): State<Service>, Path(id): Path<String>) -> Result<StatusCode, NoSubscription> {
    service.store.clear_faults(&id)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn journal(State(service): State<Service>) -> Json<Value> {
    Json(json!({"pushes": service.store.journal()}))
}

/// How an application server finds out that this is a push endpoint (`UnifiedPush`, server specification).
async fn discover(State(service): State<Service>, Path(secret): Path<String>) -> Result<Json<Value>, Refused> {
    let (id, ..) = service.store.at_endpoint(&secret).ok_or(NoSubscription::Unknown)?;
    service.store.check(&id)?;
    Ok(Json(json!({"unifiedpush": {"version": 1}})))
}

/// A push that was in order.
struct Accepted {
    delivery: Delivery,
    payload: Value,
}

async fn push(State(service): State<Service>, Path(secret): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let mut entry = entry(&headers, body.len());
    let fault = match service.check(&secret, &headers, &body, &mut entry) {
        Ok((id, accepted)) => match service.store.next_fault(&id) {
            Ok(fault) => Ok((id, accepted, fault)),
            Err(gone) => Err(gone.into()),
        },
        Err(refused) => Err(refused),
    };
    match fault {
        Err(refused) => service.refuse(entry, refused),
        Ok((id, accepted, fault)) => {
            entry.fault = fault;
            service.act(entry, &id, accepted).await
        }
    }
}

impl Service {
    /// All that can be wrong with a push; what is learned on the way goes into the journal's entry.
    fn check(&self, secret: &str, headers: &HeaderMap, body: &[u8], entry: &mut Entry) -> Result<(String, Accepted), Refused> {
        let known = self.store.at_endpoint(secret);
        let (id, receiver, key) = known.ok_or(NoSubscription::Unknown)?;
        entry.subscription = Some(id.clone());
        self.store.check(&id)?;
        let delivery = check::delivery(headers, body.len())?;
        entry.vapid = Some(self.vapid(headers, &key)?);
        let payload = check::declarative(&receiver.open(body)?)?;
        entry.title = payload["notification"]["title"].as_str().map(str::to_owned);
        Ok((id, Accepted { delivery, payload }))
    }

    fn vapid(&self, headers: &HeaderMap, key: &[u8]) -> Result<Vapid, Refused> {
        check::vapid(headers, key, &self.origin, self.store.clock.now())
    }

    fn refuse(&self, mut entry: Entry, refused: Refused) -> Response {
        entry.status = Some(refused.status.as_u16());
        entry.reason = Some(refused.reason.to_owned());
        self.store.note(entry);
        refused.into_response()
    }

    /// Does with a push that was in order what the fault in `entry` says.
    async fn act(&self, entry: Entry, id: &str, mut push: Accepted) -> Response {
        let Some(fault) = entry.fault else {
            return self.deliver(entry, id, &push, 1);
        };
        match fault {
            Fault::Twice => self.deliver(entry, id, &push, 2),
            Fault::Lose => self.deliver(entry, id, &push, 0),
            Fault::Shorten { ttl } => {
                push.delivery.ttl = push.delivery.ttl.min(ttl);
                self.deliver(entry, id, &push, 1)
            }
            Fault::Status { status, retry_after } => self.answer(entry, status, &json!({"reason": "Scripted"}), retry_after),
            Fault::Apple { reason } => self.answer(entry, reason.status(), &json!({"reason": reason}), None),
            Fault::Mozilla { errno } => {
                let status = mozilla_status(errno).expect("a script's number was checked");
                self.answer(
                    entry,
                    status,
                    &json!({"code": status, "errno": errno, "error": "Scripted", "message": "Scripted"}),
                    None,
                )
            }
            Fault::Drop => {
                self.store.note(entry);
                unanswered()
            }
            Fault::Hang => {
                self.store.note(entry);
                self.stop.cancelled().await;
                unanswered()
            }
        }
    }

    fn deliver(&self, mut entry: Entry, id: &str, push: &Accepted, copies: u32) -> Response {
        // Replacing by topic happens even when the new message is then lost.
        match self.store.accept(id, &push.delivery, &push.payload, copies) {
            Err(gone) => self.refuse(entry, gone.into()),
            Ok(message) => {
                entry.status = Some(StatusCode::CREATED.as_u16());
                self.store.note(entry);
                let location = format!("{}/messages/{message}", self.origin);
                let headers =
                    [(header::LOCATION, location), (header::HeaderName::from_static("ttl"), push.delivery.ttl.to_string())];
                (StatusCode::CREATED, headers).into_response()
            }
        }
    }

    fn answer(&self, mut entry: Entry, status: u16, body: &Value, retry_after: Option<u64>) -> Response {
        let code = StatusCode::from_u16(status).expect("a script's status was checked");
        entry.status = Some(status);
        entry.reason = Some(body["reason"].as_str().unwrap_or("Scripted").to_owned());
        self.store.note(entry);
        let mut response = (code, Json(body)).into_response();
        if let Some(seconds) = retry_after {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

fn unanswered() -> Response {
    let mut response = Response::default();
    response.extensions_mut().insert(Unanswered);
    response
}

fn entry(headers: &HeaderMap, bytes: usize) -> Entry {
    let shown = headers
        .iter()
        .filter(|(name, _)| *name != header::AUTHORIZATION)
        .map(|(name, value)| {
            let text = String::from_utf8_lossy(value.as_bytes());
            (name.to_string(), text.into_owned())
        })
        .collect::<BTreeMap<_, _>>();
    Entry {
        number: 0,
        at: Timestamp::from_micros(0),
        subscription: None,
        status: None,
        reason: None,
        fault: None,
        headers: shown,
        vapid: None,
        bytes,
        title: None,
    }
}
