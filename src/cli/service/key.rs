//! `phoneops service key`: the keys by which monitoring systems report, with what to paste where.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::connect::Operator;
use super::super::noun::tell;
use super::super::words::table;
use super::super::{Failure, Out, Outcome, time};
use crate::identity::Handle;
use crate::paging::services::IntegrationKind;

#[derive(Debug, Subcommand)]
pub(super) enum Act {
    /// Add a key and print it, once, with what to paste into the monitoring system
    #[command(after_help = ADD)]
    Add(Add),
    /// List the integrations of a service, without their keys
    #[command(after_help = "Example:\n  phoneops service key list api")]
    List(List),
    /// Give an integration its next key and print it, once; the old one works on for a while
    #[command(after_help = "Example:\n  phoneops service key rotate api prometheus --overlap 1h")]
    Rotate(Rotate),
    /// Give an integration another mapping, or another rhythm to a heartbeat; its keys stay
    #[command(
        after_help = "Example:\n  phoneops service key edit api deploys --mapping mapping.json\n  phoneops service key edit api nightly-backup --every 1d --grace 1h"
    )]
    Edit(Edit),
    /// End an integration's keys, at once; what it reported goes on
    #[command(after_help = "Example:\n  phoneops service key revoke api prometheus")]
    Revoke(One),
}

const ADD: &str = "Example:\n  phoneops service key add api prometheus --kind alertmanager\n  \
phoneops service key add api nightly-backup --kind heartbeat --every 1d --grace 30m\n  \
phoneops service key add api deploys --kind generic --mapping mapping.json\n\n\
The mapping, of which any part may be left out:\n  {\"summary\": \"/alert/title\", \"source\": \"/host\", \"dedup_key\": \"/alert/id\", \"details\": \"\",\n   \
\"severity\": {\"at\": \"/level\", \"values\": {\"page\": \"critical\"}},\n   \
\"action\": {\"at\": \"/status\", \"values\": {\"resolved\": \"resolve\"}}}";

#[derive(Debug, Args)]
pub(super) struct One {
    #[command(flatten)]
    operator: Operator,
    /// The service
    service: Handle,
    /// The integration's name
    name: Handle,
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    operator: Operator,
    /// The service
    service: Handle,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Add {
    #[command(flatten)]
    one: One,
    /// What the monitoring system speaks: events (Events v2), alertmanager, grafana, generic (any JSON), heartbeat
    #[arg(long)]
    kind: IntegrationKind,
    /// Of a heartbeat: the time from one beat to the next
    #[arg(long, value_name = "TIME", value_parser = month)]
    every: Option<u32>,
    /// Of a heartbeat: how late a beat may be [default: not at all]
    #[arg(long, value_name = "TIME", value_parser = month)]
    grace: Option<u32>,
    /// Of a generic hook: where in its JSON to look, as JSON
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Edit {
    #[command(flatten)]
    one: One,
    /// Of a heartbeat: the time from one beat to the next
    #[arg(long, value_name = "TIME", value_parser = month)]
    every: Option<u32>,
    /// Of a heartbeat: how late a beat may be [default: not at all]
    #[arg(long, value_name = "TIME", value_parser = month)]
    grace: Option<u32>,
    /// Of a generic hook: where in its JSON to look, as JSON
    #[arg(long, value_name = "FILE", conflicts_with_all = ["every", "grace"], required_unless_present = "every")]
    mapping: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Rotate {
    #[command(flatten)]
    one: One,
    /// How long the old key works beside the new one, at most 1d; 0 ends it at once
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = day)]
    overlap: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// An integration, as it is listed.
#[derive(Deserialize)]
struct Integration {
    name: String,
    kind: String,
    every_seconds: Option<u64>,
    beat_at: Option<String>,
    previous_key_until: Option<String>,
}

/// An integration with its key, as it is shown once. Never printed with `Debug`.
#[derive(Deserialize)]
struct Shown {
    name: String,
    kind: String,
    key: String,
    url: String,
    previous_key_until: Option<String>,
}

fn month(text: &str) -> Result<u32, String> {
    time::seconds(text, 31)
}

fn day(text: &str) -> Result<u32, String> {
    time::seconds(text, 1)
}

impl Act {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        match self {
            Self::Add(add) => add.run(out).await,
            Self::List(list) => list.run(out).await,
            Self::Rotate(rotate) => rotate.run(out).await,
            Self::Edit(edit) => edit.run(out).await,
            Self::Revoke(one) => {
                one.operator.connect()?.delete(&one.path()).await?;
                out.line(format_args!(
                    "Revoked integration {} of service {}: its key does not work any more",
                    one.name, one.service
                ));
                Ok(Outcome::Done)
            }
        }
    }
}

impl One {
    fn path(&self) -> String {
        format!("/v1/services/{}/integrations/{}", self.service, self.name)
    }
}

impl Add {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let mut body = json!({"name": self.one.name, "kind": self.kind});
        settings(&mut body, self.mapping.as_ref(), self.every, self.grace)?;
        let path = format!("/v1/services/{}/integrations", self.one.service);
        let reply = self.one.operator.connect()?.post(&path, &body).await?;
        tell(out, self.json, &reply.body, |out, shown: Shown| {
            out.line(format_args!("Added integration {} to service {}", shown.name, self.one.service));
            shown.tell(out);
        })
    }
}

