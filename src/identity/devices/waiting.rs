//! A device that waits for one of its person's own: it has claimed, and is none yet.
//!
//! **Invariants**
//! - The match number follows from the key alone, so that both sides can compute it and it vouches for the key that is signed. It is no
//!   secret: whoever may confirm could compute it. Typing it makes a person look at the phone that waits.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{News, Parts, store};
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::id::{DeviceId, UserId};
use crate::identity::call::Call;
use crate::identity::device_key::DeviceKey;
use crate::identity::model::Platform;
use crate::identity::service::{Error, Identity, Refusal, record};
use crate::journal::Actor;
use crate::secret::tagged_sha256;

/// How long a device waits.
pub const WAITING_LIFE: Duration = Duration::from_mins(10);

/// A device that waits to be confirmed by another of the same person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingDevice {
    /// The id of the device that it becomes.
    pub id: DeviceId,
    /// Whose it would be.
    pub user: UserId,
    /// What its owner calls it.
    pub name: String,
    /// What it is.
    pub platform: Platform,
    /// Its public key.
    pub key: DeviceKey,
    /// When it claimed.
    pub claimed_at: Timestamp,
    /// From when on it cannot be confirmed.
    pub expires_at: Timestamp,
    /// How it came.
    pub via: Via,
    /// Where it called from, where that is known.
    pub address: Option<IpAddr>,
    /// What became of it.
    pub verdict: Option<Verdict>,
}

/// How a device that waits came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// With an enrolment code.
    Code,
    /// It asked, without one.
    Login,
}

impl Via {
    /// As it stands in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Login => "login",
        }
    }
}

/// What became of a device that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is a device.
    Confirmed,
    /// It never will be.
    Rejected,
}

/// Six digits that stand for a key, shown by the device that has it and typed into the one that confirms it:
/// `H("phoneops.match.v1", RFC 7638 thumbprint)`, its first eight bytes as a big-endian number, modulo a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatchNumber(u64);

/// A text that is no match number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the match number has six digits")]
pub struct NotAMatchNumber;

impl MatchNumber {
    /// The number of a key.
    #[must_use]
    pub fn of(key: &DeviceKey) -> Self {
        let digest = tagged_sha256("phoneops.match.v1", &key.thumbprint());
        let number = digest[..8].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        Self(number % 1_000_000)
    }
}

impl fmt::Display for MatchNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}", self.0)
    }
}

impl FromStr for MatchNumber {
    type Err = NotAMatchNumber;

    /// As a person types it: six digits, with or without spaces.
    fn from_str(text: &str) -> Result<Self, NotAMatchNumber> {
        let digits: String = text.chars().filter(|typed| *typed != ' ').collect();
        if digits.len() != 6 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(NotAMatchNumber);
        }
        digits.parse().map(Self).map_err(|_| NotAMatchNumber)
    }
}

impl WaitingDevice {
    /// What its screen shows.
    #[must_use]
    pub fn match_number(&self) -> MatchNumber {
        MatchNumber::of(&self.key)
    }

    /// Whether it can still be confirmed.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.verdict.is_none() && now < self.expires_at
    }

    /// Itself, while it can be confirmed.
    pub(super) fn open(self, now: Timestamp) -> Result<Self, Refusal> {
        match self.verdict {
            Some(verdict) => Err(Refusal::DeviceDecided { confirmed: verdict == Verdict::Confirmed }),
            None if now >= self.expires_at => Err(Refusal::DeviceExpired),
            None => Ok(self),
        }
    }
}

/// Lets a device wait, and rings those of its person that could confirm it. However it claimed: with a code, or by asking.
pub(in crate::identity) async fn wait(
    tx: &mut Tx<'_>,
    parts: &Parts,
    waiting: &WaitingDevice,
    data: serde_json::Value,
    now: Timestamp,
) -> Result<(), Error> {
    if !store::insert_waiting(tx, waiting).await? {
        return Err(Refusal::DeviceKeyTaken.into());
    }
    record(tx, &parts.journal, now, Actor::Enrollee, "device.waiting", waiting.id, data).await?;
    crate::crash_point!("device-waits");
    parts.bell.ring(tx, News::Waits(waiting.clone()), now).await?;
    crate::crash_point!("device-announced");
    Ok(())
}

/// Ends the waiting of a device, which is locked and open.
pub(super) async fn reject(
    tx: &mut Tx<'_>,
    parts: &Parts,
    waiting: &WaitingDevice,
    by: Option<DeviceId>,
    actor: Actor,
    now: Timestamp,
) -> Result<(), Error> {
    store::decide_waiting(tx, waiting.id, "rejected", by, now).await?;
    record(tx, &parts.journal, now, actor, "device.rejected", waiting.id, json!({"user": waiting.user})).await?;
    let news = News::Decided { device: waiting.id, name: waiting.name.clone(), confirmed: false, by };
    Ok(parts.bell.ring(tx, news, now).await?)
}

impl Identity {
    /// Ends the waiting of a device that would be the caller's.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::DeviceDecided`], [`Refusal::DeviceExpired`]; the caller's own device may be too new.
    pub async fn reject_device(&self, call: &Call, id: DeviceId) -> Result<(), Error> {
        let person = call.established()?;
        let (user, by) = (person.user.id, person.device.id);
        let (now, parts, actor) = (self.clock.now(), self.parts(), call.actor(None));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let waiting = store::lock_waiting(tx, id).await?.filter(|waiting| waiting.user == user);
                let waiting = waiting.ok_or_else(|| Refusal::NotFound(id.to_string()))?.open(now)?;
                reject(tx, &parts, &waiting, Some(by), actor, now).await
            })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of the device protocol's worked example.
    #[test]
    fn the_number_of_a_key_is_that_of_the_protocol() {
        let jwk = serde_json::json!({"crv": "P-256", "kty": "EC", "x": "YP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Y",
            "y": "eQP-EAi4vJmkGunpVii8ZPLxsgwtfp9Rd6PClNRGIpk"});
        let key = DeviceKey::from_jwk(jwk.as_object().unwrap()).unwrap();
        assert_eq!(MatchNumber::of(&key).to_string(), "285444");
    }

    #[test]
    fn a_match_number_is_six_digits_however_it_is_typed() {
        let number: MatchNumber = "004210".parse().unwrap();
        assert_eq!(number.to_string(), "004210");
        assert_eq!("004 210".parse(), Ok(number));
        for bad in ["", "4210", "0042100", "00421o", "+04210", "００４２１０"] {
            assert_eq!(bad.parse::<MatchNumber>(), Err(NotAMatchNumber), "{bad}");
        }
    }
}
