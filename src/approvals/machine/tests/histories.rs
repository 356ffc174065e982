//! Any history under any policy. People are 1..=4, as in the policy's own tests; times are any, mostly in order: clocks jump.

use super::*;

#[derive(Clone, Copy, Debug)]
enum Move {
    Says(u128, u128, Factor, Verdict),
    Cancel,
    Freeze,
    Timer,
    Glass,
}

type History = Vec<(i64, Move)>;

fn a_move() -> impl Strategy<Value = Move> {
    let factor = prop::sample::select(vec![Factor::Tap, Factor::Code, Factor::Passkey]);
    let verdict = prop_oneof![
        12 => Just(Verdict::Approve),
        1 => Just(Verdict::Deny),
        1 => Just(Verdict::Report),
    ];
    prop_oneof![
        12 => (1..=4u128, 1..=5u128, factor, verdict).prop_map(|(by, with, factor, verdict)| Move::Says(by, with, factor, verdict)),
        1 => Just(Move::Cancel),
        1 => Just(Move::Freeze),
        5 => Just(Move::Timer),
        1 => Just(Move::Glass),
    ]
}

fn a_history() -> impl Strategy<Value = History> {
    let times = prop::collection::vec(prop_oneof![0..30i64, Just(60), Just(300), Just(-5)], 0..14);
    (times, prop::collection::vec(a_move(), 14)).prop_map(|(steps, moves)| {
        let mut now = 0;
        let ascending = steps.into_iter().map(|step| {
            now += step;
            now
        });
        ascending.zip(moves).collect()
    })
}

/// One move of a history, as it went.
struct Went {
    now: i64,
    step: Move,
    before: Approval,
    after: Approval,
    reply: Result<Vec<Effect>, Refusal>,
}

fn live(require: &Require, requester: u128, history: &History) -> Vec<Went> {
    let mut approval = approval(resolved(require, reference()), user(requester));
    let mut went = Vec::new();
    for &(now, step) in history {
        let event = match step {
            Move::Says(by, with, factor, verdict) => says(by, with, factor, verdict),
            Move::Cancel => Event::Cancelled,
            Move::Freeze => Event::Frozen,
            Move::Timer => Event::TimerRang,
            Move::Glass => broken(),
        };
        let before = approval.clone();
        let reply = approval.clone().step(event, at(now)).map(|(next, effects)| {
            approval = next;
            effects
        });
        went.push(Went { now, step, before, after: approval.clone(), reply });
    }
    went
}

/// How many groups had been asked after each move, and until when it could be approved. A timer that is due asks one group, which has its
/// whole time from then on, and so have those after it; one that rings when the time to answer is over asks nobody.
fn turns(require: &Require, went: &[Went]) -> Vec<(u32, i64)> {
    let (window, groups) = (i64::from(require.expires_in), i64::try_from(require.groups.len().max(1)).unwrap());
    let (mut asked, mut due, mut over) = (1, window, window * groups);
    let turn = |this: &Went| {
        let pending = this.before.state == State::Pending && matches!(this.step, Move::Timer);
        if pending && (due..over).contains(&this.now) && asked < groups {
            (asked, due, over) = (asked + 1, this.now + window, over + this.now - due);
        }
        (u32::try_from(asked).unwrap(), over)
    };
    went.iter().map(turn).collect()
}

