//! An entry of the journal as a sentence: a pure function.

use serde_json::Value;

use super::Names;
use crate::journal::{Actor, Happened};
use crate::text::line;

/// What happened, in a sentence without a full stop.
pub(super) fn sentence(entry: &Happened, names: &Names) -> String {
    let told = Telling { entry, names };
    match entry.kind.strip_prefix("incident.") {
        Some(what) => told.of_the_incident(what),
        None => told.of_others(),
    }
}

struct Telling<'a> {
    entry: &'a Happened,
    names: &'a Names,
}

impl Telling<'_> {
    fn of_the_incident(&self, what: &str) -> String {
        let who = self.who();
        let told = match what {
            "triggered" => format!("{who} opened it: {}", self.text("title", 200)),
            "rang" => return self.rang(),
            "acknowledged" => format!("{who} acknowledged it"),
            "resolved" => format!("{who} resolved it"),
            "snoozed" => format!("{who} snoozed it until {}", self.text("until", 40)),
            "woken" => format!("{who} woke it"),
            "merged" => format!("{who} merged it into {}", self.name("into")),
            "absorbed" => self.absorbed(&who),
            "escalated" => self.escalated(&who),
            "reassigned" => format!("{who} handed it to {}", self.list("to")),
            "responder_added" => format!("{who} asked {} to look as well", self.list("to")),
            "urgency_changed" => format!("{who} made it {} urgency", self.text("urgency", 20)),
            "reopened" => format!("{who} re-opened it"),
            "retriggered" => format!("Reported again: {} ({} reports)", self.text("title", 200), self.number("reports")),
            "put_off" => format!("Everybody has quiet hours: it rings at {}", self.text("until", 40)),
            "disowned" => self.disowned(&who),
            "parted" => self.parted(),
            "gave_back" => self.gave_back(&who),
            "noted" => format!("{who} noted: {}", self.text("text", 10_000)),
            _ => return self.otherwise(),
        };
        let rang = self.whom();
        if rang.is_empty() { told } else { format!("{told}. {rang}") }
    }

    fn of_others(&self) -> String {
        match self.entry.kind.as_str() {
            "person.unreachable" => format!("{} could not be reached (ring {})", self.name("user"), self.number("round")),
            "push.failed_over" => format!(
                "No phone of {} said that it rang (ring {}): {} more ways were tried",
                self.name("user"),
                self.number("round"),
                self.number("ways")
            ),
            _ => self.otherwise(),
        }
    }

    /// What nobody has words for: its kind, and what it says of itself.
    fn otherwise(&self) -> String {
        let kind = self.entry.kind.replace(['.', '_'], " ");
        let mut letters = kind.chars();
        let kind: String = letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default();
        let facts = ["rule", "summary", "title", "why"].map(|fact| self.text(fact, 200));
        let facts: Vec<_> = facts.into_iter().filter(|fact| !fact.is_empty()).collect();
        if facts.is_empty() { kind } else { format!("{kind}: {}", facts.join(", ")) }
    }

    fn rang(&self) -> String {
        let data = &self.entry.data;
        let why = match (data["unreached_step"].as_u64(), data["after"].as_str()) {
            (Some(step), _) => format!("Nobody of step {} could be reached. ", step + 1),
            (None, Some("snooze")) => "The snooze is over. ".to_owned(),
            (None, Some(_)) => "It was not resolved in time. ".to_owned(),
            (None, None) if data["last_resort"] == true => "Nobody answered. ".to_owned(),
            (None, None) => String::new(),
        };
        format!("{why}{}", self.whom())
    }

    /// Whom it rang, where, and whom it could not reach.
    fn whom(&self) -> String {
        let data = &self.entry.data;
        let Some(ring) = data["ring"].as_u64() else { return String::new() };
        let place = match (data["step"].as_u64(), data["last_resort"] == true) {
            (None, _) => String::new(),
            (Some(_), true) => " as the last resort".to_owned(),
            (Some(step), false) => format!(" at step {}", step + 1),
        };
        let (paged, unreachable) = (self.all("paged"), self.all("unreachable"));
        if paged.is_empty() && unreachable.is_empty() {
            return format!("Rang{place} (ring {ring})");
        }
        let rang = if paged.is_empty() { "Rang nobody".to_owned() } else { format!("Rang {}", and(&paged)) };
        let missed = if unreachable.is_empty() { String::new() } else { format!("; could not reach {}", and(&unreachable)) };
        format!("{rang}{place} (ring {ring}){missed}")
    }

    fn escalated(&self, who: &str) -> String {
        let to = self.all("to");
        let to = if to.is_empty() { "the next step".to_owned() } else { and(&to) };
        match self.text("message", 300) {
            message if message.is_empty() => format!("{who} escalated it to {to}"),
            message => format!("{who} escalated it to {to}: {message}"),
        }
    }

    fn absorbed(&self, who: &str) -> String {
        let alerts = match self.number("alerts") {
            0 => String::new(),
            1 => ", with an open alert".to_owned(),
            alerts => format!(", with {alerts} open alerts"),
        };
        format!("{who} merged {} into it{alerts}", self.name("incident"))
    }

    fn disowned(&self, who: &str) -> String {
        let what = match self.entry.data["act"].as_str() {
            Some(act) => format!(" ({})", line(act.trim_start_matches("incident."), 40).replace('_', " ")),
            None => String::new(),
        };
        let undone = if self.entry.data["undone"] == false { "nothing of that can be undone" } else { "it rings again" };
        // Of a merge that is told by itself there is nothing here; once its alerts stayed where they were.
        let alerts = match &self.entry.data["into"] {
            Value::Null => String::new(),
            _ => format!("; its alerts stay with {}, which they were merged into", self.name("into")),
        };
        format!("{who} says that this was not them{what}: {undone}{alerts}")
    }

    /// What became of its alerts when a merge was undone.
    fn parted(&self) -> String {
        let into = self.name("into");
        match self.entry.data["alerts"].as_u64() {
            None => format!("It goes on apart from {into}, where its alerts stay: they cannot be told from the others"),
            Some(0) => format!("It goes on apart from {into}, where no open alert of it was left"),
            Some(1) => format!("It goes on apart from {into}, and has its open alert back"),
            Some(alerts) => format!("It goes on apart from {into}, and has its {alerts} open alerts back"),
        }
    }

    fn gave_back(&self, who: &str) -> String {
        let back = match self.number("alerts") {
            0 => "it goes on apart".to_owned(),
            1 => "it goes on apart, with an open alert".to_owned(),
            alerts => format!("it goes on apart, with {alerts} open alerts"),
        };
        format!("{who} says that merging {} was not them: {back}", self.name("incident"))
    }

    /// Who did it: a person, perhaps through a bot, or something else.
    fn who(&self) -> String {
        let named = |id: String| line(&self.names.of(&id), 80);
        match self.entry.actor {
            Actor::User { user, .. } => named(user.to_string()),
            Actor::Bot { bot, user: None } => named(bot.to_string()),
            Actor::Bot { bot, user: Some(user) } => format!("{} via {}", named(user.to_string()), named(bot.to_string())),
            Actor::Integration { integration } => named(integration.to_string()),
            Actor::Operator => "The operator".to_owned(),
            Actor::System | Actor::Enrollee => "PhoneOps".to_owned(),
        }
    }

    /// A fact, made harmless; nothing when there is none.
    fn text(&self, fact: &str, most: usize) -> String {
        self.entry.data[fact].as_str().map(|text| line(text, most)).unwrap_or_default()
    }

    fn number(&self, fact: &str) -> u64 {
        self.entry.data[fact].as_u64().unwrap_or_default()
    }

    fn name(&self, fact: &str) -> String {
        self.entry.data[fact].as_str().map(|id| line(&self.names.of(id), 80)).unwrap_or_default()
    }

    fn all(&self, fact: &str) -> Vec<String> {
        let ids = self.entry.data[fact].as_array().map(Vec::as_slice).unwrap_or_default();
        ids.iter().filter_map(Value::as_str).map(|id| line(&self.names.of(id), 80)).collect()
    }

    fn list(&self, fact: &str) -> String {
        and(&self.all(fact))
    }
}

