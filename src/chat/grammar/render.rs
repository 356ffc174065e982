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
            format!("override {schedule} {} from {from} to {until}", person(by))
        }
        Command::Override { schedule, by, from: None, until } => format!("override {schedule} {} to {until}", person(by)),
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
    let mut line = "escalate".to_owned();
    if let Some(reference) = incident {
        line.push_str(&format!(" {reference}"));
    }
    if !to.is_empty() {
        line.push_str(&format!(" to {}", people(to)));
    }
    if let Some(message) = message {
        line.push_str(&format!(", {message}"));
    }
    line
}

fn references(these: &[Reference]) -> String {
    these.iter().map(Reference::as_str).collect::<Vec<_>>().join(" ")
}

fn people(to: &[Whom]) -> String {
    to.iter().map(person).collect::<Vec<_>>().join(" ")
}

fn person(whom: &Whom) -> String {
    match whom {
        Whom::User(user) => user.to_string(),
        Whom::Mention(id) => format!("<@{}>", id.as_str()),
        Whom::Team(team) => format!("team:{team}"),
        Whom::Schedule(schedule) => format!("schedule:{schedule}"),
        Whom::Service(service) => format!("service:{service}"),
        Whom::Bare(name) => name.to_string(),
    }
}
