//! What Apple's answers mean.
//!
//! **Invariants**
//! - The reason decides where it is known, else the status.
//! - Of a body nothing is repeated but a word.
//! - Only what Apple says of the device token ends a registration: a payload it does not take never does, and what may be the topic's or
//!   the endpoint's fault only as far as [`Credit`] goes.

use std::time::Duration;

use http::HeaderMap;

use crate::clock::Timestamp;
use crate::push::Outcome;
use crate::push::credit::Credit;

/// How long to wait when nothing says more.
const PATIENCE: Duration = Duration::from_mins(1);

/// What an answer that is no acceptance means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Apple took it.
    Accepted,
    /// A mistake of ours: no other try is better.
    Refused,
    /// The device token is dead.
    Gone,
    /// The device token is not one of this app in this environment, unless it is we who are mistaken about those.
    Doubtful,
    /// Apple does not accept us.
    Misconfigured,
    /// Apple is not well: later.
    Retryable,
    /// This phone is to be left alone for a while.
    BackOff,
    /// Nothing was done, and this connection is of no more use: another one.
    Elsewhere,
    /// Nothing was done for a token that Apple calls expired, and this connection is of no more use: another one with a newer token.
    NewToken,
}

use Meaning::{BackOff, Doubtful, Elsewhere, Gone, Misconfigured, NewToken, Refused, Retryable};

/// Every reason Apple documents for a push, and one that it spells in two ways.
const REASONS: [(&str, Meaning); 33] = [
    ("BadCollapseId", Refused),
    ("BadDeviceToken", Doubtful),
    ("BadExpirationDate", Refused),
    ("BadMessageId", Refused),
    ("BadPriority", Refused),
    ("BadTopic", Refused),
    ("DeviceTokenNotForTopic", Doubtful),
    ("DuplicateHeaders", Refused),
    ("IdleTimeout", Elsewhere),
    ("InvalidPushType", Refused),
    ("MissingDeviceToken", Refused),
    ("MissingTopic", Refused),
    ("PayloadEmpty", Refused),
    ("TopicDisallowed", Misconfigured),
    ("BadCertificate", Misconfigured),
    ("BadCertificateEnvironment", Misconfigured),
    ("BadEnvironmentKeyIdInToken", Misconfigured),
    ("BadEnvironmentKeyInToken", Misconfigured),
    ("ExpiredProviderToken", NewToken),
    ("Forbidden", Misconfigured),
    ("InvalidProviderToken", Misconfigured),
    ("MissingProviderToken", Misconfigured),
    ("UnrelatedKeyIdInToken", Elsewhere),
    ("BadPath", Refused),
    ("MethodNotAllowed", Refused),
    ("ExpiredToken", Gone),
    ("Unregistered", Gone),
    ("PayloadTooLarge", Refused),
    ("TooManyProviderTokenUpdates", Elsewhere),
    ("TooManyRequests", BackOff),
    ("InternalServerError", Retryable),
    ("ServiceUnavailable", Retryable),
    ("Shutdown", Elsewhere),
];

/// Apple's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    status: u16,
    /// `apns-id`.
    id: Option<String>,
    /// The word of the body.
    reason: Option<String>,
    /// Of a 410: when Apple found the device token dead.
    since: Option<Timestamp>,
}

impl Reply {
    pub(super) fn new(status: u16, headers: &HeaderMap, body: &[u8]) -> Self {
        let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let reason = json.get("reason").and_then(serde_json::Value::as_str).filter(|reason| is_word(reason));
        // Milliseconds.
        let since = json.get("timestamp").and_then(serde_json::Value::as_i64).and_then(|millis| millis.checked_mul(1_000));
        Self { status, id: id(headers), reason: reason.map(str::to_owned), since: since.map(Timestamp::from_micros) }
    }

    pub(super) fn meaning(&self) -> Meaning {
        let known = self.reason.as_deref().and_then(|reason| REASONS.iter().find(|(known, _)| *known == reason));
        match (known, self.status) {
            (_, 200..=299) => Meaning::Accepted,
            (Some((_, meaning)), _) => *meaning,
            (None, 401 | 403) => Misconfigured,
            (None, 410) => Doubtful,
            (None, 429) => BackOff,
            (None, 500..=599) => Retryable,
            (None, _) => Refused,
        }
    }

