//! What is said, word for word, built by pure functions from what is known.
//!
//! **Invariants**
//! - What strangers wrote stands in one line, with nothing in it that reorders or hides its neighbours.
//! - A card says with its text alone what its colour and its buttons say.

use crate::approvals::{self, BreakGlass, Outcome, State as Stands};
use crate::chat::{About, Button, Reply, Tone};
use crate::clock::Timestamp;
use crate::identity::User;
use crate::paging::{self, Acted, Named, Reference, State};
use crate::text::line;

/// The longest that a stranger's line is said.
const LONG: usize = 500;

/// What is said in passing.
pub(in crate::chat) fn plain(text: impl Into<String>) -> Reply {
    Reply { text: text.into(), ..Reply::default() }
}

/// What is refused.
pub(in crate::chat) fn refused(text: impl Into<String>) -> Reply {
    Reply { tone: Tone::Alarm, ..plain(text) }
}

/// What was done.
pub(in crate::chat) fn done(text: impl Into<String>) -> Reply {
    Reply { tone: Tone::Good, ..plain(text) }
}

/// `a`, `a and b`, `a, b and c`.
pub(in crate::chat) fn listed<T: AsRef<str>>(names: &[T]) -> String {
    match names {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}

/// The names of people, as [`listed`].
pub(in crate::chat) fn people<'a>(users: impl IntoIterator<Item = &'a User>) -> String {
    let names: Vec<_> = users.into_iter().map(name).collect();
    listed(&names)
}

pub(in crate::chat) fn name(user: &User) -> String {
    line(user.name.as_str(), 80)
}

/// `at 12:03 UTC` on the day of `now`, and `on 2027-01-15 at 12:03 UTC` on another.
pub(in crate::chat) fn when(at: Timestamp, now: Timestamp) -> String {
    let (at, now) = (at.to_string(), now.to_string());
    let part = |range: std::ops::Range<usize>| at.get(range).unwrap_or_default();
    let time = part(11..16);
    if at.get(..10) == now.get(..10) { format!("at {time} UTC") } else { format!("on {} at {time} UTC", part(0..10)) }
}

