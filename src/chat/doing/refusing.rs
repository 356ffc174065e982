//! Why something is not done, and what to do about it.

use super::words::{refused, when};
use super::{Error, Speaker};
use crate::chat::Reply;
use crate::clock::Timestamp;
use crate::identity::{self, CallRefusal, Failure, Nobody};
use crate::paging::{Refusal, Refused, SetupError, SetupRefused, schedules};
use crate::{approvals, chat};

/// Nobody is meant by a name.
pub(super) fn nobody(nobody: &Nobody) -> Reply {
    match nobody {
        Nobody::Unknown(user) => refused(format!("I know no {user}. Handles are those of PhoneOps, with an @ before them.")),
        Nobody::Unlinked(_) => refused(
            "I do not know who that is in PhoneOps: they say `link me` to me once. Until then name them by their @handle.",
        ),
    }
}

/// The bot may not, or its person may not.
pub(super) fn call(refusal: CallRefusal) -> Result<Reply, Error> {
    Ok(match refusal {
        CallRefusal::Unauthenticated | CallRefusal::ProofReplayed => return Err(chat::Error::Call(refusal)),
        CallRefusal::Forbidden("the bot's token lacks the scope for this") => {
            refused("I am not allowed to do that. An administrator has to make me a bot with the scope for it.")
        }
        CallRefusal::Forbidden(why) => refused(format!("Not done: {why}.")),
        CallRefusal::DeviceTooNew { until } => refused(format!("Not done: that device may do this from {until} on.")),
        CallRefusal::KeyReused => refused("I have seen this message with other words before. Say it again in a new message."),
    })
}

/// What paging refused.
pub(super) fn paging(speaker: &Speaker, failure: Failure<Refused>) -> Result<Reply, Error> {
    let refusal = match failure {
        Failure::Db(error) => return Err(error.into()),
        Failure::Call(refusal) => return call(refusal),
        Failure::Refused(refusal) => refusal,
    };
    Ok(match refusal {
        Refused::NotFound(reference) => {
            refused(format!("There is no incident {reference}. Say `incidents` for those that are open."))
        }
        Refused::PersonUnknown { nobody: who, .. } => nobody(&who),
        Refused::NoSuch { to, .. } => refused(format!("There is no {to}.")),
        Refused::SecondService { .. } => {
            refused("A page is about one service: name one, and people, teams or schedules beside it.")
        }
        Refused::NotAService { .. } => refused("Name people, teams or schedules: an incident is not handed to a service."),
        Refused::NobodyNamed => refused("Nobody to page: say whom, as in `page @yannick All your apps are down`."),
        Refused::NotAResponder(reference) => refused(format!(
            "{reference} is not for you to act on: it rings for neither you nor your team, and you did not open it. Ask somebody it \
             rings for (`incident {reference}` says who), or an administrator."
        )),
        Refused::IntoResolved(reference) => {
            refused(format!("{reference} is resolved already: merge into an incident that is open."))
        }
        Refused::Machine(refusal) => machine(&refusal, speaker.now),
        Refused::NobodysOwn | Refused::ActorMissing | Refused::UserUnknown(_) | Refused::Rules(_) | Refused::ActorNotTaken => {
            refused(format!("Not done: {refusal}."))
        }
    })
}

fn machine(refusal: &Refusal, now: Timestamp) -> Reply {
    match refusal {
        Refusal::Resolved(act) => {
            refused(format!("Too late: it was resolved {} already. Page again if it is not over.", when(act.at, now)))
        }
        Refusal::Merged(_) => refused("It was merged into another incident: act on that one."),
        Refusal::TooOld(_) => refused("It was resolved too long ago to be opened again: page again."),
        Refusal::NotASnooze => refused("An incident is snoozed for 1 minute to 7 days, as in `snooze P7K3M2X 2h`."),
        Refusal::Itself => refused("An incident cannot be merged into itself."),
        Refusal::NotYours | Refusal::NotSnoozed => refused(format!("Not done: {refusal}.")),
    }
}

