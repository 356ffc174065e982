//! `phoneops journal`: the record of everything that happened.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::connect::Operator;
use super::{Failure, Out, Outcome, events};
use crate::clock::Timestamp;

/// Entries fetched at once.
const PAGE: u32 = 200;

/// List, search and verify the record of everything that happened
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Command {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// List the last entries, the newest first
    #[command(after_help = "Example:\n  phoneops journal list --limit 50")]
    List(List),
    /// Find entries by kind, actor, subject, time and text, the newest first
    #[command(after_help = "Example:\n  phoneops journal search --kind approval. --since 2027-01-01T00:00:00Z --text api")]
    Search(Box<Search>),
    /// Check the whole chain: every entry against its predecessor, and the last against the head
    #[command(after_help = "Example:\n  phoneops journal verify")]
    Verify(Verify),
}

#[derive(Debug, Args)]
struct Limited {
    #[command(flatten)]
    operator: Operator,
    /// At most so many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    limited: Limited,
}

#[derive(Debug, Args)]
struct Search {
    #[command(flatten)]
    limited: Limited,
    /// Somewhere in the facts, in any case
    #[arg(long)]
    text: Option<String>,
    /// Only kinds that begin so; several with commas between them
    #[arg(long, value_name = "KINDS")]
    kind: Option<String>,
    /// Who did it: `usr_…`, `bot_…`, `dev_…`, or user, bot, operator, system, enrollee
    #[arg(long)]
    actor: Option<String>,
    /// What it happened to: an id
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// Not before this instant
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Before this instant
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
}

#[derive(Debug, Args)]
struct Verify {
    #[command(flatten)]
    operator: Operator,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        match self.act {
            Act::List(list) => list.limited.run(&[], out).await,
            Act::Search(search) => search.run(out).await,
            Act::Verify(verify) => verify.run(out).await,
        }
    }
}

impl Search {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
        let (since, until) = (time(self.since), time(self.until));
        let asked = [
            ("text", self.text),
            ("kind", self.kind),
            ("actor", self.actor),
            ("subject", self.subject),
            ("since", since),
            ("until", until),
        ];
        let asked: Vec<_> = asked.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        self.limited.run(&asked, out).await
    }
}

impl Limited {
    async fn run(self, asked: &[(&str, String)], out: &mut Out) -> Result<Outcome, Failure> {
        let client = self.operator.connect()?;
        let (mut left, mut after, mut all) = (self.limit, None, Vec::new());
        loop {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.append_pair("order", "newest").append_pair("limit", &left.min(PAGE).to_string()).extend_pairs(asked);
            query.extend_pairs(after.map(|after: i64| ("after", after.to_string())));
            let body = client.get(&format!("/v1/journal?{}", query.finish())).await?.body;
            let found = body["entries"].as_array().map_or(0, Vec::len);
            if self.json {
                all.extend(body["entries"].as_array().cloned().unwrap_or_default());
            } else {
                events::lines(&body["entries"], out)?;
            }
            left = left.saturating_sub(u32::try_from(found).unwrap_or(u32::MAX));
            after = body["next"].as_i64();
            if after.is_none() || left == 0 || out.is_closed() {
                break;
            }
        }
        if self.json {
            out.json(&Value::from(all));
        } else if left == self.limit {
            out.note("Nothing was found");
        }
        Ok(Outcome::Done)
    }
}

impl Verify {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let body = self.operator.connect()?.get("/v1/journal/verification").await?.body;
        if self.json {
            out.json(&body);
        } else if body["valid"] == true {
            out.line(format_args!("The journal holds: {} entries, each chained to the one before", body["last"]));
        } else {
            out.line(format_args!("The journal does NOT hold: {}", body["fault"].as_str().unwrap_or("?")));
        }
        Ok(if body["valid"] == true { Outcome::Done } else { Outcome::Failed })
    }
}
