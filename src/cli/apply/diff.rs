//! What would change, key by key.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::house::{House, Noun, Thing};
use crate::text::line;

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// Something new.
    Add(Thing),
    /// Something else than it was.
    Alter {
        /// As it is.
        now: Thing,
        /// As it is to be.
        then: Thing,
    },
    /// Something that is to go.
    Remove(Thing),
}

/// What makes `now` into `then`, in an order that what refers to what allows. What `then` does not mention stays, unless it is `pruned`.
pub(super) fn diff(now: &House, then: &House, prune: bool) -> Vec<Change> {
    let (before, after) = (now.things(), then.things());
    let same = |one: &Thing, other: &Thing| (one.noun, &one.name) == (other.noun, &other.name);
    let mut changes: Vec<_> = after
        .iter()
        .filter_map(|then| match before.iter().find(|now| same(now, then)) {
            None => Some(Change::Add(then.clone())),
            Some(now) if now.body == then.body => None,
            Some(now) => Some(Change::Alter { now: now.clone(), then: then.clone() }),
        })
        .collect();
    if prune {
        // Teams are never removed: what they did is theirs for ever.
        let gone = |now: &Thing| now.noun != Noun::Team && !after.iter().any(|then| same(now, then));
        // The limits and rooms of a bot are nothing without it.
        let of_one_gone = |now: &Thing| {
            let theirs = matches!(now.noun, Noun::BotLimit | Noun::Room);
            theirs && before.iter().any(|bot| bot.noun == Noun::Bot && now.body["bot"] == bot.name && gone(bot))
        };
        let removed = before.iter().rev().filter(|now| gone(now) && !of_one_gone(now));
        changes.extend(removed.cloned().map(Change::Remove));
    }
    changes
}

impl Change {
    /// What it is about.
    pub(super) fn thing(&self) -> &Thing {
        match self {
            Self::Add(thing) | Self::Remove(thing) | Self::Alter { then: thing, .. } => thing,
        }
    }

    /// The keys that differ, with what they hold before and after.
    fn keys(&self) -> Vec<(String, Option<String>, Option<String>)> {
        let (before, after) = match self {
            Self::Add(then) => (BTreeMap::new(), leaves(&then.body)),
            Self::Remove(now) => (leaves(&now.body), BTreeMap::new()),
            Self::Alter { now, then } => (leaves(&now.body), leaves(&then.body)),
        };
        let mut keys: Vec<_> = before.keys().chain(after.keys()).filter(|key| *key != "name").cloned().collect();
        keys.sort();
        keys.dedup();
        let both = keys.into_iter().map(|key| (before.get(&key).cloned(), after.get(&key).cloned(), key));
        both.filter(|(now, then, _)| now != then).map(|(now, then, key)| (key, now, then)).collect()
    }

    /// For people.
    pub(super) fn lines(&self) -> Vec<String> {
        let Thing { noun, name, .. } = self.thing();
        let sign = match self {
            Self::Add(_) => '+',
            Self::Alter { .. } => '~',
            Self::Remove(_) => return vec![format!("- {noun} {name}")],
        };
        let mut lines = vec![format!("{sign} {noun} {name}")];
        lines.extend(self.keys().into_iter().map(|(key, now, then)| match (now, then) {
            (None, then) => indented(&format!("{key}: {}", then.unwrap_or_default())),
            (Some(now), None) => indented(&format!("{key}: {now} → nothing")),
            (Some(now), Some(then)) => indented(&format!("{key}: {now} → {then}")),
        }));
        lines
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let Thing { noun, name, .. } = self.thing();
        let change = match self {
            Self::Add(_) => "added",
            Self::Alter { .. } => "changed",
            Self::Remove(_) => "removed",
        };
        let keys: Vec<_> =
            self.keys().into_iter().map(|(key, now, then)| json!({"key": key, "now": now, "then": then})).collect();
        json!({"kind": noun.table(), "name": name, "change": change, "keys": keys})
    }
}

fn indented(text: &str) -> String {
    format!("    {}", line(text, 400))
}

