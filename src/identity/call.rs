//! One call to the house: who calls, with what proof, and under which idempotency key.
//!
//! **Invariants**
//! - A DPoP proof is good for one call: it is consumed in the transaction of the change it allowed, on whichever node.
//! - With an `Idempotency-Key` the change and its outcome are one transaction: a retry gets the first outcome, and nothing happens
//!   twice. A refused call keeps nothing and may be tried again.
//! - Outcomes that are kept hold ids, never secrets.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::chat::Heard;
use super::model::{Bot, Device, Role, Scope, User, UserRef};
use super::store;
use crate::clock::Timestamp;
use crate::db::{self, Store, Tx};
use crate::id::UserId;
use crate::journal::Actor;

/// How long an idempotency key is remembered.
const KEY_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Who calls.
#[derive(Clone, Debug)]
pub enum Caller {
    /// A person, on one of their devices.
    Person(Box<Person>),
    /// A bot.
    Bot(Box<Bot>),
    /// Whoever can open the server's Unix socket.
    Operator,
    /// Nobody we know yet.
    Anonymous,
}

/// A person, on one of their devices.
#[derive(Clone, Debug)]
pub struct Person {
    /// The person.
    pub user: User,
    /// The device whose key signed the call.
    pub device: Device,
    /// Until when the device, which recovered its person, neither answers nor administers; none once it does.
    pub too_new_until: Option<Timestamp>,
}

/// A proof that was used for this call and must not be used for another.
#[derive(Clone, Copy, Debug)]
pub struct UsedProof {
    /// What names it.
    pub sha256: [u8; 32],
    /// When it could not be used any more anyway.
    pub expires_at: Timestamp,
}

/// An idempotency key and the request it was sent with.
#[derive(Clone, Debug)]
pub struct Once {
    /// The key, 1 to 255 characters.
    pub key: String,
    /// The digest of method, path and body.
    pub request_sha256: [u8; 32],
}

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who calls.
    pub caller: Caller,
    /// The proof it came with.
    pub proof: Option<UsedProof>,
    /// Its idempotency key.
    pub once: Option<Once>,
    /// The line of chat that a bot calls for, when its front vouches for one.
    pub heard: Option<Box<Heard>>,
}

/// Why a call was refused before its matter was looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallRefusal {
    /// No credentials, or none that are accepted here.
    #[error("authentication is required")]
    Unauthenticated,
    /// This caller may not do this.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The device recovered its person, and may not do this yet.
    #[error("this device is too new: it may do this from {until} on")]
    DeviceTooNew {
        /// From when on it may.
        until: Timestamp,
    },
    /// The DPoP proof was used before.
    #[error("the DPoP proof was used before")]
    ProofReplayed,
    /// The idempotency key was used with another request.
    #[error("the Idempotency-Key was used with another request")]
    KeyReused,
}

/// Why a service did not do as it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure<R> {
    /// The domain says no.
    #[error(transparent)]
    Refused(R),
    /// The caller may not, or not like this.
    #[error(transparent)]
    Call(CallRefusal),
    /// Storage.
    #[error(transparent)]
    Db(db::Error),
}

impl<R> From<db::Error> for Failure<R> {
    fn from(error: db::Error) -> Self {
        Self::Db(error)
    }
}

impl<R> From<CallRefusal> for Failure<R> {
    fn from(refusal: CallRefusal) -> Self {
        Self::Call(refusal)
    }
}

impl Call {
    /// A call that needs no proof and is not repeated: the server's own.
    #[must_use]
    pub fn operator() -> Self {
        Self::by(Caller::Operator)
    }

    /// A call that needs no proof and is not repeated.
    #[must_use]
    pub fn by(caller: Caller) -> Self {
        Self { caller, proof: None, once: None, heard: None }
    }

    /// The person that a bot with `scope` calls for in chat.
    ///
    /// # Errors
    /// When the bot lacks the scope.
    pub fn speaks_for(&self, scope: Scope) -> Result<Option<&User>, CallRefusal> {
        match (&self.caller, &self.heard) {
            (Caller::Bot(_), Some(heard)) => self.bot(scope).map(|_| Some(&heard.by)),
            _ => Ok(None),
        }
    }

