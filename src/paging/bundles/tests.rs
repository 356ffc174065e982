//! When a storm rings, when only its count changes, and that everybody who joins is counted.

use uuid::Uuid;

use super::*;

const RING: Duration = Duration::from_secs(60);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_800_000_000 + seconds)
}

fn bundle(rung_at: Option<i64>, told_at: Option<i64>) -> Bundle {
    Bundle {
        id: BundleId(Uuid::nil()),
        user: UserId(Uuid::nil()),
        kind: Kind::Storm,
        group: Uuid::nil(),
        round: u32::from(rung_at.is_some()),
        rung_at: rung_at.map(at),
        told_at: told_at.map(at),
        due_at: None,
    }
}

fn size(open: u32, uncounted: u32) -> Size {
    Size { all: open, open, uncounted }
}

#[test]
fn a_storm_rings_and_then_only_counts_for_half_a_ring() {
    assert_eq!(bundle(None, None).turn(size(4, 4), RING, at(0)), Turn::Ring);
    let rang = bundle(Some(0), Some(0));
    assert_eq!(rang.turn(size(5, 1), RING, at(1)), Turn::UpdateAt(at(15)));
    assert_eq!(rang.turn(size(5, 1), RING, at(15)), Turn::Update);
    assert_eq!(rang.turn(size(5, 0), RING, at(29)), Turn::Nothing);
    assert_eq!(rang.turn(size(5, 0), RING, at(30)), Turn::Ring);
}

#[test]
fn what_is_over_is_what_held_something_that_rings_no_more() {
    assert!(!bundle(None, None).is_over(size(0, 0)), "a new one");
    assert!(bundle(Some(0), Some(0)).is_over(size(0, 0)), "its incidents were forgotten");
    assert!(bundle(None, None).is_over(Size { all: 2, open: 0, uncounted: 0 }));
    assert!(!bundle(Some(0), Some(0)).is_over(size(1, 0)));
}

/// Joins and rings at random times: whatever joined is counted by a push within [`UPDATE_EVERY`], and two pushes are never closer than
/// that unless one rings.
#[test]
fn everybody_who_joins_is_counted_in_time() {
    for seed in 0_i64..200 {
        let (mut bundle, mut uncounted, mut pushes) = (bundle(None, None), Vec::<i64>::new(), Vec::new());
        for second in 0..300 {
            let joins = (second * 7919 + seed * 104_729) % 97 < 1 + seed % 40;
            let rings_again = (second + seed) % 60 == 0;
            let due = bundle.due_at.is_some_and(|due_at| due_at <= at(second));
            if joins {
                uncounted.push(second);
            }
            let size = size(4, u32::try_from(uncounted.len()).unwrap());
            let turn = match (joins || rings_again, due) {
                (true, _) => bundle.turn(size, RING, at(second)),
                (false, true) if size.uncounted > 0 => Turn::Update,
                (false, _) => Turn::Nothing,
            };
            match turn {
                Turn::UpdateAt(then) => bundle.due_at = bundle.due_at.or(Some(then)),
                Turn::Nothing => {}
                Turn::Ring | Turn::Update => {
                    bundle.rung_at = if turn == Turn::Ring { Some(at(second)) } else { bundle.rung_at };
                    (bundle.told_at, bundle.due_at) = (Some(at(second)), None);
                    pushes.push((second, turn));
                    uncounted.clear();
                }
            }
            let waits = uncounted.first().map_or(0, |since| second - since);
            assert!(waits <= 15, "seed {seed}: what joined at {uncounted:?} is not counted at {second}");
        }
        for pair in pushes.windows(2) {
            assert!(pair[1].1 == Turn::Ring || pair[1].0 - pair[0].0 >= 15, "seed {seed}: {pair:?}");
        }
        let rings: Vec<_> = pushes.iter().filter(|(_, turn)| *turn == Turn::Ring).map(|(second, _)| *second).collect();
        assert!(rings.windows(2).all(|pair| pair[1] - pair[0] >= 30), "seed {seed}: {rings:?}");
        assert!(rings.windows(2).all(|pair| pair[1] - pair[0] <= 90), "seed {seed}: {rings:?}");
    }
}
