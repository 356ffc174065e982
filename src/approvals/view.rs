//! An approval as it is shown: with the names of those involved.

use super::Display;
use super::machine::{Approval, Verdict};
use super::outcome::{self, Reported};
use super::policy::{Delegation, Given};
use super::refused::{Error, Refused};
use super::store::{self, Found};
use crate::db::{self, Db};
use crate::id::{ApprovalId, BotId, UserId};
use crate::identity::{self, Bot, User};

/// An approval with the names of those involved.
#[derive(Clone, Debug)]
pub struct View {
    /// The approval.
    pub approval: Approval,
    /// For whom.
    pub requester: User,
    /// Through whom.
    pub bot: Bot,
    /// Who may approve now.
    pub approvers: Vec<User>,
    /// Who of the approvers answers for whom, who is away.
    pub delegations: Vec<(User, User)>,
    /// Who has approved.
    pub given: Vec<(User, Given)>,
    /// Who decided.
    pub decided_by: Option<User>,
    /// What a phone shows.
    pub display: Display,
    /// The grant, for the bot that asked, while it can be redeemed.
    pub grant: Option<String>,
    /// What became of it, once the bot told.
    pub outcome: Option<Reported>,
    /// The open request alike that it was folded into, when nobody was rung for it.
    pub folded_into: Option<ApprovalId>,
}

/// Who looks.
#[derive(Clone, Copy)]
pub(super) enum Viewer {
    Person(UserId),
    Bot(BotId),
}

/// The approval, when it concerns whoever looks. To others it does not exist.
pub(super) async fn visible_to(db: &mut Db<'_>, id: ApprovalId, viewer: Viewer) -> Result<Found, Error> {
    let concerns = |approval: &Approval| match viewer {
        Viewer::Person(user) => approval.may_answer(user, Verdict::Deny),
        Viewer::Bot(bot) => approval.bot == bot,
    };
    store::find(db, id).await?.filter(|found| concerns(&found.approval)).ok_or_else(|| Refused::NotFound(id.to_string()).into())
}

pub(super) async fn view(db: &mut Db<'_>, found: Found) -> Result<View, db::Error> {
    let Found { approval, folded_into, .. } = found;
    let requester = identity::known_user(db, approval.requester).await?;
    let bot = identity::known_bot(db, approval.bot).await?;
    let mut known = vec![requester.clone()];
    let mut approvers = Vec::new();
    for id in approval.approvers() {
        approvers.push(named(db, &mut known, id).await?);
    }
    let mut delegations = Vec::new();
    for Delegation { by, absent } in &approval.requirement.delegations {
        if approvers.iter().any(|approver| approver.id == *by) {
            delegations.push((named(db, &mut known, *by).await?, named(db, &mut known, *absent).await?));
        }
    }
    let mut given = Vec::new();
    for one in &approval.given {
        given.push((named(db, &mut known, one.by).await?, *one));
    }
    let decided_by = match approval.state.decision() {
        Some(decision) => Some(named(db, &mut known, decision.by).await?),
        None => None,
    };
    let display = Display::of(&approval.action, &requester.full_name(), bot.name.as_str(), approval.reason.as_deref());
    let outcome = outcome::of(db, &approval).await?;
    Ok(View { approval, requester, bot, approvers, delegations, given, decided_by, display, grant: None, outcome, folded_into })
}

/// The person, looked up once.
async fn named(db: &mut Db<'_>, known: &mut Vec<User>, id: UserId) -> Result<User, db::Error> {
    if let Some(user) = known.iter().find(|user| user.id == id) {
        return Ok(user.clone());
    }
    let user = identity::known_user(db, id).await?;
    known.push(user.clone());
    Ok(user)
}
