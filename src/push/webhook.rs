//! Webhooks: an event, signed, to whoever asked to be told (Standard Webhooks, <https://www.standardwebhooks.com>).
//!
//! **Invariants**
//! - The address is a stranger's URL and is guarded like those of Web Push: its text, and its addresses when connecting; no
//!   redirect, no proxy, nothing decompressed, limits on time and size.
//! - The address's path and the secrets reach no log and no outcome.
//! - One call is one try.

use std::fmt;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response};
use url::Url;
use zeroize::Zeroizing;

use super::answer::why;
use super::guard::{Forbidden, GuardedResolver, check_url};
use super::web_push::{LIMITS, Limits, SetupError, client, tls};
use crate::clock::Timestamp;
use crate::secret::{Secret, b64, hmac_sha256, random};

#[cfg(test)]
mod tests;

/// How much of an answer is read, so that its connection may be used again.
const REPLY_MAX_BYTES: usize = 4_096;

/// The key of one webhook, shared with its receiver.
#[derive(Clone)]
pub struct SigningSecret(Zeroizing<[u8; 32]>);

impl SigningSecret {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        Self(Zeroizing::new(random()))
    }

    /// From its 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// Its 32 bytes, to be sealed.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// As the receiver keeps it: `whsec_` and base64.
    #[must_use]
    pub fn to_text(&self) -> Secret {
        Secret::new(format!("whsec_{}", b64(*self.0)))
    }

    /// `v1,` and the base64 of HMAC-SHA256 over id, time in whole seconds and body, with dots between them.
    #[must_use]
    pub fn sign(&self, id: &str, seconds: i64, body: &str) -> String {
        format!("v1,{}", b64(hmac_sha256(&*self.0, format!("{id}.{seconds}.{body}").as_bytes())))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

/// One event on its way.
#[derive(Debug)]
pub struct Signed<'a> {
    /// What names it: the same at every try.
    pub id: &'a str,
    /// The event as JSON.
    pub body: &'a str,
    /// The receiver's secret, and the one before it while that still counts.
    pub secrets: &'a [SigningSecret],
}

/// What became of one try. Texts are for operators and hold nothing secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// The receiver took it: 2xx.
    Taken(u16),
    /// The receiver wants nothing more: 410.
    Gone,
    /// Not this time.
    Not {
        /// Why.
        why: String,
        /// How long the receiver asks to wait.
        wait: Option<Duration>,
    },
}

/// Sends to every webhook. One client for all.
pub struct Webhooks {
    client: Client,
    allow_private_networks: bool,
}

impl Webhooks {
    /// `ca_pem` are certificates to trust besides those of the operating system. Connects to nothing.
    ///
    /// # Errors
    /// When the certificates cannot be read, or TLS cannot be set up.
    pub fn new(allow_private_networks: bool, ca_pem: Option<&[u8]>) -> Result<Self, SetupError> {
        Self::with(allow_private_networks, ca_pem, GuardedResolver::new(allow_private_networks), LIMITS)
    }

    fn with(allow_private: bool, ca_pem: Option<&[u8]>, resolver: GuardedResolver, limits: Limits) -> Result<Self, SetupError> {
        let client = client(tls(ca_pem)?, allow_private, resolver, limits)?;
        Ok(Self { client, allow_private_networks: allow_private })
    }

    /// Whether the text of an address is one that may be called.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, url: &Url) -> Result<(), Forbidden> {
        check_url(url, self.allow_private_networks)
    }

    /// Sends one event, once, within `at_most`.
    pub async fn send(&self, url: &Url, event: &Signed<'_>, now: Timestamp, at_most: Duration) -> Sent {
        if let Err(forbidden) = self.check(url) {
            return Sent::Not { why: format!("it is not called: {forbidden}"), wait: None };
        }
        let request = self.client.post(url.clone()).headers(headers(event, now)).body(event.body.to_owned());
        match request.timeout(at_most.min(LIMITS.total)).send().await {
            Ok(response) => answered(response).await,
            Err(error) => {
                let why = why(&error).unwrap_or_else(|forbidden| format!("it is not called: {forbidden}"));
                Sent::Not { why, wait: None }
            }
        }
    }
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhooks").field("allow_private_networks", &self.allow_private_networks).finish_non_exhaustive()
    }
}

fn headers(event: &Signed<'_>, now: Timestamp) -> HeaderMap {
    let seconds = now.as_seconds();
    let signatures: Vec<_> = event.secrets.iter().map(|secret| secret.sign(event.id, seconds, event.body)).collect();
    let text = |text: String| HeaderValue::try_from(text).expect("ids, numbers and base64 fit a header");
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("webhook-id", text(event.id.to_owned()));
    headers.insert("webhook-timestamp", text(seconds.to_string()));
    headers.insert("webhook-signature", text(signatures.join(" ")));
    headers
}

async fn answered(mut response: Response) -> Sent {
    let status = response.status();
    let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_secs);
    // The status has decided; a body that breaks off, dawdles or never ends changes nothing.
    let mut read = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        if read > REPLY_MAX_BYTES {
            break;
        }
    }
    match status.as_u16() {
        code @ 200..=299 => Sent::Taken(code),
        410 => Sent::Gone,
        code @ 300..=399 => Sent::Not { why: format!("it answered {code}, and redirects are not followed"), wait },
        code => Sent::Not { why: format!("it answered {code}"), wait },
    }
}
