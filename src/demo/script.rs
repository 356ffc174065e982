//! The talk played unattended, in accelerated time, and compared line by line with what it must say.

use std::io::Write;
use std::time::Duration;

use super::Error;
use super::grammar::{Line, Tap, parse};
use super::stage::{Asked, Person, Stage, outcome, text};
use crate::chat::Command;
use crate::clock::{Clock, Timestamp};
use crate::sim::phone::Push;

/// What happens, in order. `P…` stands for the reference that the last page was given, `R…` for the tag of the last request.
const SCRIPT: &[Step] = &[
    Step::Heading("Approve: nothing is deployed without a passkey"),
    Step::Chat("bot deploy api/new_auth to production"),
    Step::Chat("phone"),
    Step::Chat("phone approve"),
    Step::Heading("Denied"),
    Step::Chat("bot deploy api/new_auth to production"),
    Step::Chat("phone deny not on a Friday"),
    // Whoever denied is left in peace for a minute.
    Step::Later(Duration::from_secs(60)),
    Step::Heading("Nobody answers"),
    Step::Chat("bot deploy api/new_auth to production"),
    Step::Later(Duration::from_secs(300)),
    Step::Heading("Page: the phone rings until somebody acknowledges"),
    Step::Chat("bot page @yannick All your apps are down"),
    Step::Chat("phone ack"),
    Step::Chat("bot resolve P…"),
    Step::Heading("Three buttons on the phone: Escalate, Acknowledge, Resolve"),
    Step::Chat("bot page @yannick All your apps are down"),
    Step::Chat("phone escalate"),
    Step::Chat("phone ys ack"),
    Step::Chat("phone ys resolve"),
    Step::Heading("Somebody needs help"),
    Step::Chat("bot page @yannick All your apps are down"),
    Step::Chat("phone ack"),
    Step::Chat("bot escalate P… to @ys, I need some help"),
    Step::Chat("phone ys ack"),
    Step::Chat("bot resolve P…"),
    Step::Heading("Nobody acknowledges: it rings again, and then somebody else's phone rings"),
    Step::Chat("bot page @yannick All your apps are down"),
    Step::Later(Duration::from_secs(60)),
    Step::Later(Duration::from_secs(60)),
    Step::Chat("phone ys ack"),
    Step::Chat("bot resolve P…"),
];

/// What it must say, with references and tags as in [`SCRIPT`].
const EXPECTED: &str = include_str!("transcript.txt");

enum Step {
    Heading(&'static str),
    Chat(&'static str),
    Later(Duration),
}

/// Plays the talk and writes the transcript to `out`; whether every line was as it must be.
///
/// # Errors
/// When the stage cannot be set, or something on it fails.
pub async fn scripted(out: &mut (impl Write + Send)) -> Result<bool, Error> {
    let clock = Clock::manual(Timestamp::from_seconds(1_800_000_000));
    let mut play = Play { stage: Stage::set(clock).await?, asked: None, reference: String::new(), transcript: Vec::new() };
    for step in SCRIPT {
        let from = play.transcript.len();
        play.perform(step).await?;
        for line in &play.transcript[from..] {
            writeln!(out, "{line}")?;
        }
    }
    let Play { stage, transcript, .. } = play;
    stage.strike().await?;
    compare(&transcript, out)
}

fn compare(transcript: &[String], out: &mut impl Write) -> Result<bool, Error> {
    let said: Vec<String> = transcript.iter().map(|line| general(line)).collect();
    let expected: Vec<&str> = EXPECTED.lines().collect();
    let mut same = true;
    for at in 0..said.len().max(expected.len()) {
        let (was, must) = (said.get(at).map(String::as_str), expected.get(at).copied());
        if was != must {
            same = false;
            writeln!(
                out,
                "\nline {} differs:\n  expected  {}\n  was       {}",
                at + 1,
                must.unwrap_or("(end)"),
                was.unwrap_or("(end)")
            )?;
        }
    }
    Ok(same)
}

/// A line with `P…` for every incident's reference and `R…` for every request's tag.
fn general(line: &str) -> String {
    let mut general = String::with_capacity(line.len());
    let mut before = String::new();
    // Words keep what surrounds them: brackets and punctuation are no part of a reference.
    for piece in line.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let word = piece.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_reference = word.starts_with('P') && word.parse::<crate::paging::Reference>().is_ok();
        let is_tag = before.eq_ignore_ascii_case("request") && word.len() == 4;
        let stands_for = if is_reference {
            "P…"
        } else if is_tag {
            "R…"
        } else {
            word
        };
        general.push_str(stands_for);
        general.push_str(&piece[word.len()..]);
        word.clone_into(&mut before);
    }
    general
}

struct Play {
    stage: Stage,
    asked: Option<Asked>,
    reference: String,
    transcript: Vec<String>,
}

impl Play {
    fn say(&mut self, who: &str, what: impl AsRef<str>) {
        self.transcript.push(format!("{who:<10}{}", what.as_ref()));
    }

    async fn perform(&mut self, step: &Step) -> Result<(), Error> {
        match step {
            Step::Heading(heading) => {
                if !self.transcript.is_empty() {
                    self.transcript.push(String::new());
                }
                self.transcript.push(format!("# {heading}"));
            }
            Step::Later(by) => {
                self.say("clock", format!("{} seconds later", by.as_secs()));
                self.stage.server.engine.advance(*by).await?;
            }
            Step::Chat(line) => {
                let line = line.replace("P…", &self.reference);
                self.line(&line).await?;
            }
        }
        self.stage.server.engine.settle().await?;
        self.pushes().await?;
        self.outcome().await
    }

