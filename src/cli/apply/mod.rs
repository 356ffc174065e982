//! `phoneops apply` and `phoneops export`: how an installation is set up, as one file.
//!
//! **Invariants**
//! - Everything goes through the public API: nothing is done that the caller could not do by hand, and what weakens waits for an
//!   administrator's passkey.
//! - What the file does not mention stays, unless it is to be pruned.
//! - What `export` writes, `apply` has nothing to do for.

mod diff;
mod file;
mod house;
mod server;

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::connect::Operator;
use super::{Failure, Out, Outcome};
use crate::client::{Client, Error};
use crate::identity::{Handle, UserRef};
use diff::{Change, diff};
use file::File;
use house::{House, Noun, Target, Thing};
use server::Token;

/// Bring teams, bots and their limits, schedules, escalation policies, services, integrations, approval policies, chat commands and rooms to what a file says
///
/// Shows what would change and asks. What the file does not mention stays as it is, unless --prune is given. Changes that weaken wait for an
/// administrator's passkey. A bot's token and an integration's key are printed once, when it is made.
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command")]
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Apply {
    #[command(flatten)]
    operator: Operator,
    /// The file; `-` reads from stdin
    #[arg(short, long)]
    file: PathBuf,
    /// Show what would change, and do nothing
    #[arg(long, conflicts_with = "yes")]
    diff: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Remove what the file does not mention; teams, which are never removed, apart
    #[arg(long)]
    prune: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Write how teams, bots and their limits, schedules, escalation policies, services, integrations, approval policies, chat commands and rooms are set up, in the form that `apply` reads
///
/// Without secrets: keys and tokens are nowhere in it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  phoneops export > phoneops-house.toml")]
pub(super) struct Export {
    #[command(flatten)]
    operator: Operator,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLE: &str = "Example:\n  phoneops apply -f house.toml --diff\n  phoneops apply -f house.toml --yes\n\n\
The file:\n  [[team]]\n  name = \"backend\"\n  members = [\"@yannick\", \"@ys\"]\n\n  \
[[schedule]]\n  name = \"nights\"\n  team = \"backend\"\n  zone = \"Europe/Paris\"\n  [[schedule.layers]]\n  name = \"primary\"\n  \
people = [\"@yannick\", \"@ys\"]\n  shift = \"1 week\"\n  first = \"2026-11-23T09:00\"\n\n  \
[[escalation_policy]]\n  name = \"api\"\n  repeats = 2\n  last_resort = [\"@yannick\"]\n  \
steps = [{to = [\"schedule:nights\"], escalate_after_minutes = 5}, {to = [\"team:backend\"], escalate_after_minutes = 10}]\n\n  \
[[service]]\n  name = \"api\"\n  team = \"backend\"\n  policy = \"api\"\n  settings = {group_by = [\"cluster\", \"alertname\"]}\n\n  \
[[bot]]\n  name = \"heimdall\"\n  scopes = [\"incidents:write\", \"incidents:read\"]\n\n  \
[[bot_limit]]\n  bot = \"heimdall\"\n  teams = [\"backend\"]\n  actions = [{type = \"deploy\"}]\n\n  \
[[policy]]\n  name = \"production\"\n  match = {types = [\"deploy\"], targets = [\"prod*\"]}\n  \
require = {groups = [{quorum = 2, teams = [\"backend\"]}]}\n\n  \
[[room]]\n  bot = \"heimdall\"\n  platform = \"slack\"\n  workspace = \"T0ORG\"\n  room = \"C0OPS\"\n  team = \"backend\"\n  \
hears = [{of = \"incidents\", team = \"backend\", urgency = \"high\"}]";

impl Export {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let house = server::read(&self.operator.connect()?).await?;
        if self.json {
            out.json(&serde_json::to_value(&house)?);
        } else {
            let text =
                toml::to_string(&house).map_err(|error| Failure::Other(format!("it cannot be written as TOML: {error}")))?;
            out.line(text.trim_end());
        }
        Ok(Outcome::Done)
    }
}

impl Apply {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let file = File::read(&self.file)?;
        let client = self.operator.connect()?;
        let now = server::read(&client).await?;
        known(&client, &file, &now).await?;
        let changes = diff(&now, &file.house, self.prune);
        possible(&file, &changes)?;
        if !self.json {
            self.show(&changes, &now, &file, out);
        }
        if self.diff || changes.is_empty() {
            if self.json {
                out.json(&json!({"changes": changes.iter().map(Change::json).collect::<Vec<_>>()}));
            }
            return Ok(Outcome::Done);
        }
        if !self.yes && !agreed(&changes)? {
            out.note("Nothing was changed");
            return Ok(Outcome::Cancelled);
        }
        let tokens = make(&client, &file, &changes, out).await?;
        let left = diff(&server::read(&client).await?, &file.house, self.prune);
        Ok(self.report(&changes, &tokens, &left, out))
    }

    fn show(&self, changes: &[Change], now: &House, file: &File, out: &mut Out) {
        out.lines(changes.iter().flat_map(Change::lines));
        if changes.is_empty() {
            out.line("No changes");
        }
        if self.prune {
            for team in now.team.iter().filter(|team| !file.house.team.iter().any(|named| named.name == team.name)) {
                out.note(format_args!("Team {} is not in the file and stays: teams are never removed", team.name));
            }
        }
    }

    fn report(&self, changes: &[Change], tokens: &[Token], left: &[Change], out: &mut Out) -> Outcome {
        if self.json {
            let bots = tokens.iter().filter_map(|made| match made {
                Token::Bot { bot, token } => Some(json!({"bot": bot, "token": token})),
                Token::Key { .. } => None,
            });
            let keys = tokens.iter().filter_map(|made| match made {
                Token::Key { integration, key, url } => Some(json!({"integration": integration, "key": key, "url": url})),
                Token::Bot { .. } => None,
            });
            let (tokens, keys): (Vec<Value>, Vec<Value>) = (bots.collect(), keys.collect());
            out.json(&json!({"changes": changes.iter().map(Change::json).collect::<Vec<_>>(), "tokens": tokens, "keys": keys,
                "not_made": left.iter().map(Change::json).collect::<Vec<_>>()}));
        } else {
            tell(tokens, out);
        }
        if left.is_empty() {
            if !self.json {
                out.line(format_args!("Made {}", counted(changes.len())));
            }
            return Outcome::Done;
        }
        let names: Vec<_> = left.iter().map(|change| format!("{} {}", change.thing().noun, change.thing().name)).collect();
        out.note(format_args!("Not made, because nobody confirmed it in time or it was changed meanwhile: {}", names.join(", ")));
        Outcome::Expired
    }
}

