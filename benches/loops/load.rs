//! Load: the same loop by many clients, as fast as they can (closed) or at a rate (open), and the times it takes.
//!
//! **Invariants**
//! - An open loop's time runs from when it was due, not from when it got its turn: a queue inside this program shows.
//! - What ran before the warm-up was over is not counted. A loop's times count when it began after that; its work counts for the
//!   processor time when it ended between the two readings of `meter`.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Failure;

/// How long a load takes.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) warm_up: Duration,
    pub(crate) counted: Duration,
}

/// A stopwatch for one loop.
pub(crate) struct Laps {
    began: Instant,
    last: Instant,
    laps: Vec<(&'static str, Duration)>,
}

impl Laps {
    /// Due at `began`.
    pub(crate) fn since(began: Instant) -> Self {
        Self { began, last: Instant::now(), laps: Vec::with_capacity(8) }
    }

    /// What was done since the last lap.
    pub(crate) fn lap(&mut self, name: &'static str) {
        let now = Instant::now();
        self.laps.push((name, now - self.last));
        self.last = now;
    }
}

/// Times of one kind, to be asked for percentiles.
#[derive(Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// And those of another kind.
    pub(crate) fn extend(&mut self, others: &Self) {
        self.0.extend_from_slice(&others.0);
    }

    /// The time that `per_mille` of a thousand do not exceed, in milliseconds.
    pub(crate) fn percentile(&mut self, per_mille: usize) -> f64 {
        self.0.sort_unstable();
        let at = (self.0.len() * per_mille).div_ceil(1000).saturating_sub(1);
        self.0.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }
}

/// The times of a load.
#[derive(Default)]
pub(crate) struct Samples {
    pub(crate) whole: Times,
    pub(crate) calls: BTreeMap<&'static str, Times>,
    order: Vec<&'static str>,
    /// Loops that ended between the two readings of the meter.
    pub(crate) ended: usize,
    /// How long it was between them.
    pub(crate) metered: Duration,
}

/// Read twice: when the warm-up is over, and when counting ends.
pub(crate) type Meter = Arc<dyn Fn() + Send + Sync>;

/// Between which instants the meter is read.
#[derive(Default)]
struct Window(Mutex<(Option<Instant>, Option<Instant>)>);

impl Window {
    fn begin(&self, meter: &Meter) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = Some(Instant::now());
        meter();
    }

    fn end(&self, meter: &Meter) {
        meter();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = Some(Instant::now());
    }

    /// Whether `now` is between the two.
    fn is_open(&self, now: Instant) -> bool {
        let (from, until) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        from.is_some_and(|from| from <= now) && until.is_none_or(|until| now < until)
    }

    fn length(&self) -> Duration {
        let (from, until) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        from.zip(until).map_or(Duration::ZERO, |(from, until)| until - from)
    }
}

impl Samples {
    fn add(&mut self, laps: Laps) {
        self.whole.push(laps.last - laps.began);
        for (name, time) in laps.laps {
            if !self.calls.contains_key(name) {
                self.order.push(name);
            }
            self.calls.entry(name).or_default().push(time);
        }
    }

    fn join(&mut self, other: Self) {
        self.ended += other.ended;
        self.whole.extend(&other.whole);
        for name in other.order {
            if !self.order.contains(&name) {
                self.order.push(name);
            }
        }
        for (name, times) in other.calls {
            self.calls.entry(name).or_default().extend(&times);
        }
    }

    /// The calls in the order in which a loop makes them.
    pub(crate) fn in_order(&mut self) -> Vec<(&'static str, &mut Times)> {
        let mut calls: Vec<_> = self.calls.iter_mut().map(|(name, times)| (*name, times)).collect();
        calls.sort_by_key(|(name, _)| self.order.iter().position(|known| known == name));
        calls
    }
}

/// `clients` clients, each beginning its next loop when the last is done.
pub(crate) async fn closed<F, L>(clients: usize, span: Span, meter: Meter, one: F) -> Result<Samples, Failure>
where
    F: Fn(usize, Laps) -> L + Send + Sync + 'static,
    L: Future<Output = Result<Laps, Failure>> + Send,
{
    let (one, window) = (Arc::new(one), Arc::new(Window::default()));
    let from = Instant::now() + span.warm_up;
    let until = from + span.counted;
    let mut running = JoinSet::new();
    for client in 0..clients {
        let (one, window) = (one.clone(), window.clone());
        running.spawn(async move {
            let mut samples = Samples::default();
            while Instant::now() < until {
                let laps = one(client, Laps::since(Instant::now())).await?;
                samples.ended += usize::from(window.is_open(laps.last));
                if laps.began >= from {
                    samples.add(laps);
                }
            }
            Ok::<_, Failure>(samples)
        });
    }
    tokio::time::sleep_until(from.into()).await;
    window.begin(&meter);
    tokio::time::sleep_until(until.into()).await;
    window.end(&meter);
    let mut all = gather(running).await?;
    all.metered = window.length();
    Ok(all)
}

/// `rate` loops a second, whatever becomes of those before. The meter runs until the last is done, so a queue shows there too.
pub(crate) async fn open<F, L>(clients: usize, rate: u32, span: Span, meter: Meter, one: F) -> Result<Samples, Failure>
where
    F: Fn(usize, Laps) -> L + Send + Sync + 'static,
    L: Future<Output = Result<Laps, Failure>> + Send,
{
    let (one, window) = (Arc::new(one), Arc::new(Window::default()));
    let start = Instant::now();
    let from = start + span.warm_up;
    let until = from + span.counted;
    let mut running = JoinSet::new();
    let mut warm = false;
    for number in 0.. {
        let due = start + Duration::from_secs(1) * number / rate;
        if due >= until {
            break;
        }
        tokio::time::sleep_until(due.into()).await;
        if due >= from && !warm {
            warm = true;
            window.begin(&meter);
        }
        let (one, window, client) = (one.clone(), window.clone(), number as usize % clients);
        running.spawn(async move {
            let laps = one(client, Laps::since(due)).await?;
            let mut samples = Samples { ended: usize::from(window.is_open(laps.last)), ..Samples::default() };
            if due >= from {
                samples.add(laps);
            }
            Ok(samples)
        });
    }
    let mut all = gather(running).await?;
    window.end(&meter);
    all.metered = window.length();
    Ok(all)
}

async fn gather(mut running: JoinSet<Result<Samples, Failure>>) -> Result<Samples, Failure> {
    let mut all = Samples::default();
    while let Some(done) = running.join_next().await {
        all.join(done??);
    }
    Ok(all)
}
