//! What a push service's answer means (RFC 8030, RFC 8292, and what services are seen to do).
//!
//! **Invariants**
//! - The status decides. The body only tells the reasons for a 400, 401 or 403 apart.
//! - A subscription that was made with another VAPID key is dead, unless the other key is ours now: that is believed only as far as
//!   [`Credit`] goes.
//! - Of a body nothing is repeated but a short word or number: it is a stranger's text and may quote the endpoint.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use crate::clock::Timestamp;
use crate::push::Outcome;
use crate::push::answer::retry_after;
use crate::push::credit::Credit;

/// How long to wait when a service asks for patience without saying how much.
const PATIENCE: Duration = Duration::from_mins(1);

/// How services say that a subscription was made with another VAPID key: Apple's and FCM's reason, FCM's two sentences
/// (`do not`, `does not correspond to`), Mozilla's message.
const OTHER_KEY: [&str; 4] =
    ["vapidpkhashmismatch", "unauthorizedregistration", "not correspond to", "vapid public key mismatch"];

/// How a 400 says that it is about our identity and not about the message: Apple's `BadJwtToken`, Mozilla's errno 109, and words.
const ABOUT_VAPID: [&str; 4] = ["jwt", "vapid", "authorization", "\"errno\":109"];

/// A push service's answer.
#[derive(Clone, Copy)]
pub(super) struct Reply<'a> {
    /// Who answered: the origin, which is not secret.
    pub(super) origin: &'a str,
    pub(super) status: StatusCode,
    pub(super) headers: &'a HeaderMap,
    /// The beginning of the body.
    pub(super) body: &'a [u8],
}

