//! Acts that weaken: proposed by an administrator or the operator, made only under an administrator's fresh passkey.
//!
//! **Invariants**
//! - What is signed names the whole change, the administrator and the installation, under a tag of its own: no answer to an approval
//!   passes for it, nor the reverse.
//! - The change is made in the transaction that takes the signature, once, and only while the policies are those it was judged against.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Error, Policies, Policy, Refused, make, store};
use crate::approvals::action::canonical;
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::id::{ActChallengeId, ActId, BotId, DeviceId, FreezeId, PasskeyId, UserId};
use crate::identity::{self, Call, Credential, Handle, Person, Role, UserRef, WebauthnRefusal};
use crate::journal::{Actor, Entry};
use crate::secret::{b64u, random, tagged_sha256};

/// How long a proposal waits.
pub(super) const ACT_LIFE: Duration = Duration::from_mins(10);

/// How long a statement may be signed after it was offered.
const CHALLENGE_LIFE: Duration = Duration::from_mins(2);

const TYPE: &str = "phoneops.act.v1";

/// A change that weakens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", deny_unknown_fields)]
pub enum Change {
    /// A policy is made, or made into something else.
    #[serde(rename = "policy.set")]
    SetPolicy {
        /// The policy from then on.
        policy: Policy,
    },
    /// A policy is taken away.
    #[serde(rename = "policy.removed")]
    RemovePolicy {
        /// Its name.
        name: Handle,
    },
    /// Somebody joins a team that a policy names.
    #[serde(rename = "team.member_added")]
    AddMember {
        /// The team's name.
        team: Handle,
        /// Who.
        user: UserId,
    },
    /// What a bot asks is approved again.
    #[serde(rename = "freeze.lifted")]
    LiftFreeze {
        /// Which freeze.
        freeze: FreezeId,
        /// Whose requests.
        bot: BotId,
        /// For whom; for anybody when there is nobody here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        requester: Option<UserId>,
    },
}

/// A change that waits for a passkey, or was made under one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// Its id.
    pub id: ActId,
    /// What changes.
    pub change: Change,
    /// Why it weakens.
    pub why: String,
    /// The version of the policies it was judged against.
    pub policy_version: i64,
    /// Who proposed it.
    pub proposed_by: Actor,
    /// When.
    pub created_at: Timestamp,
    /// Until when it can be confirmed.
    pub expires_at: Timestamp,
    /// When and by whom it was confirmed.
    pub done: Option<(Timestamp, UserId)>,
}

/// What is stored of an act as one document.
#[derive(Serialize, Deserialize)]
pub(super) struct Content {
    pub(super) change: Change,
    pub(super) why: String,
}

/// A statement offered to an administrator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ActChallenge {
    /// Its id.
    pub id: ActChallengeId,
    /// The statement, canonical.
    pub statement: String,
    /// `PublicKeyCredentialRequestOptions` as JSON.
    pub public_key: Value,
    /// From when on it cannot be answered.
    pub expires_at: Timestamp,
}

pub(super) struct StoredActChallenge {
    pub(super) act: ActId,
    pub(super) admin: UserId,
    pub(super) statement: String,
    pub(super) ceremony: Value,
    pub(super) expires_at: Timestamp,
    pub(super) used: bool,
}

/// What an administrator signs.
fn statement(issuer: &str, act: &Act, admin: UserId) -> String {
    let document = json!({
        "type": TYPE, "issuer": issuer, "act": act.id, "admin": admin, "change": act.change, "policy_version": act.policy_version,
        "nonce": b64u(random::<16>()), "expires_at": act.expires_at,
    });
    String::from_utf8(canonical(&document)).expect("canonical JSON is UTF-8")
}

/// The administrator who calls, on a device of theirs.
fn admin(call: &Call) -> Result<&Person, Error> {
    call.admin()?;
    Ok(call.person()?)
}

impl Policies {
    /// What waits for an administrator's passkey, the first to expire first.
    ///
    /// # Errors
    /// Only administrators may see it.
    pub async fn acts(&self, call: &Call) -> Result<Vec<Act>, Error> {
        call.admin()?;
        let now = self.clock.now();
        Ok(self.store.read(move |db| Box::pin(store::open_acts(db, now))).await?)
    }

