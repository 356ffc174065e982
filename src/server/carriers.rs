//! The ways out of the house, as they are configured.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::{Error, read};
use crate::config::Config;
use crate::delivery::Carriers;
use crate::mail::Mailer;
use crate::push::Carrier;
use crate::push::fcm::{Fcm, FcmConfig, ServiceAccount};
use crate::push::web_push::{WebPush, WebPushConfig};

/// Every way out. That of Web Push is passed in: others ask it things too.
pub(super) fn all(config: &Config, web_push: Arc<WebPush>) -> Result<Carriers, Error> {
    Ok(Carriers { apns: None, fcm: fcm(config)?, web_push, mail: mailer(config)? })
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
    let fcm = Fcm::new(FcmConfig { account, endpoint: config.endpoint.clone(), ca_pem })?;
    Ok(Some(Arc::new(fcm)))
}

fn mailer(config: &Config) -> Result<Option<Arc<dyn Carrier>>, Error> {
    let mailer = config.mail.as_ref().map(Mailer::new).transpose()?;
    Ok(mailer.map(|mailer| Arc::new(mailer) as Arc<dyn Carrier>))
}
