//! Acts that weaken: proposed by an administrator or the operator, made only under an administrator's fresh passkey. One is a person's
//! own: whom they name to answer for themselves while they are away, which their own passkey confirms and nobody else's.
//!
//! **Invariants**
//! - What is signed names the whole change, whoever signs and the installation, under a tag of its own: no answer to an approval
//!   passes for it, nor the reverse.
//! - The change is made in the transaction that takes the signature, once, and only while the policies are those it was judged against.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Error, Policies, Policy, Refused, make, store};
use crate::approvals::action::canonical;
use crate::approvals::commands::Declaration;
use crate::approvals::limits::Limits;
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::id::{ActChallengeId, ActId, BotId, DeviceId, FreezeId, PasskeyId, UserId};
use crate::identity::{
    self, Call, CallRefusal, Credential, DrawnCode, Handle, NewCode, OpenedCode, PersonName, Role, User, UserRef, WebauthnRefusal,
};
use crate::journal::{Actor, Entry};
use crate::secret::{b64u, random, tagged_sha256};

/// How long a proposal waits.
pub(super) const ACT_LIFE: Duration = Duration::from_mins(10);

/// How long a statement may be signed after it was offered.
const CHALLENGE_LIFE: Duration = Duration::from_mins(2);

const TYPE: &str = "phoneops.act.v1";

