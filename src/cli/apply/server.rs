//! The installation as the server says it is, and one change of it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::diff::Change;
use super::house::{House, Noun, Thing};
use crate::cli::room::known;
use crate::cli::{Failure, Out};
use crate::client::{Client, Reply};
use crate::text::line;

/// What of a subscription stands in a file.
const HEARD: [&str; 5] = ["of", "team", "service", "urgency", "labels"];

/// How often it is looked whether an act was confirmed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How the server is set up now.
pub(super) async fn read(client: &Client) -> Result<House, Failure> {
    let mut whole = json!({});
    for noun in Noun::ALL {
        let mut all = match noun {
            Noun::Integration => integrations(client, &whole[Noun::Service.table()]).await?,
            Noun::BotLimit => limits(client).await?,
            Noun::Room => known::all(client).await?,
            _ => listed(client, noun.path(), noun).await?,
        };
        // What is built in is there without being declared.
        all.retain(|shown| shown["built_in"] != true);
        whole[noun.table()] = all.iter().map(|shown| written(noun, shown)).collect();
    }
    Ok(serde_json::from_value::<House>(whole)?.in_order())
}

async fn listed(client: &Client, path: &str, noun: Noun) -> Result<Vec<Value>, Failure> {
    Ok(client.get(path).await?.body[noun.list()].as_array().cloned().unwrap_or_default())
}

/// The integrations of these services, each with the name of its service.
async fn integrations(client: &Client, services: &Value) -> Result<Vec<Value>, Failure> {
    let mut all = Vec::new();
    for service in services.as_array().into_iter().flatten() {
        let path = format!("/v1/services/{}/integrations", service["name"].as_str().unwrap_or_default());
        for mut shown in listed(client, &path, Noun::Integration).await? {
            shown["service"] = service["name"].clone();
            all.push(shown);
        }
    }
    Ok(all)
}

/// The limits of the bots that have some, each with the name of its bot.
async fn limits(client: &Client) -> Result<Vec<Value>, Failure> {
    let mut all = Vec::new();
    for bot in listed(client, Noun::Bot.path(), Noun::Bot).await? {
        let shown = client.get(&format!("/v1/bots/{}/limits", bot["id"].as_str().unwrap_or_default())).await?.body;
        if let Some(limits) = shown.get("limits") {
            let mut limits = limits.clone();
            limits["bot"] = bot["name"].clone();
            all.push(limits);
        }
    }
    Ok(all)
}

/// What of a thing stands in a file.
fn written(noun: Noun, shown: &Value) -> Value {
    if noun == Noun::Team {
        let people = shown["members"].as_array().into_iter().flatten();
        let handles: Value = people.map(|person| person["handle"].clone()).collect();
        return json!({"name": shown["name"], "members": handles});
    }
    if noun == Noun::Room {
        let mut room = shown.clone();
        for heard in room["hears"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            heard.retain(|name, _| HEARD.contains(&name.as_str()));
        }
        return room;
    }
    let keys: &[&str] = match noun {
        Noun::Team | Noun::Room => &[],
        Noun::Bot => &["name", "scopes"],
        Noun::BotLimit => &["bot", "actions", "teams", "users", "rooms"],
        Noun::Schedule => &["name", "team", "zone", "layers"],
        Noun::EscalationPolicy => &["name", "team", "repeats", "last_resort", "steps"],
        Noun::Service => &["name", "team", "policy", "settings"],
        Noun::Integration => &["service", "name", "kind", "every_seconds", "grace_seconds", "mapping"],
        Noun::Policy => &["name", "match", "require"],
        Noun::ChatCommand => &["name", "pattern", "success", "help", "example", "action"],
    };
    let there = keys.iter().filter_map(|key| Some(((*key).to_owned(), shown.get(key)?.clone())));
    Value::Object(there.collect())
}

/// The people that there are, without `@`.
pub(super) async fn people(client: &Client) -> Result<BTreeSet<String>, Failure> {
    let listed = client.get("/v1/users").await?.body;
    let all = listed["users"].as_array().into_iter().flatten();
    Ok(all.filter_map(|user| user["handle"].as_str().map(str::to_owned)).collect())
}

