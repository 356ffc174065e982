//! People and bots: made, found, removed. Devices and passkeys are in `enrollment` and `passkeys`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::access_token::{AccessToken, AccessTokenRefusal, AccessTokens};
use super::attestation;
use super::call::{Call, CallRefusal, Caller, Failure, Person};
use super::devices::{Bell, Thing, Usage, WaitingDevice, store as devices};
use super::handle::{Handle, PersonName};
use super::issuer::{IssuerKey, IssuerKeys};
use super::jws::JwsRefusal;
use super::model::{Bot, Device, Role, Scope, User, UserRef};
use super::store;
use super::webauthn::{RelyingParty, WebauthnRefusal};
use crate::clock::{Clock, Timestamp};
use crate::db::{self, Db, Store, Tx};
use crate::id::{BotId, DeviceId, UserId};
use crate::journal::{Actor, Entry, Journal};
use crate::push::MailAddress;
use crate::secret::{MasterKey, Secret, b64u, random};

/// What identity knows about the installation.
pub struct Identity {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) journal: Journal,
    pub(super) issuer: String,
    pub(super) keys: IssuerKeys,
    pub(super) tokens: AccessTokens,
    pub(super) relying_party: RelyingParty,
    pub(super) bell: Arc<dyn Bell>,
    pub(super) recovery_wait: Duration,
    pub(super) usage: Usage,
}

/// What [`Identity`] stands on.
pub struct Ground {
    /// The database.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// The record.
    pub journal: Journal,
    /// What signs what strangers read.
    pub keys: IssuerKeys,
    /// The passkey side of the installation.
    pub relying_party: RelyingParty,
    /// Who tells people of their devices.
    pub bell: Arc<dyn Bell>,
    /// How long a device that recovers its person decides nothing.
    pub recovery_wait: Duration,
}

/// Why identity said no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Somebody has the handle.
    #[error("the handle @{0} is taken")]
    HandleTaken(String),
    /// A bot has the name.
    #[error("the name {0} is taken")]
    NameTaken(String),
    /// A bot has as many keys as can work at once.
    #[error("the bot has two keys already: revoke one first")]
    TwoKeys,
    /// A team has the name.
    #[error("the team {0} is there already")]
    TeamTaken(String),
    /// No such person, or they left.
    #[error("there is no {0}")]
    UserUnknown(String),
    /// No such bot, device or passkey.
    #[error("there is no {0}")]
    NotFound(String),
    /// The last administrator cannot be removed.
    #[error("@{0} is the last administrator")]
    LastAdmin(String),
    /// No such code, or it is over.
    #[error("the enrolment code is not known, or its ten minutes are over")]
    EnrollmentUnknown,
    /// Another device was faster.
    #[error("the enrolment code was claimed by another device")]
    EnrollmentClaimed,
    /// This key is enrolled already.
    #[error("this device key is enrolled already")]
    DeviceKeyTaken,
    /// `user` is missing with a first administrator's code, or there with another.
    #[error("{0}")]
    EnrollmentUser(&'static str),
    /// The enrolment proof or the sign-in assertion does not hold; carries why.
    #[error("{why}")]
    ProofInvalid {
        /// The reason's stable name.
        code: &'static str,
        /// The reason for people.
        why: String,
    },
    /// The passkey ceremony is not known, or is over.
    #[error("the passkey ceremony is not known, or its five minutes are over")]
    CeremonyUnknown,
    /// This passkey is registered already.
    #[error("this passkey is registered already")]
    PasskeyTaken,
    /// Nobody is named, or nobody who could confirm.
    #[error("there is nobody of that name whose device could confirm this: ask for an enrolment code")]
    LoginRefused,
    /// Too many have asked.
    #[error(
        "a device has asked already: it has to be confirmed, or its time be over, before another is heard; an enrolment code is taken at once"
    )]
    LoginBusy {
        /// Until when.
        until: Timestamp,
    },
    /// No such link code, or it is over.
    #[error("the link code is not known, or its ten minutes are over")]
    LinkCodeUnknown,
    /// The chat identity is somebody else's.
    #[error("this chat identity is linked to somebody else: they, or an administrator, can unlink it")]
    ChatIdentityTaken,
    /// The chat identity is nobody's.
    #[error("{} is linked to nobody", .0)]
    ChatIdentityUnlinked(super::ChatIdentity),
    /// What the authenticator sent was refused.
    #[error(transparent)]
    Webauthn(WebauthnRefusal),
    /// The device waits for another of its person.
    #[error("this device waits until another device of its person confirms it")]
    DeviceWaiting(Box<WaitingDevice>),
    /// The device waits no more.
    #[error("{}", if *confirmed { "the device was confirmed before" } else { "the device was rejected" })]
    DeviceDecided {
        /// Whether it was confirmed.
        confirmed: bool,
    },
    /// The device waited too long.
    #[error("the device waited for ten minutes and is over: enrol it anew")]
    DeviceExpired,
    /// Another number than the one that the waiting device shows.
    #[error(
        "this is not the number that the new device shows: read it there again and type its six digits; if they are right, another \
         device waits here: reject it"
    )]
    MatchWrong,
    /// Not a challenge of this device for that one.
    #[error("the challenge is not one for this device")]
    ChallengeUnknown,
    /// It was answered before.
    #[error("the challenge was answered before")]
    ChallengeUsed,
    /// Too late.
    #[error("the challenge is over: ask for a new one")]
    ChallengeExpired,
    /// Signed in another way than the challenge is for.
    #[error("the challenge is for another factor")]
    OtherFactor,
    /// The person has a passkey, which is to be used.
    #[error("the person has a passkey by now, which has to sign this: ask for a new challenge")]
    PasskeyRequired,
    /// A passkey that is there already has to agree to another.
    #[error("a passkey that is there already has to sign this: begin anew")]
    PasskeyGuard,
    /// The device key's signature was refused.
    #[error(transparent)]
    Jws(JwsRefusal),
}

