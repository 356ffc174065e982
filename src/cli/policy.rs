//! `phoneops policy`: who must say yes to what.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::connect::Operator;
use super::noun::List;
use super::reply::{Person, read};
use super::words::names;
use super::{Failure, Out, Outcome};
use crate::approvals::Action;
use crate::client::Reply;
use crate::identity::{Handle, UserRef};
use crate::text::line;

/// What people read where there is none.
const NONE: &str = "There is no policy: every action takes its requester's own passkey";

/// List, show, set, remove and test policies: who must say yes to what, and how strongly
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Command {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// List the policies, by name
    #[command(after_help = "Example:\n  phoneops policy list")]
    List(List),
    /// Show a policy as JSON, in the form that `set` reads
    #[command(after_help = "Example:\n  phoneops policy show production")]
    Show(Show),
    /// Make a policy out of a JSON file; what weakens waits for an administrator's passkey
    #[command(after_help = "Example:\n  phoneops policy set production production.json\n\n\
                            The file:\n  {\"match\": {\"types\": [\"deploy\"], \"targets\": [\"prod*\"]},\n   \
                            \"require\": {\"groups\": [{\"quorum\": 2, \"teams\": [\"ops\"]}], \"factor\": \"passkey\"}}")]
    Set(Set),
    /// Propose to take a policy away, which an administrator's passkey confirms
    #[command(after_help = "Example:\n  phoneops policy remove production")]
    Remove(Remove),
    /// Say which policy would rule an action, who would be asked, and why the others do not rule
    #[command(after_help = "Example:\n  phoneops policy test deploy production --for @yannick --bot heimdall --param app=api")]
    Test(Test),
}

#[derive(Debug, Args)]
struct Show {
    #[command(flatten)]
    operator: Operator,
    /// Which
    name: Handle,
}

#[derive(Debug, Args)]
struct Set {
    #[command(flatten)]
    operator: Operator,
    /// Its name
    name: Handle,
    /// What it says, as JSON; `-` reads from stdin
    file: PathBuf,
}

#[derive(Debug, Args)]
struct Remove {
    #[command(flatten)]
    operator: Operator,
    /// Which
    name: Handle,
}

#[derive(Debug, Args)]
struct Test {
    #[command(flatten)]
    operator: Operator,
    /// What is to be done: deploy, merge, rotate-keys
    action: String,
    /// What it is done to: production
    target: String,
    /// For whom it would be asked: @handle or usr_…
    #[arg(long = "for", value_name = "@HANDLE")]
    requester: UserRef,
    /// The bot that would ask
    #[arg(long, value_name = "NAME")]
    bot: Handle,
    /// A detail that is a text; can be given more than once
    #[arg(long = "param", value_name = "NAME=TEXT")]
    params: Vec<String>,
    /// A detail that is any JSON without fractions; can be given more than once
    #[arg(long = "param-json", value_name = "NAME=JSON")]
    json_params: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A policy, as `/v1/policies` shows it.
#[derive(Deserialize)]
struct Policy {
    name: String,
    version: i64,
    #[serde(rename = "match")]
    matching: Value,
    require: Value,
}

/// What would happen, as `/v1/policies/test` shows it.
#[derive(Deserialize)]
struct Judgement {
    asked: Option<Asked>,
    refused: Option<String>,
    policies: Vec<Judged>,
}

#[derive(Deserialize)]
struct Asked {
    policy: Named,
    factor: String,
    requester: Option<Person>,
    groups: Vec<Group>,
    unreachable: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Group {
    quorum: u32,
    people: Vec<AskedPerson>,
    #[serde(default)]
    away: Vec<Person>,
}

/// Somebody who would be asked, and for whom.
#[derive(Deserialize)]
struct AskedPerson {
    #[serde(flatten)]
    person: Person,
    #[serde(default, rename = "for")]
    absent: Vec<Person>,
}

#[derive(Deserialize)]
struct Judged {
    name: String,
    why_not: Option<String>,
}

impl Command {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        match self.act {
            Act::List(list) => list.run("policies", row, NONE, out).await,
            Act::Show(show) => show.run(out).await,
            Act::Set(set) => set.run(out).await,
            Act::Remove(remove) => remove.run(out).await,
            Act::Test(test) => test.run(out).await,
        }
    }
}

fn row(policy: Policy) -> Vec<String> {
    let factor = policy.require["factor"].as_str().unwrap_or_default().to_owned();
    vec![policy.name, format!("version {}", policy.version), factor, line(&policy.matching.to_string(), 80)]
}

impl Show {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let reply = self.operator.connect()?.get(&format!("/v1/policies/{}", self.name)).await?;
        let policy: Policy = read(&reply.body)?;
        out.json(&json!({"match": policy.matching, "require": policy.require}));
        Ok(Outcome::Done)
    }
}

impl Set {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let rule = document(&self.file)?;
        let reply = self.operator.connect()?.put(&format!("/v1/policies/{}", self.name), &rule).await?;
        Ok(made(&reply, &format!("Set policy {}", self.name), out))
    }
}

