//! Settings that load and would still not work: for phones, for passkeys, for push services.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use url::{Host, Url};
use zeroize::Zeroizing;

use super::{Finding, fail, ok, warn};
use crate::clock::{Clock, Timestamp};
use crate::config::{Apns, Config, TlsFiles};
use crate::http::examine_certificate;
use crate::identity::RelyingParty;
use crate::push::apns;
use crate::push::web_push::{VapidKeyPair, WebPush, WebPushConfig};

const PUBLIC_URL: &str = "public_url";
const RP_ID: &str = "rp_id";
const TLS: &str = "tls";
const APNS: &str = "apns";
const WEB_PUSH: &str = "web_push";

/// ACME clients renew a month before the end; two weeks before it something is wrong.
const RENEWED_BY: Duration = Duration::from_secs(14 * 86_400);

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let tls = config.tls.as_ref().map(|files| tls(files, &config.public_url, Clock::system().now()));
    let apns = config.apns.as_ref().map(apns);
    [public_url(config), rp_id(config)].into_iter().chain(tls).chain(apns).chain([web_push(config)]).collect()
}

fn public_url(config: &Config) -> Finding {
    let url = &config.public_url;
    let shown = url.as_str().trim_end_matches('/');
    if url.scheme() == "https" {
        return ok(PUBLIC_URL, shown);
    }
    if url.host_str().is_some_and(is_this_machine) {
        return ok(PUBLIC_URL, format!("{shown} is for trying things on this machine; phones need an https address"));
    }
    let why = "phones make no passkeys and take no pushes there";
    warn(PUBLIC_URL, format!("{shown} is not https, so {why}: set tls_cert_file and tls_key_file, or put a proxy in front"))
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

fn rp_id(config: &Config) -> Finding {
    let id = &config.rp_id;
    match RelyingParty::new(id, &config.public_url, "PhoneOps") {
        Ok(_) => ok(RP_ID, format!("passkeys are bound to {id}: under another name everybody needs new ones")),
        Err(error) => fail(RP_ID, error.to_string()),
    }
}

/// What phones will say of the certificate, and when.
fn tls(files: &TlsFiles, public_url: &Url, now: Timestamp) -> Finding {
    let certificate = match examine_certificate(files, public_url.host_str().unwrap_or_default()) {
        Ok(certificate) => certificate,
        Err(error) => return fail(TLS, error.to_string()),
    };
    let left = now.until(certificate.not_after);
    let days = left.as_secs() / 86_400;
    if !certificate.names_host {
        return fail(
            TLS,
            format!("the certificate is not for {}, so phones refuse it", public_url.host_str().unwrap_or_default()),
        );
    }
    if left.is_zero() {
        return fail(TLS, "the certificate has expired, so phones refuse it: renew it");
    }
    if left < RENEWED_BY {
        return warn(
            TLS,
            format!("the certificate expires in {days} days: is it renewed by itself? The server takes up new files"),
        );
    }
    ok(TLS, format!("the certificate holds for {days} days"))
}

/// Whether the key could sign and Apple's name could be called. Nothing is sent: what Apple thinks of the key shows at the first push.
fn apns(settings: &Apns) -> Finding {
    let read = |key: &str, path: &Path| std::fs::read(path).map_err(|error| format!("apns.{key}: {}: {error}", path.display()));
    let carrier = || {
        let key = Zeroizing::new(read("key_file", &settings.key_file)?);
        let ca_pem = settings.ca_file.as_deref().map(|path| read("ca_file", path)).transpose()?;
        let named = |error: apns::SetupError| format!("apns.{error}");
        let minter = apns::Minter::new(&key, &settings.key_id, &settings.team_id).map_err(named)?;
        let carrier = apns::ApnsConfig {
            endpoint: settings.endpoint.clone(),
            topic: settings.topic.clone(),
            critical_alerts: settings.critical_alerts,
            ca_pem,
            connections: apns::CONNECTIONS,
        };
        apns::Apns::new(&carrier, Arc::new(apns::LocalTokens::new(minter)), Clock::system()).map_err(named)
    };
    match carrier() {
        Ok(_) => {
            let Apns { key_id, team_id, topic, .. } = settings;
            ok(APNS, format!("key {key_id} of team {team_id} signs for {topic}"))
        }
        Err(why) => fail(APNS, why),
    }
}

fn web_push(config: &Config) -> Finding {
    let settings = &config.web_push;
    let ca_pem = match settings.ca_file.as_deref().map(std::fs::read).transpose() {
        Ok(ca_pem) => ca_pem,
        Err(error) => return fail(WEB_PUSH, format!("web_push.ca_file: {error}")),
    };
    let carrier = WebPush::new(WebPushConfig {
        // Any key: it is not used, and the installation's own is sealed in the database.
        vapid_private_key: VapidKeyPair::generate().private,
        subject: settings.subject.clone(),
        allow_private_networks: settings.allow_private_networks,
        ca_pem,
    });
    if let Err(error) = carrier {
        return fail(WEB_PUSH, error.to_string());
    }
    let subject = &settings.subject;
    if names_somebody(subject) {
        return ok(WEB_PUSH, format!("push services can write to {subject}"));
    }
    let why = "Apple refuses pushes from an address that it cannot write to";
    warn(WEB_PUSH, format!("web_push.subject is {subject}, and {why}: set mailto: with a real domain, or an https address"))
}

/// Whether the subject has a public host: Apple refuses `localhost` and `.invalid`, and nobody can write to an IP address at home.
fn names_somebody(subject: &str) -> bool {
    // Apple also refuses what a mail program would understand: `mailto: ops@example.com`.
    if subject.contains(char::is_whitespace) {
        return false;
    }
    let host = match Url::parse(subject) {
        Ok(url) if url.scheme() == "mailto" => url.path().rsplit_once('@').map(|(_, host)| host.to_owned()),
        Ok(url) => url.host_str().map(str::to_owned),
        Err(_) => None,
    };
    let Some(Ok(Host::Domain(domain))) = host.map(|host| Host::parse(&host)) else { return false };
    let last = domain.trim_end_matches('.').rsplit('.').next().unwrap_or_default().to_owned();
    domain.contains('.') && !["localhost", "invalid", "local", "internal", "test", "lan", "home", "arpa"].contains(&last.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    fn at(url: &str, more: &[(&str, &str)]) -> Config {
        let all = [&[("PHONEOPS_PUBLIC_URL", url)], more].concat();
        Config::load(None, all.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()))).unwrap()
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        let level = |url: &str| public_url(&at(url, &[])).level;
        assert_eq!(level("https://phoneops.example"), Level::Ok);
        assert_eq!(level("http://localhost:8080"), Level::Ok);
        assert_eq!(level("http://phoneops.example"), Level::Warn);
        assert_eq!(level("http://192.0.2.7:8080"), Level::Warn);
    }

    #[test]
    fn passkeys_need_a_name() {
        let found = |url: &str| rp_id(&at(url, &[]));
        assert!(found("https://phoneops.example").why.contains("phoneops.example"));
        assert_eq!(found("https://192.0.2.7").level, Level::Fail);
        let above = |id: &str| rp_id(&at("https://phones.ops.example", &[("PHONEOPS_RP_ID", id)])).level;
        assert_eq!((above("ops.example"), above("other.example")), (Level::Ok, Level::Fail));
    }

    #[test]
    fn an_apns_key_is_there_and_signs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("AuthKey.p8");
        let found = |key_id: &str| {
            let pairs = [
                ("PHONEOPS_APNS_KEY_FILE", path.to_str().unwrap()),
                ("PHONEOPS_APNS_KEY_ID", key_id),
                ("PHONEOPS_APNS_TEAM_ID", "DEF123GHIJ"),
                ("PHONEOPS_APNS_TOPIC", "com.example.phoneops"),
            ];
            apns(at("https://phoneops.example", &pairs).apns.as_ref().unwrap())
        };
        let missing = found("ABC123DEFG");
        assert!(missing.level == Level::Fail && missing.why.starts_with("apns.key_file: "), "{missing:?}");
        std::fs::write(&path, "hunter2").unwrap();
        let broken = found("ABC123DEFG");
        assert!(broken.level == Level::Fail && !broken.why.contains("hunter2"), "{broken:?}");
        std::fs::write(&path, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
        assert!(found("short").why.starts_with("apns.key_id "), "{:?}", found("short"));
        assert_eq!(found("ABC123DEFG").level, Level::Ok);
    }

    #[test]
    fn a_certificate_is_for_this_host_and_holds() {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
        let key = rcgen::KeyPair::generate().unwrap();
        let mut asked = rcgen::CertificateParams::new(["phoneops.example".to_owned()]).unwrap();
        asked.not_after = rcgen::date_time_ymd(2030, 1, 31);
        std::fs::write(&files.certificate, asked.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        let found = |host: &str, day: &str| tls(&files, &host.parse().unwrap(), day.parse().unwrap());
        let here = "https://phoneops.example";
        let good = found(here, "2030-01-01T00:00:00Z");
        assert!(good.level == Level::Ok && good.why.contains("30 days"), "{good:?}");
        assert_eq!(found(here, "2030-01-20T00:00:00Z").level, Level::Warn);
        assert_eq!(found(here, "2030-02-01T00:00:00Z").level, Level::Fail);
        let elsewhere = found("https://other.example", "2030-01-01T00:00:00Z");
        assert!(elsewhere.level == Level::Fail && elsewhere.why.contains("not for other.example"), "{elsewhere:?}");
        std::fs::write(&files.key, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
        assert!(found(here, "2030-01-01T00:00:00Z").why.contains("is not the key"));
    }

    #[test]
    fn a_subject_must_be_somebody_apple_can_write_to() {
        let found = |subject: &str| {
            let variables = [("PHONEOPS_WEB_PUSH_SUBJECT".to_owned(), subject.to_owned())];
            web_push(&Config::load(None, variables).unwrap())
        };
        for good in ["mailto:ops@example.com", "https://phoneops.example", "https://phoneops.example/contact"] {
            assert_eq!(found(good).level, Level::Ok, "{good}");
        }
        for odd in [
            "mailto:phoneops@localhost",
            "mailto:ops@mail.invalid",
            "https://localhost",
            "https://192.0.2.7",
            "mailto:a@b",
            "mailto: ops@example.com",
        ] {
            let found = found(odd);
            assert!(found.level == Level::Warn && found.why.contains("Apple"), "{found:?}");
        }
        assert_eq!(found("ops@example.com").level, Level::Fail);
    }

    #[test]
    fn certificates_that_are_named_must_be_there() {
        let variables = [("PHONEOPS_WEB_PUSH_CA_FILE".to_owned(), "/nowhere/ca.pem".to_owned())];
        let found = web_push(&Config::load(None, variables).unwrap());
        assert!(found.level == Level::Fail && found.why.contains("web_push.ca_file"), "{found:?}");
    }
}