/// `2h 5m`, `45m`, `30s`.
pub(in crate::chat) fn long(time: std::time::Duration) -> String {
    let seconds = time.as_secs();
    let parts = [(seconds / 86_400, "d"), (seconds / 3_600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let said: Vec<_> = parts.iter().filter(|(n, _)| *n > 0).take(2).map(|(n, unit)| format!("{n}{unit}")).collect();
    if said.is_empty() { "0s".to_owned() } else { said.join(" ") }
}

fn button(label: &str, command: String) -> Button {
    Button { label: label.to_owned(), command }
}

fn incident_buttons(state: State, reference: &Reference) -> Vec<Button> {
    let acknowledge = button("Acknowledge", format!("ack {reference}"));
    let (resolve, escalate) =
        (button("Resolve", format!("resolve {reference}")), button("Escalate", format!("escalate {reference}")));
    match state {
        State::Triggered { .. } | State::Acknowledged { snoozed: true, .. } => vec![acknowledge, resolve, escalate],
        State::Acknowledged { .. } => vec![resolve, escalate],
        State::Resolved { .. } => Vec::new(),
    }
}

/// How loud an incident's colour is.
fn incident_tone(state: State) -> Tone {
    match state {
        State::Triggered { .. } => Tone::Alarm,
        State::Acknowledged { .. } => Tone::Waiting,
        State::Resolved { .. } => Tone::Good,
    }
}

/// A card of an incident that says `text`.
pub(in crate::chat) fn incident_saying(view: &paging::View, issuer: &str, text: String) -> Reply {
    let incident = &view.incident;
    Reply {
        text,
        title: Some(line(&incident.title, LONG)),
        link: Some(format!("{issuer}/i/{}", incident.reference)),
        tone: incident_tone(incident.state),
        buttons: incident_buttons(incident.state, &incident.reference),
        whisper: None,
        about: Some(About::Incident(incident.id)),
    }
}

/// An incident as it stands.
pub(in crate::chat) fn incident(view: &paging::View, issuer: &str, now: Timestamp) -> Reply {
    let incident = &view.incident;
    let mut text = format!("Incident {}: {}\n{}", incident.reference, line(&incident.title, LONG), stands(view, now));
    if let Some(details) = &incident.details {
        text.push('\n');
        text.push_str(&line(details, 1000));
    }
    let labels: Vec<_> = incident.labels.iter().map(|(name, value)| format!("{}={}", line(name, 80), line(value, 80))).collect();
    let service = view.service.as_ref().map(|name| format!("service {}", name.as_str()));
    let team = view.team.as_ref().map(|name| format!("team {}", name.as_str()));
    let about: Vec<_> = service.into_iter().chain(team).chain(labels).collect();
    if !about.is_empty() {
        text.push('\n');
        text.push_str(&about.join(", "));
    }
    incident_saying(view, issuer, text)
}

/// Where an incident stands, in a sentence without its end.
pub(in crate::chat) fn stands(view: &paging::View, now: Timestamp) -> String {
    let by = acted(view);
    match view.incident.state {
        State::Triggered { place, .. } => {
            let step = view.steps.get(usize::try_from(place.step).unwrap_or(usize::MAX)).or(view.steps.last());
            let targets = step.map(|step| targets(&step.targets)).unwrap_or_default();
            if targets.is_empty() { "Ringing".to_owned() } else { format!("Ringing {targets}") }
        }
        State::Acknowledged { act, snoozed: true, timer_at: Some(until), .. } => {
            format!(
                "Snoozed by {by} {} until {}",
                when(act.at, now),
                when(until, now).trim_start_matches("at ").trim_start_matches("on ")
            )
        }
        State::Acknowledged { act, snoozed: true, .. } => format!("Snoozed by {by} {}", when(act.at, now)),
        State::Acknowledged { act, .. } => format!("Acknowledged by {by} {}", when(act.at, now)),
        State::Resolved { act, .. } => match &view.merged_into {
            Some(into) => format!("Merged into {into} by {by} {}", when(act.at, now)),
            None => format!("Resolved by {by} {}", when(act.at, now)),
        },
    }
}

fn targets(targets: &[Named]) -> String {
    let said = |target: &Named| match target {
        Named::User(user) => name(user),
        Named::Team(team) => format!("team {}", team.as_str()),
        Named::Schedule(schedule) => format!("whoever is on call for {}", schedule.as_str()),
    };
    listed(&targets.iter().map(said).collect::<Vec<_>>())
}

/// Who acted last on an incident.
pub(in crate::chat) fn acted(view: &paging::View) -> String {
    match &view.acted {
        Some(Acted::Person(user, _)) => name(user),
        Some(Acted::Integration(integration)) => line(integration, 80),
        None => "nobody".to_owned(),
    }
}

/// An incident in a line of a list.
pub(in crate::chat) fn in_a_list(view: &paging::View, now: Timestamp) -> String {
    let incident = &view.incident;
    let service = view.service.as_ref().map(|service| format!(" [{}]", service.as_str())).unwrap_or_default();
    format!("{} {}{service}: {}", incident.reference, line(&incident.title, 120), stands(view, now))
}

/// `Paged Yannick Schutz: Incident P7K3M2X`, and who could not be.
pub(in crate::chat) fn paged(reference: &Reference, paged: &[&User], unreachable: &[&User], outside: &[&User]) -> String {
    let missed = match people(unreachable.iter().copied()) {
        nobody if nobody.is_empty() => String::new(),
        somebody => format!(" (could not reach {somebody})"),
    };
    let strangers = match people(outside.iter().copied()) {
        nobody if nobody.is_empty() => String::new(),
        somebody => format!("\n{somebody} belongs to another team"),
    };
    let rung = people(paged.iter().copied());
    let rung = if rung.is_empty() { "Paged nobody yet".to_owned() } else { format!("Paged {rung}") };
    format!("{rung}: Incident {reference}{missed}{strangers}")
}

/// What a request asks, as approvers read it: `deploy → production`.
fn asked(view: &approvals::View) -> String {
    view.display.title.clone()
}

/// How many of how many have approved, where more than one must.
fn progress(view: &approvals::View) -> Option<(usize, usize)> {
    let approval = &view.approval;
    let requirement = &approval.requirement;
    let group = requirement.groups.get(approval.asked.saturating_sub(1));
    let needed = group.map_or(0, |group| usize::try_from(group.needed).unwrap_or(usize::MAX));
    let extra = usize::from(requirement.requester && group.is_none_or(|group| !group.members.contains(&approval.requester)));
    let all = needed.saturating_add(extra).max(1);
    (all > 1).then_some((approval.given.len().min(all), all))
}

/// What is said at once of a request that waits.
pub(in crate::chat) fn waits(view: &approvals::View) -> String {
    let approval = &view.approval;
    let others: Vec<_> = view.approvers.iter().filter(|user| user.id != approval.requester).collect();
    let own = view.approvers.iter().any(|user| user.id == approval.requester);
    let tag = &approval.tag;
    let told = match (own, others.len()) {
        (true, _) => format!("Approve on your phone: request {tag}"),
        (false, 0) => format!("Nobody is asked yet: request {tag}"),
        (false, 1..=5) => format!("{} must approve: request {tag}", listed_or(&others)),
        (false, many) => format!("One of {many} people must approve: request {tag}"),
    };
    match progress(view) {
        None => told,
        Some((given, all)) => format!("{told}\n{given}/{all} approved{}", still(view)),
    }
}

fn listed_or(users: &[&User]) -> String {
    let names: Vec<_> = users.iter().map(|user| name(user)).collect();
    match names.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        names => names.concat(),
    }
}

/// Who has approved so far.
fn still(view: &approvals::View) -> String {
    let given = people(view.given.iter().map(|(user, _)| user));
    if given.is_empty() { String::new() } else { format!(": {given}") }
}

/// A request as it stands. `success` is what is said where it was asked once it is allowed.
pub(in crate::chat) fn request(view: &approvals::View, success: Option<&str>, issuer: &str, now: Timestamp) -> Reply {
    let approval = &view.approval;
    let (tag, what) = (&approval.tag, asked(view));
    let by = || view.decided_by.as_ref().map_or_else(|| "somebody".to_owned(), name);
    let allowed = success.map_or_else(|| format!("{what} is approved"), str::to_owned);
    let (title, mut text, tone) = match &approval.state {
        Stands::Pending => (format!("Request {tag}: {what}"), waits(view), Tone::Waiting),
        Stands::Holding { until } => {
            let text =
                format!("Approved by {}: request {tag} takes effect {} unless somebody denies", givers(view), when(*until, now));
            (format!("Request {tag}: {what}"), text, Tone::Waiting)
        }
        Stands::BreakingGlass { until } => {
            let why = approval.break_glass.as_ref().map(|glass: &BreakGlass| line(&glass.reason, LONG)).unwrap_or_default();
            let text = format!(
                "The operator breaks the glass for request {tag}: {why}\nIt opens {} unless somebody denies",
                when(*until, now)
            );
            (format!("Request {tag}: {what}"), text, Tone::Alarm)
        }
        Stands::Opened { .. } => {
            let why = approval.break_glass.as_ref().map(|glass| line(&glass.reason, LONG)).unwrap_or_default();
            (
                format!("Request {tag}: opened by break-glass"),
                format!("{allowed}\nNobody approved it: the operator opened it by break-glass: {why}"),
                Tone::Alarm,
            )
        }
        Stands::Approved(_) => {
            let alone = view.given.iter().all(|(user, _)| user.id == approval.requester);
            let text = if alone { allowed } else { format!("Approved by {}\n{allowed}", givers(view)) };
            (format!("Request {tag}: approved by {}", givers(view)), text, Tone::Good)
        }
        Stands::Denied(decision) => {
            let why = decision.reason.as_deref().map(|reason| format!(": {}", line(reason, LONG))).unwrap_or_default();
            let verb = if decision.verdict == approvals::Verdict::Report { "reported" } else { "denied" };
            (format!("Request {tag}: {verb} by {}", by()), format!("{} {verb} request {tag} ({what}){why}", by()), Tone::Alarm)
        }
        Stands::Expired { .. } => (
            format!("Request {tag}: expired"),
            format!("Nobody approved request {tag} ({what}) in time. Ask again when somebody can answer."),
            Tone::Over,
        ),
        Stands::Cancelled { frozen: true, .. } => (
            format!("Request {tag}: cancelled"),
            format!(
                "Request {tag} ({what}) was cancelled: somebody reported what this bot asked, and an administrator has to lift that"
            ),
            Tone::Alarm,
        ),
        Stands::Cancelled { .. } => {
            (format!("Request {tag}: cancelled"), format!("Request {tag} ({what}) was cancelled"), Tone::Over)
        }
    };
    let mut tone = tone;
    if let Some(reported) = &view.outcome {
        let detail = reported.detail.as_deref().map(|detail| format!(": {}", line(detail, LONG))).unwrap_or_default();
        text = format!("{text}\nIt {}{detail}", reported.outcome.as_str());
        tone = if reported.outcome == Outcome::Succeeded { Tone::Good } else { Tone::Alarm };
    }
    let buttons = if approval.is_open() { vec![button("Cancel", format!("cancel {tag}"))] } else { Vec::new() };
    Reply {
        text,
        title: Some(title),
        link: Some(format!("{issuer}/a/{}", approval.id)),
        tone,
        buttons,
        whisper: None,
        about: Some(About::Approval(approval.id)),
    }
}

/// A request as it stands, where nobody asked for it.
pub(in crate::chat) fn request_elsewhere(view: &approvals::View, issuer: &str, now: Timestamp) -> Reply {
    let reply = request(view, None, issuer, now);
    let approval = &view.approval;
    let text = match &approval.state {
        Stands::Pending => {
            let so_far =
                progress(view).map(|(given, all)| format!("\n{given}/{all} approved{}", still(view))).unwrap_or_default();
            format!("{} asks: {} (request {}){so_far}", name(&view.requester), asked(view), approval.tag)
        }
        _ => format!("{} ({} asked)", reply.text, name(&view.requester)),
    };
    Reply { text, buttons: Vec::new(), ..reply }
}

/// Who approved.
fn givers(view: &approvals::View) -> String {
    let given = people(view.given.iter().map(|(user, _)| user));
    if given.is_empty() { view.decided_by.as_ref().map_or_else(|| "nobody".to_owned(), name) } else { given }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_said_as_people_say_them() {
        let now: Timestamp = "2027-01-15T12:00:00Z".parse().unwrap();
        assert_eq!(when("2027-01-15T03:04:05Z".parse().unwrap(), now), "at 03:04 UTC");
        assert_eq!(when("2027-01-14T23:59:59Z".parse().unwrap(), now), "on 2027-01-14 at 23:59 UTC");
        for (seconds, said) in [(0, "0s"), (30, "30s"), (2700, "45m"), (7500, "2h 5m"), (86_400, "1d"), (90_061, "1d 1h")] {
            assert_eq!(long(Duration::from_secs(seconds)), said);
        }
    }

    #[test]
    fn names_are_listed_as_people_list_them() {
        assert_eq!(listed::<&str>(&[]), "");
        assert_eq!(listed(&["a"]), "a");
        assert_eq!(listed(&["a", "b"]), "a and b");
        assert_eq!(listed(&["a", "b", "c"]), "a, b and c");
    }
}
