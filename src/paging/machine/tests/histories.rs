//! What holds whatever happens and in whatever order, against a model that counts rings instead of steps.

use proptest::prelude::*;

use super::*;

/// What happens, some seconds after what happened before.
#[derive(Clone, Copy, Debug)]
enum Move {
    Take {
        by: u128,
        via_bot: bool,
    },
    End {
        by: u128,
        via_bot: bool,
    },
    Disown {
        by: u128,
    },
    NobodyReachable,
    /// The timer that was set for the earliest instant rings, on time, late, or (a node's clock is ahead) early.
    Timer,
}

/// Any plan that may come out of a request or the database, raw numbers of zero included.
fn a_plan() -> impl Strategy<Value = Plan> {
    let steps = prop::collection::vec(prop::collection::vec((0..5u128).prop_map(user), 0..3), 0..4);
    (steps, 0..4u32, 0..4u32, 0..12u32)
        .prop_filter_map("nobody to ring", |(steps, rings, seconds, held)| Plan::new(&steps, rings, seconds, held).ok())
}

fn a_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        2 => (0..5u128, any::<bool>()).prop_map(|(by, via_bot)| Move::Take { by, via_bot }),
        1 => (0..5u128, any::<bool>()).prop_map(|(by, via_bot)| Move::End { by, via_bot }),
        2 => (0..5u128).prop_map(|by| Move::Disown { by }),
        2 => Just(Move::NobodyReachable),
        6 => Just(Move::Timer),
    ]
}

/// Waits are whole seconds, as the plans' are, so that "exactly then" happens often.
fn a_history() -> impl Strategy<Value = Vec<(u64, Move)>> {
    prop::collection::vec((0..4u64, a_move()), 0..40)
}

/// One move of a history, as it went.
struct Went {
    now: Timestamp,
    step: Move,
    before: State,
    after: State,
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

fn rings(effects: &[Effect]) -> impl Iterator<Item = (u32, &Vec<UserId>)> {
    effects.iter().filter_map(|effect| if let Effect::Ring { users, ring } = effect { Some((*ring, users)) } else { None })
}

fn timer_of(state: State) -> Option<Timestamp> {
    match state {
        State::Triggered { timer_at, .. } | State::Acknowledged { timer_at, .. } => Some(timer_at),
        State::Resolved { .. } => None,
    }
}

fn event_of(step: Move, now: Timestamp) -> Event {
    match step {
        Move::Take { by, via_bot } => Event::Acknowledged(act(by, via_bot, now)),
        Move::End { by, via_bot } => Event::Resolved(act(by, via_bot, now)),
        Move::Disown { by } => Event::Disowned { by: user(by) },
        Move::NobodyReachable => Event::NobodyReachable,
        Move::Timer => Event::TimerRang,
    }
}

/// Lives through a history that begins at second 0 with `opening`. What is refused changes nothing: the caller keeps what it had.
fn live(plan: &Plan, history: &[(u64, Move)]) -> (Vec<Effect>, Vec<Went>) {
    let (mut now, mut went) = (at(0), Vec::new());
    let (state, opening) = Incident::triggered(plan, now);
    let mut incident = incident(plan.clone(), state);
    let mut timers: Vec<_> = wakes(&opening).collect();
    for &(seconds, step) in history {
        now = now.after(Duration::from_secs(seconds));
        timers.sort();
        if matches!(step, Move::Timer) && !timers.is_empty() {
            timers.remove(0);
        }
        let before = incident.state;
        let reply = incident.clone().step(event_of(step, now), now).map(|(next, effects)| {
            incident = next;
            effects
        });
        timers.extend(wakes(reply.as_deref().unwrap_or_default()));
        went.push(Went { now, step, before, after: incident.state, reply, timers: timers.clone() });
    }
    (opening, went)
}

/// The model: how often it has rung since it last began to, or who has it, or who ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Model {
    Ringing { rung: usize, due: Timestamp },
    Held { by: u128, via_bot: bool, due: Timestamp },
    Over { by: u128, via_bot: bool },
}

/// Who rings the next time, when it has rung `rung` times: each step in turn, and everybody when the last one's turn has come.
fn whose_turn(plan: &Plan, rung: usize) -> BTreeSet<UserId> {
    let steps = plan.steps();
    match steps.get(rung / plan.rings() as usize) {
        Some(people) if rung / (plan.rings() as usize) + 1 < steps.len() => people.iter().copied().collect(),
        _ => steps.iter().flatten().copied().collect(),
    }
}

