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
    steps: Vec<Vec<Person>>,
    rings: u32,
    rings_at: Option<Timestamp>,
    acted: Option<Act>,
    created_at: Timestamp,
}

impl Incident {
    /// A line of the list.
    pub(super) fn row(&self, now: Timestamp) -> Vec<String> {
        let who = match &self.acted {
            Some(act) => format!("{} by {}", self.state.as_str(), line(&act.by.name, 80)),
            None => self.state.as_str().to_owned(),
        };
        vec![self.r#ref.clone(), who, ago(self.created_at, now), line(&self.title, 200)]
    }

    /// Everything about it.
    pub(super) fn story(&self, now: Timestamp) -> Vec<String> {
        let mut story = vec![format!("Incident {} {}: {}", self.r#ref, self.state.as_str(), line(&self.title, 500))];
        story.extend(self.details.iter().flat_map(|details| details.lines()).map(|line| format!("    {}", visible(line))));
        story.extend(self.links.iter().map(|link| format!("    {}", visible(link))));
        story.push(format!("Opened {}, urgency {}", ago(self.created_at, now), self.urgency));
        let steps: Vec<_> = self.steps.iter().map(|step| names(step)).collect();
        let times = if self.rings == 1 { "once".to_owned() } else { format!("{} times", self.rings) };
        story.push(format!("Rings {}; rang {times}", steps.join(", then ")));
        story.extend(self.acted.as_ref().map(|act| {
            let via = act.via.as_ref().map(|bot| format!(" via {}", bot.name)).unwrap_or_default();
            format!("{} by {}{via} {}", capitalised(self.state.as_str()), line(&act.by.name, 80), ago(act.at, now))
        }));
        story.extend(self.rings_at.map(|at| {
            let unless = if self.state == State::Acknowledged { "resolved" } else { "somebody answers" };
            format!("Rings again in {} unless {unless}", span(now.until(at)))
        }));
        story
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
        let through = act.via.is_some();
        let ours = match actor {
            // A person acts through nobody.
            None => !through,
            Some(Who::User(UserRef::Id(id))) => through && act.by.id == id.to_string(),
            Some(Who::User(UserRef::Handle(handle))) => through && act.by.handle == handle.as_str(),
            // Only the server knows who that is; when it was done tells enough.
            Some(Who::Chat(_)) => through,
        };
        !ours || act.at < now.before(took + DATE_PRECISION)
    }

    /// Who did it first, when somebody has.
    pub(super) fn already(&self, now: Timestamp) -> Option<String> {
        let act = self.acted.as_ref()?;
        let (name, when) = (line(&act.by.name, 80), ago(act.at, now));
        Some(format!("{} was already {} by {name} {when}", self.r#ref, self.state.as_str()))
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
            "links": ["https://status.example.com"], "urgency": "high", "state": state, "steps": [[yannick], [zoe]], "rings": 2,
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
                "Opened 10 minutes ago, urgency high",
                "Rings Yannick Schutz, then Zoë Lang; rang 2 times",
                "Acknowledged by Yannick Schutz via heimdall 5 minutes ago",
                "Rings again in 2 minutes unless resolved",
            ]
        );
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
