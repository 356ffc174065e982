//! `phoneops serve`: the server, until it is told to stop.

use std::net::SocketAddr;

use clap::Args;
use tokio::net::TcpListener;

use super::connect::ConfigFile;
use super::interrupt::Interrupt;
use super::telemetry::{LogFormat, install_log, install_metrics};
use super::words::span;
use super::{Failure, Out, Outcome};
use crate::clock::Clock;
use crate::identity::CODE_LIFE;
use crate::identity::code::EnrollmentCode;
use crate::server::Server;

/// Run the server until SIGTERM or Ctrl-C
///
/// Every setting of the file can also be given as `PHONEOPS_…`, for example `PHONEOPS_LISTEN` or `PHONEOPS_PAGING_RINGS`. `RUST_LOG` says
/// how much is logged [default: info].
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  phoneops serve --config /etc/phoneops.toml --log-format json")]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigFile,
    /// How the log on stderr is written
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

impl Serve {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        install_log(self.log_format)?;
        let mut interrupt = Interrupt::watch()?;
        let config = self.config.load()?;
        let metrics = install_metrics()?;
        let failed = |source| Failure::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let config = config.listening_on(address.port());
        let server = Server::start(&config, Clock::system(), listener, Some(metrics)).await?;
        announce(out, address, server.issuer(), server.first_admin.as_ref(), config.web_push.allow_private_networks);
        tracing::info!(listen = %address, public_url = server.issuer(), "started");

        interrupt.signalled().await;
        tracing::info!("stopping");
        tokio::select! {
            () = server.stop() => {
                tracing::info!("stopped");
                Ok(Outcome::Done)
            }
            // Everything acknowledged is durable, so an impatient operator loses nothing but time at the next start.
            () = interrupt.signalled() => Ok(Outcome::Interrupted),
        }
    }
}

/// The first administrator's code goes here and nowhere else: a log is read by more people than a terminal.
fn announce(out: &mut Out, address: SocketAddr, issuer: &str, first_admin: Option<&EnrollmentCode>, simulators: bool) {
    out.line(format_args!("PhoneOps listens on {address} and is reached at {issuer}"));
    let Some(code) = first_admin else { return };
    let code = code.expose_grouped();
    out.line(format_args!("First administrator: {issuer}/enroll#{code} (valid {}, once)", span(CODE_LIFE)));
    // Its push service lives on this machine, and is as strict with its senders as Apple's.
    let settings = "PHONEOPS_WEB_PUSH_ALLOW_PRIVATE_NETWORKS=true PHONEOPS_WEB_PUSH_SUBJECT=mailto:you@example.com";
    let start = if simulators { String::new() } else { format!(" (start this server with {settings} for it)") };
    out.line(format_args!(
        "Open the link in a PhoneOps phone app, or simulate one{start}: sim phone enrol --first-admin yannick --person-name \"Yannick \
         Schutz\" --server {issuer} --push http://127.0.0.1:9700 --code {code}"
    ));
}

#[cfg(test)]
mod tests {
    use super::super::output::tests::on_paper;
    use super::*;

    #[test]
    fn the_first_administrator_is_told_how_and_later_starts_say_only_where() {
        let address = SocketAddr::from(([127, 0, 0, 1], 8080));
        let code = EnrollmentCode::parse("7K3MQ2XNB4TD9VWH5RFA8CPE").unwrap();
        let (mut out, stdout, _) = on_paper(false);
        announce(&mut out, address, "http://localhost:8080", Some(&code), false);
        let text = stdout.text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "PhoneOps listens on 127.0.0.1:8080 and is reached at http://localhost:8080");
        let link = "http://localhost:8080/enroll#7K3M-Q2XN-B4TD-9VWH-5RFA-8CPE";
        assert_eq!(lines[1], format!("First administrator: {link} (valid 10 minutes, once)"));
        assert!(lines[2].contains("sim phone enrol --first-admin") && lines[2].ends_with("8CPE"), "{}", lines[2]);

        let (mut out, stdout, _) = on_paper(false);
        announce(&mut out, address, "http://localhost:8080", None, false);
        assert_eq!(stdout.text().lines().count(), 1);
    }
}
