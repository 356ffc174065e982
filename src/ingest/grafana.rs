//! Grafana's webhook: Alertmanager's, with a title and a message of its own.

use serde_json::Value;

use super::members::Members;
use super::{Refused, alertmanager, generic, lenient};
use crate::paging::{Mapping, Signal};

/// Reads a webhook. A body that was replaced by a template is read as [`generic`] reads it.
///
/// # Errors
/// [`Refused::Unreadable`]
pub fn read(body: &[u8]) -> Result<Vec<Signal>, Refused> {
    let (value, notes) = lenient::read(body)?;
    let Value::Object(mut all) = value else { return generic::signals(value, notes, &Mapping::default()) };
    if !all.contains_key("alerts") && !all.contains_key("groupKey") {
        return generic::signals(Value::Object(all), notes, &Mapping::default());
    }
    // Older ones say only `state`.
    if !all.contains_key("status")
        && let Some(Value::String(state)) = all.get("state")
    {
        let status = if state == "ok" { "resolved" } else { "firing" };
        all.insert("status".to_owned(), status.into());
    }
    Ok(vec![alertmanager::group(Members { all, notes })])
}