/// What a thing says, by key; a list of plain things is one.
fn leaves(body: &Value) -> BTreeMap<String, String> {
    fn walk(value: &Value, at: &str, out: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(members) if !members.is_empty() => {
                for (name, value) in members {
                    let at = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                    walk(value, &at, out);
                }
            }
            Value::Array(list) if list.iter().any(Value::is_object) => {
                list.iter().enumerate().for_each(|(place, value)| walk(value, &format!("{at}[{place}]"), out));
            }
            other => drop(out.insert(at.to_owned(), other.to_string())),
        }
    }
    let mut out = BTreeMap::new();
    walk(body, "", &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn house(text: &str) -> House {
        toml::from_str::<House>(text).unwrap().in_order()
    }

    const NOW: &str = r#"
        [[team]]
        name = "api"
        members = ["@ann", "@bea"]
        [[bot]]
        name = "loki"
        scopes = ["events:read"]
        [[escalation_policy]]
        name = "api"
        steps = [{to = ["@ann"], escalate_after_minutes = 5}]
        [[service]]
        name = "api"
        team = "api"
        policy = "api"
    "#;

    const CHAT: &str = r##"
        [[bot_limit]]
        bot = "loki"
        teams = ["web", "api"]
        actions = [{type = "merge"}, {type = "deploy", target = "stag*"}]
        [[room]]
        bot = "loki"
        platform = "irc"
        workspace = "example"
        room = "#ops"
        team = "api"
        hears = [{of = "incidents", urgency = "high"}, {of = "approvals"}, {of = "approvals"}]
    "##;

    #[test]
    fn what_a_bot_may_ask_and_what_its_rooms_hear_of_have_no_order() {
        let now = format!("{NOW}{CHAT}");
        let other = now
            .replace(r#""web", "api""#, r#""api", "web", "api""#)
            .replace(
                r#"{type = "merge"}, {type = "deploy", target = "stag*"}"#,
                r#"{type = "deploy", target = "stag*"}, {type = "merge", target = "*"}"#,
            )
            .replace(r#"{of = "approvals"}, {of = "approvals"}]"#, r#"{of = "approvals"}]"#);
        assert_ne!(now, other);
        assert_eq!(diff(&house(&now), &house(&other), true), []);
        let wider = now.replace(r#"{type = "merge"}, "#, "").replace(r#"urgency = "high""#, r#"service = "api""#);
        let told: Vec<_> = diff(&house(&now), &house(&wider), true).iter().flat_map(Change::lines).collect();
        let expected = [
            "~ bot limit loki",
            "    actions[1].target: \"*\" → nothing",
            "    actions[1].type: \"merge\" → nothing",
            "~ room loki irc:example:#ops",
            "    hears[1].service: \"api\"",
            "    hears[1].urgency: \"high\" → nothing",
        ];
        assert_eq!(told, expected);
        // The bot is removed, and all that was its own with it.
        let told: Vec<_> = diff(&house(&now), &House::default(), true).iter().flat_map(Change::lines).collect();
        assert_eq!(told, ["- service api", "- escalation policy api", "- bot loki"]);
        let told: Vec<_> = diff(&house(&now), &house(NOW), true).iter().flat_map(Change::lines).collect();
        assert_eq!(told, ["- room loki irc:example:#ops", "- bot limit loki"]);
    }

    #[test]
    fn order_where_there_is_none_is_no_change() {
        assert_eq!(diff(&house(NOW), &house(&NOW.replace(r#""@ann", "@bea""#, r#""@Bea", "@ann", "@bea""#)), true), []);
    }

    #[test]
    fn a_change_is_told_key_by_key() {
        let then = NOW
            .replace("minutes = 5}]", "minutes = 10}, {to = [\"team:api\"], escalate_after_minutes = 2}]")
            .replace(", \"@bea\"", "")
            + "[[team]]\nname = \"web\"\nmembers = [\"@bea\"]\n";
        let told: Vec<_> = diff(&house(NOW), &house(&then), false).iter().flat_map(Change::lines).collect();
        let expected = [
            "~ team api",
            "    members: [\"@ann\",\"@bea\"] → [\"@ann\"]",
            "+ team web",
            "    members: [\"@bea\"]",
            "~ escalation policy api",
            "    steps[0].escalate_after_minutes: 5 → 10",
            "    steps[1].escalate_after_minutes: 2",
            "    steps[1].to: [\"team:api\"]",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_a_file_does_not_mention_goes_only_when_it_is_pruned_and_in_order() {
        let (now, then) = (house(NOW), House::default());
        assert_eq!(diff(&now, &then, false), []);
        let told: Vec<_> = diff(&now, &then, true).iter().flat_map(Change::lines).collect();
        assert_eq!(told, ["- service api", "- escalation policy api", "- bot loki"], "who refers first, and no team");
        let json = diff(&now, &then, true)[0].json();
        assert_eq!((&json["kind"], &json["change"]), (&json!("service"), &json!("removed")));
    }
}
