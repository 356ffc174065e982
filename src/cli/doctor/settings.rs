//! Settings that load and would still not work: for phones, for passkeys, for push services.

use url::{Host, Url};

use super::{Finding, fail, ok, warn};
use crate::config::Config;
use crate::identity::RelyingParty;
use crate::push::web_push::{VapidKeyPair, WebPush, WebPushConfig};

const PUBLIC_URL: &str = "public_url";
const RP_ID: &str = "rp_id";
const WEB_PUSH: &str = "web_push";

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    vec![public_url(&config.public_url), rp_id(&config.public_url), web_push(config)]
}

fn public_url(url: &Url) -> Finding {
    let shown = url.as_str().trim_end_matches('/');
    if url.scheme() == "https" {
        return ok(PUBLIC_URL, shown);
    }
    if url.host_str().is_some_and(is_this_machine) {
        return ok(PUBLIC_URL, format!("{shown} is for trying things on this machine; phones need an https address"));
    }
    let why = "phones make no passkeys and take no pushes there";
    warn(PUBLIC_URL, format!("{shown} is not https, so {why}: put a proxy with a certificate in front"))
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

fn rp_id(url: &Url) -> Finding {
    let Some(host) = url.host_str() else { return fail(RP_ID, "public_url has no host") };
    match RelyingParty::new(host, url, "PhoneOps") {
        Ok(_) => ok(RP_ID, format!("passkeys are bound to {host}: under another name everybody needs new ones")),
        Err(error) => fail(RP_ID, format!("public_url: {error}")),
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
    let host = match Url::parse(subject) {
        Ok(url) if url.scheme() == "mailto" => url.path().rsplit_once('@').map(|(_, host)| host.to_owned()),
        Ok(url) => url.host_str().map(str::to_owned),
        Err(_) => None,
    };
    let Some(Ok(Host::Domain(domain))) = host.map(|host| Host::parse(&host)) else { return false };
    let last = domain.trim_end_matches('.').rsplit('.').next().unwrap_or_default().to_owned();
    domain.contains('.') && !["localhost", "invalid", "local", "internal", "test"].contains(&last.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_only() {
        let level = |url: &str| public_url(&url.parse().unwrap()).level;
        assert_eq!(level("https://phoneops.example"), Level::Ok);
        assert_eq!(level("http://localhost:8080"), Level::Ok);
        assert_eq!(level("http://phoneops.example"), Level::Warn);
        assert_eq!(level("http://192.0.2.7:8080"), Level::Warn);
    }

    #[test]
    fn passkeys_need_a_name() {
        let found = |url: &str| rp_id(&url.parse().unwrap());
        assert!(found("https://phoneops.example").why.contains("phoneops.example"));
        assert_eq!(found("https://192.0.2.7").level, Level::Fail);
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
        for odd in
            ["mailto:phoneops@localhost", "mailto:ops@mail.invalid", "https://localhost", "https://192.0.2.7", "mailto:a@b"]
        {
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
