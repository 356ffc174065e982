//! Jobs: never lost, never two holders of one lease, and the fence that a late worker fails at.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use phoneops::clock::{Clock, Timestamp};
use phoneops::db::{Error, Result, Store};
use phoneops::id::{AttemptId, IncidentId};
use phoneops::jobs::{self, Handoff, Job, Kind, LEASE, Queue};
use uuid::Uuid;

use crate::NOW;
use crate::support::{TestDb, engines};

engines! {
    a_job_for_now_is_handed_over_leased_and_is_in_the_table
    a_job_for_later_is_claimed_only_when_due
    a_rolled_back_enqueue_hands_nothing_over_and_frees_its_place
    what_finds_no_place_waits_in_the_table
    concurrent_claims_share_the_jobs_and_keep_the_limit
    a_lease_that_ran_out_makes_the_job_due_again
    a_lost_lease_changes_nothing
    a_retried_job_counts_its_tries
    a_retry_wakes_the_worker_that_sleeps_until_something_later
    a_buried_job_is_kept_and_never_claimed
    the_longest_due_come_first
    what_is_urgent_comes_first_however_much_waits
    jobs_of_every_kind_come_back_as_they_went
}

const SECOND: Duration = Duration::from_secs(1);

async fn enqueue(store: &Store, queue: &Queue, kind: Kind, due_at: Timestamp) -> Uuid {
    let subject = AttemptId::new(NOW).0;
    let queue = queue.clone();
    let done: Result<()> = store.write(move |tx| Box::pin(async move { queue.enqueue(tx, kind, subject, due_at).await })).await;
    done.expect("it is enqueued");
    subject
}

/// A store, a queue on a clock that stands at [`NOW`], and the worker's end.
async fn house(db: &TestDb) -> (Store, Queue, Handoff) {
    let (queue, handoff) = Queue::new(Clock::manual(NOW), LEASE);
    (db.store().await, queue, handoff)
}

/// What is handed over by now. Unconstrained, since tokio makes a task that took many wait for its next turn.
fn take_handed(handoff: &mut Handoff) -> Option<Job> {
    tokio::task::unconstrained(handoff.next()).now_or_never().flatten().map(|(job, _place)| job)
}

async fn complete(store: &Store, job: &Job) -> bool {
    let job = job.clone();
    store.write::<_, Error, _>(move |tx| Box::pin(async move { jobs::complete(tx, &job).await })).await.unwrap()
}

async fn retry(store: &Store, job: &Job, due_at: Timestamp) -> bool {
    let (job, (queue, _handoff)) = (job.clone(), Queue::new(Clock::manual(NOW), LEASE));
    store.write::<_, Error, _>(move |tx| Box::pin(async move { queue.retry(tx, &job, due_at, "503").await })).await.unwrap()
}

async fn bury(store: &Store, job: &Job) -> bool {
    let job = job.clone();
    store.write::<_, Error, _>(move |tx| Box::pin(async move { jobs::bury(tx, &job, NOW, "gone").await })).await.unwrap()
}

async fn claim(store: &Store, now: Timestamp, limit: u32) -> Result<Vec<Job>> {
    let (queue, _handoff) = Queue::new(Clock::manual(now), LEASE);
    queue.claim(store, now, limit).await
}

async fn claim_one(store: &Store, now: Timestamp) -> Job {
    let mut claimed = claim(store, now, 10).await.unwrap();
    assert_eq!(claimed.len(), 1, "{claimed:?}");
    claimed.remove(0)
}

async fn a_job_for_now_is_handed_over_leased_and_is_in_the_table(db: TestDb) {
    let (store, queue, mut handoff) = house(&db).await;
    let subject = enqueue(&store, &queue, Kind::FailOver, NOW).await;
    let job = take_handed(&mut handoff).expect("it is handed over with the commit");
    assert_eq!((job.kind, job.subject, job.lease, job.tries), (Kind::FailOver, subject, 1, 1));
    assert_eq!(db.number("select count(*) from jobs where lease = 1 and tries = 1").await, 1);
    assert_eq!(jobs::next_due(&store).await.unwrap(), Some(NOW.after(LEASE)));
    assert!(claim(&store, NOW, 10).await.unwrap().is_empty(), "leased to the worker it was handed to");
    assert!(complete(&store, &job).await);
    assert_eq!(db.number("select count(*) from jobs").await, 0);
}

