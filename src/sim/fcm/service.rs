//! What becomes of a request, from its connection's fault to its answer.
//!
//! **Invariants**
//! - A fault scripted for an installation is met, and used up, only by a message that is in order.
//! - What is answered 200 was delivered, or kept for a phone that it does not reach; but for what a script loses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::check::{self, Message, Target};
use super::error::{FcmError, Refused};
use super::fault::{Fault, TokenFault};
use super::oauth::Denied;
use super::store::{Entry, Store};
use crate::secret::random;
use crate::sim::gate::{GoAway, Host, Link, Meeting};
use crate::sim::http2::{self, Disturbance, ErrorCode, Excess, Request, Response, Service};

type Act = http2::Act<Link>;

/// What a list of headers may measure, in bytes.
const HEADER_LIST: u32 = 65_536;

#[derive(Clone)]
pub(super) struct Google {
    pub(super) store: Arc<Store>,
    pub(super) project: Arc<str>,
    pub(super) streams: u32,
    /// Microseconds before a request is looked at.
    pub(super) latency: Arc<AtomicU64>,
}

impl Host for Google {
    const HTTP1: bool = true;

    fn greet(&self, link: Link) -> Link {
        link
    }
}

impl Service for Google {
    type Session = Link;

    fn settings(&self, _: &Link) -> http2::Settings {
        let excess = Excess::GoAway("exceeded_max_concurrent_streams");
        http2::Settings { streams: self.streams, header_list: HEADER_LIST, excess }
    }

    fn receive(&self, link: &mut Link, request: Request) -> Act {
        let latency = Duration::from_micros(self.latency.load(Ordering::Relaxed)) + link.latency();
        if latency.is_zero() {
            return self.meet(link, request);
        }
        let this = self.clone();
        Act::after(latency, move |link| this.meet(link, request))
    }

    fn refused(&self, link: &mut Link, _: u32) {
        link.refused();
    }

    fn pinged(&self, link: &mut Link) {
        link.pinged();
    }
}

/// A request, and what becomes of it.
struct Case {
    request: Request,
    fault: Option<Fault>,
}

fn json_response(status: u16, body: &Value) -> Response {
    let headers = vec![("content-type", "application/json; charset=UTF-8".to_owned())];
    Response { status, headers, body: body.to_string().into_bytes() }
}

fn text_response(status: u16, body: String) -> Response {
    Response { status, headers: vec![("content-type", "text/plain; charset=UTF-8".to_owned())], body: body.into_bytes() }
}

impl Google {
    /// What the connection's fault leaves of a request.
    fn meet(&self, link: &mut Link, request: Request) -> Act {
        let meeting = link.meet(request.stream);
        let case = Case { request, fault: None };
        match meeting {
            Meeting::Undisturbed => self.answer(link, case),
            Meeting::And(disturbance) => self.answer(link, case).and(disturbance),
            Meeting::Unanswered(disturbance) => {
                drop(self.answer(link, case));
                Act::nothing().and(disturbance)
            }
            Meeting::Lost(disturbance) => self.give_up(link, case, Act { disturbance, ..Act::nothing() }),
        }
    }

    fn answer(&self, link: &Link, case: Case) -> Act {
        let path = Arc::clone(&case.request.path);
        let project = path.strip_prefix("/v1/projects/").and_then(|rest| rest.strip_suffix("/messages:send"));
        match (&*case.request.method, &*path, project) {
            ("POST", "/token", _) => self.token(link, case),
            ("POST", _, Some(project)) => self.send(link, case, project),
            _ => {
                let answer = text_response(404, "The requested URL was not found on this server.".to_owned());
                self.say(link, case, answer, Some("NOT_FOUND".to_owned()))
            }
        }
    }