/// What identity's services return when they do not do as they were asked.
pub type Error = Failure<Refusal>;

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Identity {
    /// For the installation that signs with the ground's keys.
    #[must_use]
    pub fn new(ground: Ground, master: &MasterKey) -> Self {
        let Ground { store, clock, journal, keys, relying_party, bell, recovery_wait } = ground;
        let (tokens, issuer) = (AccessTokens::new(master, keys.issuer()), keys.issuer().to_owned());
        let usage = Usage::default();
        Self { store, clock, journal, issuer, keys, tokens, relying_party, bell, recovery_wait, usage }
    }

    /// The keys that the installation signs with, and those it signed with: what strangers verify with.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn issuer_keys(&self) -> db::Result<Vec<Arc<IssuerKey>>> {
        self.keys.refresh().await?;
        Ok(self.keys.all())
    }

    /// Makes the next issuer key and retires those before it; all of them afterwards.
    ///
    /// # Errors
    /// Only administrators may.
    pub async fn rotate_keys(&self, call: &Call) -> Result<Vec<Arc<IssuerKey>>, Error> {
        self.keys.rotate(call, &self.journal, self.clock.now()).await
    }

    /// Attests the keys that were enrolled before there were attestations; how many those were.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn attest_all(&self) -> db::Result<usize> {
        attestation::attest_all(&self.keys, self.relying_party.id(), &self.store, self.clock.now()).await
    }

    /// The passkey side of the installation.
    #[must_use]
    pub fn relying_party(&self) -> &RelyingParty {
        &self.relying_party
    }

    /// Makes a person. An administrator makes another by an act (`approvals::policies`).
    ///
    /// # Errors
    /// Only administrators may, and only the operator makes one by this; the handle may be taken.
    pub async fn create_user(
        &self,
        call: &Call,
        handle: Handle,
        name: PersonName,
        role: Role,
        email: Option<MailAddress>,
    ) -> Result<User, Error> {
        call.admin()?;
        if role == Role::Admin && !matches!(call.caller, Caller::Operator) {
            return Err(CallRefusal::Forbidden("another administrator takes an administrator's passkey").into());
        }
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        let user = User { id: UserId::new(now), handle, name, role, email, created_at: now, removed_at: None };
        let id = call.write(&self.store, now, move |tx| Box::pin(async move { add_user(tx, &journal, now, actor, &user).await }));
        self.user_by_id(id.await?).await
    }

    async fn user_by_id(&self, id: UserId) -> Result<User, Error> {
        let found: Option<User> =
            self.store.read(move |db| Box::pin(async move { store::find_user(db, &UserRef::Id(id)).await })).await?;
        found.ok_or_else(|| Refusal::UserUnknown(id.to_string()).into())
    }

    /// The people who have not left, by handle.
    ///
    /// # Errors
    /// Only administrators may see them all.
    pub async fn users(&self, call: &Call) -> Result<Vec<User>, Error> {
        call.admin()?;
        Ok(self.store.scan(|db| Box::pin(store::list_users(db))).await?)
    }

    /// Removes a person: from now on they may do nothing and are paged for nothing.
    ///
    /// # Errors
    /// Only administrators may, and never the last of them.
    pub async fn remove_user(&self, call: &Call, who: UserRef) -> Result<(), Error> {
        call.admin()?;
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let unknown = || Refusal::UserUnknown(who.to_string());
                let user = active_user(tx.db(), &who).await?.ok_or_else(unknown)?;
                store::lock_admins_and(tx, user.id).await?;
                if store::list_admins(tx.db()).await? == [user.id] {
                    return Err(Refusal::LastAdmin(user.handle.as_str().to_owned()).into());
                }
                if !store::remove_user(tx, user.id, now).await? {
                    return Err(unknown().into());
                }
                let data = json!({"handle": user.handle});
                record(tx, &journal, now, actor, "user.removed", user.id, data).await
            })
        })
        .await
    }

    /// Makes a bot. Its token is returned once and stored as a digest.
    ///
    /// # Errors
    /// Only administrators may; the name may be taken.
    pub async fn create_bot(&self, call: &Call, name: Handle, scopes: Vec<Scope>) -> Result<(Bot, Option<Secret>), Error> {
        call.admin()?;
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        let token = draw_token();
        let bot = Bot {
            id: BotId::new(now),
            name,
            scopes,
            created_at: now,
            revoked_at: None,
            last_used_at: None,
            token_number: 0,
            previous_token_until: None,
        };
        let (made, digest) = (bot.id, token.hash());
        let id = call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                if !store::insert_bot(tx, &bot, digest).await? {
                    return Err(Refusal::NameTaken(bot.name.as_str().to_owned()).into());
                }
                let data = json!({"name": bot.name, "scopes": bot.scopes});
                record(tx, &journal, now, actor, "bot.created", bot.id, data).await?;
                Ok::<_, Error>(bot.id)
            })
        });
        let id = id.await?;
        let bot = self.bot_by_id(id).await?;
        // A repeated call learns which bot it made, but not its token again.
        Ok((bot, (id == made).then_some(token)))
    }

    pub(super) async fn bot_by_id(&self, id: BotId) -> Result<Bot, Error> {
        let found: Option<Bot> = self.store.look(move |db| Box::pin(store::find_bot(db, id))).await?;
        found.ok_or_else(|| Refusal::NotFound(id.to_string()).into())
    }

    /// The bots whose tokens work, by name.
    ///
    /// # Errors
    /// Only administrators may see them.
    pub async fn bots(&self, call: &Call) -> Result<Vec<Bot>, Error> {
        call.admin()?;
        Ok(self.store.scan(|db| Box::pin(store::list_bots(db))).await?)
    }

    /// Ends a bot's tokens.
    ///
    /// # Errors
    /// Only administrators may.
    pub async fn revoke_bot(&self, call: &Call, id: BotId) -> Result<(), Error> {
        call.admin()?;
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                if !store::revoke_bot(tx, id, now).await? {
                    return Err(Refusal::NotFound(id.to_string()).into());
                }
                record(tx, &journal, now, actor, "bot.revoked", id, json!({})).await
            })
        })
        .await
    }

    /// The bot with this token.
    ///
    /// # Errors
    /// [`CallRefusal::Unauthenticated`] for any token that does not work.
    pub async fn authenticate_bot(&self, token: &Secret) -> Result<Caller, Error> {
        let (digest, now) = (token.hash(), self.clock.now());
        let bot: Option<Bot> =
            self.store.look(move |db| Box::pin(super::rotation::store::find_bot_by_token(db, digest, now))).await?;
        let bot = bot.ok_or(CallRefusal::Unauthenticated)?;
        self.note_bot(bot.id, now);
        Ok(Caller::Bot(Box::new(bot)))
    }

    /// The bot called just now.
    pub(super) fn note_bot(&self, bot: BotId, now: Timestamp) {
        self.usage.note(Thing::Bot(bot), now);
    }

    /// What an access token says, when it holds.
    ///
    /// # Errors
    /// Why it does not hold.
    pub fn verify_token(&self, token: &str, now: Timestamp) -> Result<AccessToken, AccessTokenRefusal> {
        self.tokens.verify(token, now)
    }

    /// The person on this device, as an access token names them.
    ///
    /// # Errors
    /// [`CallRefusal::Unauthenticated`] when the device was revoked or the person left.
    pub async fn authenticate_person(&self, user: UserId, device: DeviceId) -> Result<Caller, Error> {
        let found: Option<Person> = self.store.look(move |db| Box::pin(devices::find_person(db, user, device))).await?;
        let mut person = found.ok_or(CallRefusal::Unauthenticated)?;
        let now = self.clock.now();
        person.too_new_until = person.device.approves_from.filter(|from| now < *from);
        self.usage.note(Thing::Device(device), now);
        Ok(Caller::Person(Box::new(person)))
    }

    /// Forgets proofs, idempotency keys and ceremonies that are over, writes when things were used, and hears of keys that another node
    /// made.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn sweep(&self) -> db::Result<()> {
        let now = self.clock.now();
        self.keys.refresh().await?;
        self.write_usage().await?;
        self.store
            .for_workers()
            .write(move |tx| {
                Box::pin(async move {
                    store::sweep(tx, now).await?;
                    super::chat::sweep(tx, now).await
                })
            })
            .await
    }
}

