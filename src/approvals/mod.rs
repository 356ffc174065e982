//! May this happen? Requests that an action be allowed, the answers people sign, and the grants that prove it.
//!
//! **Invariants**
//! - The first terminal verdict wins; one eligible deny is terminal; terminal is final.
//! - Nothing becomes approved without a [`VerifiedAnswer`], which only the code that checked a signature over exactly this action
//!   can make.
//! - A grant is issued in the transaction of the approval and redeemed once.
//! - Any doubt is a no.

mod action;
mod deciding;
mod grant;
mod machine;
mod outcome;
pub mod receipt;
mod restored;
mod service;
mod statement;
mod store;
mod words;

pub use action::{Action, Param, Params};
pub use grant::GrantClaims;
pub use machine::{
    Approval, Decision, Effect, Event, Factor, GRANT_TTL, Origin, PolicyRef, Refusal, Requirement, State, Verdict, VerifiedAnswer,
};
pub use outcome::{Outcome, Reported};
pub use restored::Voided;
pub use service::{Answer, Approvals, Ask, Challenge, Error, Ground, Redeemed, Refused, View};
pub use statement::Statement;
pub use words::{Display, DisplayRow};
