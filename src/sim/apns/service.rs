//! What becomes of a request, from its connection's fault to its answer.
//!
//! **Invariants**
//! - A fault scripted for a device token is met, and used up, only by a notification that is in order.
//! - What is answered 200 was delivered, or kept for a device that is away; but for what a script loses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;

use super::check::{self, Notification};
use super::fault::Fault;
use super::provider_token::{Environment, SeenToken, Sender};
use super::reason::Reason;
use super::store::{Entry, Store, headers};
use crate::clock::Timestamp;
use crate::sim::gate::{GoAway, Host, Link, Meeting};
use crate::sim::http2::{self, Disturbance, ErrorCode, Excess, Request, Response, Service};

type Act = http2::Act<Session>;

/// Apple's limit of the size of a list of headers, in bytes.
const HEADER_LIST: u32 = 8_000;

/// How the service behaves towards all connections.
pub(super) struct Behaviour {
    /// Streams before the first valid provider token.
    pub(super) first_streams: u32,
    /// Streams after it.
    pub(super) streams: u32,
    pub(super) environment: Environment,
    /// A rejection takes the limit down to 1 until something is accepted.
    pub(super) streams_drop: AtomicBool,
    /// Microseconds before a request is looked at.
    pub(super) latency: AtomicU64,
}

#[derive(Clone)]
pub(super) struct Apple {
    pub(super) store: Arc<Store>,
    pub(super) behaviour: Arc<Behaviour>,
}

/// What is known of a connection.
pub(super) struct Session {
    link: Link,
    sender: Sender,
    /// The limit that the client was told last.
    streams: u32,
    /// Whether the limit is beyond its beginnings.
    opened: bool,
}

impl Host for Apple {
    fn greet(&self, link: Link) -> Session {
        Session { link, sender: Sender::default(), streams: self.behaviour.first_streams, opened: false }
    }
}

impl Service for Apple {
    type Session = Session;

    fn settings(&self, _: &Session) -> http2::Settings {
        http2::Settings { streams: self.behaviour.first_streams, header_list: HEADER_LIST, excess: Excess::Refuse }
    }

    fn receive(&self, session: &mut Session, request: Request) -> Act {
        let latency = Duration::from_micros(self.behaviour.latency.load(Ordering::Relaxed)) + session.link.latency();
        if latency.is_zero() {
            return self.meet(session, request);
        }
        let this = self.clone();
        Act::after(latency, move |session| this.meet(session, request))
    }

    fn refused(&self, session: &mut Session, _: u32) {
        session.link.refused();
    }

    fn pinged(&self, session: &mut Session) {
        session.link.pinged();
    }
}

/// A request, and what becomes of it.
struct Case {
    request: Request,
    /// By which the notification is known.
    id: String,
    token: Option<Arc<SeenToken>>,
    fault: Option<Fault>,
}

impl Case {
    fn new(request: Request) -> Self {
        let id = check::id(&request).unwrap_or_else(|_| check::new_id());
        Self { request, id, token: None, fault: None }
    }
}

/// An answer that is not 200.
struct Refused {
    status: u16,
    reason: String,
    /// Since when a token is dead.
    since: Option<Timestamp>,
    retry_after: Option<u64>,
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self { status: reason.status(), reason: reason.as_str().to_owned(), since: None, retry_after: None }
    }
}

impl Apple {
    /// What the connection's fault leaves of a request.
    fn meet(&self, session: &mut Session, request: Request) -> Act {
        let meeting = session.link.meet(request.stream);
        let case = Case::new(request);
        match meeting {
            Meeting::Undisturbed => self.answer(session, case),
            Meeting::And(disturbance) => self.answer(session, case).and(disturbance),
            Meeting::Unanswered(disturbance) => {
                drop(self.answer(session, case));
                Act::nothing().and(disturbance)
            }
            Meeting::Lost(disturbance) => self.give_up(session, case, Act { disturbance, ..Act::nothing() }),
        }
    }

    fn answer(&self, session: &mut Session, mut case: Case) -> Act {
        let mut act = match self.check(session, &mut case) {
            Err(refused) => self.refuse(session, case, &refused),
            Ok(notification) => self.act(session, case, notification),
        };
        // After the first valid provider token there is room for more streams.
        if act.streams.is_none() && session.sender.is_known() && !session.opened {
            act.streams = session.limit(self.behaviour.streams);
        }
        act
    }

    /// All that can be wrong with a request, in the order in which it is told.
    fn check(&self, session: &mut Session, case: &mut Case) -> Result<Notification, Refused> {
        let request = &case.request;
        check::address(request)?;
        let now = self.store.clock.now();
        let mut state = self.store.state();
        let token = state.keys.verify(request.header("authorization"), now)?;
        session.sender.admit(&token, now)?;
        case.token = Some(Arc::clone(&token));
        let notification = check::notification(request)?;
        let bundle = notification.push_type.bundle(&notification.topic).unwrap_or_default();
        if !state.keys.allows(&token, bundle) {
            return Err(Reason::TopicDisallowed.into());
        }
        let device = state.devices.get(&notification.device).ok_or(Reason::BadDeviceToken)?;
        if let Some(gone) = device.gone {
            return Err(Refused { since: Some(gone.at), ..gone.reason.into() });
        }
        if device.bundle != bundle {
            return Err(Reason::DeviceTokenNotForTopic.into());
        }
        Ok(notification)
    }

