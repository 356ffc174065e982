//! `phoneops demo`: the talk, to try at home.

use clap::Args;

use super::{Failure, Outcome};
use crate::demo;

/// A server with seeded people, simulated phones and a chat prompt, to try both loops
///
/// Everything runs in a temporary directory and is gone afterwards.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  phoneops demo --scripted")]
pub(super) struct Demo {
    /// Play the whole talk unattended and print the transcript; exit with 1 when a line differs
    #[arg(long)]
    scripted: bool,
}

impl Demo {
    pub(super) async fn run(self) -> Result<Outcome, Failure> {
        let failed = |error: demo::Error| Failure::Other(error.to_string());
        if !self.scripted {
            demo::interactive().await.map_err(failed)?;
            return Ok(Outcome::Done);
        }
        let same = demo::scripted(&mut std::io::stdout()).await.map_err(failed)?;
        Ok(if same { Outcome::Done } else { Outcome::Failed })
    }
}