async fn a_job_for_later_is_claimed_only_when_due(db: TestDb) {
    let (store, queue, mut handoff) = house(&db).await;
    let due_at = NOW.after(SECOND);
    let subject = enqueue(&store, &queue, Kind::IncidentTimer, due_at).await;
    queue.changed().now_or_never().expect("the timer is told");
    assert!(take_handed(&mut handoff).is_none(), "handed over before its time");
    assert_eq!(jobs::next_due(&store).await.unwrap(), Some(due_at));
    let just_before = Timestamp::from_micros(due_at.as_micros() - 1);
    assert!(claim(&store, just_before, 10).await.unwrap().is_empty());
    let job = claim_one(&store, due_at).await;
    assert_eq!((job.kind, job.subject, job.lease, job.tries), (Kind::IncidentTimer, subject, 1, 1));
    assert_eq!(jobs::next_due(&store).await.unwrap(), Some(due_at.after(LEASE)));
}

async fn a_rolled_back_enqueue_hands_nothing_over_and_frees_its_place(db: TestDb) {
    let (store, queue, mut handoff) = house(&db).await;
    // Far more in all than there are places.
    for _ in 0..30 {
        let queue = queue.clone();
        let refused: Result<()> = store
            .write(move |tx| {
                Box::pin(async move {
                    for _ in 0..100 {
                        queue.enqueue(tx, Kind::FailOver, AttemptId::new(NOW).0, NOW).await?;
                    }
                    queue.enqueue(tx, Kind::FailOver, AttemptId::new(NOW).0, NOW.after(SECOND)).await?;
                    Err(Error::Failed("refused".into()))
                })
            })
            .await;
        assert!(refused.is_err());
    }
    assert!(take_handed(&mut handoff).is_none(), "a job that does not exist was handed over");
    assert!(queue.changed().now_or_never().is_none(), "the timer was told of a job that does not exist");
    assert_eq!(db.number("select count(*) from jobs").await, 0);
    enqueue(&store, &queue, Kind::FailOver, NOW).await;
    assert!(take_handed(&mut handoff).is_some(), "no place was left");
}

async fn what_finds_no_place_waits_in_the_table(db: TestDb) {
    const JOBS: usize = 1_500;
    let (store, queue, mut handoff) = house(&db).await;
    let filler = queue.clone();
    let done: Result<()> = store
        .write(move |tx| {
            Box::pin(async move {
                for _ in 0..JOBS {
                    filler.enqueue(tx, Kind::FailOver, AttemptId::new(NOW).0, NOW).await?;
                }
                Ok(())
            })
        })
        .await;
    done.unwrap();
    let mut seen = BTreeSet::new();
    let mut handed = 0;
    while let Some(job) = take_handed(&mut handoff) {
        assert!(seen.insert(job.subject));
        handed += 1;
    }
    let waiting = claim(&store, NOW, 2_000).await.unwrap();
    assert!(handed > 0 && !waiting.is_empty(), "{handed} were handed over, {} wait", waiting.len());
    assert!(waiting.iter().all(|job| seen.insert(job.subject)), "a job was handed over and claimed");
    assert_eq!(seen.len(), JOBS);
    enqueue(&store, &queue, Kind::FailOver, NOW).await;
    assert!(take_handed(&mut handoff).is_some(), "taking a job frees its place");
}

async fn concurrent_claims_share_the_jobs_and_keep_the_limit(db: TestDb) {
    const JOBS: usize = 300;
    const LIMIT: u32 = 7;
    let (store, queue, _handoff) = house(&db).await;
    let due_at = NOW.after(SECOND);
    let done: Result<()> = store
        .write(move |tx| {
            Box::pin(async move {
                for _ in 0..JOBS {
                    queue.enqueue(tx, Kind::FailOver, AttemptId::new(NOW).0, due_at).await?;
                }
                Ok(())
            })
        })
        .await;
    done.unwrap();
    let workers = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut mine = Vec::new();
            loop {
                let claimed = claim(&store, due_at, LIMIT).await.unwrap();
                assert!(claimed.len() <= LIMIT as usize, "{} claimed at once", claimed.len());
                if claimed.is_empty() {
                    return mine;
                }
                mine.extend(claimed);
            }
        })
    });
    let mut claimed: Vec<Job> = join_all(workers).await.into_iter().flat_map(Result::unwrap).collect();
    // One that another held locked may have been skipped by all: it is still due.
    claimed.extend(claim(&store, due_at, 1_000).await.unwrap());
    assert_eq!(claimed.len(), JOBS, "a job was given twice or never");
    assert_eq!(claimed.iter().map(|job| job.id).collect::<BTreeSet<_>>().len(), JOBS);
    assert!(claimed.iter().all(|job| (job.lease, job.tries) == (1, 1)));
}

