//! What application servers see, whatever carries it: endpoints that take pushes, and messages that can be taken back.
//!
//! **Invariants**
//! - A push that was not in order meets no fault and uses none up.
//! - What is answered 201 was delivered, or is kept for a phone that is away; but for what a script loses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::check::{self, Delivery, Refused, Vapid};
use super::fault::{Fault, mozilla_status};
use super::store::{Entry, NoSubscription, Store};
use crate::clock::Timestamp;
use crate::sim::gate::{Host, Link, Meeting};
use crate::sim::http2::{self, Disturbance, Excess, Request, Response, Service};

/// What is known of a connection: nothing of one without TLS.
type Session = Option<Link>;
type Act = http2::Act<Session>;

/// Streams of a connection.
const STREAMS: u32 = 100;
/// The size of a list of headers, in bytes.
const HEADER_LIST: u32 = 16_384;

/// A browser's vendor.
#[derive(Clone)]
pub(super) struct Vendor {
    pub(super) store: Arc<Store>,
    /// Scheme, host and port under which application servers reach it.
    pub(super) origin: Arc<str>,
}

impl Host for Vendor {
    const HTTP1: bool = true;

    fn greet(&self, link: Link) -> Session {
        Some(link)
    }
}

impl Service for Vendor {
    type Session = Session;

    fn settings(&self, _: &Session) -> http2::Settings {
        http2::Settings { streams: STREAMS, header_list: HEADER_LIST, excess: Excess::Refuse }
    }

    fn receive(&self, session: &mut Session, request: Request) -> Act {
        let latency = session.as_ref().map_or(Duration::ZERO, Link::latency);
        if latency.is_zero() {
            return self.meet(session, &request);
        }
        let this = self.clone();
        Act::after(latency, move |session| this.meet(session, &request))
    }

    fn refused(&self, session: &mut Session, _: u32) {
        if let Some(link) = session {
            link.refused();
        }
    }

    fn pinged(&self, session: &mut Session) {
        if let Some(link) = session {
            link.pinged();
        }
    }
}

/// A push that was in order.
struct Accepted {
    delivery: Delivery,
    payload: Value,
}

/// A push that was in order, and what is written down of it.
struct Case {
    entry: Entry,
    subscription: String,
    push: Accepted,
}

impl Vendor {
    /// What the connection's fault leaves of a request.
    fn meet(&self, session: &mut Session, request: &Request) -> Act {
        match session.as_mut().map_or(Meeting::Undisturbed, |link| link.meet(request.stream)) {
            Meeting::Undisturbed => self.answer(request),
            Meeting::And(disturbance) => self.answer(request).and(disturbance),
            Meeting::Unanswered(disturbance) => {
                drop(self.answer(request));
                Act::nothing().and(disturbance)
            }
            Meeting::Lost(disturbance) => Act { disturbance, ..Act::nothing() },
        }
    }

    fn answer(&self, request: &Request) -> Act {
        let path = request.path.split('?').next().unwrap_or_default();
        match (&*request.method, path.rsplit_once('/')) {
            ("POST", Some(("/push", secret))) => self.push(secret, request),
            ("GET", Some(("/push", secret))) => Act::respond(self.discover(secret)),
            ("DELETE", Some(("/messages", id))) => Act::respond(self.withdraw(id)),
            (_, Some(("/push" | "/messages", _))) => Act::respond(empty(StatusCode::METHOD_NOT_ALLOWED)),
            _ => Act::respond(empty(StatusCode::NOT_FOUND)),
        }
    }

    /// How an application server finds out that this is a push endpoint (`UnifiedPush`, server specification).
    fn discover(&self, secret: &str) -> Response {
        let known = self.store.at_endpoint(secret).ok_or(NoSubscription::Unknown);
        match known.and_then(|(id, ..)| self.store.check(&id)) {
            Ok(()) => json(StatusCode::OK, &json!({"unifiedpush": {"version": 1}})),
            Err(gone) => Refused::from(gone).response(),
        }
    }

