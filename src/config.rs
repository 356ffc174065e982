//! The configuration: a TOML file, the environment over it, defaults below both.
//!
//! **Invariants**
//! - An unknown key is an error: with line and column in the file, by name in the environment.
//! - Every key can be given as `PHONEOPS_…` and, for secrets kept in files, as `PHONEOPS_…_FILE`.
//! - Secrets do not print.

mod apns;
mod apps;
mod delivery;
mod fcm;
mod mail;
mod networks;
mod slack;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::Url;

use crate::secret::Secret;

pub use apns::Apns;
pub use apps::{AndroidApp, IosApp, NotAnApp};
pub use delivery::{ApprovalsShow, Delivery, PagesShow, Privacy};
pub use fcm::Fcm;
pub use mail::{Mail, MailSecurity, MailServer, NotAMailServer};
pub use networks::{Network, NotANetwork};
pub use slack::Slack;

/// Everything that can be configured, defaults filled in.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the server listens.
    pub listen: SocketAddr,
    /// How phones and bots reach it. Also the issuer.
    pub public_url: Url,
    /// What passkeys are bound to (WebAuthn section 4, RP ID): the host of `public_url`, or a domain above it.
    pub rp_id: String,
    /// iOS apps that may use these passkeys and open these links.
    pub ios_apps: Vec<IosApp>,
    /// Android apps that may.
    pub android_apps: Vec<AndroidApp>,
    /// The certificate chain, PEM, and its private key; plain HTTP when absent.
    pub tls: Option<TlsFiles>,
    /// The proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Where SQLite, the master key and the Unix socket are.
    pub data_dir: PathBuf,
    /// `postgres://…`; SQLite in `data_dir` when absent.
    pub database_url: Option<Secret>,
    /// Connections to PostgreSQL for requests.
    pub database_connections: u32,
    /// Seconds after which the jobs of a node that died are done by another, or by itself once it runs again. 3 to 300. A push may take
    /// seven tenths of it, and 14 at most: with less than the default a slow push service has less time.
    pub job_lease_seconds: u32,
    /// Seconds in which a break-glass can be denied before it opens. 60 to 86400.
    pub break_glass_wait_seconds: u32,
    /// Seconds for which a device that recovers its person neither answers nor administers. 60 to 2592000.
    pub recovery_wait_seconds: u32,
    /// The master key's file; made in `data_dir` when absent.
    pub master_key_file: Option<PathBuf>,
    /// iPhones and iPads with a native app.
    pub apns: Option<Apns>,
    /// Android phones with a native app.
    pub fcm: Option<Fcm>,
    /// Web Push.
    pub web_push: WebPush,
    /// Mail, the channel of last resort.
    pub mail: Option<Mail>,
    /// Slack.
    pub slack: Option<Slack>,
    /// Webhooks.
    pub webhooks: Webhooks,
    /// Paging.
    pub paging: Paging,
    /// Approvals.
    pub approvals: Approvals,
    /// Getting it onto phones.
    pub delivery: Delivery,
    /// How much of it travels.
    pub privacy: Privacy,
    /// How long what is over is kept.
    pub retention: Retention,
}

/// `tls_cert_file` and `tls_key_file`, which come together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, the server's own first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// `[web_push]`
#[derive(Clone, Debug)]
pub struct WebPush {
    /// Whom a push service may write to: `mailto:` or `https:`.
    pub subject: String,
    /// Whether pushes may go to private addresses: for UnifiedPush at home, and for simulators.
    pub allow_private_networks: bool,
    /// Certificates to trust beside the operating system's, PEM.
    pub ca_file: Option<PathBuf>,
}

/// `[webhooks]`
#[derive(Clone, Debug)]
pub struct Webhooks {
    /// Whether events may go to private addresses, and by plain http: for receivers beside this server, and for tests.
    pub allow_private_networks: bool,
    /// Certificates to trust beside the operating system's, PEM.
    pub ca_file: Option<PathBuf>,
}

