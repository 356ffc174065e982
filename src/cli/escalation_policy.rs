//! `phoneops escalation-policy`: who is paged, then who next.

use std::str::FromStr;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::connect::Operator;
use super::noun::{List, tell};
use super::words::table;
use super::{Failure, Out, Outcome, time};
use crate::identity::Handle;
use crate::paging::To;
use crate::text::line;

/// List, show, create, edit and remove escalation policies: who is paged, then who next
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Command {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// List the escalation policies, by name
    #[command(after_help = "Example:\n  phoneops escalation-policy list")]
    List(List),
    /// Show an escalation policy, and whom of it nobody would reach now
    #[command(after_help = "Example:\n  phoneops escalation-policy show api-critical")]
    Show(Show),
    /// Make an escalation policy
    ///
    /// Behind the last step, once it was walked as often as it is to be, everybody rings for ever, and the last resort too.
    #[command(after_help = "Example:\n  phoneops escalation-policy create api-critical --step \"schedule:api after 5m\" \
                            --step \"@ys,team:api after 10m\" --repeat 2 --last-resort @boss")]
    Create(Create),
    /// Change what is said here of an escalation policy; steps that are given replace all that were
    #[command(after_help = "Example:\n  phoneops escalation-policy edit api-critical --repeat 3")]
    Edit(Edit),
    /// Remove an escalation policy that no service pages by
    #[command(after_help = "Example:\n  phoneops escalation-policy remove api-critical")]
    Remove(One),
}

#[derive(Debug, Args)]
struct One {
    #[command(flatten)]
    operator: Operator,
    /// Which
    name: Handle,
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
struct Create {
    #[command(flatten)]
    one: One,
    /// Whose it is
    #[arg(long)]
    team: Option<Handle>,
    /// Whom to ring, and for how long before the next step: `@ys,team:api,schedule:nights after 5m`; once for each step
    #[arg(long = "step", value_name = "STEP", required = true)]
    steps: Vec<Step>,
    /// How often the steps are walked once more
    #[arg(long, default_value_t = 0)]
    repeat: u32,
    /// Who rings with everybody at last: @handle, team:NAME, schedule:NAME, several with commas
    #[arg(long, value_name = "WHO", value_delimiter = ',')]
    last_resort: Vec<To>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Edit {
    #[command(flatten)]
    one: One,
    /// Whose it is
    #[arg(long)]
    team: Option<Handle>,
    /// Whom to ring, and for how long before the next step; once for each step
    #[arg(long = "step", value_name = "STEP")]
    steps: Vec<Step>,
    /// How often the steps are walked once more
    #[arg(long)]
    repeat: Option<u32>,
    /// Who rings with everybody at last: @handle, team:NAME, schedule:NAME, several with commas
    #[arg(long, value_name = "WHO", value_delimiter = ',', conflicts_with = "no_last_resort")]
    last_resort: Vec<To>,
    /// Nobody beside everybody of the steps
    #[arg(long)]
    no_last_resort: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `@ys,schedule:nights after 5m`
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    to: Vec<To>,
    minutes: u32,
}

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected a step like `@ys,schedule:nights after 5m`";
        let (to, after) = text.rsplit_once(" after ").ok_or(expected)?;
        let to = to.split(',').map(|to| to.trim().parse().map_err(|error| format!("{}: {error}", to.trim())));
        let seconds = time::seconds(after.trim(), 1)?;
        if seconds == 0 || seconds % 60 != 0 {
            return Err("a step lasts whole minutes, at least one: after 5m".into());
        }
        Ok(Self { to: to.collect::<Result<_, _>>()?, minutes: seconds / 60 })
    }
}

/// An escalation policy, as `/v1/escalation-policies` shows it.
#[derive(Deserialize)]
struct Policy {
    name: String,
    team: Option<String>,
    steps: Vec<ShownStep>,
    repeats: u32,
    last_resort: Vec<String>,
    services: Vec<String>,
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct ShownStep {
    to: Vec<String>,
    escalate_after_minutes: u32,
}

const NONE: &str = "There is no escalation policy: services page their whole team";

impl Command {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        match self.act {
            Act::List(list) => list.run_from("/v1/escalation-policies", "escalation_policies", row, NONE, out).await,
            Act::Show(show) => show.run(out).await,
            Act::Create(create) => create.run(out).await,
            Act::Edit(edit) => edit.run(out).await,
            Act::Remove(one) => {
                one.operator.connect()?.delete(&one.path()).await?;
                out.line(format_args!("Removed escalation policy {}", one.name));
                Ok(Outcome::Done)
            }
        }
    }
}

