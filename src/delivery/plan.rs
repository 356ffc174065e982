//! The plan: which ways to a person are tried, and which next. Pure: a function of what can be reached, what was tried, and the time.
//!
//! ```text
//!   step 0: every device ───────────────► somebody said received ──► nothing more
//!      │      (e-mail, where there is none)
//!      │ nobody said so in time, or nothing of it is left
//!      ▼
//!   step 1: louder, on every way that did not fail ──► received ──► nothing more
//!      │
//!      │ nothing of it is left, nor any way that was not tried
//!      ▼
//!   unreachable: whoever asked hears of it
//! ```
//!
//! **Invariants**
//! - What said received is never tried again, and neither is what failed for good, unless it was registered since.
//! - While a way is still being tried it is made louder, not tried twice.
//! - A person is unreachable only when every way to them has failed, is down or is gone.

use std::time::Duration;

use super::Channel;
use crate::clock::Timestamp;
use crate::id::DeviceId;

/// A way to a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// None for e-mail.
    pub(super) device: Option<DeviceId>,
    /// By which carrier.
    pub(super) channel: Channel,
    /// Since when it is there.
    pub(super) since: Timestamp,
}

/// What became of an attempt so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// No carrier was asked yet.
    New,
    /// Tried in vain since then, and tried again.
    Trying(Timestamp),
    /// Put off: its route is down.
    Down,
    /// Handed over then.
    Accepted(Timestamp),
    /// The phone said that it came.
    Received,
    /// Over for good since then.
    Failed(Timestamp),
    /// Not sent any more.
    Withdrawn,
}

/// An attempt, as far as the plan looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tried {
    pub(super) device: Option<DeviceId>,
    pub(super) channel: Channel,
    /// Which registration was tried last; none by e-mail, and where nothing was.
    pub(super) registered_at: Option<Timestamp>,
    /// 0 as planned, 1 once it had to be louder.
    pub(super) step: u32,
    pub(super) stage: Stage,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing.
    Nothing,
    /// Look again then.
    Wait(Timestamp),
    /// Make louder what is being tried, and try these.
    Louder(Vec<Way>),
    /// Nothing is left: tell whoever asked.
    Unreachable,
}

/// The ways to begin with: every device; where there is none, what is left.
pub(super) fn first(ways: &[Way]) -> Vec<Way> {
    let devices: Vec<_> = ways.iter().filter(|way| way.device.is_some()).copied().collect();
    if devices.is_empty() { ways.to_vec() } else { devices }
}

/// What comes next for a notification that rings. `patience` is how long a phone has to say that it came.
pub(super) fn next(ways: &[Way], tried: &[Tried], patience: Duration, now: Timestamp) -> Next {
    if tried.iter().any(|tried| tried.stage == Stage::Received) {
        return Next::Nothing;
    }
    let alive: Vec<_> = tried.iter().filter(|one| !is_hopeless(one.stage) && !is_closed(one, ways, tried)).collect();
    if alive.is_empty() {
        let left: Vec<_> = ways.iter().filter(|way| !was_in_vain(**way, tried)).copied().collect();
        return if left.is_empty() { Next::Unreachable } else { Next::Louder(left) };
    }
    if tried.iter().any(|tried| tried.step > 0) {
        return Next::Nothing;
    }
    match alive.iter().filter_map(|tried| under_way_since(tried.stage)).min() {
        None => Next::Wait(now.after(patience)),
        Some(since) if now < since.after(patience) => Next::Wait(since.after(patience)),
        Some(_) => {
            Next::Louder(ways.iter().filter(|way| !was_in_vain(**way, tried) && !is_under_way(**way, tried)).copied().collect())
        }
    }
}

fn is_hopeless(stage: Stage) -> bool {
    match stage {
        Stage::Failed(_) | Stage::Down | Stage::Withdrawn => true,
        Stage::New | Stage::Trying(_) | Stage::Accepted(_) | Stage::Received => false,
    }
}

