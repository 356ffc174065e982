//! What Google demands of a message before it asks whom it is for.
//!
//! **Invariants**
//! - What has no place in a message is refused, however deep it stands: Google refuses unknown names too.
//! - Topics and conditions are refused: here are devices only.

use std::time::Duration;

use serde_json::{Map, Value};

use super::error::Refused;

/// What the parts of a message that are counted may measure together, in bytes.
const ROOM: usize = 4_096;
/// Four weeks.
const TTL_LIMIT: Duration = Duration::from_secs(2_419_200);

/// Whom a message is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Target {
    Token(String),
    Fid(String),
}

/// A message that is in order.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) target: Target,
    pub(super) high: bool,
    pub(super) ttl: Duration,
    pub(super) collapse_key: Option<String>,
    pub(super) data: Map<String, Value>,
    /// What the system shows without the app: `notification` and `android.notification` together.
    pub(super) notification: Option<Map<String, Value>>,
    pub(super) validate_only: bool,
}

const REQUEST: &[&str] = &["validate_only", "message"];
const MESSAGE: &[&str] =
    &["name", "data", "notification", "android", "webpush", "apns", "fcm_options", "token", "fid", "topic", "condition"];
const ANDROID: &[&str] =
    &["collapse_key", "priority", "ttl", "restricted_package_name", "data", "notification", "fcm_options", "direct_boot_ok"];
const NOTIFICATION: &[&str] = &["title", "body", "image"];
const SHOWN: &[&str] = &[
    "title",
    "body",
    "image",
    "icon",
    "color",
    "sound",
    "tag",
    "click_action",
    "body_loc_key",
    "body_loc_args",
    "title_loc_key",
    "title_loc_args",
    "channel_id",
    "ticker",
    "sticky",
    "event_time",
    "local_only",
    "notification_priority",
    "default_sound",
    "default_vibrate_timings",
    "default_light_settings",
    "vibrate_timings",
    "visibility",
    "notification_count",
];

/// Reads a request's body.
pub(super) fn message(body: &[u8]) -> Result<Message, Refused> {
    let body: Value =
        serde_json::from_slice(body).map_err(|cause| Refused::field("", &format!("Invalid JSON payload received. {cause}")))?;
    let request = members(&body, "", REQUEST)?;
    let validate_only = boolean(&request, "validate_only", "")?;
    let message = members(request.get("message").unwrap_or(&Value::Null), "message", MESSAGE)?;
    let android = part(&message, "android", "message", ANDROID)?;
    let of_android = android.clone().unwrap_or_default();
    let mut notification = part(&message, "notification", "message", NOTIFICATION)?;
    if let Some(own) = part(&of_android, "notification", "message.android", SHOWN)? {
        notification.get_or_insert_default().extend(own);
    }
    let mut data = data(&message, "message.data")?;
    data.extend(self::data(&of_android, "message.android.data")?);
    let counted = measure(&data) + notification.as_ref().map_or(0, measure);
    if counted > ROOM {
        return Err(Refused::field("message", "Android message is too big"));
    }
    Ok(Message {
        target: target(&message)?,
        high: priority(&of_android, notification.is_some())?,
        ttl: of_android.get("ttl").map_or(Ok(TTL_LIMIT), ttl)?,
        collapse_key: text(&of_android, "collapse_key", "message.android")?,
        data,
        notification,
        validate_only,
    })
}

/// The members of an object, their names in `snake_case`; both spellings are taken (proto3's JSON).
fn members(value: &Value, path: &str, known: &[&str]) -> Result<Map<String, Value>, Refused> {
    let object = value.as_object().ok_or_else(|| Refused::field(path, "an object is required"))?;
    let mut members = Map::new();
    for (name, value) in object {
        let snake = snake(name);
        if !known.contains(&snake.as_str()) {
            return Err(Refused::field(
                path,
                &format!("Invalid JSON payload received. Unknown name \"{name}\" at '{path}': Cannot find field."),
            ));
        }
        if members.insert(snake, value.clone()).is_some() {
            return Err(Refused::field(path, &format!("{name} is given twice")));
        }
    }
    Ok(members)
}

fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for char in name.chars() {
        if char.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(char.to_ascii_lowercase());
    }
    snake
}

fn part(of: &Map<String, Value>, name: &str, path: &str, known: &[&str]) -> Result<Option<Map<String, Value>>, Refused> {
    of.get(name).map(|value| members(value, &format!("{path}.{name}"), known)).transpose()
}

fn boolean(of: &Map<String, Value>, name: &str, path: &str) -> Result<bool, Refused> {
    let value = of.get(name).unwrap_or(&Value::Bool(false));
    value.as_bool().ok_or_else(|| Refused::field(&format!("{path}.{name}"), "true or false is required"))
}

fn text(of: &Map<String, Value>, name: &str, path: &str) -> Result<Option<String>, Refused> {
    let value = of.get(name).map(|value| value.as_str().map(str::to_owned));
    value.map(|text| text.ok_or_else(|| Refused::field(&format!("{path}.{name}"), "a string is required"))).transpose()
}

fn data(of: &Map<String, Value>, path: &str) -> Result<Map<String, Value>, Refused> {
    let Some(data) = of.get("data") else {
        return Ok(Map::new());
    };
    let data = data.as_object().ok_or_else(|| Refused::field(path, "an object is required"))?;
    for (name, value) in data {
        let reserved = ["from", "message_type"].contains(&name.as_str()) || name.starts_with("google") || name.starts_with("gcm");
        if reserved || name.is_empty() {
            return Err(Refused::field(path, &format!("Invalid data payload key: {name}")));
        }
        if !value.is_string() {
            return Err(Refused::field(&format!("{path}[{name}].value"), "a string is required"));
        }
    }
    Ok(data.clone())
}

fn measure(part: &Map<String, Value>) -> usize {
    let length = |value: &Value| value.as_str().map_or_else(|| value.to_string().len(), str::len);
    part.iter().map(|(name, value)| name.len() + length(value)).sum()
}

fn target(message: &Map<String, Value>) -> Result<Target, Refused> {
    let given: Vec<_> = ["token", "fid", "topic", "condition"].into_iter().filter(|name| message.contains_key(*name)).collect();
    let [name] = given[..] else {
        return Err(Refused::field("message", "Exactly one of token, fid, topic or condition is required"));
    };
    let to = text(message, name, "message")?.unwrap_or_default();
    match name {
        "token" => Ok(Target::Token(to)),
        "fid" => Ok(Target::Fid(to)),
        other => Err(Refused::field(&format!("message.{other}"), "this simulator has devices only")),
    }
}

/// Whether it is to wake the phone; what the system shows is, unless it says otherwise.
fn priority(android: &Map<String, Value>, shown: bool) -> Result<bool, Refused> {
    match text(android, "priority", "message.android")?.as_deref() {
        None => Ok(shown),
        Some("HIGH" | "high") => Ok(true),
        Some("NORMAL" | "normal") => Ok(false),
        Some(_) => Err(Refused::field("message.android.priority", "Invalid value at 'message.android.priority'")),
    }
}

/// A duration as proto3 writes it: seconds with up to nine decimals, and an `s`.
fn ttl(value: &Value) -> Result<Duration, Refused> {
    let refused = || Refused::field("message.android.ttl", "Invalid value at 'message.android.ttl'");
    let text = value.as_str().and_then(|text| text.strip_suffix('s')).ok_or_else(refused)?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(seconds) || !digits(fraction) || fraction.len() > 9 {
        return Err(refused());
    }
    let nanos = format!("{fraction:0<9}").parse().map_err(|_| refused())?;
    let ttl = Duration::new(seconds.parse().map_err(|_| refused())?, nanos);
    if ttl > TTL_LIMIT { Err(refused()) } else { Ok(ttl) }
}