fn tell(tokens: &[Token], out: &mut Out) {
    for made in tokens {
        match made {
            Token::Bot { bot, token } => out.line(format_args!("Token of bot {bot}: {token}")),
            Token::Key { integration, key, url } => out.line(format_args!("Key of integration {integration}: {key} for {url}")),
        }
    }
    if !tokens.is_empty() {
        out.note("Keep the tokens and keys now: they are not shown again.");
    }
}

fn counted(changes: usize) -> String {
    if changes == 1 { "1 change".into() } else { format!("{changes} changes") }
}

/// Makes the changes, one after the other; the first that is refused ends it, and is named.
async fn make(client: &Client, file: &File, changes: &[Change], out: &mut Out) -> Result<Vec<Token>, Failure> {
    let mut tokens = Vec::new();
    for change in changes {
        out.progress(format_args!("{} {} …", change.thing().noun, change.thing().name));
        match server::make(client, change, out).await {
            Ok(token) => tokens.extend(token),
            Err(failure) => {
                // What was made stays made, and a token that nobody is told is lost.
                tell(&tokens, out);
                return Err(named(file, change, failure));
            }
        }
    }
    Ok(tokens)
}

/// A refusal, with the place in the file that it is about.
fn named(file: &File, change: &Change, failure: Failure) -> Failure {
    let Failure::Client(Error::Refused(refusal)) = &failure else { return failure };
    if matches!(refusal.status, 401 | 403) {
        return failure;
    }
    let thing = change.thing();
    match change {
        Change::Remove(_) => Failure::Other(format!("{} {}: {}", thing.noun, thing.name, refusal.detail)),
        Change::Add(_) | Change::Alter { .. } => {
            let key = refusal.body["field"].as_str().unwrap_or(thing.noun.key());
            let why = refusal.body["detail"].as_str().unwrap_or(&refusal.detail);
            file.wrong(thing, key, why)
        }
    }
}

/// That everybody and everything the file names is in the file or on the server, before anything is changed.
async fn known(client: &Client, file: &File, now: &House) -> Result<(), Failure> {
    let people = server::people(client).await?;
    let there: Vec<_> = now.things().into_iter().chain(file.house.things()).collect();
    let is_there = |noun: Noun, name: &str| there.iter().any(|thing| thing.noun == noun && thing.name == name);
    for thing in file.house.things() {
        for (key, to) in references(&file.house, &thing) {
            let (found, what) = match &to {
                To::Person(name) => (people.contains(name), format!("@{name}")),
                To::Thing(noun, name) => (is_there(*noun, name), format!("{noun} {name}")),
            };
            if !found {
                return Err(file.wrong(&thing, &key, &format!("there is no {what}, neither in the file nor on the server")));
            }
        }
    }
    Ok(())
}

/// What a thing refers to.
enum To {
    Person(String),
    Thing(Noun, String),
}

