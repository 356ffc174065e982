//! What Google's answers mean.
//!
//! **Invariants**
//! - An installation is dead only when FCM itself says so of it (`FcmError`): what our payload, our account or a wrong project is refused
//!   for never ends a registration; and what may be either's fault only as far as [`Credit`](crate::push::credit::Credit) goes.
//! - Of a body nothing is repeated but a word: it may quote the identifier.

use std::time::Duration;

use reqwest::header::HeaderMap;
use serde::Deserialize;

use crate::clock::Timestamp;
use crate::push::Outcome;
use crate::push::answer::retry_after;

/// How long to wait at 429 when nothing says more.
const PATIENCE: Duration = Duration::from_mins(1);

const FCM_ERROR: &str = "type.googleapis.com/google.firebase.fcm.v1.FcmError";
const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";
const QUOTA_FAILURE: &str = "type.googleapis.com/google.rpc.QuotaFailure";

/// What an answer means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The access token is not accepted.
    NotSignedIn,
    /// This, whatever else was answered.
    Plain(Outcome),
    /// The installation is none of ours, unless it is we who are mistaken about who we are: then that is said here.
    Doubtful(String),
    /// Too many messages for so long, to that phone or in all.
    TooMany(Duration),
}

/// Whose limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Phones,
    Projects,
}

/// An answer of FCM.
pub(super) struct Reply<'a> {
    pub(super) status: u16,
    pub(super) headers: &'a HeaderMap,
    /// The beginning of the body.
    pub(super) body: &'a [u8],
}

#[derive(Deserialize)]
struct Accepted {
    name: String,
}

