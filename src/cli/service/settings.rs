//! How a service's alerts become incidents, as people type and read it.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::time;
use super::super::words::span;
use crate::text::line;

/// What is left out stays as it is.
#[derive(Debug, Args)]
#[command(next_help_heading = "How its alerts become incidents")]
pub(super) struct Settings {
    /// Whether its incidents wake people
    #[arg(long, value_enum)]
    urgency: Option<Urgency>,
    /// When an acknowledged incident rings again: after 30m, never, or as the installation's default says
    #[arg(long, value_name = "TIME|never|default", value_parser = acknowledgement)]
    acknowledgement: Option<Acknowledgement>,
    /// The labels whose alerts become one incident when they agree; `all` makes one incident of all
    #[arg(long, value_name = "LABEL[,LABEL…]", value_delimiter = ',', conflicts_with = "no_grouping")]
    group_by: Option<Vec<String>>,
    /// Make an incident of each alert
    #[arg(long)]
    no_grouping: bool,
    /// How long after an incident began alerts still join it
    #[arg(long, value_name = "TIME", value_parser = week)]
    group_for: Option<u32>,
    /// How long after its end an alert that comes back re-opens its incident
    #[arg(long, value_name = "TIME", value_parser = day)]
    reopen_within: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Urgency {
    /// Critical and error wake people, warning and info can wait
    BySeverity,
    /// Always
    High,
    /// Never
    Low,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Acknowledgement {
    Default,
    Seconds(u32),
}

fn acknowledgement(text: &str) -> Result<Acknowledgement, String> {
    match text {
        "default" => Ok(Acknowledgement::Default),
        "never" => Ok(Acknowledgement::Seconds(0)),
        text => match week(text)? {
            0 => Err("say never, or a time of at least a second".into()),
            seconds => Ok(Acknowledgement::Seconds(seconds)),
        },
    }
}

fn week(text: &str) -> Result<u32, String> {
    time::seconds(text, 7)
}

fn day(text: &str) -> Result<u32, String> {
    time::seconds(text, 1)
}

impl Settings {
    /// Writes over what is said here.
    pub(super) fn write(&self, settings: &mut Value) {
        if let Some(urgency) = self.urgency {
            settings["urgency"] = json!(match urgency {
                Urgency::BySeverity => "by_severity",
                Urgency::High => "high",
                Urgency::Low => "low",
            });
        }
        match self.acknowledgement {
            None => {}
            Some(Acknowledgement::Default) => settings["acknowledgement_seconds"] = Value::Null,
            Some(Acknowledgement::Seconds(seconds)) => settings["acknowledgement_seconds"] = json!(seconds),
        }
        match &self.group_by {
            _ if self.no_grouping => settings["group_by"] = Value::Null,
            None => {}
            Some(labels) if labels == &["all"] => settings["group_by"] = json!([]),
            Some(labels) => settings["group_by"] = json!(labels),
        }
        if let Some(seconds) = self.group_for {
            settings["group_seconds"] = json!(seconds);
        }
        if let Some(seconds) = self.reopen_within {
            settings["reopen_seconds"] = json!(seconds);
        }
    }
}

/// As `/v1/services` shows them.
#[derive(Deserialize)]
pub(super) struct Shown {
    urgency: String,
    acknowledgement_seconds: Option<u64>,
    group_by: Option<Vec<String>>,
    group_seconds: u64,
    reopen_seconds: u64,
}

impl Shown {
    pub(super) fn rows(&self) -> Vec<Vec<String>> {
        let time = |seconds| span(Duration::from_secs(seconds));
        let urgency = match self.urgency.as_str() {
            "high" => "always wakes people".to_owned(),
            "low" => "never wakes people".to_owned(),
            _ => "critical and error wake people".to_owned(),
        };
        let acknowledged = match self.acknowledgement_seconds {
            None => "as the installation's default says".to_owned(),
            Some(0) => "for good".to_owned(),
            Some(seconds) => format!("for {}", time(seconds)),
        };
        let alerts = match self.group_by.as_deref() {
            None => "each its own incident".to_owned(),
            Some([]) => format!("one incident within {}", time(self.group_seconds)),
            Some(labels) => {
                let labels: Vec<_> = labels.iter().map(|label| line(label, 100)).collect();
                format!("one incident within {} where {} agree", time(self.group_seconds), labels.join(", "))
            }
        };
        let reopened = format!("by alerts that come back within {}", time(self.reopen_seconds));
        [("urgency", urgency), ("acknowledged", acknowledged), ("alerts", alerts), ("re-opened", reopened)]
            .map(|(name, text)| vec![name.to_owned(), text])
            .to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        settings: Settings,
    }

    #[test]
    fn what_is_left_out_stays_as_it_is() {
        let written = |line: &str| {
            let words = std::iter::once("x").chain(line.split_whitespace());
            let mut settings = json!({"urgency": "low", "acknowledgement_seconds": 600, "group_by": ["a"], "group_seconds": 1,
                "reopen_seconds": 2});
            <Cli as clap::Parser>::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")).settings.write(&mut settings);
            settings
        };
        assert_eq!(written("")["urgency"], "low");
        let all = written("--urgency by-severity --acknowledgement never --group-by b,c --group-for 1h --reopen-within 5m");
        let expected = json!({"urgency": "by_severity", "acknowledgement_seconds": 0, "group_by": ["b", "c"],
            "group_seconds": 3600, "reopen_seconds": 300});
        assert_eq!(all, expected);
        assert_eq!(written("--acknowledgement default --group-by all")["group_by"], json!([]));
        assert!(written("--no-grouping")["group_by"].is_null());
        assert!(acknowledgement("0").is_err() && acknowledgement("8d").is_err());
    }

    #[test]
    fn settings_are_told_in_words() {
        let shown = |body: Value| serde_json::from_value::<Shown>(body).unwrap().rows().into_iter().map(|row| row.join(": "));
        let rows = shown(json!({"urgency": "by_severity", "group_seconds": 3600, "reopen_seconds": 300}));
        let expected = [
            "urgency: critical and error wake people",
            "acknowledged: as the installation's default says",
            "alerts: each its own incident",
            "re-opened: by alerts that come back within 5 minutes",
        ];
        assert_eq!(rows.collect::<Vec<_>>(), expected);
        let rows = shown(json!({"urgency": "high", "acknowledgement_seconds": 0, "group_by": ["cluster"], "group_seconds": 60,
            "reopen_seconds": 0}));
        let expected = [
            "urgency: always wakes people",
            "acknowledged: for good",
            "alerts: one incident within 1 minute where cluster agree",
            "re-opened: by alerts that come back within 0 seconds",
        ];
        assert_eq!(rows.collect::<Vec<_>>(), expected);
    }
}