    /// What became of the message, once nothing more is tried.
    pub(super) fn outcome(&self, credit: &Credit) -> Outcome {
        match self.meaning() {
            Meaning::Accepted => {
                credit.accepted();
                Outcome::Accepted { id: self.id.clone() }
            }
            Gone => Outcome::Gone { since: self.since },
            Doubtful if credit.believes() => Outcome::Gone { since: self.since },
            Doubtful => Outcome::Misconfigured(format!(
                "{}, and took nothing from us so far: is apns.topic the app's, and apns.endpoint that of its environment?",
                self.says()
            )),
            Refused => Outcome::Refused(self.says()),
            Misconfigured | NewToken => {
                Outcome::Misconfigured(format!("{}; look at [apns] and at this machine's clock", self.says()))
            }
            Retryable | Elsewhere => Outcome::Retryable(self.says()),
            BackOff => Outcome::RetryAfter(PATIENCE),
        }
    }

    /// Whether Apple took the provider token, after which it lets a connection have more streams.
    pub(super) fn proves(&self) -> bool {
        matches!(self.status, 200 | 410)
    }

    /// Whether the connection is of no more use: it is poisoned, wedged, about to be closed, or bound to a key that Apple refuses.
    pub(super) fn condemns(&self) -> bool {
        self.status == 403 || matches!(self.meaning(), Elsewhere | NewToken | Misconfigured)
    }

    /// `APNs answered 400 (BadPriority)`.
    fn says(&self) -> String {
        let reason = self.reason.as_ref().map(|reason| format!(" ({reason})"));
        format!("APNs answered {}{}", self.status, reason.unwrap_or_default())
    }
}

