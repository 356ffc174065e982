//! What holds whatever happens and in whatever order; and who rings when, by a slow list that is written from the plan.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// What happens, some seconds after what happened before. People are 0 to 4.
#[derive(Clone, Debug)]
enum Move {
    Take(Whose),
    End(Whose),
    PutOff(Whose, u64),
    Wake(Whose),
    HandOn(Whose, Vec<u128>),
    HandTo(Whose, Vec<u128>),
    Add(Whose, Vec<u128>),
    Merge(Whose),
    Sound(Whose, bool),
    Reopen(Whose),
    Disown(u128),
    Report,
    Unreachable,
    Quiet(u64),
    /// The timer that was set for the earliest instant rings, on time, late, or (a node's clock is ahead) early.
    Timer,
}

#[derive(Clone, Copy, Debug)]
struct Whose {
    by: u128,
    via_bot: bool,
}

/// Any plan that may come out of a request or the database, numbers of zero included.
fn a_plan() -> impl Strategy<Value = Plan> {
    let targets = || prop::collection::vec((0..5u128).prop_map(person), 0..3);
    let step = (targets(), 0..40u32).prop_map(|(targets, escalate_after)| Step { targets, escalate_after });
    let steps = prop::collection::vec(step, 0..4);
    let held = prop::option::of(0..12u32);
    (steps, 0..3u32, targets(), 0..20u32, held).prop_filter_map("nobody to ring", |(steps, repeats, last_resort, ring, held)| {
        Plan::new(steps, repeats, last_resort, Tempo { ring_seconds: ring, acknowledgement_seconds: held }).ok()
    })
}

fn a_move() -> impl Strategy<Value = Move> {
    let whose = || (0..5u128, any::<bool>()).prop_map(|(by, via_bot)| Whose { by, via_bot });
    let some = || prop::collection::vec(0..5u128, 1..3);
    prop_oneof![
        2 => whose().prop_map(Move::Take),
        1 => whose().prop_map(Move::End),
        1 => (whose(), 0..200u64).prop_map(|(whose, seconds)| Move::PutOff(whose, seconds)),
        1 => whose().prop_map(Move::Wake),
        1 => (whose(), prop::collection::vec(0..5u128, 0..3)).prop_map(|(whose, to)| Move::HandOn(whose, to)),
        1 => (whose(), some()).prop_map(|(whose, to)| Move::HandTo(whose, to)),
        1 => (whose(), some()).prop_map(|(whose, to)| Move::Add(whose, to)),
        1 => whose().prop_map(Move::Merge),
        1 => (whose(), any::<bool>()).prop_map(|(whose, loud)| Move::Sound(whose, loud)),
        1 => whose().prop_map(Move::Reopen),
        1 => (0..5u128).prop_map(Move::Disown),
        1 => Just(Move::Report),
        2 => Just(Move::Unreachable),
        1 => (0..100u64).prop_map(Move::Quiet),
        8 => Just(Move::Timer),
    ]
}

/// Waits are whole seconds, as the plans' are, so that "exactly then" happens often.
fn a_history() -> impl Strategy<Value = Vec<(u64, Move)>> {
    prop::collection::vec((0..20u64, a_move()), 0..30)
}

impl Move {
    fn event(&self, now: Timestamp) -> Event {
        let by = |whose: &Whose| act(whose.by, whose.via_bot, now);
        let after = |seconds: u64| now.after(Duration::from_secs(seconds));
        match self {
            Self::Take(whose) => Event::Acknowledged(by(whose)),
            Self::End(whose) => Event::Resolved(by(whose)),
            Self::PutOff(whose, seconds) => Event::Snoozed { act: by(whose), until: after(*seconds) },
            Self::Wake(whose) => Event::Woken(by(whose)),
            Self::HandOn(whose, to) => Event::Escalated { act: by(whose), to: people(to), message: None },
            Self::HandTo(whose, to) => Event::Reassigned(by(whose), people(to)),
            Self::Add(whose, to) => Event::ResponderAdded(by(whose), people(to)),
            Self::Merge(whose) => Event::Merged { act: by(whose), into: other(101) },
            Self::Sound(whose, loud) => Event::UrgencyChanged(by(whose), if *loud { Urgency::High } else { Urgency::Low }),
            Self::Reopen(whose) => Event::Reopened(by(whose)),
            Self::Disown(by) => Event::Disowned { by: user(*by) },
            Self::Report => Event::Retriggered { title: "Worse".into(), details: None },
            Self::Unreachable => Event::NobodyReachable,
            Self::Quiet(seconds) => Event::AllQuiet { until: after(*seconds) },
            Self::Timer => Event::TimerRang,
        }
    }

