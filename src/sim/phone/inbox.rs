//! What waits for the person and what was pushed: approvals, incidents, notifications (device protocol, sections 5 to 7).

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::super::key::Key;
use super::error::Error;
use super::native::Provider;
use super::screen::Push;
use super::state::Subscription;
use super::{Phone, reference, text};
use crate::secret::{b64u, random};

/// How long one call to the push service waits for a message.
const LONG_POLL: Duration = Duration::from_secs(25);

impl Phone {
    /// All approvals that wait for this person, page after page.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Protocol`].
    pub async fn inbox(&self) -> Result<Vec<Value>, Error> {
        match self.get("/v1/approvals?for=me").await?.accepted()?["approvals"].take() {
            Value::Array(approvals) => Ok(approvals),
            _ => Err(Error::Protocol("approvals is missing".to_owned())),
        }
    }

    /// The changes that wait for an administrator's passkey.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Protocol`].
    pub async fn acts(&self) -> Result<Vec<Value>, Error> {
        match self.get("/v1/acts").await?.accepted()?["acts"].take() {
            Value::Array(acts) => Ok(acts),
            _ => Err(Error::Protocol("acts is missing".to_owned())),
        }
    }

    /// One approval.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub async fn approval(&self, id: &str) -> Result<Value, Error> {
        let path = format!("/v1/approvals/{}", reference(id)?);
        self.get(&path).await?.accepted()
    }

    /// Acknowledges an incident (section 7) and gives it as it then is.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub async fn acknowledge(&self, incident: &str) -> Result<Value, Error> {
        self.act_on(incident, "acknowledge").await
    }

    /// Resolves an incident.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub async fn resolve(&self, incident: &str) -> Result<Value, Error> {
        self.act_on(incident, "resolve").await
    }

    /// Says that it was not this person who acknowledged or resolved through a bot.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub async fn not_me(&self, incident: &str) -> Result<Value, Error> {
        self.act_on(incident, "not-me").await
    }

    /// Hands an incident on: to these, or to the next step when nobody is named.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub async fn escalate(&self, incident: &str, to: &[&str], message: Option<&str>) -> Result<Value, Error> {
        let mut body = json!({"to": to});
        if let Some(message) = message {
            body["message"] = json!(message);
        }
        self.act_with(incident, "escalate", &body).await
    }

    /// Puts an incident off for so many seconds.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub async fn snooze(&self, incident: &str, seconds: u32) -> Result<Value, Error> {
        self.act_with(incident, "snooze", &json!({"for_seconds": seconds})).await
    }

    /// Writes something down about an incident.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub async fn note(&self, incident: &str, text: &str) -> Result<Value, Error> {
        self.act_with(incident, "notes", &json!({"text": text})).await
    }

    async fn act_on(&self, incident: &str, act: &str) -> Result<Value, Error> {
        self.act_with(incident, act, &json!({})).await
    }

    async fn act_with(&self, incident: &str, act: &str, body: &Value) -> Result<Value, Error> {
        let path = format!("/v1/incidents/{}/{act}", reference(incident)?);
        self.post(&path, body).await?.accepted()
    }

    /// Gets a new identifier from whoever pushes to it, and registers it with the server (section 5). An earlier subscription ends.
    ///
    /// # Errors
    /// [`Error::Refused`] by the server or the push service.
    pub async fn register_push(&self) -> Result<Value, Error> {
        let path = format!("/v1/devices/{}/push", reference(&self.device_id()?)?);
        let body = if self.provider == Provider::WebPush { self.register_browser().await? } else { self.register_app().await? };
        self.state().screen.restart();
        self.put(&path, &body).await?.accepted()
    }

    async fn register_browser(&self) -> Result<Value, Error> {
        let former = self.state().subscription.take();
        if let Some(former) = former {
            self.unsubscribe(&former.id).await?;
        }
        let subscription = self.subscribe().await?;
        let keys = json!({"p256dh": b64u(subscription.key.public()), "auth": subscription.auth});
        let body = json!({"kind": "web_push", "endpoint": subscription.endpoint, "keys": keys});
        self.state().subscription = Some(subscription);
        Ok(body)
    }

    async fn register_app(&self) -> Result<Value, Error> {
        let former = self.state().installation.take();
        if let Some(former) = former {
            self.uninstall(&former).await?;
        }
        let (id, body) = self.install().await?;
        self.state().installation = Some(id);
        Ok(body)
    }

    async fn subscribe(&self) -> Result<Subscription, Error> {
        let key = Key::generate();
        let auth = b64u(random::<16>());
        let body = json!({
            "p256dh": b64u(key.public()),
            "auth": auth,
            "private_key": key.private_text().as_str(),
            "application_server_key": self.device(|device| device.vapid_public_key.clone())?,
        });
        let url = format!("{}/subscriptions", self.push_service);
        let response = self.http.post(url).json(&body).send().await?;
        let reply = push_reply(response).await?;
        Ok(Subscription { id: text(&reply["id"], "id")?, endpoint: text(&reply["endpoint"], "endpoint")?, key, auth })
    }

    async fn unsubscribe(&self, id: &str) -> Result<(), Error> {
        let url = format!("{}/subscriptions/{id}", self.push_service);
        let response = self.http.delete(url).send().await?;
        match push_reply(response).await {
            Ok(_) | Err(Error::SubscriptionGone) => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// The oldest push not given out yet, waiting for one at most `timeout` of real time; `None` when there was none.
    ///
    /// # Errors
    /// [`Error::NotSubscribed`], [`Error::SubscriptionGone`].
    pub async fn next_push(&self, timeout: Duration) -> Result<Option<Push>, Error> {
        let mut left = timeout;
        loop {
            if let Some(push) = self.state().screen.next() {
                return Ok(Some(push));
            }
            let wait = left.min(LONG_POLL);
            self.poll(wait).await?;
            if left.is_zero() {
                return Ok(self.state().screen.next());
            }
            // Nothing arrives earlier than `wait` but a push, which ends the loop.
            left -= wait;
        }
    }

    /// The notifications on the screen, oldest first, after fetching what waits at the push service.
    ///
    /// # Errors
    /// As [`Phone::next_push`].
    pub async fn shown(&self) -> Result<Vec<Push>, Error> {
        self.poll(Duration::ZERO).await?;
        Ok(self.state().screen.shown.clone())
    }

    /// Every push received since the phone was made or loaded, duplicates included, after fetching what waits.
    ///
    /// # Errors
    /// As [`Phone::next_push`].
    pub async fn pushes(&self) -> Result<Vec<Push>, Error> {
        self.poll(Duration::ZERO).await?;
        Ok(self.state().screen.received.clone())
    }

    async fn poll(&self, wait: Duration) -> Result<(), Error> {
        let id = self.subscription_id()?;
        let after = self.state().screen.last;
        let wait = wait.as_secs_f64();
        let pushes = match self.provider {
            Provider::WebPush => self.messages(&id, after, wait).await?,
            _ => self.arrived(&id, after, wait).await?,
        };
        // A subscription made meanwhile counts its messages anew.
        if self.subscription_id().is_ok_and(|now| now == id) {
            self.state().screen.receive(pushes);
        }
        self.acknowledge_receipt().await;
        Ok(())
    }

    async fn messages(&self, id: &str, after: u64, wait: f64) -> Result<Vec<Push>, Error> {
        let url = format!("{}/subscriptions/{id}/messages?after={after}&wait={wait}", self.push_service);
        let response = self.http.get(url).send().await?;
        let mut reply = push_reply(response).await?;
        serde_json::from_value(reply["messages"].take())
            .map_err(|cause| Error::Protocol(format!("the push service's messages: {cause}")))
    }
}

/// The body of the push service's answer; null when it has none.
pub(super) async fn push_reply(response: reqwest::Response) -> Result<Value, Error> {
    let status = response.status();
    if matches!(status, StatusCode::GONE | StatusCode::NOT_FOUND) {
        return Err(Error::SubscriptionGone);
    }
    let body = response.text().await?;
    if !status.is_success() {
        return Err(Error::Protocol(format!("the push service: {status} {body}")));
    }
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&body).map_err(|cause| Error::Protocol(format!("the push service: {cause}")))
}