impl Reply<'_> {
    /// What became of the message, as of `now`.
    pub(super) fn outcome(&self, credit: &Credit, now: Timestamp) -> Outcome {
        match self.status.as_u16() {
            200..=299 => {
                credit.accepted();
                Outcome::Accepted { id: self.message_id() }
            }
            404 | 410 => Outcome::Gone { since: None },
            400 | 401 | 403 => self.rejection(credit),
            // 406 is how Windows' notification service says 429.
            406 | 429 => Outcome::RetryAfter(retry_after(self.headers, now).unwrap_or(PATIENCE)),
            408 | 425 | 500..=599 => match retry_after(self.headers, now) {
                Some(wait) => Outcome::RetryAfter(wait),
                None => Outcome::Retryable(self.says()),
            },
            300..=399 => Outcome::Refused(format!("{}: redirects are not followed", self.says())),
            _ => Outcome::Refused(self.says()),
        }
    }

    fn rejection(&self, credit: &Credit) -> Outcome {
        let mut body = String::from_utf8_lossy(self.body).to_ascii_lowercase();
        if OTHER_KEY.iter().any(|sign| body.contains(sign)) {
            if credit.believes() {
                return Outcome::Gone { since: None };
            }
            return Outcome::Misconfigured(format!(
                "{}, and took nothing from us so far: is the VAPID key still the one that these subscriptions were made with?",
                self.says()
            ));
        }
        body.retain(|char| !char.is_ascii_whitespace());
        if self.status == StatusCode::BAD_REQUEST && !ABOUT_VAPID.iter().any(|sign| body.contains(sign)) {
            return Outcome::Refused(self.says());
        }
        Outcome::Misconfigured(format!(
            "{}; look at the VAPID key, at this machine's clock and at web_push.subject \
             (Apple takes no address at localhost or .invalid)",
            self.says()
        ))
    }

    /// Apple's `apns-id`. The `Location` of RFC 8030 is not repeated: it is a capability to delete the message.
    fn message_id(&self) -> Option<String> {
        let id = self.headers.get("apns-id")?.to_str().ok()?;
        let plain = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
        (id.len() == 36 && id.bytes().all(plain)).then(|| id.to_owned())
    }

    /// `https://push.example.com answered 400 (BadWebPushTopic)`.
    fn says(&self) -> String {
        let reason = self.reason().map(|reason| format!(" ({reason})"));
        format!("{} answered {}{}", self.origin, self.status.as_u16(), reason.unwrap_or_default())
    }

    /// Apple's `reason` or Mozilla's `errno`.
    fn reason(&self) -> Option<String> {
        let json: serde_json::Value = serde_json::from_slice(self.body).ok()?;
        if let Some(errno) = json.get("errno").and_then(serde_json::Value::as_u64) {
            return Some(format!("errno {errno}"));
        }
        let reason = json.get("reason")?.as_str()?;
        let word = reason.len() <= 40 && reason.bytes().all(|byte| byte.is_ascii_alphabetic());
        word.then(|| reason.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    fn outcome(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Outcome {
        let headers: HeaderMap = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Reply {
            origin: "https://push.example.com",
            status: StatusCode::from_u16(status).unwrap(),
            headers: &headers,
            body: body.as_bytes(),
        }
        .outcome(&Credit::default(), now())
    }

    fn wait(seconds: u64) -> Outcome {
        Outcome::RetryAfter(Duration::from_secs(seconds))
    }

    #[test]
    fn a_stale_key_is_the_subscriptions_end_and_a_bad_token_the_routes() {
        let gone = Outcome::Gone { since: None };
        for (status, body) in [
            (400, r#"{"reason":"VapidPkHashMismatch"}"#),
            (403, r#"{"reason":"VapidPkHashMismatch"}"#),
            (
                403,
                "the VAPID credentials in the authorization header do not correspond to the credentials \
                 used to create the subscriptions.\n",
            ),
            (400, "<TITLE>UnauthorizedRegistration</TITLE>"),
            (401, r#"{"code":401,"errno":109,"error":"Unauthorized","message":"VAPID public key mismatch"}"#),
        ] {
            let said = Reply {
                origin: "https://push.example.com",
                status: StatusCode::from_u16(status).unwrap(),
                headers: &HeaderMap::new(),
                body: body.as_bytes(),
            };
            let credit = Credit::default();
            let ours = said.outcome(&credit, now());
            assert!(matches!(&ours, Outcome::Misconfigured(why) if why.contains("VAPID key")), "{status} {body}: {ours:?}");
            Reply { status: StatusCode::CREATED, ..said }.outcome(&credit, now());
            assert_eq!(said.outcome(&credit, now()), gone, "{status} {body}");
        }
        for (status, body) in [
            (403, r#"{"reason":"BadJwtToken"}"#),
            (400, r#"{"reason": "BadJwtToken"}"#),
            (400, r#"{"code": 400, "errno": 109, "error": "Bad Request"}"#),
            (400, "missing Authorization header"),
            (401, ""),
            (403, "no"),
        ] {
            let outcome = outcome(status, &[], body);
            assert!(matches!(outcome, Outcome::Misconfigured(_)), "{status} {body}: {outcome:?}");
        }
    }

    #[test]
    fn a_reason_is_repeated_only_when_it_is_a_word_or_a_number() {
        let refused = |body| outcome(400, &[], body);
        let says = |reason: &str| Outcome::Refused(format!("https://push.example.com answered 400{reason}"));
        assert_eq!(refused(r#"{"reason":"BadWebPushTopic"}"#), says(" (BadWebPushTopic)"));
        assert_eq!(refused(r#"{"errno":111,"message":"x"}"#), says(" (errno 111)"));
        assert_eq!(refused(r#"{"reason":"https://push.example.com/secret"}"#), says(""));
        assert_eq!(refused("{\"reason\":\"a\\nb\"}"), says(""));
        assert_eq!(refused("\u{1b}[31m POST /secret failed"), says(""));
    }

    #[test]
    fn patience_is_read_as_seconds_or_date_and_kept_within_reason() {
        let after = |value| outcome(503, &[("retry-after", value)], "");
        assert_eq!(after("120"), wait(120));
        assert_eq!(after("Sun, 22 Nov 2026 12:05:00 GMT"), wait(300));
        assert_eq!(after("Sun, 22 Nov 2026 11:00:00 GMT"), wait(1));
        assert_eq!(after("0"), wait(1));
        assert_eq!(after("99999999999"), wait(86_400));
        let says = "https://push.example.com answered 503".to_owned();
        assert_eq!(after("soon"), Outcome::Retryable(says));
        assert_eq!(outcome(429, &[("retry-after", "7")], ""), wait(7));
        assert_eq!(outcome(429, &[], ""), wait(60));
        assert_eq!(outcome(406, &[], ""), wait(60));
    }

    #[test]
    fn an_id_is_apples_and_never_a_capability() {
        let id = "0c8d3f4e-93a6-4b0e-a6a1-5d6f2f3c9d10";
        let accepted = |id: Option<&str>| Outcome::Accepted { id: id.map(str::to_owned) };
        assert_eq!(outcome(201, &[("apns-id", id)], ""), accepted(Some(id)));
        let location = ("location", "https://push.example.com/m/secret");
        assert_eq!(outcome(201, &[location], ""), accepted(None));
        assert_eq!(outcome(201, &[("apns-id", "../../etc")], ""), accepted(None));
    }
}