/// Whoever could recover themselves would need no device of theirs.
pub(super) const NOT_ONESELF: &str = "another administrator recovers you, or the operator";

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
    /// A code is made for a device of somebody else.
    #[serde(rename = "enrollment.created")]
    Enroll {
        /// Whose device it will be.
        user: UserId,
    },
    /// A code is made that recovers somebody else.
    #[serde(rename = "recovery.started")]
    Recover {
        /// Who is recovered.
        user: UserId,
    },
    /// Another administrator is made.
    #[serde(rename = "admin.created")]
    CreateAdmin {
        /// How chat calls them.
        handle: Handle,
        /// Their name.
        name: PersonName,
    },
    /// Somebody who is here becomes an administrator.
    #[serde(rename = "admin.granted")]
    GrantAdmin {
        /// Who.
        user: UserId,
    },
    /// Somebody is away, and somebody else answers for them.
    #[serde(rename = "user.away")]
    Away {
        /// Who is away.
        user: UserId,
        /// From when.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
        /// Who answers for them. Without one nothing weakens, and there is no act.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        delegate: Option<UserId>,
    },
    /// A command of chat is made into something else, or takes the place of one that is built in.
    #[serde(rename = "command.set")]
    SetCommand {
        /// The command from then on.
        command: Declaration,
    },
    /// A command of chat is taken away.
    #[serde(rename = "command.removed")]
    RemoveCommand {
        /// Its name.
        name: Handle,
    },
    /// A bot may ask for other actions, for other people or in other rooms than before.
    #[serde(rename = "bot.limited")]
    SetLimits {
        /// Which bot.
        bot: BotId,
        /// Its limits from then on.
        limits: Limits,
    },
    /// A bot may ask for everything again.
    #[serde(rename = "bot.unlimited")]
    RemoveLimits {
        /// Which bot.
        bot: BotId,
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

/// An act that was confirmed, and the enrolment code that it made, which is shown to whoever confirmed, once.
pub struct Confirmation {
    /// The act.
    pub act: Act,
    /// The code.
    pub code: Option<NewCode>,
}

/// What is kept of a confirmation under its idempotency key: no secret.
#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    act: Act,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    opened: Option<OpenedCode>,
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

/// A statement offered to whoever may confirm.
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

/// What is signed. `admin` is who signs: for what is a person's own, that person.
fn statement(issuer: &str, act: &Act, admin: UserId) -> String {
    let document = json!({
        "type": TYPE, "issuer": issuer, "act": act.id, "admin": admin, "change": act.change, "policy_version": act.policy_version,
        "nonce": b64u(random::<16>()), "expires_at": act.expires_at,
    });
    String::from_utf8(canonical(&document)).expect("canonical JSON is UTF-8")
}

impl Act {
    /// The person whose own matter this is, so that they confirm it themselves; of nobody in particular, an administrator does.
    fn own(&self) -> Option<UserId> {
        match (&self.change, self.proposed_by) {
            (Change::Away { user, .. }, Actor::User { user: by, .. }) if *user == by => Some(by),
            _ => None,
        }
    }

    /// Whether this person may confirm it, were they an administrator or not.
    fn is_for(&self, user: &User) -> bool {
        self.own().map_or(user.role == Role::Admin, |own| own == user.id)
    }

    /// Nothing, when this person may confirm it.
    fn confirmable_by(&self, user: &User) -> Result<(), CallRefusal> {
        let who =
            if self.own().is_some() { "only whoever proposed this may confirm it" } else { "only an administrator may do this" };
        if self.is_for(user) { Ok(()) } else { Err(CallRefusal::Forbidden(who)) }
    }
}

impl Policies {
    /// What waits for the caller's passkey, the first to expire first: the operator sees whatever waits for an administrator's.
    ///
    /// # Errors
    /// When the caller is neither a person nor the operator.
    pub async fn acts(&self, call: &Call) -> Result<Vec<Act>, Error> {
        let person = match call.admin() {
            Ok(()) => call.person().ok(),
            Err(CallRefusal::Forbidden(_)) => Some(call.person()?),
            Err(other) => return Err(other.into()),
        };
        let now = self.clock.now();
        let mut acts: Vec<Act> = self.store.read(move |db| Box::pin(store::open_acts(db, now))).await?;
        acts.retain(|act| person.map_or(act.own().is_none(), |person| act.is_for(&person.user)));
        Ok(acts)
    }

    /// Offers the caller the statement of an act.
    ///
    /// # Errors
    /// When there is no such act, it is not for the caller to confirm, it is over, or the caller has no passkey.
    pub async fn challenge(&self, call: &Call, id: ActId) -> Result<ActChallenge, Error> {
        let caller = call.established()?.user.clone();
        let person = caller.id;
        let now = self.clock.now();
        let (act, passkeys) = self
            .store
            .read(move |db| {
                Box::pin(async move {
                    let act = store::find_act(db, id).await?;
                    Ok::<_, Error>((act, identity::usable_passkeys(db, person, now).await?))
                })
            })
            .await?;
        let act = open(act, id, &caller, now)?;
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

    /// Takes a signature and makes the change.
    ///
    /// # Errors
    /// Each way in which it can fail has its own [`Refused`]; nothing has changed then.
    pub async fn confirm(
        &self,
        call: &Call,
        id: ActId,
        challenge: ActChallengeId,
        credential: Value,
    ) -> Result<Confirmation, Error> {
        let person = call.established()?;
        let (user, device) = (person.user.id, person.device.id);
        if let Some(kept) = call.repeated::<Kept, _>(&self.store).await? {
            let code = kept.opened.map(|opened| NewCode { id: opened.id, code: None, expires_at: opened.expires_at });
            return Ok(Confirmation { act: kept.act, code });
        }
        let now = self.clock.now();
        let (offered, passkeys) = self
            .store
            .read(move |db| {
                Box::pin(async move {
                    let offered = store::find_challenge(db, challenge).await?;
                    let offered = offered.filter(|offered| offered.act == id && offered.admin == user);
                    let offered = offered.ok_or(Refused::ChallengeUnknown)?;
                    Ok::<_, Error>((offered, identity::usable_passkeys(db, user, now).await?))
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
        let drawn = DrawnCode::draw(now);
        let code = drawn.to_open();
        let kept = call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let act = confirm(tx, &confirmed).await?;
                let opened = make(tx, &journal, &act.change, actor, code, now).await?;
                let data = json!({"change": act.change, "why": act.why, "proposed_by": act.proposed_by});
                journal.append(tx, now, Entry { kind: "act.confirmed", actor, subject: id.to_string(), data }).await?;
                crate::crash_point!("act-written");
                Ok(Kept { act, opened })
            })
        });
        let Kept { act, opened } = kept.await?;
        Ok(Confirmation { act, code: opened.map(|opened| drawn.shown(opened)) })
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
    let head = store::lock_head(tx).await?;
    let signer = identity::active_user(tx.db(), &UserRef::Id(user)).await?;
    let signer = signer.ok_or(Refused::Webauthn(WebauthnRefusal::PasskeyUnknown))?;
    let mut act = open(store::lock_act(tx, id).await?, id, &signer, now)?;
    if act.policy_version != head.version {
        return Err(Refused::ActOutdated.into());
    }
    if matches!(act.change, Change::Recover { user: recovered } if recovered == user) {
        return Err(CallRefusal::Forbidden(NOT_ONESELF).into());
    }
    let device = identity::active_device(tx.db(), confirmed.device).await?;
    let usable = identity::usable_passkeys(tx.db(), user, now).await?;
    if device.is_none() || !usable.iter().any(|known| known.id == passkey) {
        return Err(Refused::Webauthn(WebauthnRefusal::PasskeyUnknown).into());
    }
    if now >= confirmed.offered.expires_at {
        return Err(Refused::ChallengeExpired.into());
    }
    if confirmed.offered.used || !store::use_challenge(tx, challenge, passkey, &confirmed.credential, now).await? {
        return Err(Refused::ChallengeUsed.into());
    }
    if !identity::passkey_used(tx, passkey, confirmed.updated.as_ref(), now).await? {
        return Err(Refused::Webauthn(WebauthnRefusal::SignatureInvalid("its counter did not rise")).into());
    }
    store::finish_act(tx, id, user, now).await?;
    act.done = Some((now, user));
    Ok(act)
}

/// The act, while this person can confirm it.
fn open(act: Option<Act>, id: ActId, by: &User, now: Timestamp) -> Result<Act, Error> {
    let act = act.ok_or_else(|| Refused::NotFound(id.to_string()))?;
    act.confirmable_by(by)?;
    if act.done.is_some() {
        return Err(Refused::ActDone.into());
    }
    if now >= act.expires_at {
        return Err(Refused::ActExpired.into());
    }
    Ok(act)
}