/// A bot's token: 256 random bits.
pub(super) fn draw_token() -> Secret {
    Secret::new(format!("pob_{}", b64u(random::<32>())))
}

/// Adds `user` and records it.
///
/// # Errors
/// [`Refusal::HandleTaken`], and storage errors.
pub async fn add_user(tx: &mut Tx<'_>, journal: &Journal, now: Timestamp, actor: Actor, user: &User) -> Result<UserId, Error> {
    if !store::insert_user(tx, user).await? {
        return Err(Refusal::HandleTaken(user.handle.as_str().to_owned()).into());
    }
    let data = json!({"handle": user.handle, "name": user.name, "role": user.role});
    record(tx, journal, now, actor, "user.created", user.id, data).await?;
    Ok(user.id)
}

pub(super) async fn record(
    tx: &mut Tx<'_>,
    journal: &Journal,
    now: Timestamp,
    actor: Actor,
    kind: &'static str,
    subject: impl std::fmt::Display + Send,
    data: serde_json::Value,
) -> Result<(), Error> {
    let subject = subject.to_string();
    Ok(journal.append(tx, now, Entry { kind, actor, subject, data }).await?)
}

/// The person, unless they left.
///
/// # Errors
/// Storage errors.
pub async fn active_user(db: &mut Db<'_>, who: &UserRef) -> db::Result<Option<User>> {
    Ok(store::find_user(db, who).await?.filter(|user| user.removed_at.is_none()))
}