    /// The person in whose name a bot does it.
    fn in_the_name_of(&self) -> Option<UserId> {
        match self {
            Self::Take(whose)
            | Self::End(whose)
            | Self::PutOff(whose, _)
            | Self::Wake(whose)
            | Self::HandOn(whose, _)
            | Self::HandTo(whose, _)
            | Self::Add(whose, _)
            | Self::Merge(whose)
            | Self::Sound(whose, _)
            | Self::Reopen(whose) => whose.via_bot.then_some(user(whose.by)),
            Self::Disown(_) | Self::Report | Self::Unreachable | Self::Quiet(_) | Self::Timer => None,
        }
    }

    /// Done twice it is done once. Handing on to the next step goes a step further each time, a report counts, and whoever holds back
    /// what is held can be asked to look as often as one likes.
    fn is_done_once(&self, before: State) -> bool {
        match self {
            Self::HandOn(_, to) => !to.is_empty(),
            Self::Add(..) => matches!(before, State::Triggered { rung_at: Some(_), .. }),
            Self::Report | Self::Unreachable | Self::Timer | Self::Quiet(_) => false,
            _ => true,
        }
    }
}

/// One move of a history, as it went.
struct Went {
    now: Timestamp,
    step: Move,
    before: Incident,
    after: Incident,
    reply: Result<Vec<Effect>, Refusal>,
    /// The timers that were set and have not rung, after this move.
    timers: Vec<Timestamp>,
}

impl Went {
    fn effects(&self) -> &[Effect] {
        self.reply.as_deref().unwrap_or_default()
    }
}

fn wakes(effects: &[Effect]) -> impl Iterator<Item = Timestamp> {
    effects.iter().filter_map(|effect| if let Effect::WakeAt(at) = effect { Some(*at) } else { None })
}

fn rings(effects: &[Effect]) -> impl Iterator<Item = (u32, &Vec<Target>)> {
    effects
        .iter()
        .filter_map(|effect| if let Effect::Ring { targets, ring, .. } = effect { Some((*ring, targets)) } else { None })
}

fn timer_of(state: State) -> Option<Timestamp> {
    match state {
        State::Triggered { timer_at, .. } => Some(timer_at),
        State::Acknowledged { timer_at, .. } => timer_at,
        State::Resolved { .. } => None,
    }
}

/// Lives through a history that begins at second 0 with the opening. What is refused changes nothing: the caller keeps what it had.
fn live(plan: &Plan, history: Vec<(u64, Move)>) -> (Vec<Effect>, Vec<Went>) {
    let (mut now, mut went) = (at(0), Vec::new());
    let (state, opening) = Incident::triggered(plan, now);
    let mut here = incident(plan.clone(), state);
    let mut timers: Vec<_> = wakes(&opening).collect();
    for (seconds, step) in history {
        now = now.after(Duration::from_secs(seconds));
        timers.sort();
        if matches!(step, Move::Timer) && !timers.is_empty() {
            timers.remove(0);
        }
        let before = here.clone();
        let reply = here.clone().step(step.event(now), now).map(|(next, effects)| {
            here = next;
            effects
        });
        timers.extend(wakes(reply.as_deref().unwrap_or_default()));
        went.push(Went { now, step, before, after: here.clone(), reply, timers: timers.clone() });
    }
    (opening, went)
}

/// Everybody a plan names anywhere.
fn everybody(plan: &Plan) -> BTreeSet<Target> {
    plan.steps().iter().flat_map(|step| &step.targets).chain(plan.last_resort()).copied().collect()
}

/// When which place rings while nobody does anything, for the first `count` rings: every step of every pass for as long as it lasts,
/// and then the last resort for ever.
fn by_the_plan(plan: &Plan, count: usize) -> Vec<(Timestamp, BTreeSet<Target>)> {
    let (mut begins, mut list) = (at(0), Vec::new());
    for _ in 0..=plan.repeats() {
        for step in plan.steps() {
            let ends = begins.after(Duration::from_secs(step.escalate_after.into()));
            let mut now = begins;
            while now < ends {
                list.push((now, step.targets.iter().copied().collect()));
                now = now.after(plan.ring_every());
            }
            begins = ends;
        }
    }
    while list.len() < count {
        list.push((begins, everybody(plan)));
        begins = begins.after(plan.ring_every());
    }
    list.truncate(count);
    list
}

