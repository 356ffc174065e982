//! What reports lead to: a person who says "it was not the requester who asked" freezes what that bot asks for that requester; two
//! people freeze all that it asks. An administrator lifts a freeze, with a passkey (`policies/acts.rs`).

use std::time::Duration;

use serde_json::json;

use super::store;
use crate::approvals::Approval;
use crate::approvals::deciding::Parts;
use crate::clock::Timestamp;
use crate::db::{self, Db, Tx};
use crate::delivery::{Content, Notice, Words};
use crate::id::{ApprovalId, BotId, FreezeId, UserId};
use crate::identity::{self, Bot, User};
use crate::jobs::Kind;
use crate::journal::{Actor, Entry, Journal};
use crate::push::Category;

/// So many people who reported a bot since it was lifted freeze all that it asks.
const REPORTERS: usize = 2;

/// That something was frozen is news for a day.
const TOLD_FOR: Duration = Duration::from_hours(24);

/// An open freeze.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// Its id.
    pub id: FreezeId,
    /// Whose requests.
    pub bot: BotId,
    /// For whom it asks; for anybody, when there is nobody here.
    pub requester: Option<UserId>,
    /// The request whose report led to it.
    pub approval: ApprovalId,
    /// Who reported that.
    pub frozen_by: UserId,
    /// When.
    pub frozen_at: Timestamp,
}

/// A freeze with the names of those involved.
#[derive(Clone, Debug)]
pub struct Frozen {
    /// The freeze.
    pub freeze: Freeze,
    /// Whose requests.
    pub bot: Bot,
    /// For whom.
    pub requester: Option<User>,
    /// Who reported.
    pub frozen_by: User,
}

impl Frozen {
    /// `heimdall`, or `heimdall for Yannick Schutz (@yannick)`.
    #[must_use]
    pub fn what(&self) -> String {
        match &self.requester {
            None => self.bot.name.to_string(),
            Some(requester) => format!("{} for {}", self.bot.name, requester.full_name()),
        }
    }
}

/// Somebody reported an approval: freezes what that freezes, records it, tells the administrators, and has what waits cancelled.
pub(in crate::approvals) async fn reported(
    tx: &mut Tx<'_>,
    parts: &Parts,
    approval: &Approval,
    by: (UserId, Actor),
    now: Timestamp,
) -> db::Result<()> {
    store::lock_bot(tx, approval.bot).await?;
    let mut open = store::open(tx.db()).await?;
    open.retain(|freeze| freeze.bot == approval.bot);
    let reporters = store::reporters(tx.db(), approval.bot).await?.len();
    let whole = (reporters >= REPORTERS).then_some(None);
    for requester in [Some(Some(approval.requester)), whole].into_iter().flatten() {
        if open.iter().any(|freeze| freeze.requester == requester) {
            continue;
        }
        let (bot, frozen_by) = (approval.bot, by.0);
        let freeze = Freeze { id: FreezeId::new(now), bot, requester, approval: approval.id, frozen_by, frozen_at: now };
        freeze_now(tx, parts, freeze, by.1, now).await?;
    }
    crate::crash_point!("frozen");
    Ok(())
}

async fn freeze_now(tx: &mut Tx<'_>, parts: &Parts, freeze: Freeze, actor: Actor, now: Timestamp) -> db::Result<()> {
    store::insert_freeze(tx, &freeze).await?;
    let data = json!({"bot": freeze.bot, "requester": freeze.requester, "approval": freeze.approval, "by": freeze.frozen_by});
    let entry = Entry { kind: "approval.frozen", actor, subject: freeze.id.to_string(), data };
    parts.journal.append(tx, now, entry).await?;
    for waiting in store::waiting(tx.db(), freeze.bot, freeze.requester).await? {
        // Each under its own lock: its timer finds it frozen.
        parts.queue.enqueue(tx, Kind::ApprovalDeadline, waiting.0, now).await?;
    }
    let frozen = named(tx.db(), freeze).await?;
    for admin in store::admins(tx.db()).await? {
        parts.delivery.notify(tx, notice(&frozen, admin, now), now).await?;
    }
    Ok(())
}

/// What an administrator's phone shows.
fn notice(frozen: &Frozen, admin: UserId, now: Timestamp) -> Notice {
    let body = format!("{} reported a request. Until somebody lifts it, nothing is approved", frozen.frozen_by.name.as_str());
    let id = frozen.freeze.id;
    let content = Content {
        category: Category::Notice,
        high: true,
        words: Words { title: format!("Frozen: {}", frozen.what()), body },
        full: None,
        path: "/".into(),
        subject: id.to_string(),
        reference: None,
    };
    Notice { user: admin, subject: id.0, round: 1, content, expires_at: now.after(TOLD_FOR), replaces: None }
}

async fn named(db: &mut Db<'_>, freeze: Freeze) -> db::Result<Frozen> {
    let bot = identity::known_bot(db, freeze.bot).await?;
    let requester = match freeze.requester {
        None => None,
        Some(requester) => Some(identity::known_user(db, requester).await?),
    };
    let frozen_by = identity::known_user(db, freeze.frozen_by).await?;
    Ok(Frozen { freeze, bot, requester, frozen_by })
}

/// What is frozen, the oldest first.
pub(in crate::approvals) async fn open_freezes(db: &mut Db<'_>) -> db::Result<Vec<Frozen>> {
    let mut frozen = Vec::new();
    for freeze in store::open(db).await? {
        frozen.push(named(db, freeze).await?);
    }
    Ok(frozen)
}

/// An open freeze.
pub(in crate::approvals) async fn known_freeze(db: &mut Db<'_>, id: FreezeId) -> db::Result<Option<Frozen>> {
    match store::find_open(db, id).await? {
        None => Ok(None),
        Some(freeze) => Ok(Some(named(db, freeze).await?)),
    }
}

/// Lifts a freeze and records it; `false` when it is not open any more.
pub(in crate::approvals) async fn lift(
    tx: &mut Tx<'_>,
    journal: &Journal,
    id: FreezeId,
    actor: Actor,
    now: Timestamp,
) -> db::Result<bool> {
    let Some(freeze) = store::find_open(tx.db(), id).await? else { return Ok(false) };
    store::lock_bot(tx, freeze.bot).await?;
    if !store::lift(tx, id, actor, now).await? {
        return Ok(false);
    }
    let data = json!({"bot": freeze.bot, "requester": freeze.requester, "approval": freeze.approval});
    journal.append(tx, now, Entry { kind: "freeze.lifted", actor, subject: id.to_string(), data }).await?;
    Ok(true)
}