impl Model {
    /// The model after `step`, and who is rung.
    fn next(self, plan: &Plan, step: Move, now: Timestamp) -> (Self, Option<BTreeSet<UserId>>) {
        let rings = plan.rings() as usize;
        let from =
            |rung: usize| (Self::Ringing { rung: rung + 1, due: now.after(plan.ring_every()) }, Some(whose_turn(plan, rung)));
        match (self, step) {
            (Self::Ringing { .. }, Move::Take { by, via_bot }) => {
                (Self::Held { by, via_bot, due: now.after(Duration::from_secs(plan.acknowledgement_seconds.into())) }, None)
            }
            (Self::Ringing { .. } | Self::Held { .. }, Move::End { by, via_bot }) => (Self::Over { by, via_bot }, None),
            (Self::Held { by, via_bot: true, .. } | Self::Over { by, via_bot: true }, Move::Disown { by: who }) if by == who => {
                from(0)
            }
            (Self::Ringing { rung, due }, Move::Timer) if now >= due => from(rung),
            (Self::Held { due, .. }, Move::Timer) if now >= due => from(0),
            // The first turn of the next step, if there is one.
            (Self::Ringing { rung, .. }, Move::NobodyReachable) if (rung - 1) / rings + 1 < plan.steps().len() => {
                from(((rung - 1) / rings + 1) * rings)
            }
            _ => (self, None),
        }
    }

    fn agrees_with(self, state: State) -> bool {
        let same = |act: Act, by, via_bot| act.by == user(by) && act.via.is_some() == via_bot;
        match (self, state) {
            (Self::Ringing { due, .. }, State::Triggered { timer_at, .. }) => due == timer_at,
            (Self::Held { by, via_bot, due }, State::Acknowledged { act, timer_at, .. }) => {
                due == timer_at && same(act, by, via_bot)
            }
            (Self::Over { by, via_bot }, State::Resolved { act, .. }) => same(act, by, via_bot),
            _ => false,
        }
    }
}