/// `[paging]`
#[derive(Clone, Debug)]
pub struct Paging {
    /// Seconds from one ring to the next. 5 to 3600.
    pub ring_seconds: u32,
    /// Rings before the next person is tried. 1 to 20.
    pub rings: u32,
    /// Seconds after which an acknowledged incident rings again. 60 to 86400.
    pub acknowledgement_seconds: u32,
    /// Who is paged when nobody answers: `@ys`.
    pub fallback: Option<String>,
    /// How many alerts and changes one integration may report in a minute, to each node. 10 to 10000000.
    pub reports_per_minute: u32,
}

/// `[approvals]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approvals {
    /// How often one person's phones ring for approvals in any hour, at most. 1 to 1000000.
    pub pushes_per_approver_per_hour: u32,
    /// How often phones ring for approvals that one person requests in any hour, at most. 1 to 1000000.
    pub pushes_per_requester_per_hour: u32,
}

/// `[retention]`: days; 0 is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Decided approvals with their receipts. 0, or 7 to 36500.
    pub approvals_days: u32,
    /// Resolved incidents. 0, or 7 to 36500.
    pub incidents_days: u32,
    /// Notifications and the attempts to deliver them. 0, or 7 to 36500.
    pub notifications_days: u32,
    /// Overrides that ended, those of removed schedules, and calendars that were revoked. 0, or 62 to 36500: what is asked about the past
    /// looks that far.
    pub schedules_days: u32,
    /// The journal. 0, or 30 to 36500: webhooks that fail must find in it what they missed.
    pub journal_days: u32,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not valid; says line and column.
    #[error("{path}: {source}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// An environment variable is not known.
    #[error("{0}: there is no such setting")]
    UnknownVariable(String),
    /// A value does not fit.
    #[error("{key}: {why}")]
    Value {
        /// The key, or the variable.
        key: String,
        /// Why.
        why: String,
    },
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    listen: Option<SocketAddr>,
    public_url: Option<Url>,
    rp_id: Option<String>,
    ios_apps: Vec<String>,
    android_apps: Vec<String>,
    tls_cert_file: Option<PathBuf>,
    tls_key_file: Option<PathBuf>,
    trusted_proxies: Vec<String>,
    data_dir: Option<PathBuf>,
    database_url: Option<String>,
    database_connections: Option<u32>,
    job_lease_seconds: Option<u32>,
    break_glass_wait_seconds: Option<u32>,
    recovery_wait_seconds: Option<u32>,
    master_key_file: Option<PathBuf>,
    apns: apns::ApnsFile,
    fcm: fcm::FcmFile,
    web_push: WebPushFile,
    mail: mail::MailFile,
    slack: slack::SlackFile,
    webhooks: WebhooksFile,
    paging: PagingFile,
    approvals: ApprovalsFile,
    delivery: delivery::DeliveryFile,
    privacy: delivery::PrivacyFile,
    retention: RetentionFile,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WebPushFile {
    subject: Option<String>,
    allow_private_networks: Option<bool>,
    ca_file: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WebhooksFile {
    allow_private_networks: Option<bool>,
    ca_file: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PagingFile {
    ring_seconds: Option<u32>,
    rings: Option<u32>,
    acknowledgement_seconds: Option<u32>,
    fallback: Option<String>,
    reports_per_minute: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ApprovalsFile {
    pushes_per_approver_per_hour: Option<u32>,
    pushes_per_requester_per_hour: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RetentionFile {
    approvals_days: Option<u32>,
    incidents_days: Option<u32>,
    notifications_days: Option<u32>,
    schedules_days: Option<u32>,
    journal_days: Option<u32>,
}

/// Variables that are not settings of the server.
const NOT_SETTINGS: [&str; 7] = [
    "PHONEOPS_LOGIN_FILE",
    "PHONEOPS_TOKEN",
    "PHONEOPS_TOKEN_FILE",
    "PHONEOPS_SERVER",
    "PHONEOPS_CONFIG",
    "PHONEOPS_CRASH_AT",
    "PHONEOPS_CRASH_LOG",
];

impl Config {
    /// Reads `file`, when given, and `variables` over it.
    ///
    /// # Errors
    /// [`Error`], naming the file and place, or the variable.
    pub fn load(file: Option<&Path>, variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, Error> {
        let mut settings = match file {
            Some(path) => read(path)?,
            None => File::default(),
        };
        for (name, value) in variables {
            if name.starts_with("PHONEOPS_") && !name.starts_with("PHONEOPS_TEST_") && !NOT_SETTINGS.contains(&name.as_str()) {
                settings.apply(&name, value)?;
            }
        }
        settings.finish()
    }

    /// The same once `port` is listened on: `listen = "127.0.0.1:0"` lets the operating system choose it, and a `public_url` with port
    /// 0, like the one that follows from it, means the one chosen.
    #[must_use]
    pub fn listening_on(mut self, port: u16) -> Self {
        self.listen.set_port(port);
        if self.public_url.port() == Some(0) {
            // Fails only for URLs without a host, and an origin has one.
            let _ = self.public_url.set_port(Some(port));
        }
        self
    }
}

fn read(path: &Path) -> Result<File, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
    toml::from_str(&text).map_err(|source| Error::Invalid { path: path.to_owned(), source: Box::new(source) })
}

impl File {
    fn apply(&mut self, name: &str, value: String) -> Result<(), Error> {
        let key = name.trim_start_matches("PHONEOPS_");
        let known = self.set(key, name, &value)?;
        if known {
            return Ok(());
        }
        let Some(key) = key.strip_suffix("_FILE") else { return Err(Error::UnknownVariable(name.to_owned())) };
        let path = PathBuf::from(value);
        let text = std::fs::read_to_string(&path).map_err(|source| Error::Unreadable { path, source })?;
        if self.set(key, name, text.trim())? { Ok(()) } else { Err(Error::UnknownVariable(name.to_owned())) }
    }

    /// Sets one key from text; `false` when there is no such key.
    fn set(&mut self, key: &str, name: &str, value: &str) -> Result<bool, Error> {
        fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(name: &str, value: &str) -> Result<Option<T>, Error> {
            let parsed = value.parse().map_err(|why: T::Err| Error::Value { key: name.to_owned(), why: why.to_string() });
            parsed.map(Some)
        }
        match key {
            "LISTEN" => self.listen = parsed(name, value)?,
            "PUBLIC_URL" => self.public_url = parsed(name, value)?,
            "IOS_APPS" => self.ios_apps = list(value),
            "ANDROID_APPS" => self.android_apps = list(value),
            "RP_ID" => self.rp_id = parsed(name, value)?,
            "TLS_CERT_FILE" => self.tls_cert_file = parsed(name, value)?,
            "TLS_KEY_FILE" => self.tls_key_file = parsed(name, value)?,
            "TRUSTED_PROXIES" => self.trusted_proxies = list(value),
            "DATA_DIR" => self.data_dir = parsed(name, value)?,
            "DATABASE_URL" => self.database_url = parsed(name, value)?,
            "DATABASE_CONNECTIONS" => self.database_connections = parsed(name, value)?,
            "JOB_LEASE_SECONDS" => self.job_lease_seconds = parsed(name, value)?,
            "BREAK_GLASS_WAIT_SECONDS" => self.break_glass_wait_seconds = parsed(name, value)?,
            "RECOVERY_WAIT_SECONDS" => self.recovery_wait_seconds = parsed(name, value)?,
            "MASTER_KEY_FILE" => self.master_key_file = parsed(name, value)?,
            "WEB_PUSH_SUBJECT" => self.web_push.subject = parsed(name, value)?,
            "WEB_PUSH_ALLOW_PRIVATE_NETWORKS" => self.web_push.allow_private_networks = parsed(name, value)?,
            "WEB_PUSH_CA_FILE" => self.web_push.ca_file = parsed(name, value)?,
            "WEBHOOKS_ALLOW_PRIVATE_NETWORKS" => self.webhooks.allow_private_networks = parsed(name, value)?,
            "WEBHOOKS_CA_FILE" => self.webhooks.ca_file = parsed(name, value)?,
            "PAGING_RING_SECONDS" => self.paging.ring_seconds = parsed(name, value)?,
            "PAGING_RINGS" => self.paging.rings = parsed(name, value)?,
            "PAGING_ACKNOWLEDGEMENT_SECONDS" => self.paging.acknowledgement_seconds = parsed(name, value)?,
            "PAGING_FALLBACK" => self.paging.fallback = parsed(name, value)?,
            "PAGING_REPORTS_PER_MINUTE" => self.paging.reports_per_minute = parsed(name, value)?,
            "APPROVALS_PUSHES_PER_APPROVER_PER_HOUR" => self.approvals.pushes_per_approver_per_hour = parsed(name, value)?,
            "APPROVALS_PUSHES_PER_REQUESTER_PER_HOUR" => self.approvals.pushes_per_requester_per_hour = parsed(name, value)?,
            "RETENTION_APPROVALS_DAYS" => self.retention.approvals_days = parsed(name, value)?,
            "RETENTION_INCIDENTS_DAYS" => self.retention.incidents_days = parsed(name, value)?,
            "RETENTION_NOTIFICATIONS_DAYS" => self.retention.notifications_days = parsed(name, value)?,
            "RETENTION_SCHEDULES_DAYS" => self.retention.schedules_days = parsed(name, value)?,
            "RETENTION_JOURNAL_DAYS" => self.retention.journal_days = parsed(name, value)?,
            _ => {
                return Ok(match key.split_once('_') {
                    Some(("APNS", key)) => self.apns.set(key, name, value)?,
                    Some(("DELIVERY", key)) => self.delivery.set(key, name, value)?,
                    Some(("FCM", key)) => self.fcm.set(key, value),
                    Some(("MAIL", key)) => self.mail.set(key, value),
                    Some(("PRIVACY", key)) => self.privacy.set(key, name, value)?,
                    Some(("SLACK", key)) => self.slack.set(key, value),
                    _ => false,
                });
            }
        }
        Ok(true)
    }

    fn finish(self) -> Result<Config, Error> {
        let listen = self.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080)));
        let tls = tls(self.tls_cert_file, self.tls_key_file)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let public_url = match self.public_url {
            Some(url) => origin(url)?,
            None => origin(
                format!("{scheme}://localhost:{}", listen.port())
                    .parse()
                    .map_err(|why: url::ParseError| Error::Value { key: "listen".into(), why: why.to_string() })?,
            )?,
        };
        let subject = self.web_push.subject.unwrap_or_else(|| default_subject(&public_url));
        let paging = Paging {
            ring_seconds: within("paging.ring_seconds", self.paging.ring_seconds, 60, 5, 3600)?,
            rings: within("paging.rings", self.paging.rings, 3, 1, 20)?,
            acknowledgement_seconds: within(
                "paging.acknowledgement_seconds",
                self.paging.acknowledgement_seconds,
                1800,
                60,
                86_400,
            )?,
            fallback: self.paging.fallback,
            reports_per_minute: within("paging.reports_per_minute", self.paging.reports_per_minute, 60_000, 10, 10_000_000)?,
        };
        let rp_id = self.rp_id.unwrap_or_else(|| public_url.host_str().unwrap_or_default().to_owned());
        Ok(Config {
            listen,
            public_url,
            rp_id,
            ios_apps: each("ios_apps", &self.ios_apps)?,
            android_apps: each("android_apps", &self.android_apps)?,
            trusted_proxies: each("trusted_proxies", &self.trusted_proxies)?,
            tls,
            data_dir: self.data_dir.unwrap_or_else(|| "phoneops-data".into()),
            database_url: self.database_url.map(Secret::new),
            database_connections: within("database_connections", self.database_connections, 16, 1, 1000)?,
            job_lease_seconds: within("job_lease_seconds", self.job_lease_seconds, 20, 3, 300)?,
            break_glass_wait_seconds: within("break_glass_wait_seconds", self.break_glass_wait_seconds, 900, 60, 86_400)?,
            recovery_wait_seconds: within("recovery_wait_seconds", self.recovery_wait_seconds, 86_400, 60, 2_592_000)?,
            master_key_file: self.master_key_file,
            apns: self.apns.finish()?,
            fcm: self.fcm.finish()?,
            mail: self.mail.finish()?,
            slack: self.slack.finish()?,
            web_push: WebPush {
                subject,
                allow_private_networks: self.web_push.allow_private_networks.unwrap_or(false),
                ca_file: self.web_push.ca_file,
            },
            webhooks: Webhooks {
                allow_private_networks: self.webhooks.allow_private_networks.unwrap_or(false),
                ca_file: self.webhooks.ca_file,
            },
            paging,
            retention: Retention {
                approvals_days: days("retention.approvals_days", self.retention.approvals_days, 0, 7)?,
                incidents_days: days("retention.incidents_days", self.retention.incidents_days, 0, 7)?,
                notifications_days: days("retention.notifications_days", self.retention.notifications_days, 90, 7)?,
                schedules_days: days("retention.schedules_days", self.retention.schedules_days, 0, 62)?,
                journal_days: days("retention.journal_days", self.retention.journal_days, 0, 30)?,
            },
            approvals: self.approvals.finish()?,
            delivery: self.delivery.finish()?,
            privacy: self.privacy.finish(),
        })
    }
}

impl ApprovalsFile {
    fn finish(self) -> Result<Approvals, Error> {
        let budget = |key, value, default| within(key, value, default, 1, 1_000_000);
        Ok(Approvals {
            pushes_per_approver_per_hour: budget(
                "approvals.pushes_per_approver_per_hour",
                self.pushes_per_approver_per_hour,
                30,
            )?,
            pushes_per_requester_per_hour: budget(
                "approvals.pushes_per_requester_per_hour",
                self.pushes_per_requester_per_hour,
                60,
            )?,
        })
    }
}

/// `a,b`, as lists are written in the environment.
fn list(value: &str) -> Vec<String> {
    value.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
}

fn each<T: std::str::FromStr<Err: std::fmt::Display>>(key: &str, named: &[String]) -> Result<Vec<T>, Error> {
    let refused = |why: T::Err| Error::Value { key: key.to_owned(), why: why.to_string() };
    named.iter().map(|item| item.parse().map_err(refused)).collect()
}

fn tls(certificate: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<TlsFiles>, Error> {
    let alone = |key: &str, other: &str| Error::Value { key: key.into(), why: format!("needs {other} beside it") };
    match (certificate, key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
        (Some(_), None) => Err(alone("tls_cert_file", "tls_key_file")),
        (None, Some(_)) => Err(alone("tls_key_file", "tls_cert_file")),
    }
}

/// `https://host/` says who runs a push-sending server, but only when it is not this machine alone.
fn default_subject(public_url: &Url) -> String {
    match public_url.scheme() {
        "https" => public_url.as_str().trim_end_matches('/').to_owned(),
        _ => "mailto:phoneops@localhost".to_owned(),
    }
}

fn origin(url: Url) -> Result<Url, Error> {
    let plain = matches!(url.scheme(), "http" | "https")
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty();
    if plain {
        return Ok(url);
    }
    Err(Error::Value {
        key: "public_url".into(),
        why: "expected scheme, host and port only, like https://phoneops.example".into(),
    })
}

fn within(key: &str, value: Option<u32>, default: u32, min: u32, max: u32) -> Result<u32, Error> {
    let value = value.unwrap_or(default);
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    Err(Error::Value { key: key.to_owned(), why: format!("must be {min} to {max}") })
}

/// So many days, or 0 for ever.
fn days(key: &str, value: Option<u32>, default: u32, min: u32) -> Result<u32, Error> {
    match value.unwrap_or(default) {
        0 => Ok(0),
        _ => within(key, value, default, min, 36_500)
            .map_err(|_| Error::Value { key: key.to_owned(), why: format!("must be {min} to 36500, or 0 for ever") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, Error> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("phoneops.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(Some(&path), variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn the_environment_stands_over_the_file_and_the_file_over_the_defaults() {
        let config = load(
            "listen = \"127.0.0.1:9000\"\n[paging]\nrings = 2\nfallback = \"@ys\"\n",
            &[("PHONEOPS_PAGING_RINGS", "4"), ("PHONEOPS_TOKEN", "pob_x"), ("PHONEOPS_TOKEN_FILE", "/x"), ("HOME", "/")],
        )
        .unwrap();
        assert_eq!(config.public_url.as_str(), "http://localhost:9000/");
        assert_eq!((config.paging.rings, config.paging.ring_seconds), (4, 60));
        assert_eq!(config.paging.fallback.as_deref(), Some("@ys"));
    }

    #[test]
    fn a_secret_may_come_from_a_file_and_does_not_print() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("url");
        std::fs::write(&path, "postgres://phoneops:hunter2@db/phoneops\n").unwrap();
        let config = load("", &[("PHONEOPS_DATABASE_URL_FILE", path.to_str().unwrap())]).unwrap();
        assert!(config.database_url.as_ref().unwrap().expose().ends_with("/phoneops"));
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn the_port_that_was_chosen_is_filled_in_where_none_was_named() {
        let reached = |variables: &[(&str, &str)]| {
            let config = load("listen = \"127.0.0.1:0\"\n", variables).unwrap().listening_on(49_152);
            assert_eq!(config.listen.port(), 49_152);
            config.public_url.to_string()
        };
        assert_eq!(reached(&[]), "http://localhost:49152/");
        assert_eq!(reached(&[("PHONEOPS_PUBLIC_URL", "https://phoneops.example")]), "https://phoneops.example/");
        assert_eq!(reached(&[("PHONEOPS_PUBLIC_URL", "http://localhost:9000")]), "http://localhost:9000/");
    }

    #[test]
    fn what_is_not_known_or_does_not_fit_is_refused_by_name() {
        let refused = |text: &str, variables: &[(&str, &str)]| load(text, variables).unwrap_err().to_string();
        let unknown = refused("listen = \"127.0.0.1:9000\"\nlissten = 1\n", &[]);
        assert!(unknown.contains("line 2, column 1") && unknown.contains("lissten"), "{unknown}");
        assert!(refused("", &[("PHONEOPS_LISSTEN", "x")]).contains("PHONEOPS_LISSTEN"));
        assert!(refused("", &[("PHONEOPS_LISTEN", "here")]).starts_with("PHONEOPS_LISTEN: "));
        assert!(refused("[paging]\nrings = 0\n", &[]).contains("paging.rings: must be 1 to 20"));
        assert!(refused("[approvals]\npushes_per_approver_per_hour = 0\n", &[]).contains("must be 1 to 1000000"));
        assert!(refused("trusted_proxies = [\"10.0.0.1/8\"]\n", &[]).contains("trusted_proxies: 10.0.0.1/8: expected"));
        let short = refused("[retention]\njournal_days = 29\n", &[]);
        assert!(short.contains("retention.journal_days: must be 30 to 36500, or 0 for ever"), "{short}");
        assert_eq!(load("[retention]\njournal_days = 0\n", &[]).unwrap().retention.journal_days, 0);
        assert!(refused("public_url = \"https://a.example/path\"\n", &[]).contains("public_url: expected"));
    }
}
