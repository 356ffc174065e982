//! A phone: a device key, passkeys, a push subscription, and HTTP. Written from `api-spec/device-protocol.md` alone.
//!
//! ```no_run
//! # use phoneops::{clock::Clock, sim::{phone::Phone, push_service::PushService}};
//! # async fn story() -> Result<(), Box<dyn std::error::Error>> {
//! let push_service = PushService::start(Clock::system()).await?;
//! let phone = Phone::new(Clock::system(), "http://localhost:8080", push_service.url())?;
//! phone.enrol("7K3M-Q2XN-B4TD-9VWH-5RFA-8CPE", "Yannick's phone", Some(("yannick", "Yannick Schutz"))).await?;
//! phone.create_passkey("Face ID").await?;
//! phone.register_push().await?;
//! for approval in phone.inbox().await? {
//!     phone.approve(approval["id"].as_str().unwrap_or_default()).await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! **Invariants**
//! - It holds nothing but its keys, who it is, and what was pushed to it; everything else is fetched.
//! - Private keys leave only into a state file that its owner alone can read.
//! - It runs nothing in the background: 64 phones with one shared client cost 64 small structures.

mod answer;
mod devices;
mod error;
mod inbox;
mod native;
mod receipts;
mod screen;
mod session;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::AtomicI64;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

pub use answer::{Factor, PreparedAnswer, Verdict};
pub use error::{Error, Mismatch};
pub use native::Provider;
pub use receipts::Receipts;
pub use screen::Push;
pub use session::Reply;
pub use state::Lock;

use super::authenticator::Misbehaviour;
use super::key::Key;
use crate::clock::Clock;
use crate::secret::{b64u, tagged_sha256};
use state::{Device, State};

/// A simulated phone.
pub struct Phone {
    clock: Clock,
    http: reqwest::Client,
    issuer: String,
    /// What it is reached through, and where that is.
    provider: Provider,
    push_service: String,
    device_key: Key,
    state: Mutex<State>,
    token: tokio::sync::Mutex<Option<session::Token>>,
    /// What to add to the clock, in microseconds, to agree with the server.
    offset_micros: AtomicI64,
}

/// A client fit for many phones: no proxy, no redirects, connections kept.
///
/// # Errors
/// [`Error::Unanswered`] when the operating system's certificates cannot be loaded.
pub fn client() -> Result<reqwest::Client, Error> {
    let builder =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(Duration::from_secs(90));
    Ok(builder.build()?)
}

impl Phone {
    /// A new phone with a client of its own, not enrolled yet. `server_url` is the installation's `public_url`.
    ///
    /// # Errors
    /// As [`client`].
    pub fn new(clock: Clock, server_url: &str, push_service_url: &str) -> Result<Self, Error> {
        Ok(Self::with_client(client()?, clock, server_url, push_service_url))
    }

    /// The same with a client shared by many phones, as from [`client`].
    #[must_use]
    pub fn with_client(http: reqwest::Client, clock: Clock, server_url: &str, push_service_url: &str) -> Self {
        Self::reached_by(Provider::WebPush, http, clock, server_url, push_service_url)
    }

    /// A phone that is reached through another provider, or a browser; `provider_url` is the push service's URL, or that of the
    /// simulator's admin API.
    #[must_use]
    pub fn reached_by(provider: Provider, http: reqwest::Client, clock: Clock, server_url: &str, provider_url: &str) -> Self {
        Self {
            clock,
            http,
            issuer: server_url.trim_end_matches('/').to_owned(),
            provider,
            push_service: provider_url.trim_end_matches('/').to_owned(),
            device_key: Key::generate(),
            state: Mutex::default(),
            token: tokio::sync::Mutex::default(),
            offset_micros: AtomicI64::new(0),
        }
    }

    /// The installation it belongs to, without a trailing slash.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Through whom it is reached.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// The push service it subscribes at, or the simulator that it has its identifier from, without a trailing slash.
    #[must_use]
    pub fn push_service(&self) -> &str {
        &self.push_service
    }

    /// Its device id.
    ///
    /// # Errors
    /// [`Error::NotEnrolled`].
    pub fn device_id(&self) -> Result<String, Error> {
        self.device(|device| device.id.clone())
    }

    /// The id of its person.
    ///
    /// # Errors
    /// [`Error::NotEnrolled`].
    pub fn user_id(&self) -> Result<String, Error> {
        self.device(|device| device.user_id.clone())
    }

    /// The id of its push subscription, or what it is known by at the provider: by that faults are scripted.
    ///
    /// # Errors
    /// [`Error::NotSubscribed`].
    pub fn subscription_id(&self) -> Result<String, Error> {
        let state = self.state();
        let id = state.subscription.as_ref().map(|subscription| &subscription.id).or(state.installation.as_ref());
        id.cloned().ok_or(Error::NotSubscribed)
    }

    fn device<T>(&self, read: impl FnOnce(&Device) -> T) -> Result<T, Error> {
        self.state().device.as_ref().map(read).ok_or(Error::NotEnrolled)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while holding it")
    }

