//! `phoneops doctor`: what would go wrong, before it does.
//!
//! **Invariants**
//! - The database of a running server is looked at through that server only. Where none runs, the doctor holds the server's own lock
//!   for as long as it has the database open.
//! - It makes no file and no database that is not there.

mod carriers;
mod files;
mod house;
mod on_call;
mod settings;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::connect::ConfigFile;
use super::{Failure, Out, Outcome};

/// Check the configuration, the files, the database and the running server
///
/// Where no server runs, its database is opened, and brought up to date as a start would. Exits with 1 when a check fails.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  phoneops doctor --config /etc/phoneops.toml")]
pub(super) struct Doctor {
    #[command(flatten)]
    config: ConfigFile,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    Ok,
    Warn,
    Fail,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    level: Level,
    /// What was looked at.
    check: &'static str,
    /// Why it is as it is, and what to do.
    why: String,
}

fn ok(check: &'static str, why: impl Into<String>) -> Finding {
    Finding { level: Level::Ok, check, why: why.into() }
}

fn warn(check: &'static str, why: impl Into<String>) -> Finding {
    Finding { level: Level::Warn, check, why: why.into() }
}

fn fail(check: &'static str, why: impl Into<String>) -> Finding {
    Finding { level: Level::Fail, check, why: why.into() }
}

impl Finding {
    fn line(&self) -> String {
        let level = match self.level {
            Level::Ok => "ok  ",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        format!("{level}  {}: {}", self.check, self.why)
    }
}

impl Doctor {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let findings = examine(&self.config).await;
        if self.json {
            out.json(&json!(findings));
        } else {
            out.lines(findings.iter().map(Finding::line));
        }
        let failed = findings.iter().any(|finding| finding.level == Level::Fail);
        Ok(if failed { Outcome::Failed } else { Outcome::Done })
    }
}

async fn examine(file: &ConfigFile) -> Vec<Finding> {
    let config = match file.load() {
        Ok(config) => config,
        // Nothing else can be looked at without it.
        Err(failure) => return vec![fail("config", failure.to_string())],
    };
    let source = match file.path() {
        Some(path) => format!("{} and the environment are in order", path.display()),
        None => "there is no file; the environment and the defaults are in order".to_owned(),
    };
    let mut findings = vec![ok("config", source)];
    findings.extend(files::examine(&config));
    findings.extend(settings::examine(&config));
    findings.extend(carriers::examine(&config).await);
    findings.extend(house::examine(&config).await);
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_that_begins_with_how_bad_it_is() {
        assert_eq!(ok("config", "phoneops.toml").line(), "ok    config: phoneops.toml");
        assert_eq!(warn("fallback", "nobody").line(), "warn  fallback: nobody");
        assert_eq!(fail("master key", "missing").line(), "FAIL  master key: missing");
        assert_eq!(json!(fail("rp_id", "x")), json!({"level": "fail", "check": "rp_id", "why": "x"}));
    }
}
