//! The ways out that take an account somewhere, and Slack: whether they let us in.

use super::{Finding, fail, ok, warn};
use crate::chat::slack;
use crate::clock::Clock;
use crate::config::{Config, Fcm as FcmSettings, Mail, MailSecurity, Slack};
use crate::mail::Mailer;
use crate::push::fcm::{Fcm, FcmConfig, Limits, ServiceAccount};

const FCM: &str = "fcm";
const MAIL: &str = "mail";
const SLACK: &str = "slack";

/// Signs in at each that is configured, and sends nothing.
pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(settings) = &config.fcm {
        findings.push(fcm(settings).await);
    }
    if let Some(settings) = &config.mail {
        findings.push(mail(settings).await);
    }
    if let Some(settings) = &config.slack {
        findings.push(slack(settings).await);
    }
    findings
}

async fn fcm(settings: &FcmSettings) -> Finding {
    let carrier = match carrier(settings) {
        Ok(carrier) => carrier,
        Err(why) => return fail(FCM, why),
    };
    let (carrier, project) = carrier;
    match carrier.try_out(Clock::system().now()).await {
        Ok(()) => ok(FCM, format!("Google gives access tokens for {project}")),
        Err(why) => warn(FCM, format!("{why}; until then no Android phone rings")),
    }
}

/// The carrier, and the project it sends through.
fn carrier(settings: &FcmSettings) -> Result<(Fcm, String), String> {
    let path = &settings.service_account_file;
    let json = std::fs::read(path).map_err(|error| format!("fcm.service_account_file: {}: {error}", path.display()))?;
    let account =
        ServiceAccount::parse(&json).map_err(|error| format!("fcm.service_account_file: {}: {error}", path.display()))?;
    let ca_pem = settings.ca_file.as_deref().map(std::fs::read).transpose().map_err(|error| format!("fcm.ca_file: {error}"))?;
    let project = account.project().to_owned();
    let config = FcmConfig { account, endpoint: settings.endpoint.clone(), ca_pem, limits: Limits::default() };
    let carrier = Fcm::new(config, Clock::system());
    carrier.map(|carrier| (carrier, project)).map_err(|error| error.to_string())
}

async fn mail(settings: &Mail) -> Finding {
    let mailer = match Mailer::new(settings) {
        Ok(mailer) => mailer,
        Err(error) => return fail(MAIL, error.to_string()),
    };
    match mailer.try_out().await {
        Ok(()) => {
            let advice = advice(settings.server.security);
            ok(MAIL, format!("{} takes mail from {}{advice}", settings.server.host, settings.from))
        }
        Err(why) => warn(MAIL, format!("{why}; until then nobody is written to")),
    }
}

async fn slack(settings: &Slack) -> Finding {
    match slack::try_out(settings).await {
        Ok(how) => ok(SLACK, how),
        Err(why) => warn(SLACK, format!("{why}; until then nobody is answered there")),
    }
}

/// TLS from the first byte leaves nothing to be read or changed before it begins (RFC 8314 section 3).
fn advice(security: MailSecurity) -> &'static str {
    match security {
        MailSecurity::StartTls => "; TLS begins with STARTTLS: where the server offers smtps:// (port 465), prefer that",
        MailSecurity::Wrapped | MailSecurity::Plain => "",
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;
    use crate::sim::smtp::Smtp;

    fn at(pairs: &[(&str, &str)]) -> Config {
        Config::load(None, pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))).unwrap()
    }

    #[tokio::test]
    async fn what_is_not_configured_is_not_looked_at() {
        assert_eq!(examine(&at(&[])).await, []);
    }

    #[tokio::test]
    async fn an_account_that_cannot_be_read_names_the_key() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{}").unwrap();
        for path in ["/nowhere/fcm.json", file.path().to_str().unwrap()] {
            let [found] = &examine(&at(&[("PHONEOPS_FCM_SERVICE_ACCOUNT_FILE", path)])).await[..] else { panic!("one finding") };
            assert!(found.level == Level::Fail && found.why.starts_with("fcm.service_account_file: "), "{found:?}");
        }
    }

    #[tokio::test]
    async fn a_server_that_takes_mail_is_fine_and_better_with_tls_from_the_first_byte() {
        let smtp = Smtp::start(Clock::system()).await.unwrap();
        let ca_file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(ca_file.path(), smtp.authority()).unwrap();
        for (server, prefers) in [
            (format!("smtps://localhost:{}", smtp.tls_address().port()), false),
            (format!("smtp://localhost:{}?starttls", smtp.address().port()), true),
            (format!("smtp://localhost:{}", smtp.address().port()), false),
        ] {
            let config = at(&[
                ("PHONEOPS_MAIL_SERVER", &server),
                ("PHONEOPS_MAIL_FROM", "phoneops@example.com"),
                ("PHONEOPS_MAIL_CA_FILE", ca_file.path().to_str().unwrap()),
            ]);
            let [found] = &examine(&config).await[..] else { panic!("one finding") };
            assert_eq!((found.level, found.why.contains("prefer")), (Level::Ok, prefers), "{found:?}");
        }
        assert!(smtp.letters().is_empty());
    }

    #[tokio::test]
    async fn slack_says_whether_it_knows_the_tokens() {
        let sim = crate::sim::slack::Slack::start(Clock::system()).await.unwrap();
        let api_url = sim.api_url();
        let found = async |bot_token: &str, app_token: &str| {
            let config = at(&[
                ("PHONEOPS_SLACK_BOT", "heimdall"),
                ("PHONEOPS_SLACK_BOT_TOKEN", bot_token),
                ("PHONEOPS_SLACK_APP_TOKEN", app_token),
                ("PHONEOPS_SLACK_API_URL", &api_url),
            ]);
            let [found] = &examine(&config).await[..] else { panic!("one finding") };
            assert!(!found.why.contains(bot_token) && !found.why.contains(app_token), "{found:?}");
            (found.level, found.why.clone())
        };
        let (level, why) = found(sim.bot_token(), sim.app_token()).await;
        assert_eq!((level, why.as_str()), (Level::Ok, "heimdall speaks in Example (T0EXAMPLE), which is heard by a socket"));
        let (level, why) = found("xoxb-of-somebody-else", sim.app_token()).await;
        assert!(level == Level::Warn && why.starts_with("slack.bot_token: Slack says invalid_auth"), "{why}");
        let (level, why) = found(sim.bot_token(), "xapp-of-somebody-else").await;
        assert!(level == Level::Warn && why.starts_with("slack.app_token: Slack says invalid_auth"), "{why}");
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_a_warning() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let server = format!("smtp://{}", listener.local_addr().unwrap());
        drop(listener);
        let config = at(&[("PHONEOPS_MAIL_SERVER", &server), ("PHONEOPS_MAIL_FROM", "phoneops@example.com")]);
        let [found] = &examine(&config).await[..] else { panic!("one finding") };
        assert!(found.level == Level::Warn && found.why.contains("the connection failed"), "{found:?}");
        let odd = at(&[("PHONEOPS_MAIL_SERVER", &server), ("PHONEOPS_MAIL_FROM", "PhoneOps")]);
        assert_eq!(examine(&odd).await[0].level, Level::Fail);
    }
}