/// Whether what was handed over will not be heard of any more: its way is gone, or a later attempt found it dead.
fn is_closed(one: &Tried, ways: &[Way], tried: &[Tried]) -> bool {
    let way = || ways.iter().find(|way| way.device == one.device && way.channel == one.channel);
    matches!(one.stage, Stage::Accepted(_)) && way().is_none_or(|way| was_in_vain(*way, tried))
}

fn under_way_since(stage: Stage) -> Option<Timestamp> {
    match stage {
        Stage::Trying(at) | Stage::Accepted(at) => Some(at),
        Stage::New | Stage::Down | Stage::Received | Stage::Failed(_) | Stage::Withdrawn => None,
    }
}

fn of(way: Way, tried: &[Tried]) -> impl Iterator<Item = &Tried> {
    tried.iter().filter(move |tried| tried.device == way.device && tried.channel == way.channel)
}

/// Failed since it is there, or waits for its route. What a provider says of one registration is no word on the next.
fn was_in_vain(way: Way, tried: &[Tried]) -> bool {
    of(way, tried).any(|tried| match tried.stage {
        Stage::Failed(at) => tried.registered_at.map_or(at >= way.since, |tried| tried == way.since),
        Stage::Down => tried.registered_at.is_none_or(|tried| tried == way.since),
        Stage::New | Stage::Trying(_) | Stage::Accepted(_) | Stage::Received | Stage::Withdrawn => false,
    })
}

