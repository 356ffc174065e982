//! A phone with a native app: reached through Apple's or Google's service instead of Web Push, here through their simulators.
//!
//! **Invariants**
//! - What such a service carries is read as `api-spec/push-payloads.md` has it, and is then a [`Push`] like any other: the screen does not
//!   know by which way it came.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::error::Error;
use super::inbox::push_reply;
use super::screen::Push;
use super::{Phone, text};
use crate::clock::Timestamp;

/// Through whom a phone is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// A browser's push service: [`push_service`](crate::sim::push_service).
    #[default]
    WebPush,
    /// Apple: [`apns`](crate::sim::apns), by the URL of its admin API.
    Apns,
    /// Google, by a registration token: [`fcm`](crate::sim::fcm), by the URL of its admin API.
    Fcm,
    /// Google, by a Firebase installation ID.
    FcmFid,
}

impl Provider {
    /// What the platform is called in the protocol.
    pub(super) fn platform(self) -> &'static str {
        match self {
            Self::WebPush => "web",
            Self::Apns => "ios",
            Self::Fcm | Self::FcmFid => "android",
        }
    }
}

/// What a provider handed to the app.
#[derive(Deserialize)]
struct Arrived {
    number: u64,
    at: Timestamp,
    /// Apple's.
    #[serde(default)]
    payload: Value,
    #[serde(default)]
    priority: u8,
    #[serde(default)]
    collapse_id: Option<String>,
    /// Google's.
    #[serde(default)]
    data: Map<String, Value>,
    #[serde(default)]
    high: bool,
}

impl Phone {
    /// Gets an identifier from the provider, and gives it with the body that registers it with the server.
    pub(super) async fn install(&self) -> Result<(String, Value), Error> {
        let asked = match self.provider {
            Provider::Apns => json!({}),
            Provider::Fcm => json!({"kind": "token"}),
            Provider::FcmFid | Provider::WebPush => json!({"kind": "fid"}),
        };
        let response = self.http.post(format!("{}/devices", self.push_service)).json(&asked).send().await?;
        let reply = push_reply(response).await?;
        Ok(match self.provider {
            Provider::Apns => {
                let token = text(&reply["token"], "token")?;
                (token.clone(), json!({"kind": "apns", "token": token}))
            }
            provider => {
                let id = text(&reply["id"], "id")?;
                let name = if provider == Provider::Fcm { "token" } else { "fid" };
                (id.clone(), json!({"kind": "fcm", name: id}))
            }
        })
    }

    /// Gives the identifier up: pushes to it are refused from then on.
    pub(super) async fn uninstall(&self, id: &str) -> Result<(), Error> {
        let response = self.http.delete(format!("{}/devices/{id}", self.push_service)).send().await?;
        match push_reply(response).await {
            Ok(_) | Err(Error::SubscriptionGone) => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// What came after number `after`, waiting for it at most so many seconds.
    pub(super) async fn arrived(&self, id: &str, after: u64, wait: f64) -> Result<Vec<Push>, Error> {
        let url = format!("{}/devices/{id}/notifications?after={after}&wait={wait}", self.push_service);
        let mut reply = push_reply(self.http.get(url).send().await?).await?;
        let arrived: Vec<Arrived> = serde_json::from_value(reply["notifications"].take())
            .map_err(|cause| Error::Protocol(format!("the provider's notifications: {cause}")))?;
        let read = if self.provider == Provider::Apns { from_apple } else { from_google };
        Ok(arrived.into_iter().map(read).collect())
    }
}

fn urgency(high: bool) -> String {
    if high { "high" } else { "normal" }.to_owned()
}

/// `aps` is what the system shows, `data` what the app reads.
fn from_apple(arrived: Arrived) -> Push {
    let Arrived { number, at, mut payload, priority, collapse_id, .. } = arrived;
    let (aps, data) = (payload["aps"].take(), payload["data"].take());
    let alert = &aps["alert"];
    let tag = data["tag"].as_str().map(str::to_owned).or_else(|| collapse_id.clone());
    let payload = json!({"notification": {"title": alert["title"], "body": alert["body"], "navigate": data["navigate"], "tag": tag,
        "silent": aps["sound"].is_null(), "data": data}});
    Push { number, at, ttl: 0, urgency: urgency(priority == 10), topic: collapse_id, payload }
}

/// All of it is data, and all of that strings.
fn from_google(arrived: Arrived) -> Push {
    let Arrived { number, at, data, high, .. } = arrived;
    let data = Value::Object(data);
    let payload = json!({"notification": {"title": data["title"], "body": data["body"], "navigate": data["navigate"],
        "tag": data["tag"], "silent": data["sound"] == "silent", "data": data}});
    Push { number, at, ttl: 0, urgency: urgency(high), topic: None, payload }
}
