//! From a line to a command.

use super::doing::words::refused;
use super::doing::{Chat, Error};
use super::{Command, Gated, Reply, Which, Whom};
use crate::approvals::{Action, Param, Params};

impl Chat {
    /// What a line asks for, or what is said to whoever is not understood.
    pub(super) async fn understand(&self, line: &str) -> Result<Result<Command, Box<Reply>>, Error> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let whom = |text: &str| text.trim_end_matches(',').parse().map(Whom::User).ok();
        let rest = |from: usize| words[from..].join(" ");
        let references = |from: usize| words[from..].iter().map(|word| word.parse().ok()).collect::<Option<Vec<_>>>();
        let command = match words.as_slice() {
            ["page" | "trigger", to, _, ..] => whom(to).map(|to| Command::Page { to: vec![to], title: rest(2) }),
            ["incidents"] => Some(Command::Incidents { mine: false }),
            ["incident", reference] => reference.parse().ok().map(Command::Incident),
            ["ack"] | ["ack", "mine"] => Some(Command::Acknowledge(Which::Mine)),
            ["ack", _, ..] => references(1).map(|references| Command::Acknowledge(Which::These(references))),
            ["resolve", _, ..] => references(1).map(Command::Resolve),
            ["escalate", reference] => {
                reference.parse().ok().map(|found| Command::Escalate { incident: Some(found), to: Vec::new(), message: None })
            }
            ["escalate", "to", to, ..] => whom(to).map(|to| Command::Escalate { incident: None, to: vec![to], message: Some(rest(3)) }),
            ["escalate", reference, "to", to, ..] => reference
                .parse()
                .ok()
                .zip(whom(to))
                .map(|(found, to)| Command::Escalate { incident: Some(found), to: vec![to], message: Some(rest(4)) }),
            ["link", "me"] => Some(Command::LinkMe),
            ["request", tag] => Some(Command::Request((*tag).to_owned())),
            ["cancel", tag] => Some(Command::Cancel((*tag).to_owned())),
            ["deploy", what, "to", target] => what.split_once('/').map(|(app, reference)| {
                let text = |text: &str| Param::Text(text.to_owned());
                let params = [("app".to_owned(), text(app)), ("ref".to_owned(), text(reference))];
                let action =
                    Action { kind: "deploy".to_owned(), target: (*target).to_owned(), params: Params(params.into_iter().collect()) };
                Command::Gated(Gated { name: "deploy".to_owned(), action, success: format!("you are deploying {what} to {target}") })
            }),
            _ => None,
        };
        Ok(command.ok_or_else(|| Box::new(refused("I did not understand that. Say `help` for what I know."))))
    }

    /// What can be said.
    pub(super) async fn help(&self, _word: Option<&str>) -> Result<Reply, Error> {
        Ok(super::doing::words::plain("page, incidents, incident, ack, resolve, escalate, deploy, request, cancel, link me"))
    }
}