    /// Offers the calling administrator the statement of an act.
    ///
    /// # Errors
    /// When there is no such act, it is over, or the administrator has no passkey.
    pub async fn challenge(&self, call: &Call, id: ActId) -> Result<ActChallenge, Error> {
        let person = admin(call)?.user.id;
        let now = self.clock.now();
        let (act, passkeys) = self
            .store
            .read(move |db| {
                Box::pin(async move {
                    let act = store::find_act(db, id).await?;
                    Ok::<_, Error>((act, identity::usable_passkeys(db, person).await?))
                })
            })
            .await?;
        let act = open(act, id, now)?;
        let credentials: Vec<Credential> = passkeys.into_iter().map(|passkey| passkey.credential).collect();
        if credentials.is_empty() {
            return Err(Refused::Webauthn(WebauthnRefusal::PasskeyUnknown).into());
        }
        let statement = statement(&self.issuer, &act, person);
        let digest = tagged_sha256(TYPE, statement.as_bytes());
        let (public_key, ceremony) = self.relying_party.start_assertion(&credentials, digest);
        let expires_at = now.after(CHALLENGE_LIFE).min(act.expires_at);
        let offered = ActChallenge { id: ActChallengeId::new(now), statement: statement.clone(), public_key, expires_at };
        let stored = StoredActChallenge { act: id, admin: person, statement, ceremony, expires_at, used: false };
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                store::insert_challenge(tx, offered.id, &stored).await?;
                Ok(offered)
            })
        })
        .await
    }

    /// Takes an administrator's signature and makes the change.
    ///
    /// # Errors
    /// Each way in which it can fail has its own [`Refused`]; nothing has changed then.
    pub async fn confirm(&self, call: &Call, id: ActId, challenge: ActChallengeId, credential: Value) -> Result<Act, Error> {
        let person = admin(call)?;
        let (user, device) = (person.user.id, person.device.id);
        if let Some(act) = call.repeated(&self.store).await? {
            return Ok(act);
        }
        let now = self.clock.now();
        let (offered, passkeys) = self
            .store
            .read(move |db| {
                Box::pin(async move {
                    let offered = store::find_challenge(db, challenge).await?;
                    let offered = offered.filter(|offered| offered.act == id && offered.admin == user);
                    let offered = offered.ok_or(Refused::ChallengeUnknown)?;
                    Ok::<_, Error>((offered, identity::usable_passkeys(db, user).await?))
                })
            })
            .await?;
        // Before the signature: whoever comes too late hears that, not what a later counter makes of their passkey.
        if now >= offered.expires_at {
            return Err(Refused::ChallengeExpired.into());
        }
        let named = identity::credential_id(&credential).map_err(Refused::Webauthn)?;
        let passkey = passkeys.iter().find(|passkey| passkey.credential.id() == named);
        let passkey = passkey.ok_or(Refused::Webauthn(WebauthnRefusal::PasskeyUnknown))?;
        let signed = self.relying_party.finish_assertion(&offered.ceremony, &credential, &passkey.credential);
        let updated = signed.map_err(Refused::Webauthn)?.updated;
        let confirmed = Confirmed { act: id, challenge, offered, user, device, passkey: passkey.id, updated, credential, now };
        let (journal, actor) = (self.journal.clone(), call.actor(None));
        crate::crash_point!("act-verified");
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let act = confirm(tx, &confirmed).await?;
                make(tx, &journal, &act.change, actor, now).await?;
                let data = json!({"change": act.change, "why": act.why, "proposed_by": act.proposed_by});
                journal.append(tx, now, Entry { kind: "act.confirmed", actor, subject: id.to_string(), data }).await?;
                crate::crash_point!("act-written");
                Ok(act)
            })
        })
        .await
    }
}

/// A signature that was checked.
struct Confirmed {
    act: ActId,
    challenge: ActChallengeId,
    offered: StoredActChallenge,
    user: UserId,
    device: DeviceId,
    passkey: PasskeyId,
    updated: Option<Credential>,
    credential: Value,
    now: Timestamp,
}

/// Uses the act up. Everything that could have changed since the signature was checked is looked up again.
async fn confirm(tx: &mut Tx<'_>, confirmed: &Confirmed) -> Result<Act, Error> {
    let Confirmed { act: id, challenge, user, passkey, now, .. } = *confirmed;
    let version = store::lock_version(tx).await?;
    let mut act = open(store::lock_act(tx, id).await?, id, now)?;
    if act.policy_version != version {
        return Err(Refused::ActOutdated.into());
    }
    let admin = identity::active_user(tx.db(), &UserRef::Id(user)).await?.filter(|user| user.role == Role::Admin);
    let device = identity::active_device(tx.db(), confirmed.device).await?;
    let usable = identity::usable_passkeys(tx.db(), user).await?;
    if admin.is_none() || device.is_none() || !usable.iter().any(|known| known.id == passkey) {
        return Err(Refused::Webauthn(WebauthnRefusal::PasskeyUnknown).into());
    }
    if now >= confirmed.offered.expires_at {
        return Err(Refused::ChallengeExpired.into());
    }
    if confirmed.offered.used || !store::use_challenge(tx, challenge, passkey, &confirmed.credential, now).await? {
        return Err(Refused::ChallengeUsed.into());
    }
    if let Some(updated) = &confirmed.updated
        && !identity::update_credential(tx, passkey, updated).await?
    {
        return Err(Refused::Webauthn(WebauthnRefusal::SignatureInvalid("its counter did not rise")).into());
    }
    store::finish_act(tx, id, user, now).await?;
    act.done = Some((now, user));
    Ok(act)
}

/// The act, while it can be confirmed.
fn open(act: Option<Act>, id: ActId, now: Timestamp) -> Result<Act, Error> {
    let act = act.ok_or_else(|| Refused::NotFound(id.to_string()))?;
    if act.done.is_some() {
        return Err(Refused::ActDone.into());
    }
    if now >= act.expires_at {
        return Err(Refused::ActExpired.into());
    }
    Ok(act)
}