/// A stranger's text may quote anything.
fn is_word(reason: &str) -> bool {
    reason.len() <= 40 && reason.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get("apns-id")?.to_str().ok()?;
    let plain = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    (id.len() == 36 && id.bytes().all(plain)).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply::new(status, &HeaderMap::new(), body.as_bytes())
    }

    fn because(status: u16, reason: &str) -> Reply {
        reply(status, &format!(r#"{{"reason":"{reason}"}}"#))
    }

    /// `reference/push-providers.md` §1.4, row by row.
    #[test]
    fn every_reason_means_what_the_table_says() {
        let rows: &[(u16, &[&str], Meaning)] = &[
            (
                400,
                &[
                    "BadCollapseId",
                    "BadExpirationDate",
                    "BadMessageId",
                    "BadPriority",
                    "BadTopic",
                    "DuplicateHeaders",
                    "InvalidPushType",
                    "MissingDeviceToken",
                    "MissingTopic",
                    "PayloadEmpty",
                ],
                Refused,
            ),
            (400, &["BadDeviceToken", "DeviceTokenNotForTopic"], Doubtful),
            (400, &["TopicDisallowed"], Misconfigured),
            (400, &["IdleTimeout"], Elsewhere),
            (
                403,
                &[
                    "BadCertificate",
                    "BadCertificateEnvironment",
                    "Forbidden",
                    "InvalidProviderToken",
                    "MissingProviderToken",
                    "BadEnvironmentKeyIdInToken",
                    "BadEnvironmentKeyInToken",
                ],
                Misconfigured,
            ),
            (403, &["ExpiredProviderToken"], NewToken),
            (403, &["UnrelatedKeyIdInToken"], Elsewhere),
            (404, &["BadPath"], Refused),
            (405, &["MethodNotAllowed"], Refused),
            (410, &["Unregistered", "ExpiredToken"], Gone),
            (413, &["PayloadTooLarge"], Refused),
            (429, &["TooManyRequests"], BackOff),
            (429, &["TooManyProviderTokenUpdates"], Elsewhere),
            (500, &["InternalServerError"], Retryable),
            (503, &["ServiceUnavailable"], Retryable),
            (503, &["Shutdown"], Elsewhere),
        ];
        let mut seen: Vec<&str> = Vec::new();
        for (status, reasons, meaning) in rows {
            for reason in *reasons {
                assert_eq!(because(*status, reason).meaning(), *meaning, "{status} {reason}");
                seen.push(reason);
            }
        }
        let untested: Vec<_> = REASONS.iter().map(|(reason, _)| *reason).filter(|reason| !seen.contains(reason)).collect();
        assert!(untested.is_empty(), "{untested:?}");
    }

    #[test]
    fn an_unknown_reason_means_what_its_status_means() {
        for (status, meaning) in [
            (200, Meaning::Accepted),
            (302, Refused),
            (400, Refused),
            (401, Misconfigured),
            (403, Misconfigured),
            (404, Refused),
            (410, Doubtful),
            (413, Refused),
            (429, BackOff),
            (500, Retryable),
            (502, Retryable),
            (503, Retryable),
        ] {
            for body in ["", r#"{"reason":"SomethingNew"}"#, "<html>"] {
                assert_eq!(reply(status, body).meaning(), meaning, "{status} {body}");
            }
        }
    }

    #[test]
    fn a_dead_token_is_dead_since_milliseconds_after_1970() {
        let gone = reply(410, r#"{"reason":"Unregistered","timestamp":1800000000123}"#).outcome(&Credit::default());
        assert_eq!(gone, Outcome::Gone { since: Some(Timestamp::from_micros(1_800_000_000_123_000)) });
        assert_eq!(because(410, "ExpiredToken").outcome(&Credit::default()), Outcome::Gone { since: None });
        let odd = reply(410, r#"{"reason":"Unregistered","timestamp":9223372036854775807}"#).outcome(&Credit::default());
        assert_eq!(odd, Outcome::Gone { since: None });
    }

    #[test]
    fn a_strange_token_is_dead_only_where_apple_takes_something_from_us() {
        for (status, body) in
            [(400, r#"{"reason":"BadDeviceToken"}"#), (400, r#"{"reason":"DeviceTokenNotForTopic"}"#), (410, "<html>")]
        {
            let (strange, credit) = (reply(status, body), Credit::default());
            let outcome = strange.outcome(&credit);
            assert!(matches!(&outcome, Outcome::Misconfigured(why) if why.contains("apns.topic")), "{body}: {outcome:?}");
            reply(200, "").outcome(&credit);
            assert_eq!(strange.outcome(&credit), Outcome::Gone { since: None }, "{body}");
        }
        // What says since when is Apple's own knowledge of that token.
        assert_eq!(because(410, "Unregistered").outcome(&Credit::default()), Outcome::Gone { since: None });
    }

    #[test]
    fn a_connection_is_dropped_when_it_is_of_no_more_use() {
        for (status, reason) in [
            (403, "ExpiredProviderToken"),
            (403, "UnrelatedKeyIdInToken"),
            (403, "InvalidProviderToken"),
            (403, "SomethingNew"),
            (429, "TooManyProviderTokenUpdates"),
            (503, "Shutdown"),
            (400, "IdleTimeout"),
        ] {
            assert!(because(status, reason).condemns(), "{reason}");
        }
        for (status, reason) in
            [(400, "BadDeviceToken"), (410, "Unregistered"), (429, "TooManyRequests"), (500, "InternalServerError")]
        {
            assert!(!because(status, reason).condemns(), "{reason}");
        }
        assert!(reply(200, "").proves() && !reply(200, "").condemns() && !because(403, "Forbidden").proves());
    }

    #[test]
    fn a_reason_is_repeated_only_when_it_is_a_word() {
        let says = |body| reply(400, body).outcome(&Credit::default());
        assert_eq!(says(r#"{"reason":"BadTopic"}"#), Outcome::Refused("APNs answered 400 (BadTopic)".into()));
        for body in [r#"{"reason":"/3/device/00ff"}"#, "{\"reason\":\"a\\nb\"}", "POST /3/device/00ff failed"] {
            assert_eq!(says(body), Outcome::Refused("APNs answered 400".into()), "{body}");
        }
    }

    #[test]
    fn an_id_is_a_uuid_or_none() {
        let accepted = |id: &'static str| {
            let headers = HeaderMap::from_iter([("apns-id".parse().unwrap(), id.parse().unwrap())]);
            Reply::new(200, &headers, b"").outcome(&Credit::default())
        };
        let id = "0c8d3f4e-93a6-4b0e-a6a1-5d6f2f3c9d10";
        assert_eq!(accepted(id), Outcome::Accepted { id: Some(id.into()) });
        assert_eq!(accepted("../../etc"), Outcome::Accepted { id: None });
    }
}
