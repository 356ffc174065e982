//! `phoneops room`: what is meant in a room of chat where a line names nothing, and what it hears of unasked.

pub(super) mod known;

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::connect::Operator;
use super::noun::tell;
use super::words::table;
use super::{Failure, Out, Outcome};
use crate::chat::ANY_LABEL;
use crate::client::Client;
use crate::id::ChatSubscriptionId;
use crate::identity::Handle;
use crate::text::line;
use known::Address;

/// Say what is meant in a room of chat where a line names nothing, and what the room hears of without having asked
///
/// A room is one bot's, and named by the chat's own ids: slack:T0ORG:C0OPS, irc:example:#ops.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Command {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// List the rooms in which something holds or that hear of something
    #[command(after_help = "Example:\n  phoneops room list")]
    List(List),
    /// Show a room, with the ids by which `unsubscribe` ends what it hears of
    #[command(after_help = "Example:\n  phoneops room show heimdall slack:T0ORG:C0OPS")]
    Show(Show),
    /// Say which team and service are meant there where a line names none; what is not said here stays
    #[command(after_help = "Example:\n  phoneops room set heimdall slack:T0ORG:C0OPS --team ops --service api")]
    Set(Set),
    /// Let a room hear of incidents, or of requests for approval, without having asked
    #[command(after_help = "Example:\n  phoneops room subscribe heimdall slack:T0ORG:C0OPS incidents --team ops --urgency high \
                            --label severity=critical\n  phoneops room subscribe heimdall slack:T0ORG:C0OPS approvals --label target=production")]
    Subscribe(Subscribe),
    /// End that a room hears of something
    #[command(after_help = "Example:\n  phoneops room unsubscribe sub_019b0f2a6c5b7000a1b2c3d4e5f60718")]
    Unsubscribe(Unsubscribe),
    /// Narrow what a room hears of to what has all of these labels; the people in it say `show me only production events`
    #[command(after_help = "Example:\n  phoneops room filter heimdall slack:T0ORG:C0OPS environment=production\n  \
                            phoneops room filter heimdall slack:T0ORG:C0OPS --everything")]
    Filter(Filter),
}