/// Rings the timer as often as that, each time when it is due; whom it rang, and when.
fn left_alone(mut here: Incident, count: usize) -> Vec<(Timestamp, BTreeSet<Target>)> {
    let mut rang = Vec::new();
    for _ in 0..count {
        let now = timer_of(here.state).expect("it rings");
        let (next, effects) = here.step(Event::TimerRang, now).expect("timers are not refused");
        rang.extend(rings(&effects).map(|(_, targets)| (now, targets.iter().copied().collect())));
        here = next;
    }
    rang
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn nobody_does_anything_and_it_rings_as_the_list_says(plan in a_plan(), count in 1..60usize) {
        let (state, opening) = Incident::triggered(&plan, at(0));
        let mut rang: Vec<_> = rings(&opening).map(|(_, targets)| (at(0), targets.iter().copied().collect())).collect();
        rang.extend(left_alone(incident(plan.clone(), state), count - 1));
        prop_assert_eq!(rang, by_the_plan(&plan, count));
    }

    #[test]
    fn whatever_is_open_has_a_timer_that_was_set_and_has_not_rung(plan in a_plan(), history in a_history()) {
        for went in live(&plan, history).1 {
            let Some(timer_at) = timer_of(went.after.state) else {
                let rings = matches!(went.after.state, State::Triggered { .. });
                prop_assert!(!rings, "it rings without a timer");
                continue;
            };
            prop_assert!(went.timers.contains(&timer_at), "after {:?} nothing rings at {}", went.step, timer_at);
            if timer_of(went.before.state) != Some(timer_at) {
                prop_assert!(timer_at > went.now, "{:?} at {} set the timer for {}", went.step, went.now, timer_at);
                prop_assert_eq!(wakes(went.effects()).collect::<Vec<_>>(), [timer_at]);
            }
        }
    }

    #[test]
    fn every_history_ends_ringing_held_or_over(plan in a_plan(), history in a_history()) {
        let Some(last) = live(&plan, history).1.pop() else { return Ok(()) };
        match last.after.state {
            State::Triggered { .. } => {
                let walk = by_the_plan(&last.after.plan, 1).len() + 2 + last.after.plan.steps().iter().map(|step| {
                    (step.escalate_after as usize) / usize::try_from(last.after.plan.ring_every().as_secs()).expect("small") + 1
                }).sum::<usize>() * (last.after.plan.repeats() as usize + 1);
                let rung: BTreeSet<_> = left_alone(last.after.clone(), walk).into_iter().flat_map(|(_, targets)| targets).collect();
                prop_assert_eq!(rung, everybody(&last.after.plan), "somebody is never tried");
            }
            State::Acknowledged { timer_at: Some(timer_at), .. } => {
                let (next, effects) = last.after.step(Event::TimerRang, timer_at).expect("timers are not refused");
                let rings_again = matches!(next.state, State::Triggered { place: Place { pass: 0, step: 0 }, .. });
                prop_assert!(rings_again && rings(&effects).count() == 1, "{:?}", next.state);
            }
            State::Acknowledged { timer_at: None, snoozed, .. } => {
                prop_assert!(!snoozed && last.after.plan.acknowledgement_lasts().is_none());
            }
            State::Resolved { .. } => {}
        }
    }

    #[test]
    fn what_nobody_did_is_never_refused(plan in a_plan(), history in a_history()) {
        for went in live(&plan, history).1 {
            if matches!(went.step, Move::Timer | Move::Unreachable | Move::Quiet(_)) {
                prop_assert!(went.reply.is_ok(), "{:?} was refused: {:?}", went.step, went.reply);
            }
        }
    }

    #[test]
    fn a_timer_that_rings_early_or_twice_changes_nothing(plan in a_plan(), history in a_history(), early in 1..10_000_000u64) {
        for went in live(&plan, history).1 {
            let (timer_at, here) = (timer_of(went.after.state), went.after);
            let again = |state| timer_of(state).map(Effect::WakeAt).into_iter().collect::<Vec<_>>();
            let now = timer_at.map_or(went.now, |timer_at| timer_at.before(Duration::from_micros(early)));
            prop_assert_eq!(here.clone().step(Event::TimerRang, now), Ok((here.clone(), again(here.state))), "early");

            let now = timer_at.unwrap_or(went.now).max(went.now);
            let (once, _) = here.step(Event::TimerRang, now).expect("timers are not refused");
            prop_assert_eq!(once.clone().step(Event::TimerRang, now), Ok((once.clone(), again(once.state))), "twice");
        }
    }

    /// Each round rings its people once. Whoever is asked to look as well while it rings joins the round that rings.
    #[test]
    fn no_round_rings_anybody_twice_and_rounds_only_go_up(plan in a_plan(), history in a_history()) {
        let (opening, went) = live(&plan, history);
        let mut rung: BTreeSet<(u32, Target)> = BTreeSet::new();
        let mut last = 0;
        let joined = |went: &Went| matches!((&went.step, went.before.state), (Move::Add(..), State::Triggered { .. }));
        let all = std::iter::once((&opening[..], false)).chain(went.iter().map(|went| (went.effects(), joined(went))));
        for (effects, joins) in all {
            for (ring, targets) in rings(effects) {
                prop_assert!(if joins { ring == last } else { ring == last + 1 }, "{} after {}", ring, last);
                last = ring;
                for target in targets {
                    prop_assert!(rung.insert((ring, *target)) || joins, "{} twice in round {}", target, ring);
                }
            }
        }
    }

    #[test]
    fn doing_what_is_done_has_no_effect(plan in a_plan(), history in a_history()) {
        for went in live(&plan, history).1 {
            if went.reply.is_ok() && went.step.is_done_once(went.before.state) {
                let again = went.after.clone().step(went.step.event(went.now), went.now);
                if let Ok(again) = again {
                    prop_assert_eq!(again, (went.after, Vec::new()), "{:?} again", went.step);
                }
            }
        }
    }

    #[test]
    fn whoever_was_named_is_never_lost(plan in a_plan(), history in a_history()) {
        for went in live(&plan, history).1 {
            let (before, after) = (everybody(&went.before.plan), everybody(&went.after.plan));
            prop_assert!(before.is_subset(&after), "{:?} lost somebody", went.step);
            if let (Move::HandOn(_, to) | Move::HandTo(_, to) | Move::Add(_, to), Ok(_)) = (&went.step, &went.reply) {
                let held_by = went.before.state.act().and_then(Act::person).map(Target::User);
                for target in people(to) {
                    prop_assert!(after.contains(&target) || held_by == Some(target), "{:?} forgot {}", went.step, target);
                }
            }
        }
    }

    #[test]
    fn what_is_over_never_rings_unless_it_is_opened_again(plan in a_plan(), history in a_history()) {
        for went in live(&plan, history).1 {
            let State::Resolved { act, merged_into, .. } = went.before.state else { continue };
            let opened = match went.step {
                Move::Disown(by) => act.through_bot().is_some_and(|(user, _)| user == super::user(by)),
                Move::Reopen(_) | Move::Report => merged_into.is_none(),
                _ => false,
            };
            prop_assert_eq!(went.after.state != went.before.state, opened, "{:?}", went.step);
            prop_assert!(opened || went.effects().is_empty(), "{:?}", went.reply);
        }
    }

    #[test]
    fn a_person_is_told_exactly_when_a_bot_changed_something_in_their_name(plan in a_plan(), history in a_history()) {
        for went in live(&plan, history).1 {
            let told: Vec<_> = went.effects().iter().filter(|effect| matches!(effect, Effect::TellActor { .. })).collect();
            match went.step.in_the_name_of() {
                Some(user) if went.after != went.before || rings(went.effects()).next().is_some() => prop_assert_eq!(told, [&Effect::TellActor { user, via: bot() }]),
                _ => prop_assert!(told.is_empty(), "{:?}: {:?}", went.step, told),
            }
        }
    }

    /// Nobody of some people can be reached, and the edge says so: whoever can be is rung in the same instant.
    #[test]
    fn silence_is_impossible(plan in a_plan(), reachable in prop::collection::btree_set((0..5u128).prop_map(person), 0..5)) {
        let all = everybody(&plan);
        let (state, effects) = Incident::triggered(&plan, at(0));
        let mut here = incident(plan.clone(), state);
        let heard = |effects: &[Effect]| rings(effects).any(|(_, targets)| targets.iter().any(|target| reachable.contains(target)));
        let mut reached = heard(&effects);
        for _ in 0..=plan.steps().len() {
            if reached {
                break;
            }
            let (next, effects) = here.step(Event::NobodyReachable, at(0)).expect("never refused");
            reached = heard(&effects);
            here = next;
        }
        prop_assert_eq!(reached, !all.is_disjoint(&reachable));
    }
}
