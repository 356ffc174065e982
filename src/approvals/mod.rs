//! May this happen? Requests that an action be allowed, the answers people sign, and the grants that prove it.
//!
//! **Invariants**
//! - The first terminal verdict wins; one eligible deny is terminal; terminal is final.
//! - Nothing becomes approved without a [`VerifiedAnswer`], which only the code that checked a signature over exactly this action
//!   can make.
//! - A grant is issued in the transaction of the approval and redeemed once.
//! - What the operator opens by break-glass pretends no answer: it has a state and an `acr` of its own.
//! - Any doubt is a no.

mod action;
mod break_glass;
mod code;
pub mod commands;
mod deciding;
mod fatigue;
mod grant;
pub mod limits;
mod machine;
#[cfg(test)]
mod organisations;
mod outcome;
pub mod policies;
pub mod policy;
pub mod receipt;
mod redeeming;
mod refused;
mod restored;
mod service;
mod statement;
mod store;
#[cfg(test)]
mod vectors;
mod view;
mod words;

pub use action::{Action, Param, Params};
use grant::builtin_policy;

pub use fatigue::{Budgets, Freeze, Frozen, Why};
pub use grant::{Confirmation, GrantClaims};
pub use machine::{
    Approval, BreakGlass, Decision, Effect, Event, GRANT_TTL, LEAST_BREAK_GLASS_WAIT, Origin, Refusal, State, Verdict,
    VerifiedAnswer,
};
pub use outcome::{Outcome, Reported};
pub use policies::Policies;
pub use policy::{Delegation, Factor, Given, PolicyRef, Quorum, Requirement, SignedWith};
pub use refused::{Error, Refused};
pub use restored::Voided;
pub use service::{Answer, Approvals, Ask, Challenge, Ground, Proof, Redeemed, Requested};
pub use statement::{JwsRefused, Statement};
pub use store::forget_before;
pub use view::View;
pub use words::{Display, DisplayRow};
