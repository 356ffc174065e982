//! `phoneops healthcheck`: for containers, whose images have no curl.

use std::time::Duration;

use clap::Args;

use super::connect::At;
use super::{Failure, Outcome};

/// Sooner than any supervisor loses its patience.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Exit with 0 when the server is ready, else with 1 and the reason
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  phoneops healthcheck --server http://localhost:8080")]
pub(super) struct Healthcheck {
    #[command(flatten)]
    at: At,
}

impl Healthcheck {
    pub(super) async fn run(self) -> Result<Outcome, Failure> {
        let client = self.at.anonymous()?;
        match tokio::time::timeout(TIMEOUT, client.get("/readyz")).await {
            Ok(Ok(_)) => Ok(Outcome::Done),
            Ok(Err(error)) => Err(Failure::Other(format!("not ready: {}", Failure::from(error)))),
            Err(_) => Err(Failure::Other(format!("not ready: no answer within {} seconds", TIMEOUT.as_secs()))),
        }
    }
}