    /// Redeems an enrolment code (section 2). Where the person has a device already, this one waits: the reply's `device` says so, with the
    /// number to show, and the phone is refused until another confirms it. `first_admin` is handle and name, and goes only with a first administrator's
    /// code. Doing it again with the same code is harmless.
    ///
    /// # Errors
    /// [`Error::Refused`], for example with `enrollment_claimed`.
    pub async fn enrol(&self, code: &str, device_name: &str, first_admin: Option<(&str, &str)>) -> Result<Value, Error> {
        self.enrol_as(self.provider.platform(), code, device_name, first_admin).await
    }

    /// The same as another platform: a native app may approve with a tap, a browser may not.
    ///
    /// # Errors
    /// As [`Phone::enrol`].
    pub async fn enrol_as(
        &self,
        platform: &str,
        code: &str,
        device_name: &str,
        first_admin: Option<(&str, &str)>,
    ) -> Result<Value, Error> {
        let code = code.replace(['-', ' '], "").to_uppercase();
        let device = json!({"name": device_name, "platform": platform});
        let mut claim = json!({
            "proof": self.enrolment_proof(&code, &device)?,
            "code": code,
            "device": device,
            "device_key": self.device_key.jwk(),
        });
        if let Some((handle, name)) = first_admin {
            claim["user"] = json!({"handle": handle, "name": name});
        }
        let path = "/v1/enrollments/claim";
        let reply = self.post_anonymously(path, &claim).await?.accepted()?;
        self.become_device(&reply).await?;
        Ok(reply)
    }

    /// Remembers which device it is, as a reply to a claim says.
    async fn become_device(&self, reply: &Value) -> Result<(), Error> {
        if reply["issuer"] != self.issuer.as_str() {
            let other = format!("enrolled at {}, but the issuer is {}", self.issuer, reply["issuer"]);
            return Err(Error::Protocol(other));
        }
        self.state().device = Some(Device {
            id: text(&reply["device"]["id"], "device.id")?,
            user_id: text(&reply["device"]["user"], "device.user")?,
            vapid_public_key: text(&reply["vapid_public_key"], "vapid_public_key")?,
        });
        *self.token.lock().await = None;
        Ok(())
    }

    fn enrolment_proof(&self, code: &str, device: &Value) -> Result<String, Error> {
        let device = answer::jcs(device)?;
        let header = json!({"alg": "ES256", "typ": "phoneops-enrollment+jwt"});
        let claims = json!({
            "aud": self.issuer,
            "code_sha256": b64u(tagged_sha256("phoneops.enrollment.v1", code.as_bytes())),
            "device_sha256": b64u(tagged_sha256("phoneops.device.v1", &device)),
            "iat": self.now().as_seconds(),
        });
        Ok(self.device_key.jws(&header, &claims))
    }

    /// Makes a passkey (section 4) and gives what the server keeps of it.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Authenticator`].
    pub async fn create_passkey(&self, name: &str) -> Result<Value, Error> {
        let prepared = self.prepare_passkey(name).await?;
        self.post("/v1/passkeys", &prepared).await?.accepted()
    }

    /// Makes a passkey and gives the body of the `POST /v1/passkeys` that is to follow, but does not send it.
    ///
    /// # Errors
    /// As [`Phone::create_passkey`].
    pub async fn prepare_passkey(&self, name: &str) -> Result<Value, Error> {
        let challenge = self.post("/v1/passkeys/challenge", &json!({})).await?;
        let challenge = challenge.accepted()?;
        let origin = self.origin()?;
        let guard = self.guard(&challenge)?;
        let credential = self.state().authenticator.create(&challenge["public_key"], &origin)?;
        let mut body = json!({"ceremony": challenge["ceremony"], "name": name, "credential": credential});
        if let Some(guard) = guard {
            body["guard"] = guard;
        }
        Ok(body)
    }

    /// Answers any `PublicKeyCredentialRequestOptions` with a passkey, without the checks of an approval.
    ///
    /// # Errors
    /// [`Error::Authenticator`].
    pub fn use_passkey(&self, options: &Value) -> Result<Value, Error> {
        let origin = self.origin()?;
        Ok(self.state().authenticator.get(options, &origin)?)
    }

    /// From now on its passkeys misbehave like this; `Misbehaviour::default()` ends it.
    pub fn misbehave(&self, misbehaviour: Misbehaviour) {
        self.state().authenticator.misbehave(misbehaviour);
    }

    fn origin(&self) -> Result<String, Error> {
        let issuer = Url::parse(&self.issuer).map_err(|cause| Error::Protocol(format!("{} is no URL: {cause}", self.issuer)))?;
        Ok(issuer.origin().ascii_serialization())
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Phone").field("issuer", &self.issuer).field("device", &self.device_id().ok()).finish_non_exhaustive()
    }
}

/// A member that the protocol promises.
fn text(value: &Value, member: &str) -> Result<String, Error> {
    let text = value.as_str().map(str::to_owned);
    text.ok_or_else(|| Error::Protocol(format!("{member} is missing")))
}

/// An id or reference, fit to be one segment of a path.
fn reference(text: &str) -> Result<&str, Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if text.is_empty() || !text.bytes().all(allowed) {
        return Err(Error::Reference(text.to_owned()));
    }
    Ok(text)
}
