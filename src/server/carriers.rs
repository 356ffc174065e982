//! The ways out of the house, as they are configured.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{Error, read};
use crate::clock::Clock;
use crate::config::Config;
use crate::db::Store;
use crate::delivery::{Carriers, SharedTokens};
use crate::mail::Mailer;
use crate::push::fcm::{Fcm, FcmConfig, Limits, ServiceAccount};
use crate::push::web_push::{WebPush, WebPushConfig};
use crate::push::{Carrier, apns};
use crate::secret::MasterKey;

/// How long a carrier may take for a message: less than the three quarters of a job's lease after which whoever called stops waiting
/// (`delivery/attempts`), so that a message that failed is told from one that was cut off. With the default of 20 s it is the 14 s that
/// carriers take at most anyway.
fn limit(config: &Config) -> Duration {
    Duration::from_secs(config.job_lease_seconds.into()) * 7 / 10
}

/// Every way out. That of Web Push is passed in: others ask it things too.
pub(super) fn all(
    config: &Config,
    clock: &Clock,
    master: &MasterKey,
    store: &Store,
    web_push: Arc<WebPush>,
) -> Result<Carriers, Error> {
    Ok(Carriers { apns: iphones(config, clock, master, store)?, fcm: fcm(config, clock)?, web_push, mail: mailer(config)? })
}

pub(super) fn web_push(config: &Config, vapid_private_key: Zeroizing<Vec<u8>>) -> Result<WebPush, Error> {
    let carrier = WebPush::new(WebPushConfig {
        vapid_private_key,
        subject: config.web_push.subject.clone(),
        allow_private_networks: config.web_push.allow_private_networks,
        ca_pem: config.web_push.ca_file.as_deref().map(read).transpose()?,
    })?;
    Ok(carrier.within(limit(config)))
}

fn fcm(config: &Config, clock: &Clock) -> Result<Option<Arc<dyn Carrier>>, Error> {
    let Some(settings) = &config.fcm else { return Ok(None) };
    let account = ServiceAccount::parse(&read(&settings.service_account_file)?)?;
    let ca_pem = settings.ca_file.as_deref().map(read).transpose()?;
    let limits = Limits::default().within(limit(config));
    let fcm = Fcm::new(FcmConfig { account, endpoint: settings.endpoint.clone(), ca_pem, limits }, clock.clone())?;
    Ok(Some(Arc::new(fcm)))
}

fn mailer(config: &Config) -> Result<Option<Arc<dyn Carrier>>, Error> {
    let mailer = config.mail.as_ref().map(Mailer::new).transpose()?;
    Ok(mailer.map(|mailer| Arc::new(mailer.within(limit(config))) as Arc<dyn Carrier>))
}

/// The way to iPhones, where it is configured.
fn iphones(config: &Config, clock: &Clock, master: &MasterKey, store: &Store) -> Result<Option<Arc<dyn Carrier>>, Error> {
    let Some(settings) = &config.apns else { return Ok(None) };
    let key = zeroize::Zeroizing::new(read(&settings.key_file)?);
    let minter = apns::Minter::new(&key, &settings.key_id, &settings.team_id)?;
    let tokens = Arc::new(SharedTokens::new(store, master, minter));
    let carrier = apns::ApnsConfig {
        endpoint: settings.endpoint.clone(),
        topic: settings.topic.clone(),
        critical_alerts: settings.critical_alerts,
        ca_pem: settings.ca_file.as_deref().map(read).transpose()?,
        connections: apns::CONNECTIONS,
    };
    Ok(Some(Arc::new(apns::Apns::new(&carrier, tokens, clock.clone())?.within(limit(config)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_carrier_is_done_before_its_caller_stops_waiting() {
        for (lease, expected) in [("20", 14_000), ("3", 2_100), ("300", 210_000)] {
            let variables = [("PHONEOPS_JOB_LEASE_SECONDS".to_owned(), lease.to_owned())];
            let config = Config::load(None, variables).unwrap();
            let (limit, lease) = (limit(&config), Duration::from_secs(config.job_lease_seconds.into()));
            assert_eq!(limit, Duration::from_millis(expected));
            assert!(limit < lease * 3 / 4);
        }
        assert_eq!(Limits::default().total, Duration::from_secs(14), "with the default it takes what it takes anyway");
    }
}
