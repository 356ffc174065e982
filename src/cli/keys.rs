//! `phoneops keys`: what the installation signs grants, attestations and receipts with.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::connect::Operator;
use super::noun::tell;
use super::words::table;
use super::{Failure, Out, Outcome};

/// List and rotate the issuer keys, which sign grants, attestations and receipts
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Command {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// List the keys, the one that signs last
    #[command(after_help = "Example:\n  phoneops keys list")]
    List(On),
    /// Make the next key; those before it sign nothing more, and still verify
    ///
    /// Whoever keeps a copy of /.well-known/jwks.json as a trust root fetches it again, over a connection they trust.
    #[command(after_help = "Example:\n  phoneops keys rotate")]
    Rotate(On),
}

#[derive(Debug, Args)]
struct On {
    #[command(flatten)]
    operator: Operator,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A key, as `/v1/keys` shows it.
#[derive(Deserialize)]
struct Key {
    id: String,
    created_at: String,
    retired_at: Option<String>,
}

impl Command {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let (reply, on) = match self.act {
            Act::List(on) => (on.operator.connect()?.get("/v1/keys").await?, on),
            Act::Rotate(on) => (on.operator.connect()?.post("/v1/keys/rotate", &json!({})).await?, on),
        };
        on.tell(&reply.body, out)
    }
}

impl On {
    fn tell(&self, body: &Value, out: &mut Out) -> Result<Outcome, Failure> {
        tell(out, self.json, &body["keys"], |out, keys: Vec<Key>| {
            let rows = keys.into_iter().map(|key| {
                let standing = key.retired_at.map_or_else(|| "signs".to_owned(), |at| format!("retired {at}"));
                vec![key.id, format!("made {}", key.created_at), standing]
            });
            out.lines(table(&rows.collect::<Vec<_>>()));
        })
    }
}
