//! A command as a line: what a button says.

use super::super::command::{ANY_LABEL, Command, Which, Whom};
use super::times::shown;
use crate::paging::Reference;

/// The line that means the command.
#[must_use]
pub fn render(command: &Command) -> String {
    match command {
        Command::Page { to, title } => format!("page {} {title}", people(to)),
        Command::Incidents { mine: false } => "incidents".to_owned(),
        Command::Incidents { mine: true } => "incidents mine".to_owned(),
        Command::Incident(reference) => format!("incident {reference}"),
        Command::Acknowledge(Which::These(these)) => format!("ack {}", references(these)),
        Command::Acknowledge(Which::Mine) => "ack mine".to_owned(),
        Command::Acknowledge(Which::All) => "ack all".to_owned(),
        Command::Resolve(these) => format!("resolve {}", references(these)),
        Command::Escalate { incident, to, message } => escalate(incident.as_ref(), to, message.as_deref()),
        Command::Snooze(reference, time) => format!("snooze {reference} {}", shown(*time)),
        Command::Reassign(reference, to) => format!("reassign {reference} {}", people(to)),
        Command::Note(reference, text) => format!("note {reference} {text}"),
        Command::Merge { from, into } => format!("merge {from} into {into}"),
        Command::OnCall(None) => "who's on call".to_owned(),
        Command::OnCall(Some(schedule)) => format!("who's on call for {schedule}"),
        Command::AmIOnCall => "am I on call".to_owned(),
        Command::Take(schedule, time) => format!("take {schedule} {}", shown(*time)),
        Command::Override { schedule, by, from: Some(from), until } => {
            format!("override {schedule} {by} from {from} to {until}")
        }
        Command::Override { schedule, by, from: None, until } => format!("override {schedule} {by} to {until}"),
        Command::Maintenance(service, time) => format!("maintenance {service} {}", shown(*time)),
        Command::Gated(gated) => gated.line.clone(),
        Command::Request(tag) => format!("request {tag}"),
        Command::Cancel(tag) => format!("cancel {tag}"),
        Command::LinkMe => "link me".to_owned(),
        Command::TestMe => "test me".to_owned(),
        Command::ShowOnly(labels) if labels.is_empty() => "show me everything".to_owned(),
        Command::ShowOnly(labels) => {
            let label =
                |(name, value): (&String, &String)| if name == ANY_LABEL { value.clone() } else { format!("{name}={value}") };
            format!("show me only {} events", labels.iter().map(label).collect::<Vec<_>>().join(" "))
        }
        Command::Help(None) => "help".to_owned(),
        Command::Help(Some(topic)) => format!("help {topic}"),
    }
}

fn escalate(incident: Option<&Reference>, to: &[Whom], message: Option<&str>) -> String {
    let incident = incident.map(|reference| format!(" {reference}")).unwrap_or_default();
    let to = if to.is_empty() { String::new() } else { format!(" to {}", people(to)) };
    let message = message.map(|message| format!(", {message}")).unwrap_or_default();
    format!("escalate{incident}{to}{message}")
}

fn references(these: &[Reference]) -> String {
    these.iter().map(Reference::as_str).collect::<Vec<_>>().join(" ")
}

fn people(to: &[Whom]) -> String {
    to.iter().map(Whom::to_string).collect::<Vec<_>>().join(" ")
}
