//! Schedules by which nobody will be on call.

use serde_json::Value;

use super::{Finding, ok, warn};
use crate::client::Client;
use crate::text::line;

const ON_CALL: &str = "on-call";

/// Looks at the schedules that escalation policies name, for the next seven days.
pub(super) async fn examine(client: &Client) -> Option<Finding> {
    client.get("/v1/on-call").await.ok().and_then(|reply| gaps(&reply.body))
}

fn gaps(body: &Value) -> Option<Finding> {
    let named = |schedule: &&Value| schedule["policies"].as_array().is_some_and(|policies| !policies.is_empty());
    let schedules: Vec<_> = body["schedules"].as_array().into_iter().flatten().filter(named).collect();
    let one = |schedule: &&Value| {
        let first = schedule["gaps"].as_array()?.first()?;
        let text = |value: &Value| line(value.as_str().unwrap_or_default(), 80);
        Some(format!("{} from {} until {}", text(&schedule["schedule"]), text(&first["from"]), text(&first["until"])))
    };
    let all: Vec<_> = schedules.iter().filter_map(one).collect();
    if schedules.is_empty() {
        return None;
    }
    Some(if all.is_empty() {
        ok(ON_CALL, "somebody is on call for the next seven days by every schedule that an escalation policy names")
    } else {
        let why = "nobody is on call, and pages go on to the next step: `phoneops schedule show`";
        warn(ON_CALL, format!("{}: {why}", all.join("; ")))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Level;
    use super::*;

    #[test]
    fn a_gap_of_a_schedule_that_is_paged_is_a_warning() {
        let gap = json!([{"from": "2027-01-16T17:00:00Z", "until": "2027-01-16T18:00:00Z"}]);
        let on = |name: &str, policies: Value, gaps: Value| json!({"schedule": name, "policies": policies, "gaps": gaps});
        let body = |schedules: &[Value]| json!({"schedules": schedules});
        assert_eq!(gaps(&body(&[])), None);
        assert_eq!(gaps(&body(&[on("days", json!([]), gap.clone())])), None, "nobody is paged by it");
        let found = gaps(&body(&[on("days", json!(["api"]), gap), on("nights", json!(["api"]), json!([]))])).unwrap();
        assert!(found.level == Level::Warn && found.why.starts_with("days from 2027-01-16T17:00:00Z until "), "{found:?}");
        assert_eq!(gaps(&body(&[on("nights", json!(["api"]), json!([]))])).unwrap().level, Level::Ok);
    }
}
