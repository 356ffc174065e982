//! What waits for the person and what was pushed: approvals, incidents, notifications (device protocol, sections 5 to 7).

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::super::key::Key;
use super::error::Error;
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

    async fn act_on(&self, incident: &str, act: &str) -> Result<Value, Error> {
        let path = format!("/v1/incidents/{}/{act}", reference(incident)?);
        self.post(&path, &json!({})).await?.accepted()
    }

    /// Subscribes anew at the push service and registers there with the server (section 5). An earlier subscription ends.
    ///
    /// # Errors
    /// [`Error::Refused`] by the server or the push service.
    pub async fn register_push(&self) -> Result<Value, Error> {
        let former = self.state().subscription.take();
        if let Some(former) = former {
            self.unsubscribe(&former.id).await?;
        }
        let subscription = self.subscribe().await?;
        let body = json!({"kind": "web_push", "endpoint": subscription.endpoint, "keys": {
            "p256dh": b64u(subscription.key.public()), "auth": subscription.auth}});
        {
            let mut state = self.state();
            state.subscription = Some(subscription);
            state.screen.restart();
        }
        let path = format!("/v1/devices/{}/push", reference(&self.device_id()?)?);
        self.put(&path, &body).await?.accepted()
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
        let url = format!("{}/subscriptions/{id}/messages?after={after}&wait={wait}", self.push_service);
        let response = self.http.get(url).send().await?;
        let mut reply = push_reply(response).await?;
        let pushes: Vec<Push> = serde_json::from_value(reply["messages"].take())
            .map_err(|cause| Error::Protocol(format!("the push service's messages: {cause}")))?;
        {
            let mut state = self.state();
            // A subscription made meanwhile counts its messages anew.
            if state.subscription.as_ref().is_some_and(|now| now.id == id) {
                state.screen.receive(pushes);
            }
        }
        self.acknowledge_receipt().await;
        Ok(())
    }

    /// Says of every push on the screen that it is there (section 5), which says that it came, too. What the server does not hear is
    /// said again with the next push; what it does not know any more never.
    async fn acknowledge_receipt(&self) {
        let unsaid = std::mem::take(&mut self.state().screen.unsaid);
        for capability in unsaid {
            let said = match reference(&capability) {
                Ok(capability) => {
                    self.post_anonymously(&format!("/v1/receipts/{capability}"), &json!({"event": "displayed"})).await
                }
                Err(_) => continue,
            };
            if said.is_ok_and(|reply| reply.status < 500) {
                continue;
            }
            self.state().screen.unsaid.push(capability);
        }
    }
}

/// The body of the push service's answer; null when it has none.
async fn push_reply(response: reqwest::Response) -> Result<Value, Error> {
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