    fn token(&self, link: &Link, case: Case) -> Act {
        let now = self.store.clock.now();
        let (granted, fault) = {
            let mut state = self.store.state();
            let granted = state.accounts.grant(&case.request, now);
            let fault = if granted.is_ok() { state.token_faults.next() } else { None };
            (granted, fault)
        };
        let answer = match granted {
            Ok((token, life)) => {
                let body = json!({"access_token": token, "expires_in": life.saturating_sub(1), "token_type": "Bearer"});
                (json_response(200, &body), None)
            }
            Err(Denied(error, description)) => denied(error, description),
        };
        match fault {
            None => self.say(link, case, answer.0, answer.1),
            Some(TokenFault::Refuse { error }) => {
                let (answer, reason) = denied(&error, "Scripted.");
                self.say(link, case, answer, reason)
            }
            Some(TokenFault::Answer { status, body }) => {
                self.say(link, case, text_response(status, body), Some("Scripted".to_owned()))
            }
            Some(TokenFault::Hang) => self.give_up(link, case, Act::nothing()),
            Some(TokenFault::Reset) => self.give_up(link, case, Act::nothing().and(Disturbance::Reset)),
            Some(TokenFault::Latency { ms }) => {
                let this = self.clone();
                Act::after(Duration::from_millis(ms), move |link| this.say(link, case, answer.0, answer.1))
            }
        }
    }

    fn send(&self, link: &Link, mut case: Case, project: &str) -> Act {
        match self.check(&case.request, project) {
            Err(refused) => self.refuse(link, case, refused),
            Ok(message) if message.validate_only => self.accepted(link, case, "fake_message_id"),
            Ok(message) => {
                let fault = self.store.of(&message.target, |device, _| device.faults.next()).ok().flatten();
                case.fault.clone_from(&fault);
                self.act(link, case, &message, fault.unwrap_or(Fault::Accept))
            }
        }
    }

    /// All that can be wrong with a message, in the order in which it is told.
    fn check(&self, request: &Request, project: &str) -> Result<Message, Refused> {
        let now = self.store.clock.now();
        let authorization = request.header("authorization").map(|header| &**header);
        let mut state = self.store.state();
        if !state.accounts.admit(authorization, now) {
            return Err(Refused::credentials(401, "Request had invalid authentication credentials."));
        }
        if project != &*self.project {
            return Err(Refused::credentials(403, "Permission 'cloudmessaging.messages.create' denied on resource."));
        }
        if let Some(wait) = state.count(now) {
            return Err(Refused { retry_after: Some(wait), ..Refused::fcm(FcmError::QuotaExceeded, "Quota exceeded.") });
        }
        drop(state);
        let message = check::message(&request.body)?;
        let checked = self.store.of(&message.target, |device, now| {
            if device.gone {
                return Err(unregistered());
            }
            if device.foreign {
                return Err(Refused::fcm(FcmError::SenderIdMismatch, "SenderId mismatch"));
            }
            match device.count(now) {
                Some(wait) => {
                    let refused = Refused::fcm(FcmError::QuotaExceeded, "Too many messages to one device.");
                    Err(Refused { retry_after: Some(wait), ..refused })
                }
                None => Ok(()),
            }
        });
        checked.unwrap_or_else(|_| Err(unknown(&message.target)))?;
        Ok(message)
    }

    /// Does with a message that was in order what the next fault says.
    fn act(&self, link: &Link, case: Case, message: &Message, fault: Fault) -> Act {
        match fault {
            Fault::Accept => self.accept(link, case, message, 1),
            Fault::Twice => self.accept(link, case, message, 2),
            Fault::Lose => self.accept(link, case, message, 0),
            Fault::Latency { ms } => {
                let (this, message) = (self.clone(), message.clone());
                Act::after(Duration::from_millis(ms), move |link| this.accept(link, case, &message, 1))
            }
            Fault::Refuse { error, retry_after } => {
                self.refuse(link, case, Refused { retry_after, ..Refused::fcm(error, "Scripted.") })
            }
            Fault::Violation { field } => self.refuse(link, case, Refused::field(&field, "Scripted.")),
            Fault::Unauthenticated => self.refuse(link, case, Refused::credentials(401, "Scripted.")),
            Fault::Answer { status, body } => self.say(link, case, text_response(status, body), Some("Scripted".to_owned())),
            Fault::DeliverAndHang => self.leave(link, case, message, None),
            Fault::DeliverAndReset => self.leave(link, case, message, Some(Disturbance::Reset)),
            Fault::Hang => self.give_up(link, case, Act::nothing()),
            Fault::Reset => self.give_up(link, case, Act::nothing().and(Disturbance::Reset)),
            Fault::Silence => self.give_up(link, case, Act::nothing().and(Disturbance::Silence)),
            Fault::RefuseStream => self.give_up(link, case, Act::reset(ErrorCode::RefusedStream)),
            Fault::GoAway { reason, which } => self.go_away(link, case, message, which, &reason),
        }
    }