/// One room.
#[derive(Debug, Args)]
struct One {
    #[command(flatten)]
    operator: Operator,
    /// The bot whose room it is
    bot: Handle,
    /// The room: platform:workspace:room, by the chat's own ids
    #[arg(value_name = "ROOM")]
    address: Address,
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    operator: Operator,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Show {
    #[command(flatten)]
    one: One,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Set {
    #[command(flatten)]
    one: One,
    /// Whose incidents and schedules are meant
    #[arg(long, conflicts_with = "no_team", required_unless_present_any = ["no_team", "service", "no_service"])]
    team: Option<Handle>,
    /// No team is meant
    #[arg(long)]
    no_team: bool,
    /// What breaks
    #[arg(long, conflicts_with = "no_service")]
    service: Option<Handle>,
    /// No service is meant
    #[arg(long)]
    no_service: bool,
}

#[derive(Debug, Args)]
struct Subscribe {
    #[command(flatten)]
    one: One,
    /// Of what
    #[arg(value_parser = ["incidents", "approvals"])]
    of: String,
    /// Only of this team: its incidents; requests that its members ask or may approve
    #[arg(long)]
    team: Option<Handle>,
    /// Only of this service; of a request, its param `service` or `app`
    #[arg(long)]
    service: Option<Handle>,
    /// Only of incidents so loud
    #[arg(long, value_parser = ["high", "low"])]
    urgency: Option<String>,
    /// Only with this label, or any label of this value; of a request, a param, `type` or `target`; can be given more than once
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<Label>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Unsubscribe {
    #[command(flatten)]
    operator: Operator,
    /// Which, as `phoneops room show` lists it
    #[arg(value_name = "sub_…")]
    id: ChatSubscriptionId,
}

#[derive(Debug, Args)]
struct Filter {
    #[command(flatten)]
    one: One,
    /// A label, or the value of any label
    #[arg(value_name = "NAME=VALUE", value_parser = label, required_unless_present = "everything", conflicts_with = "everything")]
    only: Vec<Label>,
    /// Narrow it no longer
    #[arg(long)]
    everything: bool,
}

/// A label by its name; `*` stands for any.
type Label = (String, String);

fn label(text: &str) -> Result<Label, String> {
    let (name, value) = text.split_once('=').unwrap_or((ANY_LABEL, text));
    if name.is_empty() || value.is_empty() {
        return Err("expected NAME=VALUE, or the value of any label".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

fn by_name(labels: Vec<Label>) -> Result<BTreeMap<String, String>, Failure> {
    let mut all = BTreeMap::new();
    for (name, value) in labels {
        if let Some(before) = all.insert(name.clone(), value) {
            let said = if name == ANY_LABEL { "any label".to_owned() } else { format!("the label {name}") };
            return Err(Failure::Usage(format!("{said} cannot have two values: {before} is one already")));
        }
    }
    Ok(all)
}

/// A room, as [`known::all`] has it.
#[derive(Deserialize)]
struct Room {
    bot: String,
    #[serde(flatten)]
    address: Address,
    team: Option<String>,
    service: Option<String>,
    #[serde(default)]
    only: BTreeMap<String, String>,
    #[serde(default)]
    hears: Vec<Heard>,
}

/// What a room hears of.
#[derive(Deserialize)]
struct Heard {
    id: String,
    of: String,
    team: Option<String>,
    service: Option<String>,
    urgency: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// What people read where there is none.
const NONE: &str = "Nothing holds in any room yet: `phoneops room set` and `phoneops room subscribe` say what does";

impl Command {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        match self.act {
            Act::List(list) => list.run(out).await,
            Act::Show(show) => show.run(out).await,
            Act::Set(set) => set.run(out).await,
            Act::Subscribe(subscribe) => subscribe.run(out).await,
            Act::Unsubscribe(Unsubscribe { operator, id }) => {
                operator.connect()?.delete(&format!("/v1/chat/subscriptions/{id}")).await?;
                out.line(format_args!("Ended {id}: its room hears of that no more"));
                Ok(Outcome::Done)
            }
            Act::Filter(filter) => filter.run(out).await,
        }
    }
}

impl List {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let rooms = known::all(&self.operator.connect()?).await?;
        tell(out, self.json, &Value::Array(rooms), |out, rooms: Vec<Room>| {
            let rows: Vec<_> = rooms.iter().map(Room::row).collect();
            out.lines(table(&rows));
            if rows.is_empty() {
                out.note(NONE);
            }
        })
    }
}

impl Show {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let rooms = known::all(&self.one.operator.connect()?).await?;
        let found = known::the(&rooms, &self.one.bot, &self.one.address);
        let found = found.ok_or_else(|| Failure::Other(format!("nothing holds in {}", self.one.name())))?;
        tell(out, self.json, found, |out, room: Room| out.lines(room.lines()))
    }
}

impl One {
    fn name(&self) -> String {
        format!("room {} of bot {}", line(&self.address.to_string(), 400), self.bot)
    }

    fn body(&self) -> Value {
        let Address { platform, workspace, room } = &self.address;
        json!({"bot": self.bot, "platform": platform, "workspace": workspace, "room": room})
    }

    /// Changes what holds there, and nothing else.
    async fn change(&self, client: &Client, change: impl FnOnce(&mut Value)) -> Result<Room, Failure> {
        let rooms = known::all(client).await?;
        let mut body = self.body();
        if let Some(now) = known::the(&rooms, &self.bot, &self.address) {
            for name in ["team", "service", "only"] {
                body[name] = now.get(name).cloned().unwrap_or_else(|| if name == "only" { json!({}) } else { Value::Null });
            }
        }
        change(&mut body);
        client.put("/v1/chat/rooms", &body).await?;
        super::reply::read(&body)
    }
}

impl Set {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let client = self.one.operator.connect()?;
        let room = self.one.change(&client, |body| {
            if self.no_team || self.team.is_some() {
                body["team"] = json!(self.team);
            }
            if self.no_service || self.service.is_some() {
                body["service"] = json!(self.service);
            }
        });
        let room = room.await?;
        let meant = room.meant();
        let meant = if meant.is_empty() { "neither a team nor a service is meant".to_owned() } else { meant };
        out.line(format_args!("Set {}: {meant}", self.one.name()));
        Ok(Outcome::Done)
    }
}

impl Filter {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let only = by_name(self.only)?;
        let client = self.one.operator.connect()?;
        let room = self.one.change(&client, |body| body["only"] = json!(only)).await?;
        let only = if room.only.is_empty() { "everything it is subscribed to".to_owned() } else { labels(&room.only) };
        out.line(format_args!("Narrowed {}: {only}", self.one.name()));
        Ok(Outcome::Done)
    }
}

impl Subscribe {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let mut body = self.one.body();
        body["of"] = json!(self.of);
        (body["team"], body["service"], body["urgency"]) = (json!(self.team), json!(self.service), json!(self.urgency));
        body["labels"] = json!(by_name(self.labels)?);
        let reply = self.one.operator.connect()?.post("/v1/chat/subscriptions", &body).await?;
        tell(out, self.json, &reply.body, |out, heard: Heard| {
            out.line(format_args!("Subscribed {} to {} as {}", self.one.name(), heard.what(), heard.id));
        })
    }
}

/// `environment=production`; the value alone where any label may have it.
fn labels(all: &BTreeMap<String, String>) -> String {
    let one = |(name, value): (&String, &String)| {
        let value = line(value, 80);
        if name == ANY_LABEL { value } else { format!("{}={value}", line(name, 80)) }
    };
    format!("only {}", all.iter().map(one).collect::<Vec<_>>().join(", "))
}

impl Room {
    /// What is meant where a line names nothing.
    fn meant(&self) -> String {
        let team = self.team.as_ref().map(|team| format!("team {}", line(team, 40)));
        let service = self.service.as_ref().map(|service| format!("service {}", line(service, 40)));
        team.into_iter().chain(service).collect::<Vec<_>>().join(", ")
    }