    async fn line(&mut self, line: &str) -> Result<(), Error> {
        let meaning = parse(line, &self.stage.vocabulary);
        if !matches!(meaning, Line::Phone { .. }) {
            self.say("yannick", line);
        }
        match meaning {
            Line::Chat(Ok(command)) => self.said(*command).await?,
            Line::Chat(Err(not)) => self.say("heimdall", not.to_string()),
            Line::Phone { whose, what } => {
                let person = self.stage.person(&whose)?.clone();
                for said in tapped(&person, &what, &self.reference).await? {
                    self.say("phone", format!("{whose} {said}"));
                }
            }
            Line::Browser(_) | Line::Help | Line::Quit | Line::Nothing | Line::Unknown(_) => {}
        }
        Ok(())
    }

    async fn said(&mut self, command: Command) -> Result<(), Error> {
        if let Command::Gated(gated) = command {
            let asked = self.stage.ask(&gated).await?;
            self.say("heimdall", format!("Approve on your phone: request {}", asked.tag));
            self.asked = Some(asked);
            return Ok(());
        }
        for said in self.stage.say(&command, &self.reference).await? {
            if matches!(command, Command::Page { .. }) {
                said.rsplit(' ').next().unwrap_or_default().clone_into(&mut self.reference);
            }
            self.say("heimdall", said);
        }
        Ok(())
    }

    async fn pushes(&mut self) -> Result<(), Error> {
        for person in self.stage.people.clone() {
            let mut rung = Vec::new();
            while let Some(push) = person.phone.next_push(Duration::ZERO).await? {
                rung.push(shown(&person, &push));
            }
            // Sent side by side, they arrive in any order.
            rung.sort();
            for line in rung {
                self.say("phone", line);
            }
        }
        Ok(())
    }

    async fn outcome(&mut self) -> Result<(), Error> {
        let Some(asked) = self.asked.clone() else { return Ok(()) };
        if let Some(said) = outcome(&self.stage.bot, &asked, 0).await? {
            self.asked = None;
            self.say("heimdall", said);
        }
        Ok(())
    }
}

/// A push as it stands on a screen.
pub(super) fn shown(person: &Person, push: &Push) -> String {
    let rings = if push.kind() == "answered" { "shows" } else { "rings" };
    format!("{} {rings}: {} ({})", person.handle, push.title(), push.body())
}

/// Does something on a phone: what was seen or done, in words that follow the person's name.
pub(super) async fn tapped(person: &Person, what: &Tap, last: &str) -> Result<Vec<String>, Error> {
    let phone = &person.phone;
    let waiting = phone.inbox().await?;
    let first = waiting.first().map(|approval| text(&approval["id"]));
    Ok(match (what, first) {
        (Tap::Look, _) => waiting.iter().map(card).collect(),
        (Tap::Approve | Tap::Deny(_), None) => vec!["has nothing to answer".to_owned()],
        (Tap::Approve, Some(id)) => {
            phone.approve(&id).await?;
            vec!["approves with a passkey".to_owned()]
        }
        (Tap::Deny(reason), Some(id)) => {
            phone.deny(&id, reason.as_deref()).await?;
            vec![reason.as_ref().map_or("denies".to_owned(), |reason| format!("denies: {reason}"))]
        }
        (Tap::Acknowledge(reference), _) => {
            let incident = phone.acknowledge(reference.as_deref().unwrap_or(last)).await?;
            vec![format!("acknowledges {}", text(&incident["ref"]))]
        }
        (Tap::Resolve(reference), _) => {
            let incident = phone.resolve(reference.as_deref().unwrap_or(last)).await?;
            vec![format!("resolves {}", text(&incident["ref"]))]
        }
        (Tap::Escalate(reference), _) => {
            let incident = phone.escalate(reference.as_deref().unwrap_or(last), &[], None).await?;
            vec![format!("escalates {}", text(&incident["ref"]))]
        }
        (Tap::Confirm(number), _) => {
            let devices = phone.devices().await?;
            let waiting = devices.iter().find(|device| device["state"] == "waiting");
            let Some(waiting) = waiting else { return Ok(vec!["has no device that waits".to_owned()]) };
            let confirmed = phone.confirm_device(&text(&waiting["id"]), number).await?;
            vec![format!("confirms {}, which shows {number}", text(&confirmed["name"]))]
        }
        (Tap::NotMe(reference), _) => {
            phone.not_me(reference).await?;
            vec![format!("says of {reference}: not me")]
        }
    })
}

/// An approval card, in a line.
fn card(approval: &serde_json::Value) -> String {
    let display = &approval["display"];
    let rows = display["rows"].as_array().cloned().unwrap_or_default();
    let details: Vec<_> = rows.iter().skip(2).map(|row| format!("{} {}", text(&row["label"]), text(&row["value"]))).collect();
    format!(
        "reads: {}, {} (asked by {} through {})",
        text(&display["title"]),
        details.join(", "),
        text(&display["requester"]),
        text(&display["bot"])
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_and_tags_are_general() {
        assert_eq!(general("heimdall  Paged Yannick Schutz: Incident P7K3M2X"), "heimdall  Paged Yannick Schutz: Incident P…");
        assert_eq!(general("(Page P7K3M2X from heimdall)"), "(Page P… from heimdall)");
        assert_eq!(general("Approve on your phone: request 7K3M"), "Approve on your phone: request R…");
        assert_eq!(general("(Request 7K3M: open to read)"), "(Request R…: open to read)");
    }
}