proptest! {
    #[test]
    fn the_machine_does_what_the_model_does(plan in a_plan(), history in a_history()) {
        let (opening, went) = live(&plan, &history);
        let first: BTreeSet<_> = rings(&opening).flat_map(|(_, users)| users.clone()).collect();
        prop_assert_eq!(first, whose_turn(&plan, 0));
        let mut model = Model::Ringing { rung: 1, due: at(0).after(plan.ring_every()) };
        for went in went {
            let (next, expected) = model.next(&plan, went.step, went.now);
            let rung = rings(went.effects()).map(|(_, users)| users.iter().copied().collect::<BTreeSet<_>>()).next();
            prop_assert!(next.agrees_with(went.after), "{:?} at {}: {:?} but {:?}", went.step, went.now, next, went.after);
            prop_assert_eq!(rung, expected, "{:?} at {}", went.step, went.now);
            model = next;
        }
    }

    #[test]
    fn whatever_is_open_has_a_timer_that_was_set_and_has_not_rung(plan in a_plan(), history in a_history()) {
        for went in live(&plan, &history).1 {
            let Some(timer_at) = timer_of(went.after) else { continue };
            prop_assert!(went.timers.contains(&timer_at), "after {:?} nothing rings at {}", went.step, timer_at);
            if went.after != went.before {
                prop_assert!(timer_at > went.now, "{:?} at {} set the timer for {}", went.step, went.now, timer_at);
                prop_assert_eq!(wakes(went.effects()).collect::<Vec<_>>(), [timer_at]);
            }
        }
    }

    #[test]
    fn a_timer_is_never_refused_and_neither_is_nobody_reachable(plan in a_plan(), history in a_history()) {
        for went in live(&plan, &history).1 {
            if matches!(went.step, Move::Timer | Move::NobodyReachable) {
                prop_assert!(went.reply.is_ok(), "{:?} was refused: {:?}", went.step, went.reply);
            }
        }
    }

    #[test]
    fn a_timer_that_rings_early_or_twice_changes_nothing(plan in a_plan(), history in a_history(), early in 1..10_000_000u64) {
        for went in live(&plan, &history).1 {
            let here = incident(plan.clone(), went.after);
            let again = timer_of(went.after).map(Effect::WakeAt);
            let now = timer_of(went.after).map_or(went.now, |timer_at| timer_at.before(Duration::from_micros(early)));
            let expected = Ok((here.clone(), again.into_iter().collect()));
            prop_assert_eq!(here.clone().step(Event::TimerRang, now), expected, "early");

            let now = timer_of(went.after).unwrap_or(went.now).max(went.now);
            let (once, _) = here.step(Event::TimerRang, now).expect("timers are not refused");
            let again = timer_of(once.state).map(Effect::WakeAt).into_iter().collect();
            prop_assert_eq!(once.clone().step(Event::TimerRang, now), Ok((once, again)), "twice");
        }
    }

    #[test]
    fn no_ring_number_is_used_twice(plan in a_plan(), history in a_history()) {
        let (opening, went) = live(&plan, &history);
        let numbers: Vec<_> =
            rings(&opening).chain(went.iter().flat_map(|went| rings(went.effects()))).map(|(ring, _)| ring).collect();
        prop_assert_eq!(numbers.first(), Some(&1));
        prop_assert!(numbers.is_sorted_by(|a, b| a < b), "{:?}", numbers);
    }

    #[test]
    fn what_is_resolved_stays_so_unless_its_actor_disowns_it(plan in a_plan(), history in a_history()) {
        for went in live(&plan, &history).1 {
            let State::Resolved { act, .. } = went.before else { continue };
            let disowned = matches!(went.step, Move::Disown { by } if act.via.is_some() && act.by == user(by));
            prop_assert_eq!(went.after != went.before, disowned, "{:?}", went.step);
            prop_assert!(disowned || went.effects().is_empty(), "{:?}", went.reply);
        }
    }

    #[test]
    fn a_person_is_told_exactly_when_a_bot_changed_something_in_their_name(plan in a_plan(), history in a_history()) {
        for went in live(&plan, &history).1 {
            let told: Vec<_> = went.effects().iter().filter(|effect| matches!(effect, Effect::TellActor { .. })).collect();
            match went.step {
                Move::Take { by, via_bot: true } | Move::End { by, via_bot: true } if went.after != went.before => {
                    prop_assert_eq!(told, [&Effect::TellActor { user: user(by), via: bot() }]);
                }
                _ => prop_assert!(told.is_empty(), "{:?}: {:?}", went.step, told),
            }
        }
    }

    /// Nobody does anything and timers ring when they are due. The edge reports when nobody who was rung can be reached.
    #[test]
    fn silence_is_impossible(plan in a_plan(), reachable in prop::collection::btree_set((0..5u128).prop_map(user), 0..5)) {
        let everybody = whose_turn(&plan, usize::MAX);
        let windows = plan.steps().len() * plan.rings() as usize + 2;
        let (mut now, mut rung_so_far) = (at(0), BTreeSet::new());
        let (state, mut effects) = Incident::triggered(&plan, now);
        let mut incident = incident(plan.clone(), state);
        for _ in 0..windows {
            let rung = ring_until_reached(&mut incident, effects, &reachable, now);
            prop_assert!(!rung.is_empty() && rung.is_subset(&everybody), "rang {:?} at {}", rung, now);
            let heard = rung.intersection(&reachable).next().is_some();
            prop_assert!(heard || everybody.is_disjoint(&reachable), "nobody heard it at {}", now);
            rung_so_far.extend(rung);

            let due = timer_of(incident.state).expect("nobody resolved it");
            prop_assert_eq!(due, now.after(plan.ring_every()), "silent for longer than from one ring to the next");
            now = due;
            let (next, more) = incident.step(Event::TimerRang, now).expect("timers are not refused");
            (incident, effects) = (next, more);
        }
        prop_assert_eq!(rung_so_far, everybody, "somebody of the plan was never tried");
    }
}

/// What the edge does with a ring: rings, and reports when nobody can be reached, until that changes nothing. Everybody rung.
fn ring_until_reached(
    incident: &mut Incident,
    mut effects: Vec<Effect>,
    reachable: &BTreeSet<UserId>,
    now: Timestamp,
) -> BTreeSet<UserId> {
    let mut everybody = BTreeSet::new();
    for _ in 0..=incident.plan.steps().len() {
        let rung: BTreeSet<_> = rings(&effects).flat_map(|(_, users)| users.iter().copied()).collect();
        everybody.extend(&rung);
        if !rung.is_disjoint(reachable) {
            return everybody;
        }
        let before = incident.state;
        let (next, more) = incident.clone().step(Event::NobodyReachable, now).expect("never refused");
        *incident = next;
        if incident.state == before {
            return everybody;
        }
        effects = more;
    }
    panic!("handing over does not end: {incident:?}");
}
