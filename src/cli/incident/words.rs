//! Incidents in sentences, built by pure functions.

use std::time::Duration;

use serde::Deserialize;

use super::super::reply::{Act, Person};
use super::super::words::{ago, names, span};
use super::DATE_PRECISION;
use crate::clock::Timestamp;
use crate::identity::{UserRef, Who};
use crate::text::{line, visible};

/// What is done to an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Acknowledge,
    Resolve,
}

impl Verb {
    /// Its part of the URL.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Acknowledge => "acknowledge",
            Self::Resolve => "resolve",
        }
    }
}

/// Where an incident stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Triggered,
    Acknowledged,
    Resolved,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Triggered => "triggered",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }
}

/// An incident, as `/v1/incidents` shows it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Incident {
    r#ref: String,
    title: String,
    details: Option<String>,
    links: Vec<String>,
    urgency: String,
    state: State,
    #[serde(default)]
    snoozed: bool,
    service: Option<String>,
    team: Option<String>,
    reports: u32,
    steps: Vec<Step>,
    step: Option<usize>,
    rings: u32,
    rings_at: Option<Timestamp>,
    acted: Option<Act>,
    merged_into: Option<String>,
    created_at: Timestamp,
}

/// A step of who is rung.
#[derive(Clone, Debug, Deserialize)]
struct Step {
    targets: Vec<Target>,
    escalate_after_seconds: Option<u64>,
}

/// Whom a step rings.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Target {
    User(Person),
    Team(String),
    Schedule(String),
}

impl Step {
    /// A line of the plan; the last one rings everybody for ever.
    fn row(&self, number: usize) -> String {
        let name = |target: &Target| match target {
            Target::User(person) => line(&person.name, 80),
            Target::Team(team) => format!("team {team}"),
            Target::Schedule(schedule) => format!("schedule {schedule}"),
        };
        let names: Vec<_> = self.targets.iter().map(name).collect();
        match self.escalate_after_seconds {
            Some(seconds) => format!("{number}. {} for {}", names.join(", "), span(Duration::from_secs(seconds))),
            None if names.is_empty() => "Then all of them, until somebody answers".to_owned(),
            None => format!("Then all of them and {}, until somebody answers", names.join(", ")),
        }
    }
}

/// A line of the timeline.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Line {
    at: Timestamp,
    text: String,
}

impl Line {
    pub(super) fn row(&self, now: Timestamp) -> Vec<String> {
        vec![format!("    {}", ago(self.at, now)), visible(&self.text)]
    }
}

/// What handing an incident on answers.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Handed {
    r#ref: String,
    paged: Vec<Person>,
    unreachable: Vec<Person>,
    #[serde(default)]
    outside: Vec<Person>,
}

impl Handed {
    /// Whether it was to ring somebody and rang nobody.
    pub(super) fn failed(&self) -> bool {
        self.paged.is_empty() && !self.unreachable.is_empty()
    }