#[derive(Deserialize)]
struct Envelope {
    error: Problem,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    status: String,
    details: Vec<Detail>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Detail {
    #[serde(rename = "@type")]
    kind: String,
    #[serde(rename = "errorCode")]
    error_code: Option<String>,
    /// Of a `BadRequest`.
    #[serde(rename = "fieldViolations")]
    violations: Vec<Violation>,
    /// Of a `QuotaFailure`.
    #[serde(rename = "violations")]
    exceeded: Vec<Exceeded>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Exceeded {
    subject: String,
    description: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Violation {
    field: String,
}

impl Problem {
    /// What FCM says of the registration, as opposed to what Google says of the request.
    fn error_code(&self) -> Option<&str> {
        self.details.iter().find(|detail| detail.kind == FCM_ERROR)?.error_code.as_deref()
    }

    /// Whose limit was reached, where it is said. What Google itself answers, and not FCM, is never about a phone.
    fn exceeds(&self, code: Option<&str>) -> Option<Whose> {
        if code.is_none() {
            return Some(Whose::Projects);
        }
        let failures = self.details.iter().filter(|detail| detail.kind == QUOTA_FAILURE).flat_map(|detail| &detail.exceeded);
        let said: String = failures.flat_map(|failure| [&*failure.subject, " ", &*failure.description, " "]).collect();
        let said = said.to_ascii_lowercase();
        let names = |words: &[&str]| words.iter().any(|word| said.contains(word));
        match () {
            () if names(&["device", "token", "registration"]) => Some(Whose::Phones),
            () if names(&["project"]) => Some(Whose::Projects),
            () => None,
        }
    }

    /// Whether it is the identifier that is malformed, and nothing else of the request.
    fn blames_the_identifier(&self) -> bool {
        let violations = self.details.iter().filter(|detail| detail.kind == BAD_REQUEST).flat_map(|detail| &detail.violations);
        let mut others = violations.filter(|violation| !["message.token", "message.fid"].contains(&violation.field.as_str()));
        let alone = !self.details.iter().any(|detail| detail.kind == BAD_REQUEST && detail.violations.is_empty());
        self.error_code() == Some("INVALID_ARGUMENT") && alone && others.next().is_none()
    }
}

impl Reply<'_> {
    /// What became of the message, as of `now`.
    pub(super) fn meaning(&self, now: Timestamp) -> Meaning {
        let problem = match self.status {
            200 => return Meaning::Plain(Outcome::Accepted { id: self.message_id() }),
            _ => serde_json::from_slice(self.body).map(|envelope: Envelope| envelope.error).unwrap_or_default(),
        };
        let code = problem.error_code();
        Meaning::Plain(match (self.status, code) {
            (400, _) if problem.blames_the_identifier() => {
                let why = "and took nothing from us so far: are these registrations of this Firebase project?";
                return Meaning::Doubtful(format!("{}, {why}", self.says(&problem)));
            }
            (401, Some("THIRD_PARTY_AUTH_ERROR")) => Outcome::Misconfigured(format!(
                "{}: the Firebase project has no credentials for the platform behind it",
                self.says(&problem)
            )),
            (401, _) => return Meaning::NotSignedIn,
            (403, Some("SENDER_ID_MISMATCH")) => {
                let why = "and took nothing from us so far: is fcm.service_account_file of the app's Firebase project?";
                return Meaning::Doubtful(format!("{}, {why}", self.says(&problem)));
            }
            (404, Some("UNREGISTERED")) => Outcome::Gone { since: None },
            (403, _) => {
                Outcome::Misconfigured(format!("{}: may the service account send for this project?", self.says(&problem)))
            }
            (404, _) => Outcome::Misconfigured(format!("{}: look at the project and at fcm.endpoint", self.says(&problem))),
            (429, code) => {
                let wait = retry_after(self.headers, now).unwrap_or(PATIENCE);
                match problem.exceeds(code) {
                    Some(Whose::Phones) => Outcome::RetryAfter(wait),
                    Some(Whose::Projects) => Outcome::Throttled(wait),
                    None => return Meaning::TooMany(wait),
                }
            }
            (408 | 500..=599, _) => match retry_after(self.headers, now) {
                Some(wait) => Outcome::RetryAfter(wait),
                None => Outcome::Retryable(self.says(&problem)),
            },
            (300..=399, _) => Outcome::Misconfigured(format!("{}: look at fcm.endpoint", self.says(&problem))),
            _ => Outcome::Refused(self.says(&problem)),
        })
    }

    /// The last part of `projects/{project}/messages/{id}`.
    fn message_id(&self) -> Option<String> {
        let accepted: Accepted = serde_json::from_slice(self.body).ok()?;
        let id = accepted.name.rsplit('/').next()?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":%_-".contains(&byte);
        ((1..=100).contains(&id.len()) && id.bytes().all(plain)).then(|| id.to_owned())
    }

    /// `FCM answered 400 (INVALID_ARGUMENT)`.
    fn says(&self, problem: &Problem) -> String {
        let word =
            |word: &&str| (1..=40).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        let reason = problem.error_code().filter(word).or(Some(problem.status.as_str()).filter(word));
        let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        format!("FCM answered {}{reason}", self.status)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_seconds(1_800_000_000)
    }

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Meaning {
        let headers: HeaderMap = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Reply { status, headers: &headers, body: body.as_bytes() }.meaning(now())
    }

    fn envelope(status: u16, word: &str, details: &Value) -> String {
        json!({"error": {"code": status, "message": "abc:secret is not good", "status": word, "details": details}}).to_string()
    }

    fn fcm(code: &str) -> Value {
        json!({"@type": FCM_ERROR, "errorCode": code})
    }

    fn bad_request(field: &str) -> Value {
        json!({"@type": BAD_REQUEST, "fieldViolations": [{"field": field, "description": "abc:secret"}]})
    }

    fn exceeded(subject: &str) -> Value {
        json!({"@type": QUOTA_FAILURE, "violations": [{"subject": subject, "description": "Quota exceeded."}]})
    }

    #[test]
    fn every_answer_has_its_meaning() {
        let quota = || fcm("QUOTA_EXCEEDED");
        for (status, word, details, headers, expected) in [
            (400, "INVALID_ARGUMENT", json!([fcm("INVALID_ARGUMENT")]), &[][..], "Doubtful"),
            (400, "INVALID_ARGUMENT", json!([fcm("INVALID_ARGUMENT"), bad_request("message.token")]), &[], "Doubtful"),
            (400, "INVALID_ARGUMENT", json!([bad_request("message.data[0].value")]), &[], "Plain(Refused"),
            (400, "INVALID_ARGUMENT", json!([bad_request("message.token")]), &[], "Plain(Refused"),
            (400, "INVALID_ARGUMENT", json!([fcm("INVALID_ARGUMENT"), bad_request("message.android.ttl")]), &[], "Plain(Refused"),
            (400, "INVALID_ARGUMENT", json!([]), &[], "Plain(Refused"),
            (401, "UNAUTHENTICATED", json!([fcm("THIRD_PARTY_AUTH_ERROR")]), &[], "Plain(Misconfigured"),
            (401, "UNAUTHENTICATED", json!([]), &[], "NotSignedIn"),
            (403, "PERMISSION_DENIED", json!([fcm("SENDER_ID_MISMATCH")]), &[], "Doubtful"),
            (403, "PERMISSION_DENIED", json!([]), &[], "Plain(Misconfigured"),
            (404, "NOT_FOUND", json!([fcm("UNREGISTERED")]), &[], "Plain(Gone { since: None"),
            (404, "NOT_FOUND", json!([]), &[], "Plain(Misconfigured"),
            (429, "RESOURCE_EXHAUSTED", json!([quota()]), &[], "TooMany(60s)"),
            (429, "RESOURCE_EXHAUSTED", json!([quota()]), &[("retry-after", "17")], "TooMany(17s)"),
            (429, "RESOURCE_EXHAUSTED", json!([quota(), exceeded("Device message rate")]), &[], "Plain(RetryAfter(60s"),
            (429, "RESOURCE_EXHAUSTED", json!([quota(), exceeded("project:1")]), &[("retry-after", "17")], "Plain(Throttled(17s"),
            (429, "RESOURCE_EXHAUSTED", json!([quota(), exceeded("Message rate")]), &[], "TooMany(60s)"),
            (429, "RESOURCE_EXHAUSTED", json!([]), &[], "Plain(Throttled(60s"),
            (500, "INTERNAL", json!([fcm("INTERNAL")]), &[], "Plain(Retryable"),
            (503, "UNAVAILABLE", json!([fcm("UNAVAILABLE")]), &[], "Plain(Retryable"),
            (503, "UNAVAILABLE", json!([fcm("UNAVAILABLE")]), &[("retry-after", "5")], "Plain(RetryAfter(5s"),
            (413, "", json!([]), &[], "Plain(Refused"),
            (302, "", json!([]), &[], "Plain(Misconfigured"),
        ] {
            let body = envelope(status, word, &details);
            let text = format!("{:?}", answer(status, headers, &body));
            assert!(text.starts_with(expected), "{body}: {text}");
            let has_text = ["Doubtful", "Refused", "Misconfigured", "Retryable"].iter().any(|kind| text.contains(kind));
            assert!(!text.contains("secret") && has_text == text.contains(&format!("answered {status}")), "{body}: {text}");
        }
        assert_eq!(answer(401, &[], "<html>"), Meaning::NotSignedIn);
        // Some gateway's page says nothing of a registration.
        for status in [400, 403, 404, 410] {
            let text = format!("{:?}", answer(status, &[], "<html>UNREGISTERED</html>"));
            assert!(!text.contains("Gone") && !text.contains("Doubtful") && !text.contains("html"), "{text}");
        }
    }

    #[test]
    fn an_id_is_a_word() {
        let accepted = |body: &str| answer(200, &[], body);
        let id = |id: Option<&str>| Meaning::Plain(Outcome::Accepted { id: id.map(str::to_owned) });
        assert_eq!(
            accepted(r#"{"name":"projects/p/messages/0:1500415314455276%31bd1c9631bd1c96"}"#),
            id(Some("0:1500415314455276%31bd1c9631bd1c96"))
        );
        assert_eq!(accepted(r#"{"name":"projects/p/messages/"}"#), id(None));
        assert_eq!(accepted("{}"), id(None));
    }
}
