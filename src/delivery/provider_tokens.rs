//! The token that says to Apple who sends, the same on all nodes.
//!
//! **Invariants**
//! - A new token is minted under the lock of its row, once it is certain that the newest is too old: of nodes that find it too old
//!   together one replaces it and the others use what that one minted.
//! - It is in the database only sealed, for the name of its team and key. One that cannot be opened is replaced as soon as Apple
//!   allows another.
//! - The last token known serves for as long as Apple takes it: while one caller renews it, and when the database does not answer.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout_at};

use super::store::{self, StoredToken};
use crate::clock::Timestamp;
use crate::db::{Error, Result, Store};
use crate::push::apns::{Decision, Minter, NoToken, ProviderToken, ProviderTokens};
use crate::secret::{MasterKey, Secret};

/// How long a push waits for a token: what is left of its time is Apple's.
const ASKING: Duration = Duration::from_secs(2);

/// How long a token that is due and still good is not renewed after that failed, so that not every push waits in vain.
const PAUSE: Duration = Duration::from_secs(30);

/// Tokens that all nodes share through the database.
pub struct SharedTokens {
    store: Store,
    master: MasterKey,
    minter: Minter,
    known: RwLock<Option<ProviderToken>>,
    /// Held by whoever asks the database: the others of this node find what it learned. Until when the next renewal waits, after one
    /// that failed.
    asking: Mutex<Option<Timestamp>>,
}

impl SharedTokens {
    /// Asks the database at the first use.
    #[must_use]
    pub fn new(store: &Store, master: &MasterKey, minter: Minter) -> Self {
        let (store, master) = (store.for_workers(), master.clone());
        Self { store, master, minter, known: RwLock::default(), asking: Mutex::default() }
    }

    fn known(&self) -> Option<ProviderToken> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What this node knows, where that will do.
    fn remembered(&self, refused: Option<&ProviderToken>, now: Timestamp) -> Option<ProviderToken> {
        self.known().filter(|token| token.decide(refused, now) == Decision::Use)
    }

    async fn newest(&self, refused: Option<&ProviderToken>, now: Timestamp) -> std::result::Result<ProviderToken, NoToken> {
        if let Some(token) = self.remembered(refused, now) {
            return Ok(token);
        }
        let until = Instant::now() + ASKING;
        let Some(good) = self.known().filter(|known| refused.is_none() && known.is_better_than_none(now)) else {
            let asking = timeout_at(until, self.asking.lock()).await.map_err(|_| late())?;
            return self.learn(asking, refused, now, until).await;
        };
        match self.asking.try_lock() {
            Ok(asking) if asking.is_none_or(|pause| now >= pause) => {
                self.learn(asking, refused, now, until).await.or_else(|error| {
                    tracing::warn!(%error, "the provider token is due and cannot be renewed; the old one serves for now");
                    Ok(good)
                })
            }
            _ => Ok(good),
        }
    }

    /// Asks the database, for everybody on this node.
    async fn learn(
        &self,
        mut pause: MutexGuard<'_, Option<Timestamp>>,
        refused: Option<&ProviderToken>,
        now: Timestamp,
        until: Instant,
    ) -> std::result::Result<ProviderToken, NoToken> {
        // Whoever held the lock before may have learned it.
        if let Some(token) = self.remembered(refused, now) {
            return Ok(token);
        }
        let asked = match timeout_at(until, self.ask(refused, now)).await {
            Ok(asked) => asked.map_err(|error| NoToken::Unavailable(error.to_string())),
            Err(_) => Err(late()),
        };
        *pause = asked.is_err().then(|| now.after(PAUSE));
        let token = asked?.ok_or(NoToken::TooYoung)?;
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        Ok(token)
    }

    /// The newest token there is, minted now if need be; none when it was refused and is too young to be replaced.
    async fn ask(&self, refused: Option<&ProviderToken>, now: Timestamp) -> Result<Option<ProviderToken>> {
        let (master, name, refused) = (self.master.clone(), self.minter.name(), refused.cloned());
        let fresh = self.minter.mint(now);
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let next = seal(&master, &name, &fresh);
                    store::insert_provider_token(tx, &name, &next).await?;
                    let locked = store::lock_provider_token(tx, &name).await?;
                    let stored = open(&master, &name, &locked);
                    let decision = match &stored {
                        Ok(stored) => stored.decide(refused.as_ref(), now),
                        Err(_) => Decision::unreadable(locked.minted_at, now),
                    };
                    Ok::<_, Error>(match (decision, stored) {
                        (Decision::Use, Ok(stored)) => Some(stored),
                        (Decision::TooYoung, Ok(_)) => None,
                        (Decision::Use | Decision::TooYoung, Err(error)) => return Err(error),
                        (Decision::Replace, stored) => {
                            if let Err(error) = stored {
                                tracing::warn!(%error, "the stored provider token cannot be read and is replaced");
                            }
                            store::replace_provider_token(tx, &name, &next).await?;
                            Some(fresh)
                        }
                    })
                })
            })
            .await
    }
}

impl ProviderTokens for SharedTokens {
    fn current(&self, now: Timestamp) -> BoxFuture<'_, std::result::Result<ProviderToken, NoToken>> {
        Box::pin(self.newest(None, now))
    }

    fn renewed<'a>(
        &'a self,
        refused: &'a ProviderToken,
        now: Timestamp,
    ) -> BoxFuture<'a, std::result::Result<ProviderToken, NoToken>> {
        Box::pin(self.newest(Some(refused), now))
    }
}

fn late() -> NoToken {
    NoToken::Unavailable("the database did not answer in time".to_owned())
}

fn seal(master: &MasterKey, name: &str, token: &ProviderToken) -> StoredToken {
    let sealed = master.seal(&place(name), token.text().expose().as_bytes());
    StoredToken { sealed, minted_at: token.minted_at() }
}

fn open(master: &MasterKey, name: &str, stored: &StoredToken) -> Result<ProviderToken> {
    let inconsistent = |why: String| Error::inconsistent("provider_tokens", name, why);
    let text = master.open(&place(name), &stored.sealed).map_err(|error| inconsistent(error.to_string()))?;
    let text = std::str::from_utf8(&text).map_err(|error| inconsistent(error.to_string()))?;
    let token = ProviderToken::restore(Secret::new(text.to_owned()), stored.minted_at);
    token.ok_or_else(|| inconsistent("it is no token".to_owned()))
}

fn place(name: &str) -> String {
    format!("provider_tokens/{name}")
}