/// Whether its carrier has still to be asked: making that louder is enough.
fn is_under_way(way: Way, tried: &[Tried]) -> bool {
    of(way, tried).any(|tried| matches!(tried.stage, Stage::New | Stage::Trying(_)))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(15);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn phone(n: u128) -> Way {
        Way { device: Some(DeviceId(Uuid::from_u128(n))), channel: Channel::WebPush, since: at(0) }
    }

    fn mail() -> Way {
        Way { device: None, channel: Channel::Mail, since: at(0) }
    }

    fn tried(way: Way, step: u32, stage: Stage) -> Tried {
        let registered_at = way.device.map(|_| way.since);
        Tried { device: way.device, channel: way.channel, registered_at, step, stage }
    }

    #[test]
    fn every_device_is_rung_first_and_mail_where_there_is_none() {
        assert_eq!(first(&[phone(1), phone(2), mail()]), [phone(1), phone(2)]);
        assert_eq!(first(&[mail()]), [mail()]);
        assert_eq!(first(&[]), []);
    }

    /// Every stage of one phone, alone and beside a second phone that is alive or dead, before and after the time is over.
    #[test]
    fn each_stage_leads_on_as_the_table_says() {
        use Next::{Louder, Nothing, Unreachable, Wait};
        use Stage::{Accepted, Down, Failed, New, Received, Trying, Withdrawn};
        let (one, two) = (phone(1), phone(2));
        let rows: Vec<(&str, Vec<Tried>, i64, Next)> = vec![
            ("nothing was asked yet", vec![tried(one, 0, New), tried(two, 0, New)], 100, Wait(at(115))),
            ("handed over", vec![tried(one, 0, Accepted(at(100)))], 101, Wait(at(115))),
            (
                "the first that was handed over counts",
                vec![tried(one, 0, Accepted(at(100))), tried(two, 0, Trying(at(90)))],
                101,
                Wait(at(105)),
            ),
            ("received", vec![tried(one, 0, Received), tried(two, 0, Accepted(at(0)))], 200, Nothing),
            (
                "not received in time",
                vec![tried(one, 0, Accepted(at(100))), tried(two, 0, Accepted(at(101)))],
                115,
                Louder(vec![one, two, mail()]),
            ),
            (
                "what is being tried is only made louder",
                vec![tried(one, 0, Accepted(at(100))), tried(two, 0, Trying(at(100)))],
                115,
                Louder(vec![one, mail()]),
            ),
            (
                "one dead, one silent",
                vec![tried(one, 0, Failed(at(100))), tried(two, 0, Accepted(at(100)))],
                115,
                Louder(vec![two, mail()]),
            ),
            (
                "one dead, one has time",
                vec![tried(one, 0, Failed(at(100))), tried(two, 0, Accepted(at(100)))],
                114,
                Wait(at(115)),
            ),
            (
                "all dead: at once",
                vec![tried(one, 0, Failed(at(100))), tried(two, 0, Failed(at(100)))],
                100,
                Louder(vec![mail()]),
            ),
            ("all down: at once", vec![tried(one, 0, Down), tried(two, 0, Down)], 100, Louder(vec![mail()])),
            (
                "dead, then mail is handed over",
                vec![tried(one, 0, Failed(at(9))), tried(two, 0, Down), tried(mail(), 1, Accepted(at(9)))],
                99,
                Nothing,
            ),
            (
                "dead, and mail too",
                vec![tried(one, 0, Failed(at(9))), tried(two, 0, Down), tried(mail(), 1, Failed(at(9)))],
                9,
                Unreachable,
            ),
            (
                "handed over, and found dead when it was to be louder",
                vec![
                    tried(one, 0, Accepted(at(9))),
                    tried(one, 1, Failed(at(24))),
                    tried(two, 0, Failed(at(9))),
                    tried(mail(), 1, Failed(at(24))),
                ],
                24,
                Unreachable,
            ),
            ("louder once, and not again", vec![tried(one, 0, Accepted(at(0))), tried(one, 1, Accepted(at(15)))], 900, Nothing),
            (
                "withdrawn counts for nothing",
                vec![tried(one, 0, Withdrawn), tried(two, 0, Failed(at(9))), tried(mail(), 0, Failed(at(9)))],
                9,
                Louder(vec![one]),
            ),
        ];
        for (what, tried, now, expected) in rows {
            assert_eq!(next(&[one, two, mail()], &tried, PATIENCE, at(now)), expected, "{what}");
        }
    }

    #[test]
    fn what_was_handed_over_to_a_phone_that_is_gone_is_not_waited_for() {
        let gone = [tried(phone(1), 0, Stage::Accepted(at(100)))];
        assert_eq!(next(&[], &gone, PATIENCE, at(101)), Next::Unreachable);
        assert_eq!(next(&[mail()], &gone, PATIENCE, at(101)), Next::Louder(vec![mail()]));
        // While its carrier is still being asked it is.
        let asked = [tried(phone(1), 0, Stage::Trying(at(100)))];
        assert_eq!(next(&[], &asked, PATIENCE, at(101)), Next::Wait(at(115)));
    }

    #[test]
    fn what_was_registered_after_it_failed_is_tried_again() {
        let dead = [tried(phone(1), 0, Stage::Failed(at(100)))];
        assert_eq!(next(&[phone(1)], &dead, PATIENCE, at(101)), Next::Unreachable);
        let anew = Way { since: at(101), ..phone(1) };
        assert_eq!(next(&[anew], &dead, PATIENCE, at(101)), Next::Louder(vec![anew]));
    }

    #[test]
    fn what_is_said_of_one_registration_judges_no_other() {
        let anew = Way { since: at(101), ..phone(1) };
        for stage in [Stage::Failed(at(102)), Stage::Down] {
            let late = [tried(phone(1), 0, stage)];
            assert_eq!(next(&[anew], &late, PATIENCE, at(102)), Next::Louder(vec![anew]), "{stage:?}, when it was there already");
            assert_eq!(next(&[phone(1)], &late, PATIENCE, at(102)), Next::Unreachable, "{stage:?}");
        }
        // What failed before anything was tried is judged by its time.
        let untried = [Tried { registered_at: None, ..tried(phone(1), 0, Stage::Failed(at(100))) }];
        assert_eq!(next(&[anew], &untried, PATIENCE, at(102)), Next::Louder(vec![anew]));
        assert_eq!(next(&[phone(1)], &untried, PATIENCE, at(102)), Next::Unreachable);
    }

    #[test]
    fn nobody_who_can_be_reached_by_nothing_waits() {
        assert_eq!(next(&[], &[], PATIENCE, at(0)), Next::Unreachable);
        assert_eq!(next(&[mail()], &[], PATIENCE, at(0)), Next::Louder(vec![mail()]));
    }
}