/// What a thing refers to, by key. Approval policies are left to the server, which knows who left.
fn references(house: &House, thing: &Thing) -> Vec<(String, To)> {
    let handle = |name: &Handle| name.as_str().to_owned();
    let team = |team: Option<&Handle>| team.map(|name| ("team".to_owned(), To::Thing(Noun::Team, handle(name))));
    let target = |key: String, target: &Target| match target {
        Target::Person(name) => (key, To::Person(handle(name))),
        Target::Team(name) => (key, To::Thing(Noun::Team, handle(name))),
        Target::Schedule(name) => (key, To::Thing(Noun::Schedule, handle(name))),
    };
    match thing.noun {
        Noun::Team => {
            let members = house.team[thing.place].members.iter().enumerate();
            members.map(|(at, member)| (format!("members[{at}]"), To::Person(handle(&member.0)))).collect()
        }
        Noun::Schedule => {
            let schedule = &house.schedule[thing.place];
            let people = schedule.layers.iter().enumerate().flat_map(|(at, layer)| {
                let named = layer.people.iter().enumerate();
                named.map(move |(place, person)| {
                    (format!("layers[{at}].people[{place}]"), To::Person(person.trim_start_matches('@').to_owned()))
                })
            });
            team(schedule.team.as_ref()).into_iter().chain(people).collect()
        }
        Noun::EscalationPolicy => {
            let policy = &house.escalation_policy[thing.place];
            let steps = policy.steps.iter().enumerate().flat_map(|(at, step)| {
                let to = step.to.iter().enumerate();
                to.map(move |(place, to)| target(format!("steps[{at}].to[{place}]"), to))
            });
            let resort = policy.last_resort.iter().enumerate().map(|(at, to)| target(format!("last_resort[{at}]"), to));
            team(policy.team.as_ref()).into_iter().chain(steps).chain(resort).collect()
        }
        Noun::Service => {
            let service = &house.service[thing.place];
            let policy =
                service.policy.as_ref().map(|name| ("policy".to_owned(), To::Thing(Noun::EscalationPolicy, handle(name))));
            team(Some(&service.team)).into_iter().chain(policy).collect()
        }
        Noun::Integration => {
            let service = &house.integration[thing.place].service;
            vec![("service".to_owned(), To::Thing(Noun::Service, handle(service)))]
        }
        Noun::BotLimit => {
            let limit = &house.bot_limit[thing.place];
            let bot = ("bot".to_owned(), To::Thing(Noun::Bot, handle(&limit.bot)));
            let teams = limit.teams.iter().flatten().enumerate();
            let teams = teams.map(|(at, team)| (format!("teams[{at}]"), To::Thing(Noun::Team, handle(team))));
            let users = limit.users.iter().flatten().enumerate();
            let users = users.filter_map(|(at, user)| match user {
                UserRef::Handle(name) => Some((format!("users[{at}]"), To::Person(handle(name)))),
                // The server knows who that is.
                UserRef::Id(_) => None,
            });
            [bot].into_iter().chain(teams).chain(users).collect()
        }
        Noun::Room => {
            let room = &house.room[thing.place];
            let both = |at: &str, team: Option<&Handle>, service: Option<&Handle>| {
                let team = team.map(|name| (format!("{at}team"), To::Thing(Noun::Team, handle(name))));
                let service = service.map(|name| (format!("{at}service"), To::Thing(Noun::Service, handle(name))));
                team.into_iter().chain(service).collect::<Vec<_>>()
            };
            let hears = room.hears.iter().enumerate();
            let hears = hears.flat_map(|(at, heard)| both(&format!("hears[{at}]."), heard.team.as_ref(), heard.service.as_ref()));
            let bot = ("bot".to_owned(), To::Thing(Noun::Bot, handle(&room.bot)));
            [bot].into_iter().chain(both("", room.team.as_ref(), room.service.as_ref())).chain(hears).collect()
        }
        Noun::Bot | Noun::Policy | Noun::ChatCommand => Vec::new(),
    }
}

/// That nothing is asked that cannot be: a bot's scopes are for ever, and so is an integration's kind.
fn possible(file: &File, changes: &[Change]) -> Result<(), Failure> {
    for change in changes {
        if let Change::Alter { now, then } = change
            && then.noun == Noun::Integration
            && now.body["kind"] != then.body["kind"]
        {
            return Err(file.wrong(then, "kind", "an integration's kind is for ever: make another, and revoke this one"));
        }
    }
    let altered = changes.iter().find(|change| matches!(change, Change::Alter { then, .. } if then.noun == Noun::Bot));
    match altered {
        None => Ok(()),
        Some(change) => {
            Err(file.wrong(change.thing(), "scopes", "a bot's scopes are for ever: make another bot, and revoke this one"))
        }
    }
}

/// Asks on the terminal.
fn agreed(changes: &[Change]) -> Result<bool, Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::Usage("nobody is there to be asked: say --yes, or --diff to see what would change".into()));
    }
    let asked = |source| Failure::File { path: "the terminal".into(), source };
    let mut stderr = std::io::stderr();
    write!(stderr, "Make {}? [y/N] ", counted(changes.len())).and_then(|()| stderr.flush()).map_err(asked)?;
    let mut answer = String::new();
    stdin.read_line(&mut answer).map_err(asked)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
