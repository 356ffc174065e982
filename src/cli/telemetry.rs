//! What a server tells those who watch it: its log on stderr, its metrics at `/metrics`.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use metrics::{describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;

use super::Failure;

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line, for programs.
    Json,
}

/// Sends the log to stderr; `RUST_LOG` says how much of it.
pub(super) fn install_log(format: LogFormat) -> Result<(), Failure> {
    let level = std::env::var("RUST_LOG").ok().filter(|level| !level.is_empty()).unwrap_or_else(|| "info".into());
    let filter = EnvFilter::try_new(level).map_err(|error| Failure::Usage(format!("RUST_LOG: {error}")))?;
    // At its finest level it writes out what a socket's address and messages let one do.
    let filter = filter.add_directive(quiet("tungstenite")?);
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let installed = match format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    installed.map_err(|error| Failure::Other(format!("the log cannot be set up: {error}")))
}

/// Lets a library say no more than what goes wrong, whatever `RUST_LOG` says.
fn quiet(library: &str) -> Result<Directive, Failure> {
    format!("{library}=warn").parse().map_err(|error| Failure::Other(format!("the log cannot be set up: {error}")))
}

/// Records metrics in this process from now on.
pub(super) fn install_metrics() -> Result<PrometheusHandle, Failure> {
    let installed = PrometheusBuilder::new().install_recorder();
    let handle = installed.map_err(|error| Failure::Other(format!("metrics cannot be recorded: {error}")))?;
    describe_counter!("phoneops_http_requests_total", "Requests answered, by method, route and status.");
    describe_counter!("phoneops_push_total", "Pushes handed to a carrier, by what became of them.");
    describe_histogram!(
        "phoneops_push_seconds",
        "From writing an attempt to the push service's word (accepted), and to the phone's (received, displayed, opened)."
    );
    describe_counter!("phoneops_push_failed_total", "Attempts that failed for good, by carrier and urgency.");
    describe_counter!("phoneops_push_failed_over_total", "Notifications that rang louder because no phone said that they came.");
    describe_counter!("phoneops_people_unreachable_total", "Times that nothing was left that could reach a person.");
    describe_gauge!("phoneops_push_waiting", "Attempts that wait or are under way, by carrier and urgency.");
    describe_gauge!("phoneops_push_oldest_seconds", "For how long the oldest of them has, by carrier and urgency.");
    describe_gauge!("phoneops_routes_down", "Routes that this node leaves alone because they fail, by carrier.");
    describe_gauge!(
        "phoneops_provider_token_age_seconds",
        "How old the token is that says to a push service who sends, by carrier."
    );
    describe_counter!("phoneops_jobs_total", "Jobs performed, by kind and result.");
    describe_gauge!("phoneops_jobs_live", "Jobs that wait or are under way, by kind.");
    describe_gauge!("phoneops_jobs_buried", "Jobs that were given up and need somebody to look, by kind.");
    describe_counter!("phoneops_slack_lines_total", "Lines said in Slack that were done, by how they were said.");
    describe_counter!("phoneops_slack_untold_total", "Times that a channel of Slack could not be told something for good.");
    describe_gauge!("phoneops_slack_sockets", "Sockets that are open to Slack.");
    Ok(handle)
}