    /// Who did it, for the journal. `on_behalf` is the person a bot names.
    #[must_use]
    pub fn actor(&self, on_behalf: Option<UserId>) -> Actor {
        match &self.caller {
            Caller::Person(person) => Actor::User { user: person.user.id, device: person.device.id },
            Caller::Bot(bot) => Actor::Bot { bot: bot.id, user: on_behalf.or(self.heard.as_ref().map(|heard| heard.by.id)) },
            Caller::Operator => Actor::Operator,
            Caller::Anonymous => Actor::Enrollee,
        }
    }

    /// Where in chat the line was said that a bot calls for, for the journal: platform, workspace, room, message and the bot's key.
    #[must_use]
    pub fn origin(&self) -> Option<Value> {
        self.heard.as_ref().map(|heard| heard.facts())
    }

    /// The person who calls.
    ///
    /// # Errors
    /// When it is not a person.
    pub fn person(&self) -> Result<&Person, CallRefusal> {
        match &self.caller {
            Caller::Person(person) => Ok(person),
            Caller::Anonymous => Err(CallRefusal::Unauthenticated),
            _ => Err(CallRefusal::Forbidden("only a person on their own device may do this")),
        }
    }

    /// The person who calls, on a device that may answer, administer and decide about others.
    ///
    /// # Errors
    /// When it is not a person, or [`CallRefusal::DeviceTooNew`].
    pub fn established(&self) -> Result<&Person, CallRefusal> {
        let person = self.person()?;
        match person.too_new_until {
            Some(until) => Err(CallRefusal::DeviceTooNew { until }),
            None => Ok(person),
        }
    }

    /// Whether the caller may enrol a device of this person by themselves: they are that person, or the operator.
    #[must_use]
    pub fn enrols(&self, who: &UserRef) -> bool {
        match (&self.caller, who) {
            (Caller::Operator, _) => true,
            (Caller::Person(person), UserRef::Id(id)) => person.user.id == *id,
            (Caller::Person(person), UserRef::Handle(handle)) => person.user.handle == *handle,
            (Caller::Bot(_) | Caller::Anonymous, _) => false,
        }
    }

    /// The bot that calls, when it has `scope`.
    ///
    /// # Errors
    /// When it is not a bot, or one without the scope.
    pub fn bot(&self, scope: Scope) -> Result<&Bot, CallRefusal> {
        match &self.caller {
            Caller::Bot(bot) if bot.scopes.contains(&scope) => Ok(bot),
            Caller::Bot(_) => Err(CallRefusal::Forbidden("the bot's token lacks the scope for this")),
            Caller::Anonymous => Err(CallRefusal::Unauthenticated),
            _ => Err(CallRefusal::Forbidden("only a bot may do this")),
        }
    }

    /// Nothing, when the caller is a person, or a bot with `scope`.
    ///
    /// # Errors
    /// When it is neither.
    pub fn person_or_bot(&self, scope: Scope) -> Result<(), CallRefusal> {
        match &self.caller {
            Caller::Person(_) => Ok(()),
            _ => self.bot(scope).map(|_| ()),
        }
    }

    /// Nothing, when the caller may administer.
    ///
    /// # Errors
    /// When they may not.
    pub fn admin(&self) -> Result<(), CallRefusal> {
        match &self.caller {
            Caller::Operator => Ok(()),
            Caller::Person(person) if person.user.role == Role::Admin => self.established().map(|_| ()),
            Caller::Anonymous => Err(CallRefusal::Unauthenticated),
            _ => Err(CallRefusal::Forbidden("only an administrator may do this")),
        }
    }

