//! Whether limits let a bot ask for more than others did.
//!
//! They do unless it is certain that they do not. Patterns are compared as they are written, but for two things that can be seen: `*` takes
//! everything, and a text without `*` and `?` is taken by a pattern or is not. People are compared as they are named: whoever is named is not
//! taken for a member of a team, which may change.

use super::{Actions, Limits, any};
use crate::approvals::policy::{Glob, Room};

/// What a bot could ask that it may not ask now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::approvals) enum Widening {
    /// Other actions.
    #[error("ask for actions that it may not ask for now")]
    Actions,
    /// For other people.
    #[error("ask for people for whom it may not ask now")]
    People,
    /// In other rooms, or outside of chat.
    #[error("ask in rooms where it may not ask now")]
    Rooms,
}

/// What `after` lets be asked that `before` did not; nothing when it certainly is nothing. Both name people in the same way.
pub(in crate::approvals) fn widening(before: &Limits, after: &Limits) -> Option<Widening> {
    // Actions that are not named are all there are. Rooms that are not named are all there are, and none.
    let every = [Actions { r#type: any(), target: any() }];
    let (actions_before, actions_after) =
        (before.actions.as_deref().unwrap_or(&every), after.actions.as_deref().unwrap_or(&every));
    if !covered(actions_before, actions_after, Actions::covers) {
        return Some(Widening::Actions);
    }
    let same_rooms = match (&before.rooms, &after.rooms) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(before), Some(after)) => covered(before, after, Room::covers),
    };
    if !same_rooms {
        return Some(Widening::Rooms);
    }
    let named = |limits: &Limits| {
        let users = limits.users.iter().flatten().map(ToString::to_string);
        let teams = limits.teams.iter().flatten().map(|team| format!("team:{team}"));
        users.chain(teams).collect::<Vec<_>>()
    };
    let (people_before, people_after) = (named(before), named(after));
    let same_people =
        before.take_anybody() || !after.take_anybody() && people_after.iter().all(|one| people_before.contains(one));
    (!same_people).then_some(Widening::People)
}

/// Whether each of `after` is certainly taken by one of `before`.
fn covered<T>(before: &[T], after: &[T], covers: impl Fn(&T, &T) -> bool) -> bool {
    after.iter().all(|one| before.iter().any(|wider| covers(wider, one)))
}

impl Actions {
    fn covers(&self, other: &Self) -> bool {
        covers(&self.r#type, &other.r#type) && covers(&self.target, &other.target)
    }
}

impl Room {
    fn covers(&self, other: &Self) -> bool {
        covers(&self.platform, &other.platform) && covers(&self.workspace, &other.workspace) && covers(&self.room, &other.room)
    }
}

fn covers(pattern: &str, other: &str) -> bool {
    // What is no pattern takes nothing: it was checked when it was kept.
    match (Glob::parse(pattern), Glob::parse(other)) {
        (Ok(pattern), Ok(other)) => pattern.covers(&other),
        _ => false,
    }
}