/// `Ann`, `Ann and Bob`, `Ann, Bob and Cleo`.
fn and(names: &[String]) -> String {
    match names.split_last() {
        None => "nobody".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::clock::Timestamp;
    use crate::id::{BotId, DeviceId, EventId, IncidentId, UserId};

    fn said(kind: &str, actor: Actor, data: Value) -> String {
        let (ann, yves) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let names = [
            (ann.to_string(), "Ann\u{202e}"),
            (yves.to_string(), "Yves"),
            (BotId(Uuid::from_u128(9)).to_string(), "heimdall"),
            (IncidentId(Uuid::from_u128(7)).to_string(), "P7K3M2X"),
        ];
        let names = Names(names.into_iter().map(|(id, name)| (id, name.to_owned())).collect::<BTreeMap<_, _>>());
        let at = Timestamp::from_seconds(0);
        sentence(&Happened { id: EventId(Uuid::nil()), at, kind: kind.to_owned(), actor, data }, &names)
    }

    fn yves() -> UserId {
        UserId(Uuid::from_u128(2))
    }

    #[test]
    fn acts_are_told_with_who_did_them_and_through_what() {
        let own = Actor::User { user: yves(), device: DeviceId(Uuid::nil()) };
        let through = Actor::Bot { bot: BotId(Uuid::from_u128(9)), user: Some(yves()) };
        let into = IncidentId(Uuid::from_u128(7));
        assert_eq!(said("incident.acknowledged", through, json!({})), "Yves via heimdall acknowledged it");
        assert_eq!(said("incident.resolved", own, json!({})), "Yves resolved it");
        assert_eq!(said("incident.merged", own, json!({"into": into})), "Yves merged it into P7K3M2X");
        assert_eq!(
            said("incident.absorbed", own, json!({"incident": into, "alerts": 2})),
            "Yves merged P7K3M2X into it, with 2 open alerts"
        );
        let escalated = json!({"to": [UserId(Uuid::from_u128(1))], "message": "I need\nhelp", "ring": 4,
            "paged": [UserId(Uuid::from_u128(1))], "unreachable": []});
        let text = "Yves escalated it to Ann\\u{202e}: I need help. Rang Ann\\u{202e} (ring 4)";
        assert_eq!(said("incident.escalated", own, escalated), text);
        assert_eq!(said("incident.escalated", own, json!({"to": []})), "Yves escalated it to the next step");
        let disowned = json!({"act": "incident.responder_added", "undone": false});
        let text = "Yves says that this was not them (responder added): nothing of that can be undone";
        assert_eq!(said("incident.disowned", own, disowned), text);
        let text = "Yves says that this was not them: it rings again; its alerts stay with P7K3M2X, which they were merged into";
        assert_eq!(said("incident.disowned", own, json!({"into": into})), text);
        assert_eq!(said("incident.disowned", own, json!({})), "Yves says that this was not them: it rings again");
        let parted = |alerts: Value| said("incident.parted", own, json!({"into": into, "alerts": alerts}));
        assert_eq!(parted(json!(2)), "It goes on apart from P7K3M2X, and has its 2 open alerts back");
        assert_eq!(parted(json!(1)), "It goes on apart from P7K3M2X, and has its open alert back");
        assert_eq!(parted(json!(0)), "It goes on apart from P7K3M2X, where no open alert of it was left");
        let stay = "It goes on apart from P7K3M2X, where its alerts stay: they cannot be told from the others";
        assert_eq!(parted(Value::Null), stay);
        let gave = |alerts: u64| said("incident.gave_back", own, json!({"incident": into, "alerts": alerts}));
        assert_eq!(gave(2), "Yves says that merging P7K3M2X was not them: it goes on apart, with 2 open alerts");
        assert_eq!(gave(0), "Yves says that merging P7K3M2X was not them: it goes on apart");
    }

    #[test]
    fn rings_are_told_with_whom_they_reached_and_why() {
        let rang = |more: Value| {
            let mut data = json!({"pass": 0, "step": 1, "last_resort": false, "ring": 4, "paged": [yves()], "unreachable": []});
            data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            said("incident.rang", Actor::System, data)
        };
        assert_eq!(rang(json!({})), "Rang Yves at step 2 (ring 4)");
        assert_eq!(rang(json!({"unreached_step": 0})), "Nobody of step 1 could be reached. Rang Yves at step 2 (ring 4)");
        assert_eq!(rang(json!({"last_resort": true})), "Nobody answered. Rang Yves as the last resort (ring 4)");
        assert_eq!(rang(json!({"after": "snooze"})), "The snooze is over. Rang Yves at step 2 (ring 4)");
        let nobody = json!({"paged": [], "unreachable": [yves()]});
        assert_eq!(rang(nobody), "Rang nobody at step 2 (ring 4); could not reach Yves");
    }

    #[test]
    fn what_nobody_has_words_for_is_told_by_its_kind() {
        let data = json!({"rule": "maintenance", "summary": "disk\u{1b} full"});
        assert_eq!(said("alert.put_off", Actor::System, data), "Alert put off: maintenance, disk\\u{1b} full");
        assert_eq!(said("job.buried", Actor::System, json!({})), "Job buried");
    }
}
