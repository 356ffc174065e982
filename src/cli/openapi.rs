//! `phoneops openapi`: the API's description, as this very program serves it.

use clap::Args;

use super::{Failure, Out, Outcome};
use crate::http;

/// Print the API's description (OpenAPI 3.1)
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  phoneops openapi > openapi.yaml")]
pub(super) struct Openapi {
    /// As YAML, the default
    #[arg(long, conflicts_with = "json")]
    yaml: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Openapi {
    pub(super) fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let document = http::document();
        if self.json {
            out.json(&document);
        } else {
            let yaml = serde_yaml_ng::to_string(&document).map_err(|error| Failure::Other(error.to_string()))?;
            out.line(yaml.trim_end());
        }
        Ok(Outcome::Done)
    }
}
