//! Why approvals say no. Each has a code of its own in `http/problem.rs`.

use std::time::Duration;

use super::fatigue::Why;
use super::machine::Refusal;
use super::policies::Undemanded;
use super::statement::JwsRefused;
use crate::clock::Timestamp;
use crate::identity::dpop::DpopRefusal;
use crate::identity::{Failure, Nobody, WebauthnRefusal};

/// Why approvals said no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The machine refused.
    #[error(transparent)]
    Machine(Refusal),
    /// There is no such approval, or not for this caller.
    #[error("there is no {0}")]
    NotFound(String),
    /// There is no such requester, or chat knows them alone.
    #[error(transparent)]
    RequesterUnknown(Nobody),
    /// The bot may not ask this, for this person, or there.
    #[error("{0}")]
    OutsideLimits(String),
    /// The requester could never approve.
    #[error("{0} has no passkey and could not approve")]
    RequesterHasNoPasskey(String),
    /// There are policies, and none matches, or whether one matches cannot be judged.
    #[error(transparent)]
    Undemanded(#[from] Undemanded),
    /// The policy asks more people than could answer; says who is missing.
    #[error("nobody could approve this: {0}")]
    ApproversUnreachable(String),
    /// Nobody would hear of it, and nothing open covers it.
    #[error("nobody is rung for this before {until}: {}", .why.as_sentence())]
    NobodyRings {
        /// Why the first who could be rung is not.
        why: Why,
        /// Until when.
        until: Timestamp,
        /// How long that is.
        wait: Duration,
    },
    /// Somebody reported what this bot asks.
    #[error("approvals are frozen since {since}, because somebody reported what this bot asked: an administrator lifts that")]
    Frozen {
        /// Since when.
        since: Timestamp,
    },
    /// Not a challenge of this approval and person.
    #[error("the challenge is not one for this approval and person")]
    ChallengeUnknown,
    /// The challenge was answered before, with something else.
    #[error("the challenge was answered before")]
    ChallengeUsed,
    /// Too late.
    #[error("the challenge is over: ask for a new one")]
    ChallengeExpired,
    /// A reason was given to an approve.
    #[error("only a denial takes a reason")]
    ReasonNotTaken,
    /// The signature was refused.
    #[error(transparent)]
    Webauthn(WebauthnRefusal),
    /// The device key's signature was refused.
    #[error(transparent)]
    Jws(JwsRefused),
    /// Signed in another way than the challenge is for.
    #[error("the challenge is for another factor")]
    OtherFactor,
    /// Whoever can read the file of a command line's key could approve with it.
    #[error("a command line's key is a file: approve on a phone")]
    KeyInFile,
    /// A browser cannot know that the phone was unlocked.
    #[error("a browser does not approve with a tap")]
    TapFromBrowser,
    /// A code for an answer that takes none.
    #[error("only an approval with the factor `code` takes a code")]
    CodeNotTaken,
    /// No code, or none that could be one.
    #[error("the code has six digits")]
    CodeMalformed,
    /// Not the code.
    #[error("this is not the code; tries left: {left}")]
    CodeWrong {
        /// How many more this approval bears.
        left: u32,
    },
    /// Three wrong codes were tried on this approval, or a hundred by this person.
    #[error("too many wrong codes: only a passkey can approve this now")]
    CodeExhausted,
    /// This person typed three wrong codes in a row.
    #[error("too many wrong codes: wait, or approve with a passkey")]
    CodeLocked {
        /// Until when.
        until: Timestamp,
    },
    /// Not a grant of ours.
    #[error("this is not a grant of this installation")]
    GrantInvalid,
    /// Another bot's grant.
    #[error("the grant is for another bot")]
    GrantNotYours,
    /// The grant allows something else.
    #[error("the grant is for another action")]
    GrantOtherAction,
    /// Too late.
    #[error("the grant is over")]
    GrantExpired,
    /// It was redeemed before.
    #[error("the grant was redeemed before")]
    GrantRedeemed {
        /// When.
        at: Timestamp,
    },
    /// Who approved, or with what, is not trusted any more.
    #[error("the person, device or passkey that approved is not trusted any more")]
    GrantRevoked,
    /// Today's policy asks for more than was given.
    #[error("the policy has changed: {0}")]
    GrantPolicyChanged(String),
    /// Under the same policy, today's members would not be enough.
    #[error("who may approve has changed: under policy {0} these approvals are not enough today")]
    GrantMembershipChanged(String),
    /// The bot asked for less time than a policy gives to groups that are asked one after the other.
    #[error("policy {0} asks several groups one after the other, and says itself how long each has: leave it out")]
    TimeIsThePolicys(String),
    /// The policy asks for a grant that is bound to a key, and the request names none.
    #[error("policy {0} asks for a grant that is bound to a key: name it")]
    BindingRequired(String),
    /// The grant is bound to a key, and the call came without a proof by it.
    #[error("the grant is bound to a key: send a DPoP proof of this call by that key")]
    ProofRequired,
    /// The proof does not hold, or is of another call or grant.
    #[error(transparent)]
    Proof(#[from] DpopRefusal),
    /// The proof is by another key.
    #[error("the proof is signed by another key than the grant is bound to")]
    ProofOfAnotherKey,
    /// Nothing can have come of it yet.
    #[error("the grant was not redeemed")]
    GrantNotRedeemed,
    /// What became of it was told before.
    #[error("the outcome was reported before")]
    OutcomeReported {
        /// When.
        at: Timestamp,
    },
    /// There is nothing to have a receipt of yet.
    #[error("the request is still waiting for an answer")]
    Undecided,
}

/// What approvals' services return when they do not do as they were asked.
pub type Error = Failure<Refused>;

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Refused::Machine(refusal))
    }
}
