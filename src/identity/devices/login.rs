//! A device that asks to be somebody's without a code, as `phoneops login` does: it waits for one of the person's own.
//!
//! **Invariants**
//! - Whoever asks rings a person who did not ask for it. So one waits at a time for each person, three are heard in an hour, and after
//!   one was rejected none is for an hour.
//! - Nobody is asked who could not confirm: a person without a device gets a code from somebody who knows them.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::store;
use super::waiting::{Verdict, Via, WAITING_LIFE, WaitingDevice, wait};
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::id::DeviceId;
use crate::identity::assertion;
use crate::identity::device_key::DeviceKey;
use crate::identity::devices::Parts;
use crate::identity::model::{Platform, UserRef};
use crate::identity::service::{Error, Identity, Refusal, active_user};
use crate::identity::store::lock_user;

/// How long what was asked before counts.
const WINDOW: Duration = Duration::from_hours(1);

/// How many are heard in that time.
const MOST: usize = 3;

/// What a device says of itself when it asks. `device` is the JSON exactly as sent, which the proof covers.
pub struct Asking {
    /// Whose it would be, as the proof has it too.
    pub user: UserRef,
    /// The `device` member as sent.
    pub device: Value,
    /// Its name in it.
    pub name: String,
    /// Its platform in it.
    pub platform: Platform,
    /// Its public key.
    pub key: DeviceKey,
    /// The proof that it holds the private key.
    pub proof: String,
    /// Where it called from.
    pub address: Option<IpAddr>,
}

/// One that asked before, as far as it counts.
pub(super) struct Asked {
    pub(super) at: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) verdict: Option<Verdict>,
}

/// From when on another is heard, where that is later than now. `before` is what asked within [`WINDOW`], the oldest first.
fn heard_from(before: &[Asked], now: Timestamp) -> Option<Timestamp> {
    let rejected =
        before.iter().filter(|asked| asked.verdict == Some(Verdict::Rejected)).map(|asked| asked.at.after(WINDOW)).max();
    let waits = before.iter().find(|asked| asked.verdict.is_none() && now < asked.expires_at).map(|asked| asked.expires_at);
    let many = before.len().checked_sub(MOST).map(|first| before[first].at.after(WINDOW));
    [rejected, waits, many].into_iter().flatten().filter(|from| now < *from).max()
}

impl Identity {
    /// Lets a device wait that has no code; whether this very call did it, or an earlier one with the same key.
    ///
    /// # Errors
    /// [`Refusal::ProofInvalid`]; [`Refusal::LoginRefused`] when nobody could confirm; [`Refusal::LoginBusy`]; the key may be known.
    pub async fn ask_to_join(&self, asking: Asking) -> Result<(WaitingDevice, bool), Error> {
        let (now, parts) = (self.clock.now(), self.parts());
        assertion::verify_login(&asking.proof, &asking.key, &self.issuer, &asking.user, &asking.device, now)
            .map_err(|refusal| Refusal::ProofInvalid { code: refusal.code(), why: refusal.to_string() })?;
        let write = self.store.write(move |tx| Box::pin(async move { ask(tx, &parts, asking, now).await }));
        let (id, fresh): (DeviceId, bool) = write.await?;
        let found = self.store.look(move |db| Box::pin(store::find_waiting(db, id))).await?;
        Ok((found.ok_or_else(|| Refusal::NotFound(id.to_string()))?, fresh))
    }
}

async fn ask(tx: &mut Tx<'_>, parts: &Parts, asking: Asking, now: Timestamp) -> Result<(DeviceId, bool), Error> {
    let user = active_user(tx.db(), &asking.user).await?.ok_or(Refusal::LoginRefused)?;
    lock_user(tx, user.id).await?;
    if !store::could_confirm(tx.db(), user.id, now).await? {
        return Err(Refusal::LoginRefused.into());
    }
    if let Some(waiting) = store::waits_with(tx.db(), user.id, asking.key.thumbprint()).await? {
        // The reply was lost and the device asks again.
        return if waiting.is_open(now) { Ok((waiting.id, false)) } else { Err(Refusal::DeviceKeyTaken.into()) };
    }
    let before = store::asked_since(tx.db(), user.id, now.before(WINDOW)).await?;
    if let Some(until) = heard_from(&before, now) {
        return Err(Refusal::LoginBusy { until }.into());
    }
    let waiting = WaitingDevice {
        id: DeviceId::new(now),
        user: user.id,
        name: asking.name,
        platform: asking.platform,
        key: asking.key,
        claimed_at: now,
        expires_at: now.after(WAITING_LIFE),
        via: Via::Login,
        address: asking.address,
        verdict: None,
    };
    let data = json!({"user": user.id, "name": waiting.name, "platform": waiting.platform, "address": waiting.address});
    wait(tx, parts, &waiting, data, now).await?;
    Ok((waiting.id, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(minutes: u64) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000).after(Duration::from_secs(60 * minutes))
    }

    fn asked(at: u64, verdict: Option<Verdict>) -> Asked {
        Asked { at: minutes(at), expires_at: minutes(at + 10), verdict }
    }

    #[test]
    fn one_waits_at_a_time_three_are_heard_in_an_hour_and_none_after_a_rejection() {
        let open = [asked(0, None)];
        assert_eq!(heard_from(&[], minutes(0)), None);
        assert_eq!(heard_from(&open, minutes(9)), Some(minutes(10)));
        assert_eq!(heard_from(&open, minutes(10)), None);
        assert_eq!(heard_from(&[asked(0, Some(Verdict::Confirmed))], minutes(1)), None);
        assert_eq!(heard_from(&[asked(0, Some(Verdict::Rejected))], minutes(1)), Some(minutes(60)));
        let three = [asked(0, None), asked(15, Some(Verdict::Confirmed)), asked(30, None)];
        assert_eq!(heard_from(&three, minutes(35)), Some(minutes(60)));
        assert_eq!(heard_from(&three, minutes(60)), None);
        let late = [asked(0, None), asked(15, None), asked(30, None), asked(55, None)];
        assert_eq!(heard_from(&late, minutes(60)), Some(minutes(75)), "the three newest count");
    }
}
