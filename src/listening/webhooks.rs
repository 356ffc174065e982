//! Webhooks: made, rotated, tried, removed. How events get there is in `delivering`.
//!
//! **Invariants**
//! - Address and secrets are at rest only sealed, bound to their webhook; a secret is shown once.
//! - A webhook of a bot is told what the bot may hear, and nothing once the bot is revoked.

use std::time::Duration;

use serde_json::json;
use url::Url;

use super::audience::Viewer;
use super::filter::beginnings;
use super::store;
use crate::clock::{Clock, Timestamp};
use crate::db::{self, Store, Tx};
use crate::delivery::Delivery;
use crate::id::{BotId, EventId, WebhookId};
use crate::identity::{self, Call, Failure, Scope};
use crate::jobs::Queue;
use crate::journal::{Actor, Entry, Journal};
use crate::push::guard::Forbidden;
use crate::push::webhook::{self as push, Sent, Signed, SigningSecret};
use crate::secret::{MasterKey, Secret};

/// More than this is a mistake.
const MAX: i64 = 100;

/// How long one try may take, at most.
pub(super) const TRY: Duration = Duration::from_secs(10);

/// The longest that an old secret may count beside the new one.
pub const MAX_OVERLAP: Duration = Duration::from_secs(7 * 24 * 3600);

/// Webhooks and what they stand on.
pub struct Webhooks {
    /// The database.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// The record, which is also what is delivered.
    pub journal: Journal,
    /// Work for later.
    pub queue: Queue,
    /// Tells administrators.
    pub delivery: Delivery,
    /// What seals addresses and secrets.
    pub master: MasterKey,
    /// The way out.
    pub sender: push::Webhooks,
}

/// A webhook, as it is stored.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Whose events it is told; everybody's without one.
    pub bot: Option<BotId>,
    pub(super) url_sealed: Vec<u8>,
    /// Beginnings of the kinds it is told; all when empty.
    pub kinds: Vec<String>,
    pub(super) secret_sealed: Vec<u8>,
    pub(super) previous_sealed: Option<Vec<u8>>,
    /// Until when the secret before counts too.
    pub previous_until: Option<Timestamp>,
    /// The number of the last entry that was delivered or skipped.
    pub cursor: i64,
    /// How often in a row it was tried in vain.
    pub failures: u32,
    /// Since when.
    pub failing_since: Option<Timestamp>,
    /// Why the last time.
    pub last_error: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when nothing is delivered.
    pub disabled_at: Option<Timestamp>,
    /// Why not.
    pub disabled_why: Option<String>,
}

impl Webhook {
    pub(super) fn viewer(&self) -> Viewer {
        self.bot.map_or(Viewer::All, Viewer::Bot)
    }

    pub(super) fn takes(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|beginning| kind.starts_with(beginning))
    }
}

/// A webhook to be made.
#[derive(Clone, Debug)]
pub struct NewWebhook {
    /// Where it is told.
    pub url: Url,
    /// Beginnings of kinds; all when empty.
    pub kinds: Vec<String>,
    /// Whose events; everybody's without one.
    pub bot: Option<BotId>,
}

/// Why a webhook was not made or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such webhook.
    #[error("there is no {0}")]
    NotFound(WebhookId),
    /// The address is not to be called.
    #[error("{0}")]
    Url(Forbidden),
    /// A kind that none begins with.
    #[error("expected up to 20 beginnings of kinds, like approval. or incident.triggered")]
    Kinds,
    /// No such bot, or one that may hear nothing.
    #[error("there is no bot {0} with the scope events:read")]
    Bot(BotId),
    /// There are enough.
    #[error("there are {MAX} webhooks already")]
    TooMany,
}