/// The administrators who have not left.
///
/// # Errors
/// Storage errors.
pub async fn admins(db: &mut Db<'_>) -> db::Result<Vec<UserId>> {
    store::list_admins(db).await
}

/// The person, even if they left: for what is shown of the past.
///
/// # Errors
/// Storage errors; [`db::Error::Inconsistent`] when there never was one.
pub async fn known_user(db: &mut Db<'_>, id: UserId) -> db::Result<User> {
    let found = store::find_user(db, &UserRef::Id(id)).await?;
    found.ok_or_else(|| db::Error::inconsistent("users", id, "referred to and not there"))
}

/// What a person is called, whoever they were; none when there never was one: for texts that only look like an id.
///
/// # Errors
/// Storage errors.
pub async fn name_of_user(db: &mut Db<'_>, id: UserId) -> db::Result<Option<String>> {
    Ok(store::find_user(db, &UserRef::Id(id)).await?.map(|user| user.name.as_str().to_owned()))
}

/// As [`name_of_user`], of a bot.
///
/// # Errors
/// Storage errors.
pub async fn name_of_bot(db: &mut Db<'_>, id: BotId) -> db::Result<Option<String>> {
    Ok(store::find_bot(db, id).await?.map(|bot| bot.name.as_str().to_owned()))
}

/// Whether somebody has the handle, or had it.
///
/// # Errors
/// Storage errors.
pub async fn handle_taken(db: &mut Db<'_>, handle: &Handle) -> db::Result<bool> {
    Ok(store::find_user(db, &UserRef::Handle(handle.clone())).await?.is_some())
}

/// The bot, even if it was revoked.
///
/// # Errors
/// Storage errors; [`db::Error::Inconsistent`] when there never was one.
pub async fn known_bot(db: &mut Db<'_>, id: BotId) -> db::Result<Bot> {
    store::find_bot(db, id).await?.ok_or_else(|| db::Error::inconsistent("bots", id, "referred to and not there"))
}

/// The bot, unless it was revoked.
///
/// # Errors
/// Storage errors.
pub async fn trusted_bot(db: &mut Db<'_>, id: BotId) -> db::Result<Option<Bot>> {
    Ok(store::find_bot(db, id).await?.filter(|bot| bot.revoked_at.is_none()))
}

/// The bot of that name, unless it was revoked.
///
/// # Errors
/// Storage errors.
pub async fn active_bot(db: &mut Db<'_>, name: &Handle) -> db::Result<Option<Bot>> {
    Ok(store::find_bot_by_name(db, name).await?.filter(|bot| bot.revoked_at.is_none()))
}

/// The device, unless it was revoked.
///
/// # Errors
/// Storage errors.
pub async fn active_device(db: &mut Db<'_>, id: DeviceId) -> db::Result<Option<Device>> {
    Ok(devices::find_device(db, id).await?.filter(|device| device.revoked_at.is_none()))
}