    /// Does with a notification that was in order what the next fault says.
    fn act(&self, session: &mut Session, mut case: Case, notification: Notification) -> Act {
        case.fault = self.store.device(&notification.device, |device, _| device.faults.next()).ok().flatten();
        let taken = |fault: &Fault| *fault != Fault::Accept;
        case.fault = case.fault.take().filter(taken);
        let Some(fault) = case.fault.clone() else {
            return self.accept(session, case, &notification, 1);
        };
        match fault {
            Fault::Accept => self.accept(session, case, &notification, 1),
            Fault::Twice => self.accept(session, case, &notification, 2),
            Fault::Lose => self.accept(session, case, &notification, 0),
            Fault::Starve { ms } => {
                self.accept(session, case, &notification, 1).and(Disturbance::Starve(Duration::from_millis(ms)))
            }
            Fault::Latency { ms } => {
                let this = self.clone();
                Act::after(Duration::from_millis(ms), move |session| this.accept(session, case, &notification, 1))
            }
            Fault::Refuse { reason, timestamp, retry_after } => {
                let since = timestamp.map(|ms| Timestamp::from_micros(ms.saturating_mul(1_000)));
                session.sender.spoil(reason);
                self.refuse(session, case, &Refused { since, retry_after, ..reason.into() })
            }
            Fault::Answer { status, reason } => {
                self.refuse(session, case, &Refused { status, reason, since: None, retry_after: None })
            }
            Fault::DeliverAndHang => self.leave(session, case, &notification, None),
            Fault::DeliverAndReset => self.leave(session, case, &notification, Some(Disturbance::Reset)),
            Fault::Hang => self.give_up(session, case, Act::nothing()),
            Fault::Reset => self.give_up(session, case, Act::nothing().and(Disturbance::Reset)),
            Fault::Silence => self.give_up(session, case, Act::nothing().and(Disturbance::Silence)),
            Fault::RefuseStream => self.give_up(session, case, Act::reset(ErrorCode::RefusedStream)),
            Fault::GoAway { reason, which } => self.go_away(session, case, &notification, which, &reason),
        }
    }

    fn go_away(&self, session: &mut Session, case: Case, notification: &Notification, which: GoAway, reason: &str) -> Act {
        match which.meet(case.request.stream, reason, self.store.clock.now()) {
            Meeting::And(disturbance) => self.accept(session, case, notification, 1).and(disturbance),
            Meeting::Unanswered(disturbance) => self.leave(session, case, notification, Some(disturbance)),
            Meeting::Lost(disturbance) => self.give_up(session, case, Act { disturbance, ..Act::nothing() }),
            Meeting::Undisturbed => self.accept(session, case, notification, 1),
        }
    }

    fn accept(&self, session: &mut Session, case: Case, notification: &Notification, copies: u32) -> Act {
        self.deliver(&case, notification, copies);
        let mut headers = vec![("apns-id", case.id.clone())];
        if self.behaviour.environment == Environment::Sandbox {
            headers.push(("apns-unique-id", check::new_id()));
        }
        self.note(session, case, Some(200), None);
        let mut act = Act::respond(Response { status: 200, headers, body: Vec::new() });
        act.streams = session.limit(self.behaviour.streams);
        act
    }

    fn deliver(&self, case: &Case, notification: &Notification, copies: u32) {
        let delivered =
            self.store.device(&notification.device, |device, now| device.deliver(notification, &case.id, copies, now));
        if delivered.is_err() {
            tracing::debug!("a device was removed while a notification was on its way to it");
        }
    }

    /// Delivered, but not answered.
    fn leave(&self, session: &Session, case: Case, notification: &Notification, disturbance: Option<Disturbance>) -> Act {
        self.deliver(&case, notification, 1);
        self.give_up(session, case, Act { disturbance, ..Act::nothing() })
    }

    /// Not answered.
    fn give_up(&self, session: &Session, case: Case, act: Act) -> Act {
        self.note(session, case, None, None);
        act
    }

    fn refuse(&self, session: &mut Session, case: Case, refused: &Refused) -> Act {
        let Refused { status, reason, since, retry_after } = refused;
        let mut body = json!({"reason": reason});
        if *status == 410 {
            let since = since.unwrap_or_else(|| self.store.clock.now());
            body["timestamp"] = (since.as_micros() / 1_000).into();
        }
        let mut headers = vec![("apns-id", case.id.clone()), ("content-type", "application/json".to_owned())];
        headers.extend(retry_after.map(|seconds| ("retry-after", seconds.to_string())));
        self.note(session, case, Some(*status), Some(reason.clone()));
        let mut act = Act::respond(Response { status: *status, headers, body: body.to_string().into_bytes() });
        if self.behaviour.streams_drop.load(Ordering::Relaxed) {
            act.streams = session.limit(1);
        }
        act
    }

    fn note(&self, session: &Session, case: Case, status: Option<u16>, reason: Option<String>) {
        let at = self.store.clock.now();
        let Case { request, id, token, fault } = case;
        self.store.state().journal.note(|number| Entry {
            number,
            at,
            connection: session.link.number,
            stream: request.stream,
            path: request.path.to_string(),
            status,
            reason,
            fault,
            apns_id: id,
            headers: headers(&request),
            token: token.map(|token| (*token).clone()),
            body: String::from_utf8_lossy(&request.body).into_owned(),
        });
        self.store.noted.notify_waiters();
    }
}

impl Session {
    /// Sets how many streams there may be, and gives what the client has to be told, if anything.
    fn limit(&mut self, streams: u32) -> Option<u32> {
        self.opened = true;
        let told = std::mem::replace(&mut self.streams, streams);
        (told != streams).then_some(streams)
    }
}
