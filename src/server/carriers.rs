//! The ways out of the house, as they are configured.

use std::sync::Arc;

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

/// Every way out. That of Web Push is passed in: others ask it things too.
pub(super) fn all(
    config: &Config,
    clock: &Clock,
    master: &MasterKey,
    store: &Store,
    web_push: Arc<WebPush>,
) -> Result<Carriers, Error> {
    Ok(Carriers { apns: iphones(config, clock, master, store)?, fcm: fcm(config)?, web_push, mail: mailer(config)? })
}

pub(super) fn web_push(config: &Config, vapid_private_key: Zeroizing<Vec<u8>>) -> Result<WebPush, Error> {
    Ok(WebPush::new(WebPushConfig {
        vapid_private_key,
        subject: config.web_push.subject.clone(),
        allow_private_networks: config.web_push.allow_private_networks,
        ca_pem: config.web_push.ca_file.as_deref().map(read).transpose()?,
    })?)
}

fn fcm(config: &Config) -> Result<Option<Arc<dyn Carrier>>, Error> {
    let Some(config) = &config.fcm else { return Ok(None) };
    let account = ServiceAccount::parse(&read(&config.service_account_file)?)?;
    let ca_pem = config.ca_file.as_deref().map(read).transpose()?;
    let fcm = Fcm::new(FcmConfig { account, endpoint: config.endpoint.clone(), ca_pem, limits: Limits::default() })?;
    Ok(Some(Arc::new(fcm)))
}

fn mailer(config: &Config) -> Result<Option<Arc<dyn Carrier>>, Error> {
    let mailer = config.mail.as_ref().map(Mailer::new).transpose()?;
    Ok(mailer.map(|mailer| Arc::new(mailer) as Arc<dyn Carrier>))
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
    Ok(Some(Arc::new(apns::Apns::new(&carrier, tokens, clock.clone())?)))
}
