//! `phoneops service`: what breaks, whose it is, and the keys by which monitoring reports it.

mod key;
mod settings;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::connect::Operator;
use super::noun::{List, tell};
use super::words::table;
use super::{Failure, Out, Outcome};
use crate::identity::Handle;
use settings::Settings;

/// List, show, create, edit and remove services, and the keys by which monitoring systems report them
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Command {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// List the services with their open incidents, by name
    #[command(after_help = "Example:\n  phoneops service list")]
    List(List),
    /// Show a service
    #[command(after_help = "Example:\n  phoneops service show api")]
    Show(Show),
    /// Make a service: its team is paged when it breaks, or whom its escalation policy says
    #[command(
        after_help = "Example:\n  phoneops service create api --team backend --policy api-critical --group-by cluster,alertname"
    )]
    Create(Create),
    /// Change what is said here of a service, and nothing else
    #[command(after_help = "Example:\n  phoneops service edit api --policy api-critical --acknowledgement never")]
    Edit(Edit),
    /// Remove a service, its keys and its maintenance; its open incidents go on
    #[command(after_help = "Example:\n  phoneops service remove api")]
    Remove(One),
    /// Add, list, rotate and revoke the keys by which monitoring systems report that a service breaks
    #[command(arg_required_else_help = true)]
    Key {
        #[command(subcommand)]
        act: key::Act,
    },
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
struct One {
    #[command(flatten)]
    operator: Operator,
    /// Which
    name: Handle,
}

#[derive(Debug, Args)]
struct Create {
    #[command(flatten)]
    one: One,
    /// Whose it is
    #[arg(long)]
    team: Handle,
    /// The escalation policy that says who is paged; the whole team without one
    #[arg(long)]
    policy: Option<Handle>,
    #[command(flatten)]
    settings: Settings,
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
    /// The escalation policy that says who is paged
    #[arg(long, conflicts_with = "no_policy")]
    policy: Option<Handle>,
    /// Page the whole team
    #[arg(long)]
    no_policy: bool,
    #[command(flatten)]
    settings: Settings,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A service, as `/v1/services` shows it.
#[derive(Deserialize)]
struct Service {
    name: String,
    team: String,
    policy: Option<String>,
    settings: settings::Shown,
    open_incidents: u64,
}

const NONE: &str = "There is no service yet: `phoneops service create NAME --team TEAM` makes one";

impl Command {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        match self.act {
            Act::List(list) => list.run("services", row, NONE, out).await,
            Act::Show(show) => show.run(out).await,
            Act::Create(create) => create.run(out).await,
            Act::Edit(edit) => edit.run(out).await,
            Act::Remove(one) => {
                one.operator.connect()?.delete(&one.path()).await?;
                out.line(format_args!("Removed service {}", one.name));
                Ok(Outcome::Done)
            }
            Act::Key { act } => act.run(out).await,
        }
    }
}

fn row(service: Service) -> Vec<String> {
    let open = match service.open_incidents {
        0 => String::new(),
        1 => "1 open incident".into(),
        count => format!("{count} open incidents"),
    };
    let pages = service.policy.map_or_else(|| format!("pages team {}", service.team), |policy| format!("pages by {policy}"));
    vec![service.name, format!("team {}", service.team), pages, open]
}

impl One {
    fn path(&self) -> String {
        format!("/v1/services/{}", self.name)
    }
}

impl Service {
    fn lines(&self) -> Vec<String> {
        let pages = self.policy.clone().map_or_else(|| "the whole team".to_owned(), |policy| format!("by policy {policy}"));
        let named = [["service", &self.name], ["team", &self.team], ["pages", &pages]];
        let mut rows: Vec<_> = named.into_iter().map(|row| row.map(str::to_owned).to_vec()).collect();
        rows.extend(self.settings.rows());
        rows.push(vec!["open incidents".into(), self.open_incidents.to_string()]);
        table(&rows)
    }
}

impl Show {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let reply = self.one.operator.connect()?.get(&self.one.path()).await?;
        tell(out, self.json, &reply.body, |out, service: Service| out.lines(service.lines()))
    }
}

impl Create {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let mut body = json!({"name": self.one.name, "team": self.team, "settings": {}});
        if let Some(policy) = &self.policy {
            body["policy"] = json!(policy);
        }
        self.settings.write(&mut body["settings"]);
        let reply = self.one.operator.connect()?.post("/v1/services", &body).await?;
        tell(out, self.json, &reply.body, |out, service: Service| {
            out.line(format_args!("Made service {}", service.name));
            out.note(format_args!("Next: `phoneops service key add {} NAME --kind alertmanager`", service.name));
        })
    }
}

impl Edit {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let client = self.one.operator.connect()?;
        let now = client.get(&self.one.path()).await?.body;
        let mut body = json!({"team": now["team"], "policy": now["policy"], "settings": now["settings"]});
        if let Some(team) = &self.team {
            body["team"] = json!(team);
        }
        if self.no_policy {
            body["policy"] = Value::Null;
        } else if let Some(policy) = &self.policy {
            body["policy"] = json!(policy);
        }
        self.settings.write(&mut body["settings"]);
        let reply = client.put(&self.one.path(), &body).await?;
        tell(out, self.json, &reply.body, |out, service: Service| out.line(format_args!("Changed service {}", service.name)))
    }
}