    fn withdraw(&self, id: &str) -> Response {
        empty(if self.store.withdraw(id) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND })
    }

    fn push(&self, secret: &str, request: &Request) -> Act {
        let headers = headers(request);
        let mut entry = entry(&headers, request.body.len());
        match self.check(secret, &headers, &request.body, &mut entry) {
            Err(refused) => self.refuse(entry, &refused),
            Ok((subscription, push, fault)) => {
                entry.fault = fault;
                self.act(Case { entry, subscription, push })
            }
        }
    }

    /// All that can be wrong with a push, and the fault that it meets; what is learned on the way goes into the journal's entry.
    fn check(
        &self,
        secret: &str,
        headers: &HeaderMap,
        body: &[u8],
        entry: &mut Entry,
    ) -> Result<(String, Accepted, Option<Fault>), Refused> {
        let known = self.store.at_endpoint(secret);
        let (id, receiver, key) = known.ok_or(NoSubscription::Unknown)?;
        entry.subscription = Some(id.clone());
        self.store.check(&id)?;
        let delivery = check::delivery(headers, body.len())?;
        entry.vapid = Some(self.vapid(headers, &key)?);
        let payload = check::declarative(&receiver.open(body)?)?;
        entry.title = payload["notification"]["title"].as_str().map(str::to_owned);
        let fault = self.store.next_fault(&id)?;
        Ok((id, Accepted { delivery, payload }, fault))
    }

    fn vapid(&self, headers: &HeaderMap, key: &[u8]) -> Result<Vapid, Refused> {
        check::vapid(headers, key, &self.origin, self.store.clock.now())
    }

    fn refuse(&self, mut entry: Entry, refused: &Refused) -> Act {
        entry.status = Some(refused.status.as_u16());
        entry.reason = Some(refused.reason.to_owned());
        self.store.note(entry);
        Act::respond(refused.response())
    }

    /// Does with a push that was in order what the fault in its entry says.
    fn act(&self, mut case: Case) -> Act {
        let Some(fault) = case.entry.fault else {
            return self.deliver(case, 1);
        };
        match fault {
            Fault::Twice => self.deliver(case, 2),
            Fault::Lose => self.deliver(case, 0),
            Fault::Shorten { ttl } => {
                case.push.delivery.ttl = case.push.delivery.ttl.min(ttl);
                self.deliver(case, 1)
            }
            Fault::Latency { ms } => {
                let this = self.clone();
                Act::after(Duration::from_millis(ms), move |_| this.deliver(case, 1))
            }
            Fault::Status { status, retry_after } => self.say(case.entry, status, &json!({"reason": "Scripted"}), retry_after),
            Fault::Apple { reason } => self.say(case.entry, reason.status(), &json!({"reason": reason}), None),
            Fault::Mozilla { errno } => {
                let status = mozilla_status(errno).expect("a script's number was checked");
                let body = json!({"code": status, "errno": errno, "error": "Scripted", "message": "Scripted"});
                self.say(case.entry, status, &body, None)
            }
            Fault::Hang => self.give_up(case.entry, None),
            Fault::Silence => self.give_up(case.entry, Some(Disturbance::Silence)),
            Fault::Drop => self.give_up(case.entry, Some(Disturbance::Reset)),
            Fault::DeliverAndHang => self.leave(case, None),
            Fault::DeliverAndDrop => self.leave(case, Some(Disturbance::Reset)),
        }
    }

    fn deliver(&self, case: Case, copies: u32) -> Act {
        let Case { mut entry, subscription, push } = case;
        // Replacing by topic happens even when the new message is then lost.
        match self.store.accept(&subscription, &push.delivery, &push.payload, copies) {
            Err(gone) => self.refuse(entry, &gone.into()),
            Ok(message) => {
                entry.status = Some(StatusCode::CREATED.as_u16());
                self.store.note(entry);
                let location = format!("{}/messages/{message}", self.origin);
                let headers = vec![("location", location), ("ttl", push.delivery.ttl.to_string())];
                Act::respond(Response { headers, ..empty(StatusCode::CREATED) })
            }
        }
    }

    /// Delivered, but not answered.
    fn leave(&self, case: Case, disturbance: Option<Disturbance>) -> Act {
        let Case { entry, subscription, push } = case;
        if self.store.accept(&subscription, &push.delivery, &push.payload, 1).is_err() {
            tracing::debug!("a phone unsubscribed while a push was on its way to it");
        }
        self.give_up(entry, disturbance)
    }

    /// Not answered.
    fn give_up(&self, entry: Entry, disturbance: Option<Disturbance>) -> Act {
        self.store.note(entry);
        Act { disturbance, ..Act::nothing() }
    }

    fn say(&self, mut entry: Entry, status: u16, body: &Value, retry_after: Option<u64>) -> Act {
        entry.status = Some(status);
        entry.reason = Some(body["reason"].as_str().unwrap_or("Scripted").to_owned());
        self.store.note(entry);
        let mut response = json(StatusCode::from_u16(status).expect("a script's status was checked"), body);
        response.headers.extend(retry_after.map(|seconds| ("retry-after", seconds.to_string())));
        if (300..400).contains(&status) {
            // Whoever goes there is in the journal, as a push to an endpoint that is none.
            response.headers.push(("location", format!("{}/push/elsewhere", self.origin)));
        }
        Act::respond(response)
    }
}

impl Refused {
    fn response(&self) -> Response {
        json(self.status, &json!({"reason": self.reason, "detail": self.detail}))
    }
}

fn json(status: StatusCode, body: &Value) -> Response {
    let headers = vec![("content-type", "application/json".to_owned())];
    Response { status: status.as_u16(), headers, body: body.to_string().into_bytes() }
}

fn empty(status: StatusCode) -> Response {
    Response { status: status.as_u16(), headers: Vec::new(), body: Vec::new() }
}

/// A request's headers, without those that HTTP has no form for.
fn headers(request: &Request) -> HeaderMap {
    let pairs = request.fields.iter().filter_map(|field| {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(&field.value).ok()?))
    });
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name, value);
    }
    headers
}

fn entry(headers: &HeaderMap, bytes: usize) -> Entry {
    let shown = headers.iter().filter(|(name, _)| *name != header::AUTHORIZATION);
    let shown = shown.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    Entry {
        number: 0,
        at: Timestamp::from_micros(0),
        subscription: None,
        status: None,
        reason: None,
        fault: None,
        headers: shown.collect::<BTreeMap<_, _>>(),
        vapid: None,
        bytes,
        title: None,
    }
}