fn is_open(approval: &Approval) -> bool {
    matches!(approval.state, State::Pending | State::Holding { .. } | State::BreakingGlass { .. })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    /// The one that matters: by the words of the policy, with distinct people and keys, in time, undisturbed for the whole delay.
    #[test]
    fn nothing_is_approved_that_the_policy_refuses(require in a_require(), requester in 1..=4u128, history in a_history()) {
        let went = live(&require, requester, &history);
        for (index, this) in went.iter().enumerate() {
            let approved = is_open(&this.before) && matches!(this.after.state, State::Approved(_));
            let opened = matches!(this.before.state, State::BreakingGlass { .. }) && matches!(this.after.state, State::Opened { .. });
            let granted = this.reply.iter().flatten().any(|effect| matches!(effect, Effect::IssueGrant { .. }));
            prop_assert_eq!(approved || opened, granted);
            if !approved {
                continue;
            }
            // What the people said, as it was accepted: nothing of the machine's own.
            let said: Vec<_> = went[..=index].iter().filter(|past| past.reply.is_ok()).filter_map(|past| match past.step {
                Move::Says(by, with, factor, verdict) => Some((past.now, by, with, factor, verdict)),
                _ => None,
            }).collect();
            prop_assert!(said.iter().all(|(.., verdict)| *verdict == Verdict::Approve), "somebody said no");
            let last = said.iter().map(|(now, ..)| *now).max().unwrap();
            let (asked, over) = turns(&require, &went)[index];
            let given = said.iter().map(|&(now, by, with, factor, _)| policy::Given { by: user(by), key: key(with), factor, at: at(now) });
            let case = Case { requester: usize::try_from(requester).unwrap() - 1, elapsed: (asked - 1) * require.expires_in, given: given.collect() };
            prop_assert!(satisfied(&require, &case), "{:?}", case);
            prop_assert!(last < over && this.now < over + i64::from(require.delay), "too late");
            if require.delay > 0 {
                prop_assert!(this.now >= said.last().unwrap().0 + i64::from(require.delay), "too early");
            }
        }
    }

    /// And the other way round: as soon as the policy is satisfied it is approved, or held.
    #[test]
    fn what_the_policy_asks_is_enough(require in a_require(), requester in 1..=4u128, history in a_history()) {
        let went = live(&require, requester, &history);
        for (this, (asked, over)) in went.iter().zip(turns(&require, &went)).filter(|(went, _)| went.after.state == State::Pending) {
            prop_assert_eq!((this.after.asked, this.after.answer_by()), (asked as usize, at(over)));
            let asked_for = (asked - 1) * require.expires_in;
            let case = Case { requester: usize::try_from(requester).unwrap() - 1, elapsed: asked_for, given: this.after.given.clone() };
            prop_assert!(!satisfied(&require, &case), "it waits for nothing: {:?}", case);
        }
    }

    #[test]
    fn the_first_terminal_verdict_wins_and_is_final(require in a_require(), requester in 1..=4u128, history in a_history()) {
        for this in live(&require, requester, &history) {
            let accepted = this.reply.is_ok();
            if !is_open(&this.before) {
                prop_assert_eq!(&this.after, &this.before);
                prop_assert!(this.reply.as_ref().map_or(true, Vec::is_empty), "{:?}", this.reply);
            } else if let (Move::Says(by, _, _, verdict @ (Verdict::Deny | Verdict::Report)), true) = (this.step, accepted) {
                let denied = Decision { by: user(by), at: at(this.now), verdict, reason: Some("because".into()) };
                prop_assert_eq!(this.after.state, State::Denied(denied), "one eligible deny is terminal");
            }
        }
    }

    #[test]
    fn the_bot_is_told_and_the_cards_are_taken_off_once(require in a_require(), requester in 1..=4u128, history in a_history()) {
        let went = live(&require, requester, &history);
        let ended = went.last().is_some_and(|went| !is_open(&went.after));
        let broken = went.last().is_some_and(|went| went.after.break_glass.is_some());
        for (once, also) in [(Effect::TellBot, broken), (Effect::Withdraw, false)] {
            let done = went.iter().flat_map(|went| went.reply.iter().flatten()).filter(|effect| **effect == once).count();
            prop_assert_eq!(done, usize::from(ended) + usize::from(also), "{:?}", once);
        }
    }

    /// Timers are set as effects say and ring once each; they may ring late or, when clocks jump, early.
    #[test]
    fn an_open_request_is_never_without_a_timer_that_is_early_enough(
        require in a_require(), requester in 1..=4u128, history in a_history(),
    ) {
        let wakes = |effects: &[Effect]| -> Vec<Timestamp> {
            effects.iter().filter_map(|effect| if let Effect::WakeAt(at) = effect { Some(*at) } else { None }).collect()
        };
        let fresh = approval(resolved(&require, reference()), user(requester));
        let mut timers = wakes(&fresh.requested());
        for this in live(&require, requester, &history) {
            if matches!(this.step, Move::Timer) {
                prop_assert!(this.reply.is_ok(), "a timer was refused");
                // The first to be due is the one that rings.
                timers.sort();
                timers.remove(0);
            }
            timers.extend(this.reply.iter().flat_map(|effects| wakes(effects)));
            if is_open(&this.after) {
                let due = this.after.next_timer();
                prop_assert!(timers.iter().any(|timer| *timer <= due), "{:?} for {} at {}", timers, due, this.now);
                prop_assert!(timers.len() <= 2, "timers gather: {:?}", timers);
            } else {
                // Those that are left ring and change nothing.
                timers.push(this.after.expires_at);
            }
        }
    }

    #[test]
    fn a_stranger_changes_nothing_and_learns_nothing(require in a_require(), requester in 1..=4u128, history in a_history()) {
        for this in live(&require, requester, &history) {
            if let Move::Says(by, _, _, verdict) = this.step {
                let groups = this.before.requirement.groups.iter().take(this.before.asked);
                let asked = groups.flat_map(|group| &group.members).any(|member| *member == user(by));
                let asked = asked && !(require.requester_excluded && by == requester);
                let told = this.before.break_glass.as_ref().is_some_and(|glass| glass.told.contains(&user(by)));
                let refuses = verdict != Verdict::Approve;
                let asked = asked || (by == requester && (require.requester || refuses)) || (refuses && told);
                if !asked {
                    prop_assert_eq!(this.reply, Err(Refusal::NotAnApprover));
                    prop_assert_eq!(this.after, this.before);
                }
            }
        }
    }

    /// Everybody is told, everybody had the whole wait to say no, nobody did, and the policy allows it: at once, at the time, and in no
    /// other case.
    #[test]
    fn what_is_opened_was_open_to_everybodys_no(require in a_require(), requester in 1..=4u128, history in a_history()) {
        let went = live(&require, requester, &history);
        for (index, this) in went.iter().enumerate() {
            let Some(glass) = &this.after.break_glass else {
                let glassy = matches!(this.after.state, State::BreakingGlass { .. } | State::Opened { .. });
                prop_assert!(!glassy);
                continue;
            };
            prop_assert!(require.break_glass);
            let mut everybody: BTreeSet<_> = this.after.requirement.approvers(user(requester), usize::MAX).into_iter().collect();
            everybody.extend([user(requester), user(ADA), user(ANN)]);
            prop_assert_eq!(glass.told.iter().copied().collect::<BTreeSet<_>>(), everybody);
            prop_assert_eq!(glass.told.iter().collect::<BTreeSet<_>>().len(), glass.told.len(), "told twice");
            prop_assert!(glass.at.until(glass.until) >= LEAST_BREAK_GLASS_WAIT.max(Duration::from_secs(require.delay.into())));
            prop_assert!(this.after.expires_at > glass.until);
            if matches!(this.after.state, State::Opened { .. }) {
                prop_assert!(at(this.now) >= glass.until || !is_open(&this.before));
                let refused = |past: &Went| matches!(past.step, Move::Says(.., Verdict::Deny | Verdict::Report)) && past.reply.is_ok();
                prop_assert!(!went[..=index].iter().any(refused), "somebody said no");
            }
            if is_open(&this.after) && at(this.now) < this.after.expires_at {
                for who in &glass.told {
                    let no = VerifiedAnswer::checked(*who, key(99), Factor::Tap, Verdict::Deny, None);
                    let (after, _) = this.after.clone().step(Event::Answered(no), at(this.now)).unwrap();
                    prop_assert!(matches!(after.state, State::Denied(_)));
                }
            }
        }
    }

    /// Whoever is asked is told, once, when their turn comes.
    #[test]
    fn everybody_who_is_asked_is_rung_once(require in a_require(), requester in 1..=4u128, history in a_history()) {
        let fresh = approval(resolved(&require, reference()), user(requester));
        let rung = |effects: &[Effect]| -> Vec<UserId> {
            effects.iter().flat_map(|effect| if let Effect::NotifyUsers(users) = effect { users.clone() } else { Vec::new() }).collect()
        };
        let mut told = rung(&fresh.requested());
        for this in live(&require, requester, &history) {
            told.extend(this.reply.iter().flat_map(|effects| rung(effects)));
            if this.after.state == State::Pending {
                let (once, all): (BTreeSet<_>, BTreeSet<_>) = (told.iter().collect(), this.after.approvers().into_iter().collect());
                prop_assert_eq!(once.len(), told.len(), "somebody twice");
                prop_assert_eq!(once.into_iter().copied().collect::<BTreeSet<_>>(), all);
            }
        }
    }
}
