//! `phoneops deliveries`: how far the pushes about an incident or an approval came, on which phone, and when.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use super::connect::At;
use super::noun::tell;
use super::reply::Person;
use super::words::table;
use super::{Failure, Out, Outcome};
use crate::clock::Timestamp;
use crate::id::ApprovalId;
use crate::paging::Reference;
use crate::text::line;

/// Show how far the pushes about an incident or an approval came
///
/// A line for each try to reach one person on one device, or by e-mail, the newest first: whom, which ring, where, how far it came, and how
/// long each step took since it was written. "Accepted" is the word of the push service alone; "received" is the phone's. As the bot whose
/// token is in `PHONEOPS_TOKEN` or in the file that `PHONEOPS_TOKEN_FILE` names.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  phoneops deliveries P7K3M2X")]
pub(super) struct Deliveries {
    #[command(flatten)]
    at: At,
    /// An incident's reference or an approval's id
    subject: Subject,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What rang.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    Incident(Reference),
    Approval(ApprovalId),
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let approval = text.parse().map(Self::Approval).ok();
        let found = approval.or_else(|| text.parse().map(Self::Incident).ok());
        found.ok_or_else(|| "expected a reference like P7K3M2X, or an approval like apr_…".into())
    }
}

impl Deliveries {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let path = match &self.subject {
            Subject::Incident(reference) => format!("/v1/incidents/{reference}/deliveries"),
            Subject::Approval(id) => format!("/v1/approvals/{id}/deliveries"),
        };
        let reply = self.at.somebody()?.get(&path).await?;
        tell(out, self.json, &reply.body["deliveries"], |out, all: Vec<Delivery>| {
            let rows: Vec<_> = all.iter().map(Delivery::row).collect();
            out.lines(table(&rows));
            if rows.is_empty() {
                out.note("It was tried on no device");
            }
        })
    }
}

/// One try, as the server shows it.
#[derive(Debug, Deserialize)]
struct Delivery {
    to: Person,
    device: Option<Device>,
    carrier: String,
    round: u32,
    louder: bool,
    state: String,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
    received_at: Option<Timestamp>,
    displayed_at: Option<Timestamp>,
    opened_at: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
struct Device {
    name: String,
}

impl Delivery {
    fn row(&self) -> Vec<String> {
        let louder = if self.louder { ", louder" } else { "" };
        let place = self.device.as_ref().map_or_else(|| "by e-mail".to_owned(), |device| line(&device.name, 40));
        vec![
            self.created_at.to_string(),
            line(&self.to.name, 40),
            format!("ring {}{louder}", self.round),
            format!("{place} ({})", self.carrier),
            self.state.clone(),
            self.times().join(", "),
        ]
    }

    /// Each step that was taken, and how long after it was written.
    fn times(&self) -> Vec<String> {
        let ended = match (self.state.as_str(), self.received_at) {
            ("failed" | "withdrawn", _) => self.state.as_str(),
            _ => "accepted",
        };
        let steps = [
            (ended, self.finished_at),
            ("received", self.received_at),
            ("displayed", self.displayed_at),
            ("opened", self.opened_at),
        ];
        let step = |(what, at): (&str, Option<Timestamp>)| Some(format!("{what} after {}", brief(self.created_at.until(at?))));
        steps.into_iter().filter_map(step).collect()
    }
}

/// `0.3 s`, `72 s`, `15 min`.
fn brief(took: Duration) -> String {
    match took.as_secs() {
        0..10 => format!("{:.1} s", took.as_secs_f64()),
        seconds @ 10..600 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(state: &str, times: &serde_json::Value) -> String {
        let mut body = json!({
            "id": "att_1", "to": {"id": "usr_1", "handle": "yannick", "name": "Yannick\u{1b}[2J Schutz"},
            "device": {"id": "dev_1", "name": "A phone"}, "carrier": "apns", "round": 2, "louder": true, "state": state,
            "created_at": "2026-03-01T10:00:00Z",
        });
        for (name, at) in times.as_object().unwrap() {
            body[name] = at.clone();
        }
        serde_json::from_value::<Delivery>(body).unwrap().row()[1..].join(" | ")
    }

    #[test]
    fn a_row_says_whom_where_and_how_far_and_obeys_no_control_character() {
        let head = "Yannick\\u{1b}[2J Schutz | ring 2, louder | A phone (apns)";
        assert_eq!(row("waiting", &json!({})), format!("{head} | waiting | "));
        let times = json!({"finished_at": "2026-03-01T10:00:00.3Z", "received_at": "2026-03-01T10:01:12Z",
            "displayed_at": "2026-03-01T10:15:00Z"});
        let said = "accepted after 0.3 s, received after 72 s, displayed after 15 min";
        assert_eq!(row("displayed", &times), format!("{head} | displayed | {said}"));
        let failed = json!({"finished_at": "2026-03-01T10:00:01Z"});
        assert_eq!(row("failed", &failed), format!("{head} | failed | failed after 1.0 s"));
    }

    #[test]
    fn a_subject_is_an_incident_or_an_approval() {
        let approval = "apr_0199e5d0000070008000000000000010";
        assert!(matches!(approval.parse(), Ok(Subject::Approval(id)) if id.to_string() == approval));
        assert!(matches!("p7k3m2x".parse(), Ok(Subject::Incident(reference)) if reference.to_string() == "P7K3M2X"));
        assert!("usr_1".parse::<Subject>().is_err());
    }
}