type Error = Failure<Refusal>;

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Webhooks {
    /// Makes a webhook. Its secret is returned once; a repeated call learns which webhook it made and no secret.
    ///
    /// # Errors
    /// Only administrators may; [`Refusal`].
    pub async fn create(&self, call: &Call, new: NewWebhook) -> Result<(Webhook, Option<Secret>), Error> {
        call.admin()?;
        self.sender.check(&new.url).map_err(Refusal::Url)?;
        let kinds = beginnings(new.kinds.iter().map(String::as_str)).map_err(|_| Refusal::Kinds)?;
        let (now, secret) = (self.clock.now(), SigningSecret::generate());
        let id = WebhookId::new(now);
        let webhook = Webhook {
            id,
            bot: new.bot,
            url_sealed: self.master.seal(&url_place(id), new.url.as_str().as_bytes()),
            kinds,
            secret_sealed: self.master.seal(&secret_place(id), secret.bytes()),
            previous_sealed: None,
            previous_until: None,
            cursor: 0,
            failures: 0,
            failing_since: None,
            last_error: None,
            created_at: now,
            disabled_at: None,
            disabled_why: None,
        };
        let (journal, actor) = (self.journal.clone(), call.actor(None));
        let made = call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                if store::count(tx.db()).await? >= MAX {
                    return Err(Refusal::TooMany.into());
                }
                if let Some(bot) = webhook.bot {
                    hears(tx, bot).await?;
                }
                store::insert(tx, &webhook).await?;
                let data = json!({"bot": webhook.bot, "kinds": webhook.kinds});
                record(tx, &journal, now, actor, "webhook.created", id, data).await?;
                crate::crash_point!("webhook-made");
                Ok(id)
            })
        });
        let made = made.await?;
        Ok((self.one(made).await?, (made == id).then(|| secret.to_text())))
    }

    /// The webhooks, in the order in which they were made, and where each is told.
    ///
    /// # Errors
    /// Only administrators may see them.
    pub async fn list(&self, call: &Call) -> Result<Vec<(Webhook, Url)>, Error> {
        call.admin()?;
        let all: Vec<Webhook> = self.store.scan(|db| Box::pin(store::list(db))).await?;
        all.into_iter().map(|webhook| self.url(&webhook).map(|url| (webhook, url)).map_err(Error::Db)).collect()
    }

    /// One webhook, and where it is told.
    ///
    /// # Errors
    /// Only administrators may see it; [`Refusal::NotFound`].
    pub async fn find(&self, call: &Call, id: WebhookId) -> Result<(Webhook, Url), Error> {
        call.admin()?;
        let webhook = self.one(id).await?;
        let url = self.url(&webhook)?;
        Ok((webhook, url))
    }

    /// Removes a webhook: nothing more is delivered.
    ///
    /// # Errors
    /// Only administrators may; [`Refusal::NotFound`].
    pub async fn delete(&self, call: &Call, id: WebhookId) -> Result<(), Error> {
        call.admin()?;
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                if !store::delete(tx, id).await? {
                    return Err(Refusal::NotFound(id).into());
                }
                Ok(record(tx, &journal, now, actor, "webhook.deleted", id, json!({})).await?)
            })
        })
        .await
    }

    /// Gives a webhook a new secret, returned once. Until `overlap` is over, events carry both signatures.
    ///
    /// # Errors
    /// Only administrators may; [`Refusal::NotFound`].
    pub async fn rotate(&self, call: &Call, id: WebhookId, overlap: Duration) -> Result<(Webhook, Option<Secret>), Error> {
        call.admin()?;
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        let secret = SigningSecret::generate();
        let (sealed, until) = (self.master.seal(&secret_place(id), secret.bytes()), now.after(overlap));
        let ours = EventId::new(now);
        let done = call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                store::lock(tx, id).await?.ok_or(Refusal::NotFound(id))?;
                store::rotate(tx, id, &sealed, until).await?;
                record(tx, &journal, now, actor, "webhook.rotated", id, json!({"overlap_ends_at": until})).await?;
                crate::crash_point!("webhook-rotated");
                Ok::<_, Error>(ours)
            })
        });
        let done = done.await?;
        Ok((self.one(id).await?, (done == ours).then(|| secret.to_text())))
    }

    /// Lets a disabled webhook go on where it stopped.
    ///
    /// # Errors
    /// Only administrators may; [`Refusal::NotFound`], [`Refusal::Bot`].
    pub async fn enable(&self, call: &Call, id: WebhookId) -> Result<(), Error> {
        call.admin()?;
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let webhook = store::lock(tx, id).await?.ok_or(Refusal::NotFound(id))?;
                if let Some(bot) = webhook.bot {
                    hears(tx, bot).await?;
                }
                if webhook.disabled_at.is_some() {
                    store::enable(tx, id).await?;
                    record(tx, &journal, now, actor, "webhook.enabled", id, json!({})).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Sends an event of the kind `webhook.test` now, once, and says what became of it.
    ///
    /// # Errors
    /// Only administrators may; [`Refusal::NotFound`].
    pub async fn test(&self, call: &Call, id: WebhookId) -> Result<Sent, Error> {
        call.admin()?;
        let now = self.clock.now();
        // The proof is used up, so that nobody makes us call out again with it.
        call.write::<(), Refusal, _>(&self.store, now, |_| Box::pin(async { Ok(()) })).await?;
        let webhook = self.one(id).await?;
        let event = EventId::new(now);
        let body = json!({"id": event, "at": now, "kind": "webhook.test", "actor": call.actor(None), "subject": id, "data": {}});
        Ok(self.send(&webhook, &event.to_string(), &body.to_string(), TRY).await?)
    }

    async fn one(&self, id: WebhookId) -> Result<Webhook, Error> {
        let found: Option<Webhook> = self.store.look(move |db| Box::pin(store::find(db, id))).await?;
        found.ok_or_else(|| Refusal::NotFound(id).into())
    }

    /// Signs and sends, once.
    pub(super) async fn send(&self, webhook: &Webhook, id: &str, body: &str, at_most: Duration) -> db::Result<Sent> {
        let now = self.clock.now();
        let previous = webhook.previous_sealed.as_ref().filter(|_| webhook.previous_until.is_some_and(|until| now < until));
        let sealed = std::iter::once(&webhook.secret_sealed).chain(previous);
        let secrets: db::Result<Vec<_>> = sealed.map(|sealed| self.secret(webhook.id, sealed)).collect();
        let (url, secrets) = (self.url(webhook)?, secrets?);
        Ok(self.sender.send(&url, &Signed { id, body, secrets: &secrets }, now, at_most).await)
    }

    fn url(&self, webhook: &Webhook) -> db::Result<Url> {
        let broken = |what: &str| db::Error::inconsistent("webhooks", webhook.id, what);
        let opened = self.master.open(&url_place(webhook.id), &webhook.url_sealed);
        let opened = opened.map_err(|error| broken(&error.to_string()))?;
        let text = std::str::from_utf8(&opened).map_err(|_| broken("the address is not text"))?;
        text.parse().map_err(|_| broken("the address is no URL"))
    }

    fn secret(&self, id: WebhookId, sealed: &[u8]) -> db::Result<SigningSecret> {
        let broken = |what: &str| db::Error::inconsistent("webhooks", id, what);
        let opened = self.master.open(&secret_place(id), sealed).map_err(|error| broken(&error.to_string()))?;
        SigningSecret::from_bytes(&opened).ok_or_else(|| broken("the secret has not 32 bytes"))
    }
}

/// Nothing, when there is such a bot and it may hear something.
async fn hears(tx: &mut Tx<'_>, bot: BotId) -> Result<(), Error> {
    let found = identity::trusted_bot(tx.db(), bot).await?;
    let hears = found.is_some_and(|bot| bot.scopes.contains(&Scope::EventsRead));
    if hears { Ok(()) } else { Err(Refusal::Bot(bot).into()) }
}

pub(super) async fn record(
    tx: &mut Tx<'_>,
    journal: &Journal,
    now: Timestamp,
    actor: Actor,
    kind: &'static str,
    webhook: WebhookId,
    data: serde_json::Value,
) -> db::Result<()> {
    journal.append(tx, now, Entry { kind, actor, subject: webhook.to_string(), data }).await
}

fn url_place(id: WebhookId) -> String {
    format!("webhooks/{id}/url")
}

fn secret_place(id: WebhookId) -> String {
    format!("webhooks/{id}/secret")
}