    fn row(&self) -> Vec<String> {
        let hears = match &self.hears[..] {
            [] => "hears of nothing".to_owned(),
            [one] => format!("hears of {}", one.what()),
            more => format!("hears of {} things", more.len()),
        };
        let only = if self.only.is_empty() { String::new() } else { labels(&self.only) };
        vec![line(&self.bot, 40), line(&self.address.to_string(), 120), self.meant(), hears, only]
    }

    fn lines(&self) -> Vec<String> {
        let word = |of: Option<&String>| of.map_or_else(|| "none".to_owned(), |name| line(name, 40));
        let shown = if self.only.is_empty() { "everything it hears of".to_owned() } else { labels(&self.only) };
        let rows = [
            ["room", &line(&self.address.to_string(), 400)],
            ["bot", &line(&self.bot, 40)],
            ["team", &word(self.team.as_ref())],
            ["service", &word(self.service.as_ref())],
            ["shows", &shown],
        ];
        let mut rows: Vec<_> = rows.into_iter().map(|row| row.map(str::to_owned).to_vec()).collect();
        if self.hears.is_empty() {
            rows.push(vec!["hears of".into(), "nothing".into()]);
        }
        rows.extend(self.hears.iter().map(|heard| vec!["hears of".into(), heard.what(), line(&heard.id, 40)]));
        table(&rows)
    }
}

impl Heard {
    /// `urgent incidents of team ops, only severity=critical`
    fn what(&self) -> String {
        let loud = match self.urgency.as_deref() {
            Some("high") => "urgent ",
            Some(_) => "less urgent ",
            None => "",
        };
        let name =
            |kind: &str, name: Option<&String>| name.map(|name| format!(" of {kind} {}", line(name, 40))).unwrap_or_default();
        let (team, service) = (name("team", self.team.as_ref()), name("service", self.service.as_ref()));
        let with = if self.labels.is_empty() { String::new() } else { format!(", {}", labels(&self.labels)) };
        format!("{loud}{}{team}{service}{with}", line(&self.of, 40))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room() -> Room {
        let heard = json!([
            {"id": "sub_1", "of": "incidents", "team": "ops", "urgency": "high", "labels": {"severity": "critical", "*": "eu"}},
            {"id": "sub_2", "of": "approvals"},
        ]);
        serde_json::from_value(
            json!({"bot": "heimdall", "platform": "slack", "workspace": "T0ORG", "room": "C0OPS", "team": "ops",
            "only": {"environment": "production"}, "hears": heard}),
        )
        .unwrap()
    }

    #[test]
    fn a_room_is_told_in_words() {
        let expected = [
            "room      slack:T0ORG:C0OPS",
            "bot       heimdall",
            "team      ops",
            "service   none",
            "shows     only environment=production",
            "hears of  urgent incidents of team ops, only eu, severity=critical  sub_1",
            "hears of  approvals                                                 sub_2",
        ];
        assert_eq!(room().lines(), expected);
        let row = ["heimdall", "slack:T0ORG:C0OPS", "team ops", "hears of 2 things", "only environment=production"];
        assert_eq!(room().row(), row);
    }

    #[test]
    fn a_label_is_a_name_with_a_value_or_the_value_of_any() {
        assert_eq!(label("environment=production"), Ok(("environment".into(), "production".into())));
        assert_eq!(label("query=a=b"), Ok(("query".into(), "a=b".into())));
        assert_eq!(label("production"), Ok((ANY_LABEL.into(), "production".into())));
        assert!(label("=production").is_err() && label("environment=").is_err() && label("").is_err());
        let twice = by_name(vec![("env".into(), "a".into()), ("env".into(), "b".into())]);
        assert!(matches!(twice, Err(Failure::Usage(why)) if why == "the label env cannot have two values: a is one already"));
    }
}