    pub(super) fn sentences(&self) -> Vec<String> {
        let first = match (self.paged.as_slice(), self.failed()) {
            ([], false) => format!("Nothing changed: {} is with them already", self.r#ref),
            ([], true) => format!("Nobody was paged, but incident {} is open", self.r#ref),
            (people, _) => format!("Paged {}: Incident {}", names(people), self.r#ref),
        };
        let of = |text: &str, people: &[Person]| (!people.is_empty()).then(|| format!("{text}: {}", names(people)));
        let unreachable = of("Unreachable, with no phone that rings", &self.unreachable);
        [Some(first), unreachable, of("Of another team", &self.outside)].into_iter().flatten().collect()
    }
}

impl Incident {
    /// A line of the list.
    pub(super) fn row(&self, now: Timestamp) -> Vec<String> {
        let who = match &self.acted {
            Some(act) => format!("{} by {}", self.word(), act.name()),
            None => self.state.as_str().to_owned(),
        };
        vec![self.r#ref.clone(), who, ago(self.created_at, now), line(&self.title, 200)]
    }

    /// Everything about it.
    pub(super) fn story(&self, now: Timestamp) -> Vec<String> {
        let mut story = vec![format!("Incident {} {}: {}", self.r#ref, self.state.as_str(), line(&self.title, 500))];
        story.extend(self.details.iter().flat_map(|details| details.lines()).map(|line| format!("    {}", visible(line))));
        story.extend(self.links.iter().map(|link| format!("    {}", visible(link))));
        let service = self.service.as_ref().map(|service| format!(", service {service}")).unwrap_or_default();
        let team = self.team.as_ref().map(|team| format!(", team {team}")).unwrap_or_default();
        let reports = if self.reports > 1 { format!(", {} reports", self.reports) } else { String::new() };
        story.push(format!("Opened {}, urgency {}{service}{team}{reports}", ago(self.created_at, now), self.urgency));
        let times = if self.rings == 1 { "once".to_owned() } else { format!("{} times", self.rings) };
        story.push(format!("Rang {times}"));
        story.extend(self.steps.iter().enumerate().map(|(at, step)| {
            let here = if self.step == Some(at) { "  > " } else { "    " };
            format!("{here}{}", step.row(at + 1))
        }));
        story.extend(self.acted.as_ref().map(|act| {
            let via = act.via.as_ref().map(|bot| format!(" via {}", bot.name)).unwrap_or_default();
            format!("{} by {}{via} {}", capitalised(self.word()), act.name(), ago(act.at, now))
        }));
        story.extend(self.merged_into.as_ref().map(|into| format!("{into} goes on in its place")));
        story.extend(self.rings_at.map(|at| {
            let unless = match self.state {
                State::Acknowledged if self.snoozed => return format!("Rings again in {}", span(now.until(at))),
                State::Acknowledged => "resolved",
                State::Triggered | State::Resolved => "somebody answers",
            };
            format!("Rings again in {} unless {unless}", span(now.until(at)))
        }));
        story
    }

    /// Where it stands, as people say it.
    fn word(&self) -> &'static str {
        match self.state {
            State::Acknowledged if self.snoozed => "snoozed",
            State::Resolved if self.merged_into.is_some() => "merged",
            state => state.as_str(),
        }
    }

    /// That it was put off, and for how long.
    pub(super) fn put_off(&self, now: Timestamp) -> String {
        let long = self.rings_at.map(|at| format!(": it rings in {}", span(now.until(at) + DATE_PRECISION))).unwrap_or_default();
        format!("Incident {} snoozed{long}", self.r#ref)
    }

    /// The reply to whoever did `verb` for `actor` in a call that took `took`, the server saying that it is `now`.
    pub(super) fn done(&self, verb: Verb, actor: Option<&Who>, now: Timestamp, took: Duration) -> String {
        if self.was_before(actor, now, took)
            && let Some(already) = self.already(now)
        {
            return already;
        }
        let done = match verb {
            Verb::Acknowledge => State::Acknowledged,
            Verb::Resolve => State::Resolved,
        };
        format!("Incident {} {}", self.r#ref, done.as_str())
    }

    /// Whether what the reply shows was done by somebody else, or before this call began.
    fn was_before(&self, actor: Option<&Who>, now: Timestamp, took: Duration) -> bool {
        let Some(act) = &self.acted else { return false };
        let (through, by) = (act.via.is_some(), act.by.as_ref());
        let ours = match actor {
            // A person acts through nobody.
            None => !through && by.is_some(),
            Some(Who::User(UserRef::Id(id))) => through && by.is_some_and(|by| by.id == id.to_string()),
            Some(Who::User(UserRef::Handle(handle))) => through && by.is_some_and(|by| by.handle == handle.as_str()),
            // Only the server knows who that is; when it was done tells enough.
            Some(Who::Chat(_)) => through,
        };
        !ours || act.at < now.before(took + DATE_PRECISION)
    }

    /// Who did it first, when somebody has.
    pub(super) fn already(&self, now: Timestamp) -> Option<String> {
        let act = self.acted.as_ref()?;
        Some(format!("{} was already {} by {} {}", self.r#ref, self.word(), act.name(), ago(act.at, now)))
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn incident(state: &str, acted: serde_json::Value) -> Incident {
        let yannick = json!({"id": "usr_1", "handle": "yannick", "name": "Yannick Schutz"});
        let zoe = json!({"id": "usr_2", "handle": "zoe", "name": "Zoë Lang"});
        let mut body = json!({
            "id": "inc_1", "ref": "P7K3M2X", "title": "All your\u{1b}[2J apps are down", "details": "one\ntwo",
            "links": ["https://status.example.com"], "urgency": "high", "state": state, "snoozed": false, "reports": 12, "rings": 2,
            "service": "api", "team": "ops", "step": 0, "responders": [yannick],
            "steps": [
                {"targets": [{"user": yannick}, {"schedule": "nights"}], "escalate_after_seconds": 120},
                {"targets": [{"user": zoe}]},
            ],
            "created_at": "2026-03-01T10:00:00Z",
        });
        if state != "resolved" {
            body["rings_at"] = json!("2026-03-01T10:12:00Z");
        }
        if !acted.is_null() {
            body["acted"] = acted;
        }
        serde_json::from_value(body).unwrap()
    }

    fn act(handle: &str, name: &str, via: bool, at: &str) -> serde_json::Value {
        let mut act = json!({"by": {"id": "usr_1", "handle": handle, "name": name}, "at": at});
        if via {
            act["via"] = json!({"id": "bot_1", "name": "heimdall"});
        }
        act
    }

    fn now() -> Timestamp {
        "2026-03-01T10:10:00Z".parse().unwrap()
    }

    #[test]
    fn a_reply_tells_what_was_done_now_from_what_was_done_before() {
        let yannick: Who = "@yannick".parse().unwrap();
        let said = |by: &str, name: &str, via: bool, at: &str| {
            let incident = incident("acknowledged", act(by, name, via, at));
            incident.done(Verb::Acknowledge, Some(&yannick), now(), Duration::from_millis(20))
        };
        let fresh = "2026-03-01T10:10:00.4Z";
        assert_eq!(said("yannick", "Yannick Schutz", true, fresh), "Incident P7K3M2X acknowledged");
        let before = "P7K3M2X was already acknowledged by Yannick Schutz 3 minutes ago";
        assert_eq!(said("yannick", "Yannick Schutz", true, "2026-03-01T10:07:00Z"), before);
        // On their own phone, or somebody else, even in this very moment.
        let just = |name: &str| format!("P7K3M2X was already acknowledged by {name} just now");
        assert_eq!(said("yannick", "Yannick Schutz", false, fresh), just("Yannick Schutz"));
        assert_eq!(said("zoe", "Zoë Lang", true, fresh), just("Zoë Lang"));
    }

    #[test]
    fn a_slow_call_is_not_taken_for_an_old_acknowledgement() {
        let incident = incident("resolved", act("yannick", "Yannick Schutz", true, "2026-03-01T10:09:50Z"));
        let by_id: Who = "@yannick".parse().unwrap();
        let said = |took| incident.done(Verb::Resolve, Some(&by_id), now(), Duration::from_secs(took));
        assert_eq!(said(12), "Incident P7K3M2X resolved");
        assert_eq!(said(2), "P7K3M2X was already resolved by Yannick Schutz 10 seconds ago");
    }

    #[test]
    fn the_story_is_complete_and_obeys_no_control_character() {
        let acted = act("yannick", "Yannick Schutz", true, "2026-03-01T10:05:00Z");
        assert_eq!(
            incident("acknowledged", acted).story(now()),
            [
                "Incident P7K3M2X acknowledged: All your\\u{1b}[2J apps are down",
                "    one",
                "    two",
                "    https://status.example.com",
                "Opened 10 minutes ago, urgency high, service api, team ops, 12 reports",
                "Rang 2 times",
                "  > 1. Yannick Schutz, schedule nights for 2 minutes",
                "    Then all of them and Zoë Lang, until somebody answers",
                "Acknowledged by Yannick Schutz via heimdall 5 minutes ago",
                "Rings again in 2 minutes unless resolved",
            ]
        );
    }

    #[test]
    fn handing_on_says_who_was_rung_who_was_not_and_who_is_of_another_team() {
        let person = |name: &str| json!({"id": "usr_1", "handle": "zoe", "name": name});
        let said = |paged: &[&str], unreachable: &[&str], outside: &[&str]| {
            let all = |names: &[&str]| names.iter().map(|name| person(name)).collect::<Vec<_>>();
            let body = json!({"ref": "P7K3M2X", "paged": all(paged), "unreachable": all(unreachable), "outside": all(outside)});
            let handed: Handed = serde_json::from_value(body).unwrap();
            (handed.sentences().join(" | "), handed.failed())
        };
        assert_eq!(said(&["Zoë"], &[], &["Zoë"]), ("Paged Zoë: Incident P7K3M2X | Of another team: Zoë".into(), false));
        let nobody = "Nobody was paged, but incident P7K3M2X is open | Unreachable, with no phone that rings: Zoë";
        assert_eq!(said(&[], &["Zoë"], &[]), (nobody.into(), true));
        assert_eq!(said(&[], &[], &[]), ("Nothing changed: P7K3M2X is with them already".into(), false));
    }

    #[test]
    fn what_is_put_off_or_merged_is_said_so() {
        let mut snoozed = incident("acknowledged", act("zoe", "Zoë Lang", false, "2026-03-01T10:05:00Z"));
        snoozed.snoozed = true;
        assert_eq!(snoozed.put_off(now()), "Incident P7K3M2X snoozed: it rings in 2 minutes");
        let story = snoozed.story(now());
        assert_eq!(story[story.len() - 2..], ["Snoozed by Zoë Lang 5 minutes ago", "Rings again in 2 minutes"]);
        let mut merged = incident("resolved", act("zoe", "Zoë Lang", false, "2026-03-01T10:05:00Z"));
        merged.merged_into = Some("P000001".into());
        let story = merged.story(now());
        assert_eq!(story[story.len() - 2..], ["Merged by Zoë Lang 5 minutes ago", "P000001 goes on in its place"]);
    }

    #[test]
    fn a_row_says_who_has_it() {
        let row = |state: &str, acted| incident(state, acted).row(now()).join(" | ");
        let title = "10 minutes ago | All your\\u{1b}[2J apps are down";
        assert_eq!(row("triggered", serde_json::Value::Null), format!("P7K3M2X | triggered | {title}"));
        let acted = act("zoe", "Zoë Lang", false, "2026-03-01T10:05:00Z");
        assert_eq!(row("resolved", acted), format!("P7K3M2X | resolved by Zoë Lang | {title}"));
    }
}