/// What setting something up was refused for.
pub(super) fn setup(failure: SetupError) -> Result<Reply, Error> {
    match failure {
        Failure::Db(error) => Err(error.into()),
        Failure::Call(refusal) => call(refusal),
        Failure::Refused(SetupRefused::PersonUnknown { nobody: who, .. }) => Ok(nobody(&who)),
        Failure::Refused(SetupRefused::Field { field, why }) if why.starts_with("must") => {
            Ok(refused(format!("Not done: `{field}` {why}.")))
        }
        Failure::Refused(refusal) => Ok(refused(format!("Not done: {refusal}."))),
    }
}

/// What schedules refused.
pub(super) fn schedules(failure: schedules::Error) -> Result<Reply, Error> {
    match failure {
        Failure::Db(error) => Err(error.into()),
        Failure::Call(refusal) => call(refusal),
        Failure::Refused(schedules::Refused::NotFound(what)) => {
            Ok(refused(format!("There is no {what}. Say `who's on call` for the schedules there are.")))
        }
        Failure::Refused(schedules::Refused::Invalid { field, why }) => Ok(refused(format!("Not done: `{field}` {why}."))),
        Failure::Refused(refusal) => Ok(refused(format!("Not done: {refusal}."))),
    }
}

/// What identity refused.
pub(super) fn identity(failure: identity::Error) -> Result<Reply, Error> {
    match failure {
        Failure::Db(error) => Err(error.into()),
        Failure::Call(refusal) => call(refusal),
        Failure::Refused(refusal) => Ok(refused(format!("Not done: {refusal}."))),
    }
}

/// What approvals refused.
pub(super) fn approvals(speaker: &Speaker, failure: approvals::Error) -> Result<Reply, Error> {
    use approvals::Refused as R;
    let refusal = match failure {
        Failure::Db(error) => return Err(error.into()),
        Failure::Call(refusal) => return call(refusal),
        Failure::Refused(refusal) => refusal,
    };
    let now = speaker.now;
    Ok(match refusal {
        R::NotFound(what) => refused(format!("There is no {what} that was asked through me.")),
        R::RequesterUnknown(who) => nobody(&who),
        R::RequesterHasNoPasskey(_) => refused(format!(
            "You have no passkey yet, so you could not approve this. Open {} on your phone and add one, then ask again.",
            speaker.issuer
        )),
        R::OutsideLimits(why) => refused(format!("Not asked: {why}. An administrator sets what I may ask.")),
        R::Undemanded(why) => refused(format!("Not asked: {why}. An administrator writes the policy for it.")),
        R::ApproversUnreachable(why) => refused(format!("Not asked: nobody could approve this now: {why}.")),
        R::NobodyRings { why, until, .. } => refused(format!(
            "Not asked: no phone rings for this before {}, because {}. Ask again then.",
            when(until, now).trim_start_matches("at "),
            why.as_sentence()
        )),
        R::Frozen { since } => refused(format!(
            "Not asked: approvals through me are frozen since {since}, because somebody reported what was asked. An administrator lifts that."
        )),
        R::BindingRequired(policy) => refused(format!(
            "Not asked: policy {policy} wants the grant bound to the key of the program that acts, so ask from there (`phoneops exec`)."
        )),
        R::Machine(approvals::Refusal::Decided(decision)) => {
            refused(format!("Too late: it was decided {} already.", when(decision.at, now)))
        }
        R::Machine(approvals::Refusal::Expired) => refused("Too late: it is expired already."),
        R::Machine(approvals::Refusal::Cancelled) => refused("It was cancelled already."),
        R::Machine(approvals::Refusal::Opened { at }) => {
            refused(format!("Too late: the operator opened it by break-glass {}.", when(at, now)))
        }
        other => refused(format!("Not done: {other}.")),
    })
}
