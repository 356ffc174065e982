//! What commands about nouns have in common: a list of them, and JSON or words.

use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::connect::Operator;
use super::reply::read;
use super::words::table;
use super::{Failure, Out, Outcome};

/// The arguments of `phoneops NOUN list`.
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    operator: Operator,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl List {
    /// Prints all that `/v1/{nouns}` has, a row each; when there is nothing, people read `none`.
    pub(super) async fn run<T: DeserializeOwned>(
        self,
        nouns: &str,
        row: fn(T) -> Vec<String>,
        none: &str,
        out: &mut Out,
    ) -> Result<Outcome, Failure> {
        self.run_from(&format!("/v1/{nouns}"), nouns, row, none, out).await
    }

    /// The same of what another path answers as `member`.
    pub(super) async fn run_from<T: DeserializeOwned>(
        self,
        path: &str,
        member: &str,
        row: fn(T) -> Vec<String>,
        none: &str,
        out: &mut Out,
    ) -> Result<Outcome, Failure> {
        let reply = self.operator.connect()?.get(path).await?;
        tell(out, self.json, &reply.body[member], |out, all: Vec<T>| {
            let rows: Vec<_> = all.into_iter().map(row).collect();
            out.lines(table(&rows));
            if rows.is_empty() {
                out.note(none);
            }
        })
    }
}

/// Prints what the server answered: as it is, or as `words` put it.
pub(super) fn tell<T: DeserializeOwned>(
    out: &mut Out,
    json: bool,
    body: &Value,
    words: impl FnOnce(&mut Out, T),
) -> Result<Outcome, Failure> {
    if json {
        out.json(body);
    } else {
        words(out, read(body)?);
    }
    Ok(Outcome::Done)
}