    fn go_away(&self, link: &Link, case: Case, message: &Message, which: GoAway, reason: &str) -> Act {
        match which.meet(case.request.stream, reason, self.store.clock.now()) {
            Meeting::And(disturbance) => self.accept(link, case, message, 1).and(disturbance),
            Meeting::Unanswered(disturbance) => self.leave(link, case, message, Some(disturbance)),
            Meeting::Lost(disturbance) => self.give_up(link, case, Act { disturbance, ..Act::nothing() }),
            Meeting::Undisturbed => self.accept(link, case, message, 1),
        }
    }

    fn accept(&self, link: &Link, case: Case, message: &Message, copies: u32) -> Act {
        let id = self.deliver(message, copies);
        self.accepted(link, case, &id)
    }

    fn accepted(&self, link: &Link, case: Case, id: &str) -> Act {
        let name = format!("projects/{}/messages/{id}", self.project);
        self.say(link, case, json_response(200, &json!({"name": name})), None)
    }

    /// Gives the message's id.
    fn deliver(&self, message: &Message, copies: u32) -> String {
        let id = format!("0:{:x}", u128::from_be_bytes(random()));
        if self.store.of(&message.target, |device, now| device.deliver(message, &id, copies, now)).is_err() {
            tracing::debug!("an installation was removed while a message was on its way to it");
        }
        id
    }

    /// Delivered, but not answered.
    fn leave(&self, link: &Link, case: Case, message: &Message, disturbance: Option<Disturbance>) -> Act {
        self.deliver(message, 1);
        self.give_up(link, case, Act { disturbance, ..Act::nothing() })
    }

    /// Not answered.
    fn give_up(&self, link: &Link, case: Case, act: Act) -> Act {
        self.note(link, case, None, None);
        act
    }

    fn refuse(&self, link: &Link, case: Case, refused: Refused) -> Act {
        let mut answer = json_response(refused.status, &refused.body);
        answer.headers.extend(refused.retry_after.map(|seconds| ("retry-after", seconds.to_string())));
        self.say(link, case, answer, Some(refused.reason))
    }

    fn say(&self, link: &Link, case: Case, answer: Response, reason: Option<String>) -> Act {
        self.note(link, case, Some(answer.status), reason);
        Act::respond(answer)
    }

    fn note(&self, link: &Link, case: Case, status: Option<u16>, reason: Option<String>) {
        let at = self.store.clock.now();
        let Case { request, fault } = case;
        let shown = request.fields.iter().filter(|field| &*field.name != "authorization");
        let is_assertion = &*request.path == "/token";
        self.store.state().journal.note(|number| Entry {
            number,
            at,
            connection: link.number,
            stream: request.stream,
            path: request.path.to_string(),
            status,
            reason,
            fault,
            headers: shown.map(|field| (field.name.to_string(), field.value.to_string())).collect(),
            body: if is_assertion { String::new() } else { String::from_utf8_lossy(&request.body).into_owned() },
        });
        self.store.noted.notify_waiters();
    }
}

fn denied(error: &str, description: &str) -> (Response, Option<String>) {
    let body = json!({"error": error, "error_description": description});
    (json_response(400, &body), Some(error.to_owned()))
}

fn unregistered() -> Refused {
    Refused::fcm(FcmError::Unregistered, "Requested entity was not found.")
}

/// A registration that nobody here has: malformed, or of an app that was removed long ago.
fn unknown(target: &Target) -> Refused {
    let plausible = |id: &str| id.len() >= 8 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":_-".contains(&byte));
    match target {
        Target::Token(id) | Target::Fid(id) if plausible(id) => unregistered(),
        Target::Token(_) | Target::Fid(_) => {
            Refused::fcm(FcmError::InvalidArgument, "The registration token is not a valid FCM registration token")
        }
    }
}