fn row(policy: Policy) -> Vec<String> {
    let steps: Vec<_> = policy.steps.iter().map(|step| step.to.join(",")).collect();
    let warned = if policy.warnings.is_empty() { String::new() } else { "reaches not everybody: see `show`".into() };
    vec![policy.name, steps.join(" then "), warned]
}

fn minutes(count: u32) -> String {
    if count == 1 { "1 minute".into() } else { format!("{count} minutes") }
}

impl Policy {
    fn lines(&self) -> Vec<String> {
        let team = self.team.as_ref().map_or_else(String::new, |team| format!(" of team {team}"));
        let mut lines = vec![format!("Escalation policy {}{team}", self.name)];
        let step = |(at, step): (usize, &ShownStep)| {
            vec![format!("{}.", at + 1), step.to.join(", "), format!("for {}", minutes(step.escalate_after_minutes))]
        };
        lines.extend(table(&self.steps.iter().enumerate().map(step).collect::<Vec<_>>()));
        let walked = match self.repeats {
            0 => "Walked once".to_owned(),
            1 => "Walked twice".to_owned(),
            repeats => format!("Walked {} times", repeats + 1),
        };
        let and = if self.last_resort.is_empty() { String::new() } else { format!(" and {}", self.last_resort.join(", ")) };
        lines.push(format!("{walked}; then everybody{and}, for ever"));
        if !self.services.is_empty() {
            lines.push(format!("Used by {}", self.services.join(", ")));
        }
        lines
    }

    fn warn(&self, out: &mut Out) {
        for warning in &self.warnings {
            out.note(format_args!("Warning: {}", line(warning, 200)));
        }
    }
}

impl One {
    fn path(&self) -> String {
        format!("/v1/escalation-policies/{}", self.name)
    }
}

impl Show {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let reply = self.one.operator.connect()?.get(&self.one.path()).await?;
        tell(out, self.json, &reply.body, |out, policy: Policy| {
            out.lines(policy.lines());
            policy.warn(out);
        })
    }
}

fn written(steps: &[Step]) -> Value {
    steps.iter().map(|step| json!({"to": step.to, "escalate_after_minutes": step.minutes})).collect()
}

impl Create {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let body = json!({"name": self.one.name, "team": self.team, "steps": written(&self.steps), "repeats": self.repeat,
            "last_resort": self.last_resort});
        let reply = self.one.operator.connect()?.post("/v1/escalation-policies", &body).await?;
        tell(out, self.json, &reply.body, |out, policy: Policy| {
            out.line(format_args!("Made escalation policy {}", policy.name));
            policy.warn(out);
        })
    }
}

impl Edit {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let client = self.one.operator.connect()?;
        let mut body = client.get(&self.one.path()).await?.body;
        if let Some(shown) = body.as_object_mut() {
            shown.retain(|name, _| ["team", "steps", "repeats", "last_resort"].contains(&name.as_str()));
        }
        if let Some(team) = &self.team {
            body["team"] = json!(team);
        }
        if !self.steps.is_empty() {
            body["steps"] = written(&self.steps);
        }
        if let Some(repeat) = self.repeat {
            body["repeats"] = json!(repeat);
        }
        if self.no_last_resort || !self.last_resort.is_empty() {
            body["last_resort"] = json!(self.last_resort);
        }
        let reply = client.put(&self.one.path(), &body).await?;
        tell(out, self.json, &reply.body, |out, policy: Policy| {
            out.line(format_args!("Changed escalation policy {}", policy.name));
            policy.warn(out);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_read_as_people_write_it() {
        let step: Step = "@ys, schedule:nights after 5m".parse().unwrap();
        assert_eq!(step, Step { to: vec!["@ys".parse().unwrap(), "schedule:nights".parse().unwrap()], minutes: 5 });
        assert_eq!("team:api after 1h".parse::<Step>().unwrap().minutes, 60);
        for wrong in [
            "@ys",
            "after 5m",
            "@ys after",
            "@ys after 90s",
            "@ys after 0m",
            "@ys after 2d",
            "team:A B after 5m",
            ",@ys after 5m",
        ] {
            assert!(wrong.parse::<Step>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_policy_is_told_in_the_order_it_is_walked() {
        let policy: Policy =
            serde_json::from_value(json!({"name": "api", "team": "backend", "repeats": 1, "last_resort": ["@boss"],
            "steps": [{"to": ["@ann"], "escalate_after_minutes": 1}, {"to": ["@bea", "team:api"], "escalate_after_minutes": 10}],
            "services": ["api", "web"], "warnings": []}))
            .unwrap();
        let expected = [
            "Escalation policy api of team backend",
            "1.  @ann            for 1 minute",
            "2.  @bea, team:api  for 10 minutes",
            "Walked twice; then everybody and @boss, for ever",
            "Used by api, web",
        ];
        assert_eq!(policy.lines(), expected);
    }
}