/// The JSON of a file; `-` is stdin.
pub(super) fn document(file: &Path) -> Result<Value, Failure> {
    let failed = |source| Failure::File { path: file.to_owned(), source };
    let text = if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(failed)?;
        text
    } else {
        std::fs::read_to_string(file).map_err(failed)?
    };
    serde_json::from_str(&text).map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))
}

impl Remove {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let reply = self.operator.connect()?.delete(&format!("/v1/policies/{}", self.name)).await?;
        Ok(made(&reply, &format!("Removed policy {}", self.name), out))
    }
}

/// That a change was made, or what it waits for.
pub(super) fn made(reply: &Reply, done: &str, out: &mut Out) -> Outcome {
    if reply.status != 202 {
        out.line(done);
        return Outcome::Done;
    }
    let text = |name: &str| line(reply.body[name].as_str().unwrap_or_default(), 300);
    out.line(format_args!("Proposed as {}: {}", text("id"), text("why")));
    out.note("Not done yet: an administrator confirms it on their phone, with a passkey, within ten minutes");
    Outcome::Pending
}

impl Test {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let params = super::request::params::collect(&self.params, &self.json_params).map_err(Failure::Usage)?;
        let action = json!({"type": self.action, "target": self.target, "params": params});
        let action: Action = serde_path_to_error::deserialize(&action)
            .map_err(|error| Failure::Usage(format!("{}: {}", error.path(), error.inner())))?;
        let trial = json!({"action": action, "requester": self.requester, "bot": self.bot});
        let reply = self.operator.connect()?.post("/v1/policies/test", &trial).await?;
        if self.json {
            out.json(&reply.body);
            return Ok(Outcome::Done);
        }
        out.lines(read::<Judgement>(&reply.body)?.lines());
        Ok(Outcome::Done)
    }
}

impl Judgement {
    fn lines(&self) -> Vec<String> {
        let mut lines = match &self.asked {
            None => vec![format!("Refused: {}", line(self.refused.as_deref().unwrap_or_default(), 300))],
            Some(asked) => asked.lines(),
        };
        for policy in &self.policies {
            lines.extend(policy.why_not.as_ref().map(|why| format!("Not {}: {}", policy.name, line(why, 300))));
        }
        lines
    }
}

impl Asked {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("Policy {}, at least a {}", self.policy.name, self.factor)];
        lines.extend(self.requester.as_ref().map(|person| format!("Asks {}, who requests it", line(&person.name, 80))));
        for (at, group) in self.groups.iter().enumerate() {
            let first = if at == 0 { "Asks" } else { "When nobody answers, asks" };
            let people: Vec<_> = group.people.iter().map(|asked| asked.person.clone()).collect();
            lines.push(format!("{first} {} of {}", group.quorum, names(&people)));
            let standing_in = group.people.iter().filter(|asked| !asked.absent.is_empty());
            lines.extend(standing_in.map(|asked| {
                let is = if asked.absent.len() == 1 { "is" } else { "are" };
                format!("  {} for {}, who {is} away", line(&asked.person.name, 80), names(&asked.absent))
            }));
            if !group.away.is_empty() {
                lines.push(format!("  Away, and represented by nobody: {}", names(&group.away)));
            }
        }
        lines.extend(self.unreachable.as_ref().map(|why| format!("Refused all the same: {}", line(why, 1_000))));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_happen_is_told_in_sentences() {
        let person = |handle: &str, name: &str| json!({"id": "usr_1", "handle": handle, "name": name});
        let mut standing_in = person("bea", "Bea Example");
        standing_in["for"] = json!([person("dan", "Dan Example")]);
        let judgement: Judgement = serde_json::from_value(json!({
            "asked": {"policy": {"name": "prod", "sha256": "x"}, "factor": "code", "requester": person("yannick", "Yannick Schutz"),
                "groups": [{"quorum": 1, "people": [person("ann", "Ann Example"), standing_in], "away": [person("eve", "Eve Example")]},
                    {"quorum": 1, "people": [person("cyd", "Cyd Example")]}],
                "expires_in": 300, "delay": 0, "unreachable": "group 2: nobody"},
            "policies": [{"name": "prod"}, {"name": "any", "why_not": "it matches, but prod is stricter"}],
        }))
        .unwrap();
        let expected = [
            "Policy prod, at least a code",
            "Asks Yannick Schutz, who requests it",
            "Asks 1 of Ann Example and Bea Example",
            "  Bea Example for Dan Example, who is away",
            "  Away, and represented by nobody: Eve Example",
            "When nobody answers, asks 1 of Cyd Example",
            "Refused all the same: group 2: nobody",
            "Not any: it matches, but prod is stricter",
        ];
        assert_eq!(judgement.lines(), expected);
        let none: Judgement = serde_json::from_value(json!({"policies": [], "refused": "no policy allows this action"})).unwrap();
        assert_eq!(none.lines(), ["Refused: no policy allows this action"]);
    }
}