    /// Nothing, when the caller is the operator, on the server's own socket.
    ///
    /// # Errors
    /// When they are anybody else, administrators too.
    pub fn operator_only(&self) -> Result<(), CallRefusal> {
        match &self.caller {
            Caller::Operator => Ok(()),
            Caller::Anonymous => Err(CallRefusal::Unauthenticated),
            Caller::Person(_) | Caller::Bot(_) => {
                Err(CallRefusal::Forbidden("only the operator may do this, on the server itself"))
            }
        }
    }

    /// Changes something for this caller: consumes the proof, answers a repeated idempotency key with the first outcome, and
    /// otherwise runs `op`, all in one transaction.
    ///
    /// # Errors
    /// What `op` returned, a refusal of the call, or a storage error.
    pub async fn write<T, R, F>(&self, store: &Store, now: Timestamp, op: F) -> Result<T, Failure<R>>
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
        R: Send + 'static,
        F: for<'a> FnOnce(&'a mut Tx<'_>) -> BoxFuture<'a, Result<T, Failure<R>>> + Send + 'static,
    {
        let proof = self.proof;
        let once = self.once.clone().map(|once| (self.key_space(), once));
        store
            .write(move |tx| {
                Box::pin(async move {
                    if let Some(proof) = proof
                        && !store::use_proof(tx, &proof).await?
                    {
                        return Err(CallRefusal::ProofReplayed.into());
                    }
                    let Some((caller, once)) = once else { return op(tx).await };
                    if !store::reserve_key(tx, &caller, &once, now.after(KEY_LIFE)).await? {
                        return repeated(tx, &caller, &once).await;
                    }
                    let out = op(tx).await?;
                    store::keep_outcome(tx, &caller, &once.key, &out).await?;
                    Ok(out)
                })
            })
            .await
    }

    /// The outcome of an earlier call with the same key and request, for services that look at more than the key before they
    /// write: what they look at has moved on since.
    ///
    /// # Errors
    /// [`CallRefusal::KeyReused`], [`CallRefusal::ProofReplayed`], or a storage error.
    pub async fn repeated<T, R>(&self, store: &Store) -> Result<Option<T>, Failure<R>>
    where
        T: DeserializeOwned + Send + Sync + 'static,
        R: Send + 'static,
    {
        let Some(once) = self.once.clone() else { return Ok(None) };
        let (caller, proof) = (self.key_space(), self.proof);
        let key = once.key.clone();
        let found: db::Result<Option<store::Kept>> =
            store.look(move |db| Box::pin(async move { store::find_outcome(db, &caller, &key).await })).await;
        let Some(kept) = found? else { return Ok(None) };
        if let Some(proof) = proof {
            let fresh: db::Result<bool> =
                store.write(move |tx| Box::pin(async move { store::use_proof(tx, &proof).await })).await;
            if !fresh? {
                return Err(CallRefusal::ProofReplayed.into());
            }
        }
        outcome(kept, &once).map(Some)
    }

    /// Keys of different callers never meet.
    fn key_space(&self) -> String {
        match &self.caller {
            Caller::Person(person) => person.user.id.to_string(),
            Caller::Bot(bot) => bot.id.to_string(),
            Caller::Operator => "operator".to_owned(),
            Caller::Anonymous => "anonymous".to_owned(),
        }
    }
}

async fn repeated<T: DeserializeOwned, R>(tx: &mut Tx<'_>, caller: &str, once: &Once) -> Result<T, Failure<R>> {
    let kept = store::find_outcome(tx.db(), caller, &once.key).await?;
    outcome(kept.ok_or_else(|| inconsistent(once, "it is taken and not there"))?, once)
}

/// The outcome of the same request. Another request's is not even read: it may be of another type.
fn outcome<T: DeserializeOwned, R>(kept: store::Kept, once: &Once) -> Result<T, Failure<R>> {
    if kept.request_sha256 != once.request_sha256 {
        return Err(CallRefusal::KeyReused.into());
    }
    Ok(serde_json::from_value(kept.outcome).map_err(|error| inconsistent(once, error))?)
}

fn inconsistent(once: &Once, what: impl std::fmt::Display) -> db::Error {
    db::Error::inconsistent("idempotency_keys", &once.key, what)
}