/// What was made and is shown once. Never printed with `Debug`.
pub(super) enum Token {
    /// The token of a bot.
    Bot { bot: String, token: String },
    /// The key of an integration, and where it reports.
    Key { integration: String, key: String, url: String },
}

/// Makes a change, and waits where an administrator's passkey confirms it; the token that it made.
pub(super) async fn make(client: &Client, change: &Change, out: &mut Out) -> Result<Option<Token>, Failure> {
    let thing = change.thing();
    let path = || match (thing.noun, thing.name.split_once('/')) {
        (Noun::Integration, Some((service, name))) => format!("{}/{service}/integrations/{name}", thing.noun.path()),
        _ => format!("{}/{}", thing.noun.path(), thing.name),
    };
    match (change, thing.noun) {
        (Change::Add(_), Noun::Team) => {
            client.post(thing.noun.path(), &json!({"name": thing.name})).await?;
            members(client, thing, &BTreeSet::new(), out).await?;
        }
        (Change::Alter { now, .. }, Noun::Team) => members(client, thing, &handles(now), out).await?,
        (Change::Add(_) | Change::Alter { .. }, Noun::Policy) => {
            let rule = json!({"match": thing.body["match"], "require": thing.body["require"]});
            settle(client, client.put(&path(), &rule).await?, out).await?;
        }
        (Change::Add(_) | Change::Alter { .. }, Noun::ChatCommand) => {
            let mut says = thing.body.clone();
            says.as_object_mut().map(|members| members.remove("name"));
            settle(client, client.put(&path(), &says).await?, out).await?;
        }
        (_, Noun::BotLimit) => {
            let path = format!("/v1/bots/{}/limits", bot(client, &thing.name).await?);
            let reply = match change {
                Change::Remove(_) => client.delete(&path).await?,
                Change::Add(_) | Change::Alter { .. } => {
                    let mut limits = thing.body.clone();
                    limits.as_object_mut().map(|members| members.remove("bot"));
                    client.put(&path, &limits).await?
                }
            };
            settle(client, reply, out).await?;
        }
        (_, Noun::Room) => room(client, change).await?,
        (Change::Remove(_), Noun::Bot) => drop(client.delete(&format!("/v1/bots/{}", bot(client, &thing.name).await?)).await?),
        (Change::Add(_), Noun::Bot) => {
            let made = client.post(thing.noun.path(), &thing.body).await?;
            let token = made.body["token"].as_str().unwrap_or_default().to_owned();
            return Ok(Some(Token::Bot { bot: thing.name.clone(), token }));
        }
        (Change::Add(_), Noun::Integration) => {
            let mut body = thing.body.clone();
            let service = body.as_object_mut().and_then(|members| members.remove("service")).unwrap_or_default();
            let list = format!("{}/{}/integrations", thing.noun.path(), service.as_str().unwrap_or_default());
            let made = client.post(&list, &body).await?.body;
            let text = |name: &str| made[name].as_str().unwrap_or_default().to_owned();
            return Ok(Some(Token::Key { integration: thing.name.clone(), key: text("key"), url: text("url") }));
        }
        (Change::Alter { .. }, Noun::Integration) => {
            let mut body = thing.body.clone();
            if let Some(members) = body.as_object_mut() {
                members.retain(|name, _| !["service", "name", "kind"].contains(&name.as_str()));
            }
            client.put(&path(), &body).await?;
        }
        (Change::Add(_), _) => drop(client.post(thing.noun.path(), &thing.body).await?),
        (Change::Alter { .. }, _) => {
            let mut body = thing.body.clone();
            body.as_object_mut().map(|members| members.remove("name"));
            client.put(&path(), &body).await?;
        }
        (Change::Remove(_), _) => settle(client, client.delete(&path()).await?, out).await?,
    }
    Ok(None)
}

