//! What every provider's answer has in common: a body that may not end, a request to wait, an error instead of either.
//!
//! **Invariants**
//! - No more of a body is kept than was asked for, and no more time is spent on it than the client's limit.
//! - The address that was called is in no text.

use std::error::Error;
use std::time::Duration;

use reqwest::Response;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::guard::Forbidden;
use crate::clock::Timestamp;

/// How much is read of an answer that is read for its reason alone.
pub(super) const REPLY_MAX_BYTES: usize = 4_096;

const PATIENCE_MIN: Duration = Duration::from_secs(1);
const PATIENCE_MAX: Duration = Duration::from_hours(24);

/// The first `max` bytes of the body, or what came of it: the status has already decided, so that a body which breaks
/// off or dawdles until the time limit changes nothing.
pub(super) async fn beginning(response: &mut Response, max: usize) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < max {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let room = max - body.len();
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            }
            Ok(None) | Err(_) => break,
        }
    }
    body
}

/// `Retry-After` as seconds or as a date (RFC 9110 section 10.2.3), within a second and a day.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if let Ok(seconds) = text.parse() {
        Duration::from_secs(seconds)
    } else {
        let date = jiff::fmt::rfc2822::DateTimeParser::new();
        let instant = date.parse_timestamp(text).ok()?;
        now.until(Timestamp::from_micros(instant.as_microsecond()))
    };
    Some(wait.clamp(PATIENCE_MIN, PATIENCE_MAX))
}

/// Why there was no answer; an error when the guard would not let it be called. Only the causes are told: the error itself would print
/// the whole address.
pub(super) fn why(error: &reqwest::Error) -> Result<String, &Forbidden> {
    let mut causes = String::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(forbidden) = error.downcast_ref::<Forbidden>() {
            return Err(forbidden);
        }
        causes.push_str(": ");
        causes.push_str(&error.to_string());
        cause = error.source();
    }
    let what = if error.is_connect() {
        "no connection"
    } else if error.is_timeout() {
        "no answer in time"
    } else {
        "no answer"
    };
    Ok(format!("{what}{causes}"))
}