/// Writes what was said of an integration's settings into a request.
fn settings(body: &mut Value, file: Option<&PathBuf>, every: Option<u32>, grace: Option<u32>) -> Result<(), Failure> {
    let mapping = file.map(mapping).transpose()?;
    let said = [("mapping", mapping), ("every_seconds", every.map(Value::from)), ("grace_seconds", grace.map(Value::from))];
    for (name, value) in said {
        if let Some(value) = value {
            body[name] = value;
        }
    }
    Ok(())
}

impl Edit {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let mut body = json!({});
        settings(&mut body, self.mapping.as_ref(), self.every, self.grace)?;
        let reply = self.one.operator.connect()?.put(&self.one.path(), &body).await?;
        tell(out, self.json, &reply.body, |out, changed: Integration| {
            out.line(format_args!("Changed integration {} of service {}: its key stays", changed.name, self.one.service));
        })
    }
}

fn mapping(path: &PathBuf) -> Result<Value, Failure> {
    let text = std::fs::read_to_string(path).map_err(|source| Failure::File { path: path.clone(), source })?;
    serde_json::from_str(&text).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))
}

impl List {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let path = format!("/v1/services/{}/integrations", self.service);
        let reply = self.operator.connect()?.get(&path).await?;
        tell(out, self.json, &reply.body["integrations"], |out, all: Vec<Integration>| {
            if all.is_empty() {
                out.note(format_args!("Nothing reports {} yet: `phoneops service key add {0} NAME --kind KIND`", self.service));
            }
            out.lines(table(&all.into_iter().map(row).collect::<Vec<_>>()));
        })
    }
}

fn row(integration: Integration) -> Vec<String> {
    let beats = integration.every_seconds.map(|_| match integration.beat_at {
        None => "has not beaten yet".to_owned(),
        Some(at) => format!("beat at {at}"),
    });
    let until = integration.previous_key_until.map(|until| format!("old key until {until}"));
    [integration.name, integration.kind].into_iter().chain(beats).chain(until).collect()
}

impl Rotate {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let body = json!({"overlap_seconds": self.overlap});
        let reply = self.one.operator.connect()?.post(&format!("{}/rotate", self.one.path()), &body).await?;
        tell(out, self.json, &reply.body, |out, shown: Shown| {
            let until = shown.previous_key_until.as_ref();
            let until = until.map_or_else(|| "does not work any more".to_owned(), |until| format!("works until {until}"));
            out.line(format_args!("Rotated integration {} of service {}: its old key {until}", shown.name, self.one.service));
            shown.tell(out);
        })
    }
}

impl Shown {
    fn tell(&self, out: &mut Out) {
        out.line(format_args!("Key: {}", self.key));
        out.line(format_args!("URL: {}", self.url));
        out.lines(self.to_paste());
        out.note("Keep the key now: it is not shown again.");
    }

    /// What goes where, by kind.
    fn to_paste(&self) -> Vec<String> {
        let Self { key, url, .. } = self;
        let text = match self.kind.as_str() {
            "events" => format!(
                "\nAlertmanager's configuration:\n  receivers:\n    - name: phoneops\n      pagerduty_configs:\n        - routing_key: {key}\n          url: {url}"
            ),
            "alertmanager" => format!(
                "\nAlertmanager's configuration:\n  receivers:\n    - name: phoneops\n      webhook_configs:\n        - url: {url}\n          send_resolved: true"
            ),
            "grafana" => "\nGrafana: a contact point of the type Webhook with this URL and the method POST".to_owned(),
            "heartbeat" => format!("\nAt the end of the job that must not be silent:\n  curl -fsS -X POST {url}"),
            _ => format!(
                "\nA first report:\n  curl -fsS -H 'Content-Type: application/json' -d '{{\"summary\": \"Disk full\"}}' {url}"
            ),
        };
        text.lines().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_paste_holds_what_it_needs() {
        let paste = |kind: IntegrationKind| {
            let url = "https://phoneops.example/ingest/abc/x".to_owned();
            let kind = kind.as_str().to_owned();
            Shown { name: "prom".into(), kind, key: "abc".into(), url, previous_key_until: None }.to_paste().join("\n")
        };
        assert!(paste(IntegrationKind::Events).contains("routing_key: abc\n          url: https://phoneops.example/"));
        assert!(paste(IntegrationKind::Alertmanager).contains("- url: https://phoneops.example/ingest/abc/x\n"));
        assert!(paste(IntegrationKind::Heartbeat).ends_with("curl -fsS -X POST https://phoneops.example/ingest/abc/x"));
        assert!(IntegrationKind::ALL.into_iter().all(|kind| paste(kind).starts_with('\n')));
    }
}