async fn a_lease_that_ran_out_makes_the_job_due_again(db: TestDb) {
    let (store, queue, mut handoff) = house(&db).await;
    enqueue(&store, &queue, Kind::FailOver, NOW).await;
    let first = handoff.next().await.unwrap().0;
    let ran_out = NOW.after(LEASE);
    assert!(claim(&store, Timestamp::from_micros(ran_out.as_micros() - 1), 10).await.unwrap().is_empty());
    let second = claim_one(&store, ran_out).await;
    assert_eq!(second.id, first.id);
    assert!(second.lease > first.lease);
    assert_eq!((first.tries, second.tries), (1, 2));
    let third = claim_one(&store, ran_out.after(LEASE)).await;
    assert!(third.lease > second.lease);
    assert_eq!(third.tries, 3);
}

async fn a_lost_lease_changes_nothing(db: TestDb) {
    let (store, queue, mut handoff) = house(&db).await;
    enqueue(&store, &queue, Kind::FailOver, NOW).await;
    let late = handoff.next().await.unwrap().0;
    let now = NOW.after(LEASE);
    let current = claim_one(&store, now).await;
    assert!(!complete(&store, &late).await);
    assert!(!retry(&store, &late, NOW).await);
    assert!(!bury(&store, &late).await);
    assert_eq!(db.number("select count(*) from jobs where buried_at is null and last_error is null").await, 1);
    assert_eq!(jobs::next_due(&store).await.unwrap(), Some(now.after(LEASE)), "the late worker moved the due time");
    assert!(complete(&store, &current).await);
    assert!(!complete(&store, &current).await, "it is gone");
    assert!(!retry(&store, &current, NOW).await);
    assert!(!bury(&store, &current).await);
}

async fn a_retried_job_counts_its_tries(db: TestDb) {
    let (store, queue, _handoff) = house(&db).await;
    enqueue(&store, &queue, Kind::FailOver, NOW.after(SECOND)).await;
    let mut now = NOW.after(SECOND);
    let mut leases = Vec::new();
    for tries in 1..=5 {
        let job = claim_one(&store, now).await;
        assert_eq!(job.tries, tries);
        leases.push(job.lease);
        now = now.after(SECOND * tries);
        assert!(retry(&store, &job, now).await);
        assert_eq!(jobs::next_due(&store).await.unwrap(), Some(now));
    }
    assert!(leases.is_sorted_by(|a, b| a < b), "{leases:?}");
    assert_eq!(db.number("select count(*) from jobs where last_error = '503'").await, 1);
}

async fn a_retry_wakes_the_worker_that_sleeps_until_something_later(db: TestDb) {
    let (store, queue, _handoff) = house(&db).await;
    enqueue(&store, &queue, Kind::FailOver, NOW.after(SECOND)).await;
    queue.changed().await;
    let job = claim_one(&store, NOW.after(SECOND)).await;
    let (worker, again) = (queue.clone(), NOW.after(SECOND * 2));
    let told: Result<bool, Error> =
        store.write(move |tx| Box::pin(async move { worker.retry(tx, &job, again, "503").await })).await;
    assert!(told.unwrap());
    tokio::time::timeout(Duration::from_secs(5), queue.changed()).await.expect("the worker hears of it");
}

