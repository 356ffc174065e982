//! What may stand in `aps`, and what a device makes of it.

use serde_json::Value;

use super::check::PushType;
use super::reason::Reason;

/// The body as JSON whose `aps` a device understands and that fits the push type.
///
/// Apple answers 200 to some of what is refused here, and the device then shows nothing.
pub(super) fn check(body: &[u8], push_type: PushType, priority: u8) -> Result<Value, Reason> {
    if body.is_empty() {
        return Err(Reason::PayloadEmpty);
    }
    let payload: Value = serde_json::from_slice(body).map_err(|_| Reason::BadRequestPayload)?;
    let aps = payload["aps"].as_object().ok_or(Reason::BadRequestPayload)?;
    let audible = ["alert", "badge", "sound"].iter().any(|name| aps.contains_key(*name));
    match push_type {
        PushType::Alert if !audible => return Err(Reason::InvalidPushType),
        PushType::Background if priority == 10 => return Err(Reason::BadPriority),
        PushType::Background if audible || aps.get("content-available") != Some(&1.into()) => {
            return Err(Reason::InvalidPushType);
        }
        _ => {}
    }
    if aps.iter().all(|(name, value)| is_understood(name, value)) && (aps.contains_key("alert") || !is_mutable(&payload)) {
        Ok(payload)
    } else {
        Err(Reason::BadRequestPayload)
    }
}

fn is_mutable(payload: &Value) -> bool {
    payload["aps"]["mutable-content"] == 1
}

fn is_understood(name: &str, value: &Value) -> bool {
    match name {
        "alert" => {
            value.is_string() || value.as_object().is_some_and(|alert| alert.iter().all(|(name, value)| is_text(name, value)))
        }
        "badge" => value.is_u64(),
        "sound" => value.is_string() || is_sound(value),
        "content-available" | "mutable-content" => *value == 1 || *value == 0,
        "interruption-level" => matches!(value.as_str(), Some("passive" | "active" | "time-sensitive" | "critical")),
        "relevance-score" => value.as_f64().is_some_and(|score| (0.0..=1.0).contains(&score)),
        "thread-id" | "category" | "target-content-id" | "filter-criteria" => value.is_string(),
        // Live Activities have members of their own.
        _ => true,
    }
}

fn is_text(name: &str, value: &Value) -> bool {
    match name {
        "title-loc-args" | "subtitle-loc-args" | "loc-args" => {
            value.as_array().is_some_and(|texts| texts.iter().all(Value::is_string))
        }
        _ => value.is_string(),
    }
}

fn is_sound(sound: &Value) -> bool {
    sound.as_object().is_some_and(|sound| {
        sound.get("name").is_some_and(Value::is_string)
            && sound.get("critical").is_none_or(|critical| *critical == 0 || *critical == 1)
            && sound.get("volume").is_none_or(|volume| volume.as_f64().is_some_and(|volume| (0.0..=1.0).contains(&volume)))
    })
}

/// A text of the alert, which may be nothing but its body.
pub(super) fn text<'a>(payload: &'a Value, member: &str) -> &'a str {
    let alert = &payload["aps"]["alert"];
    let text = if member == "body" { alert.as_str() } else { None };
    text.or_else(|| alert[member].as_str()).unwrap_or_default()
}

/// Whether there is something to show.
pub(super) fn is_shown(payload: &Value) -> bool {
    !payload["aps"]["alert"].is_null()
}

/// Whether the device makes a sound.
pub(super) fn is_heard(payload: &Value) -> bool {
    let aps = &payload["aps"];
    let level = aps["interruption-level"].as_str();
    level == Some("critical") || (level != Some("passive") && !aps["sound"].is_null())
}