/// The members of a team, without `@`.
fn handles(team: &Thing) -> BTreeSet<String> {
    let members = team.body["members"].as_array().into_iter().flatten();
    members.filter_map(|member| member.as_str()).map(|member| member.trim_start_matches('@').to_owned()).collect()
}

async fn members(client: &Client, team: &Thing, now: &BTreeSet<String>, out: &mut Out) -> Result<(), Failure> {
    let then = handles(team);
    let path = |handle: &str| format!("/v1/teams/{}/members/@{handle}", team.name);
    for joins in then.difference(now) {
        settle(client, client.put(&path(joins), &json!({})).await?, out).await?;
    }
    for leaves in now.difference(&then) {
        client.delete(&path(leaves)).await?;
    }
    Ok(())
}

/// What holds in a room, and then what it hears of: first what is new, so that nothing goes unheard in between.
async fn room(client: &Client, change: &Change) -> Result<(), Failure> {
    let nothing = json!({});
    let (now, then) = match change {
        Change::Add(then) => (&nothing, &then.body),
        Change::Alter { now, then } => (&now.body, &then.body),
        Change::Remove(now) => (&now.body, &nothing),
    };
    let place = &change.thing().body;
    let mut body =
        json!({"bot": place["bot"], "platform": place["platform"], "workspace": place["workspace"], "room": place["room"]});
    let defaults = ["team", "service", "only"];
    if defaults.iter().any(|name| now.get(name) != then.get(name)) {
        let mut holds = body.clone();
        for (name, value) in defaults.iter().filter_map(|name| Some((*name, then.get(name)?))) {
            holds[name] = value.clone();
        }
        client.put("/v1/chat/rooms", &holds).await?;
    }
    let hears = |room: &Value| room["hears"].as_array().cloned().unwrap_or_default();
    let (before, after) = (hears(now), hears(then));
    for heard in after.iter().filter(|heard| !before.contains(heard)) {
        for (name, value) in HEARD.iter().map(|name| (*name, heard.get(name))) {
            body[name] = value.cloned().unwrap_or_else(|| if name == "labels" { json!({}) } else { Value::Null });
        }
        client.post("/v1/chat/subscriptions", &body).await?;
    }
    let gone: Vec<_> = before.iter().filter(|heard| !after.contains(heard)).collect();
    if !gone.is_empty() {
        let rooms = known::all(client).await?;
        let same = |room: &&Value| ["bot", "platform", "workspace", "room"].iter().all(|name| room[name] == place[name]);
        for heard in rooms.iter().filter(same).flat_map(hears) {
            let mut says = heard.clone();
            says.as_object_mut().into_iter().for_each(|members| members.retain(|name, _| HEARD.contains(&name.as_str())));
            if gone.contains(&&says) {
                client.delete(&format!("/v1/chat/subscriptions/{}", heard["id"].as_str().unwrap_or_default())).await?;
            }
        }
    }
    Ok(())
}

async fn bot(client: &Client, name: &str) -> Result<String, Failure> {
    let listed = client.get("/v1/bots").await?.body;
    let mut bots = listed["bots"].as_array().into_iter().flatten();
    let found = bots.find(|bot| bot["name"] == name).and_then(|bot| bot["id"].as_str().map(str::to_owned));
    found.ok_or_else(|| Failure::Other(format!("there is no bot {name} any more")))
}

/// Waits until an act was confirmed, when the change became one; whether it was is seen in what the server says afterwards.
async fn settle(client: &Client, reply: Reply, out: &mut Out) -> Result<(), Failure> {
    if reply.status != 202 {
        return Ok(());
    }
    let why = line(reply.body["why"].as_str().unwrap_or_default(), 300);
    out.note(format_args!("This weakens: {why}"));
    out.note("Waiting until an administrator confirms it on their phone, with a passkey, for at most ten minutes");
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let waiting = client.get("/v1/acts").await?.body;
        if !waiting["acts"].as_array().into_iter().flatten().any(|act| act["id"] == reply.body["id"] && act["state"] == "waiting")
        {
            return Ok(());
        }
    }
}