async fn a_buried_job_is_kept_and_never_claimed(db: TestDb) {
    let (store, queue, _handoff) = house(&db).await;
    enqueue(&store, &queue, Kind::FailOver, NOW.after(SECOND)).await;
    let job = claim_one(&store, NOW.after(SECOND)).await;
    assert!(bury(&store, &job).await);
    assert!(claim(&store, NOW.after(LEASE * 1_000), 10).await.unwrap().is_empty());
    assert_eq!(jobs::next_due(&store).await.unwrap(), None);
    assert!(!retry(&store, &job, NOW).await, "burying ended the lease");
    assert!(!complete(&store, &job).await, "burying ended the lease");
    let depth = jobs::depth(&store).await.unwrap();
    assert_eq!(depth.iter().map(|d| (d.kind.as_str(), d.live, d.buried)).collect::<Vec<_>>(), [("fail_over", 0, 1)]);
}

async fn the_longest_due_come_first(db: TestDb) {
    let (store, queue, _handoff) = house(&db).await;
    let mut subjects = Vec::new();
    for seconds in [5, 1, 4, 2, 3] {
        subjects.push((seconds, enqueue(&store, &queue, Kind::FailOver, NOW.after(SECOND * seconds)).await));
    }
    subjects.sort_unstable();
    let now = NOW.after(SECOND * 60);
    for pair in subjects.chunks(2) {
        let claimed: BTreeSet<_> = claim(&store, now, 2).await.unwrap().into_iter().map(|job| job.subject).collect();
        assert_eq!(claimed, pair.iter().map(|(_, subject)| *subject).collect());
    }
}

/// As after a restart with many timers: nothing that waits for later is looked at, and what is due goes urgent first, oldest first.
async fn what_is_urgent_comes_first_however_much_waits(db: TestDb) {
    let (store, queue, _handoff) = house(&db).await;
    let subject = |number: u64| Uuid::from_u128(u128::from(number));
    let done: Result<()> = store
        .write(move |tx| {
            Box::pin(async move {
                for number in 0..300 {
                    // What can wait has been due for longer.
                    let (waits, urgent) = (
                        NOW.after(SECOND + Duration::from_millis(number)),
                        NOW.after(SECOND * 2 + Duration::from_millis(number)),
                    );
                    queue.enqueue_as(tx, Kind::IncidentTimer, subject(1000 + number), waits, false).await?;
                    queue.enqueue_as(tx, Kind::IncidentTimer, subject(number), urgent, true).await?;
                    queue
                        .enqueue_as(tx, Kind::IncidentTimer, subject(2000 + number), NOW.after(SECOND * 600), number % 2 == 0)
                        .await?;
                }
                Ok(())
            })
        })
        .await;
    done.unwrap();
    let now = NOW.after(SECOND * 60);
    assert_eq!(jobs::next_due(&store).await.unwrap(), Some(NOW.after(SECOND)));
    let expected: Vec<_> = (0..300).chain(1000..1300).collect();
    for turn in expected.chunks(50) {
        let mut claimed: Vec<_> = claim(&store, now, 50).await.unwrap().into_iter().map(|job| job.subject).collect();
        claimed.sort_unstable();
        assert_eq!(claimed, turn.iter().map(|number| subject(*number)).collect::<Vec<_>>());
    }
    assert!(claim(&store, now, 50).await.unwrap().is_empty());
    // By then the leases have run out too: 450 urgent ones and 450 that can wait.
    let claimed = claim(&store, NOW.after(SECOND * 600), 700).await.unwrap();
    let is_urgent =
        |job: &Job| matches!(job.subject.as_u128(), subject if subject < 1000 || (subject >= 2000 && subject % 2 == 0));
    let urgent = claimed.iter().take_while(|job| is_urgent(job)).count();
    assert_eq!((claimed.len(), urgent), (700, 450), "the urgent ones stand first");
}

async fn jobs_of_every_kind_come_back_as_they_went(db: TestDb) {
    let (store, queue, _handoff) = house(&db).await;
    for kind in Kind::ALL {
        let subject = IncidentId::new(NOW);
        let queue = queue.clone();
        let done: Result<()> =
            store.write(move |tx| Box::pin(async move { queue.enqueue(tx, kind, subject.0, NOW.after(SECOND)).await })).await;
        done.unwrap();
        let job = claim_one(&store, NOW.after(SECOND)).await;
        assert_eq!((job.kind, job.subject), (kind, subject.0));
        assert!(complete(&store, &job).await);
    }
}
