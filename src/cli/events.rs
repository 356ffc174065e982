//! `phoneops events`: what happens, as it happens.

use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::connect::{At, Operator, has_token};
use super::interrupt::Interrupt;
use super::reply::read;
use super::{Failure, Out, Outcome};
use crate::client::{Client, Error};
use crate::clock::Timestamp;
use crate::text::line;

/// Seconds that one call waits for something to happen.
const WAIT: u32 = 25;

/// How long a server that does not answer is left alone.
const PAUSE: Duration = Duration::from_secs(2);

/// Show what happens, one line each
///
/// As the bot whose token is in `PHONEOPS_TOKEN` or in the file that `PHONEOPS_TOKEN_FILE` names, which hears of its own approvals and
/// incidents. Without a token as the operator of the server on this machine, who hears everything.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  phoneops events --follow --kind approval.,incident. --json")]
pub(super) struct Events {
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    operator: Operator,
    /// Go on until interrupted; a server that goes away is waited for
    #[arg(long, short)]
    follow: bool,
    /// Begin after the event with this number [default: with what happens from now on when following, else with the first]
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
    /// Only kinds that begin so; several with commas between them
    #[arg(long, value_name = "KINDS")]
    kind: Option<String>,
    /// Only what happened to this: an id
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// Print JSON, one event per line
    #[arg(long)]
    json: bool,
}

/// An event, as people read it.
#[derive(Deserialize)]
struct Event {
    seq: i64,
    at: Timestamp,
    kind: String,
    actor: Value,
    subject: String,
    data: Value,
}

impl Events {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let client = if has_token() { self.at.bot()? } else { self.operator.connect()? };
        let mut interrupt = Interrupt::watch()?;
        tokio::select! {
            outcome = self.tell(&client, out) => outcome,
            () = interrupt.signalled() => Ok(Outcome::Interrupted),
        }
    }

    async fn tell(&self, client: &Client, out: &mut Out) -> Result<Outcome, Failure> {
        let mut after = self.after.or((!self.follow).then_some(0));
        loop {
            let body = match client.get(&self.path(after)).await {
                Ok(reply) => reply.body,
                Err(error) if self.follow && after.is_some() && passes(&error) => {
                    out.note(format_args!("phoneops: {error}; trying again"));
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let events = body["events"].as_array().map(Vec::as_slice).unwrap_or_default();
            for event in events {
                self.print(event, out)?;
            }
            let next = body["next"].as_u64();
            let over = !self.follow && events.is_empty() && (next == after || next.is_none());
            if over || out.is_closed() {
                return Ok(Outcome::Done);
            }
            after = next;
        }
    }

    fn path(&self, after: Option<u64>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(after.map(|after| ("after", after.to_string())));
        query.extend_pairs(self.kind.as_ref().map(|kind| ("kind", kind)));
        query.extend_pairs(self.subject.as_ref().map(|subject| ("subject", subject)));
        // The first call of all learns where "now" is.
        if self.follow && after.is_some() {
            query.append_pair("wait", &WAIT.to_string());
        }
        format!("/v1/events?{}", query.finish())
    }

    fn print(&self, event: &Value, out: &mut Out) -> Result<(), Failure> {
        if self.json {
            out.line(event);
        } else {
            out.line(words(&read(event)?));
        }
        Ok(())
    }
}

/// Whether the same may work in a moment.
fn passes(error: &Error) -> bool {
    match error {
        Error::Unreachable { .. } => true,
        Error::Refused(refusal) => refusal.status == 503,
        Error::NotPhoneOps { .. } | Error::Unwritten(_) => false,
    }
}

/// `17 2027-01-15T08:00:00Z approval.approved apr_… by usr_… {"by":"usr_…"}`
fn words(event: &Event) -> String {
    let id = ["user", "bot"].into_iter().find_map(|member| event.actor[member].as_str());
    let by = id.or(event.actor["kind"].as_str()).unwrap_or("?");
    let Event { seq, at, kind, subject, data, .. } = event;
    // The facts hold strangers' words.
    line(&format!("{seq} {at} {kind} {subject} by {by} {data}"), 400)
}

/// Prints entries of the journal, a line each.
pub(super) fn lines(entries: &Value, out: &mut Out) -> Result<usize, Failure> {
    let entries: Vec<Event> = read(entries)?;
    out.lines(entries.iter().map(words));
    Ok(entries.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_a_line_that_hides_nothing() {
        let mut event = json!({"seq": 17, "id": "evt_1", "at": "2027-01-15T08:00:00Z", "kind": "approval.denied",
            "actor": {"kind": "user", "user": "usr_1", "device": "dev_1"}, "subject": "apr_1", "data": {"reason": "a\u{202e}b"}});
        let said = |event: &Value| words(&serde_json::from_value(event.clone()).unwrap());
        let expected = r#"17 2027-01-15T08:00:00Z approval.denied apr_1 by usr_1 {"reason":"a\u{202e}b"}"#;
        assert_eq!(said(&event), expected);
        event["actor"] = json!({"kind": "system"});
        assert!(said(&event).contains(" by system "));
    }
}
