//! The connections, and who may ask on which.
//!
//! ```text
//!            ┌─ opened when those that there are have no room to spare
//!   opening ─┴► new: one stream ──first accepted──► proven: as many as the peer allows ──► closing: those asked end ──► gone
//!                  └─────────────────────────────────────────────────────────────────────────► (GOAWAY, poisoned, silent)
//! ```
//!
//! **Invariants**
//! - A line is one stream's worth of one connection. It is given back when its holder drops it, whatever became of the request.
//! - Whoever waits, waits in line, behind those alone that are at least as urgent: nobody waits while there is room, and at most
//!   [`WAITING_MAX`] wait.
//! - A connection that is closing gets no new request, and ends when the last one on it does.
//! - When no connection can be had, whoever waits hears it at once.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Followed, Lost, why};
use super::reply::Reply;
use super::silence;
use super::way::Way;
use crate::clock::{Clock, Timestamp};
use crate::push::Urgency;

/// How many may wait for room.
const WAITING_MAX: usize = 4_096;

/// What a connection is given before another is opened: with 1 KB each, about as much as the window of a connection holds.
const COMFORTABLE: usize = 50;

/// What is asked on one connection at most, whatever the peer allows.
const STREAMS_MAX: usize = 1_000;

/// How long no other connection is tried after one could not be opened, while there is one that works.
const RELUCTANCE: Duration = Duration::from_secs(5);

/// All connections.
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    way: Way,
    clock: Clock,
    most: usize,
    house: Mutex<House>,
    closing: CancellationToken,
}

#[derive(Default)]
struct House {
    known: Vec<Known>,
    /// How many are being opened.
    opening: usize,
    /// How many were opened, ever.
    opened: u64,
    /// How many pushes were accepted, ever.
    accepted: u64,
    not_before: Option<Timestamp>,
    waiting: Queue,
}

/// One who waits for room.
type Waiting = oneshot::Sender<Result<Line, String>>;

/// Those who wait. A page at night does not wait behind the news.
#[derive(Default)]
struct Queue {
    urgent: VecDeque<Waiting>,
    ordinary: VecDeque<Waiting>,
}

impl Queue {
    fn len(&self) -> usize {
        self.urgent.len() + self.ordinary.len()
    }

    /// The next one who still waits.
    fn next(&mut self) -> Option<Waiting> {
        while let Some(waiting) = self.urgent.pop_front().or_else(|| self.ordinary.pop_front()) {
            // Room that is offered to one who is gone would come back, and be offered again, once for each of them.
            if !waiting.is_closed() {
                return Some(waiting);
            }
        }
        None
    }

    /// A place at the end of those as urgent.
    fn join(&mut self, urgency: Urgency) -> Result<oneshot::Receiver<Result<Line, String>>, Lost> {
        if self.len() >= WAITING_MAX {
            self.urgent.retain(|waiting| !waiting.is_closed());
            self.ordinary.retain(|waiting| !waiting.is_closed());
        }
        if self.len() >= WAITING_MAX {
            let full = format!("{WAITING_MAX} pushes wait for a connection already");
            // The ordinary ones never keep an urgent one out: the last of them gives up its place.
            let last = if urgency == Urgency::High { self.ordinary.pop_back() } else { None };
            match last {
                // Whoever does not wait any more need not hear it.
                Some(last) => drop(last.send(Err(full))),
                None => return Err(Lost::NoConnection(full)),
            }
        }
        let (sender, receiver) = oneshot::channel();
        match urgency {
            Urgency::High => self.urgent.push_back(sender),
            Urgency::Normal => self.ordinary.push_back(sender),
        }
        Ok(receiver)
    }
}

/// What is known of a connection.
struct Known {
    connection: Arc<Connection>,
    asked: usize,
    /// What the peer allows at present.
    allowed: usize,
    proven: bool,
    closing: bool,
}

impl Known {
    fn limit(&self) -> usize {
        match (self.closing, self.proven) {
            (true, _) => 0,
            (false, false) => self.allowed.min(1),
            (false, true) => self.allowed.min(STREAMS_MAX),
        }
    }

    fn has_room(&self) -> bool {
        self.asked < self.limit()
    }
}

/// The connection with room of which the least is asked.
fn roomiest(known: &mut [Known]) -> Option<&mut Known> {
    known.iter_mut().filter(|known| known.has_room()).min_by_key(|known| known.asked)
}

impl House {
    fn of(&mut self, number: u64) -> Option<&mut Known> {
        self.known.iter_mut().find(|known| known.connection.number == number)
    }

    fn wants_another(&self, most: usize, now: Timestamp) -> bool {
        let usable = self.known.iter().filter(|known| !known.closing);
        let (mut count, mut comfortable, mut asked) = (self.opening, self.opening, self.waiting.len());
        for known in usable {
            count += 1;
            comfortable += known.limit().min(COMFORTABLE);
            asked += known.asked;
        }
        let reluctant = count > 0 && self.not_before.is_some_and(|instant| now < instant);
        asked > comfortable && count < most && !reluctant
    }

    fn is_hopeless(&self) -> bool {
        self.opening == 0 && self.known.iter().all(|known| known.closing)
    }
}

impl Pool {
    pub(super) fn new(way: Way, clock: Clock, most: usize) -> Self {
        Self(Arc::new(Shared { way, clock, most, house: Mutex::default(), closing: CancellationToken::new() }))
    }

    /// Room for one request, at once or until then.
    pub(super) async fn line(&self, urgency: Urgency, until: Timestamp) -> Result<Line, Lost> {
        let waiting = match self.0.take_or_wait(urgency)? {
            Room::Now(line) => return Ok(line),
            Room::Later(waiting) => waiting,
        };
        let none = |why: String| Lost::NoConnection(why);
        let accepted = self.0.lock().accepted;
        tokio::select! {
            biased;
            line = waiting => line.map_err(|_| none("closing down".to_owned()))?.map_err(none),
            // Where others had their turn meanwhile there is only much to do.
            () = self.0.clock.sleep_until(until) => {
                let others = self.0.lock().accepted != accepted;
                Err(if others { Lost::Late } else { none("no connection had room in time".to_owned()) })
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.0.closing.cancel();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, House> {
        // Nothing that is done under the lock panics.
        self.house.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_or_wait(self: &Arc<Self>, urgency: Urgency) -> Result<Room, Lost> {
        let mut house = self.lock();
        let room = match roomiest(&mut house.known) {
            Some(known) => Ok(Room::Now(self.take(known))),
            None => house.waiting.join(urgency).map(Room::Later),
        };
        let abandoned = self.serve(&mut house);
        drop(house);
        drop(abandoned);
        room
    }

    fn take(self: &Arc<Self>, known: &mut Known) -> Line {
        known.asked += 1;
        Line { shared: self.clone(), connection: known.connection.clone() }
    }

    /// Gives room to those who wait, and opens connections for the others. What nobody wanted any more comes back, to be dropped once
    /// the lock is.
    #[must_use]
    fn serve(self: &Arc<Self>, house: &mut House) -> Vec<Line> {
        let mut abandoned = Vec::new();
        while let Some(known) = roomiest(&mut house.known) {
            let Some(waiting) = house.waiting.next() else { break };
            if let Err(Ok(line)) = waiting.send(Ok(self.take(known))) {
                abandoned.push(line);
            }
        }
        let now = self.clock.now();
        while !self.closing.is_cancelled() && house.wants_another(self.most, now) {
            house.opening += 1;
            tokio::spawn(self.clone().open());
        }
        abandoned
    }

    /// Changes something, and lets whoever waits have the benefit.
    fn change(self: &Arc<Self>, change: impl FnOnce(&mut House)) {
        let mut house = self.lock();
        change(&mut house);
        let abandoned = self.serve(&mut house);
        drop(house);
        drop(abandoned);
    }

    async fn open(self: Arc<Self>) {
        let number = {
            let mut house = self.lock();
            house.opened += 1;
            house.opened
        };
        let opened = tokio::select! {
            opened = self.greet(number) => opened,
            () = self.closing.cancelled() => return,
        };
        match opened {
            Ok((connection, followed)) => {
                let connection = Arc::new(connection);
                let known = Known { connection: connection.clone(), asked: 0, allowed: 1, proven: false, closing: false };
                self.change(|house| {
                    house.opening -= 1;
                    house.not_before = None;
                    house.known.push(known);
                });
                self.follow(&connection, followed).await;
            }
            Err(why) => self.fail(&why),
        }
    }

    async fn greet(&self, number: u64) -> Result<(Connection, Followed), String> {
        let tls = self.way.open(&self.clock).await?;
        Connection::greet(tls, number).await
    }

    fn fail(self: &Arc<Self>, why: &str) {
        tracing::warn!(why, "no connection to APNs");
        let mut house = self.lock();
        house.opening -= 1;
        house.not_before = Some(self.clock.now().after(RELUCTANCE));
        let disappointed = if house.is_hopeless() { std::mem::take(&mut house.waiting) } else { Queue::default() };
        drop(house);
        for waiting in disappointed.urgent.into_iter().chain(disappointed.ordinary) {
            // Whoever does not wait any more need not hear it.
            let _ = waiting.send(Err(why.to_owned()));
        }
    }

    /// Carries what is said on a connection, for as long as it lives.
    async fn follow(self: &Arc<Self>, connection: &Connection, followed: Followed) {
        let Followed { mut traffic, pings, heard, mut probe } = followed;
        let number = connection.number;
        let (mut allowed, mut is_open) = (1, true);
        let carried = poll_fn(|cx| {
            let ended = Pin::new(&mut traffic).poll(cx);
            let now_allowed = traffic.max_concurrent_send_streams();
            if std::mem::replace(&mut allowed, now_allowed) != now_allowed {
                self.change(|house| house.of(number).into_iter().for_each(|known| known.allowed = now_allowed));
            }
            // After a GOAWAY it says that nothing new may be asked, while what was asked is still answered.
            if is_open && matches!(probe.poll_ready(cx), Poll::Ready(Err(_))) {
                is_open = false;
                self.close(number);
            }
            ended
        });
        let (owed, wedged) = (|| *connection.owed(), || self.close(number));
        let ended = tokio::select! {
            ended = carried => match ended {
                Ok(()) => "closed".to_owned(),
                Err(error) => why(&error),
            },
            () = silence::notice(pings, heard, &self.clock, owed, wedged) => "silent".to_owned(),
            () = connection.over.cancelled() => "given up".to_owned(),
            () = self.closing.cancelled() => "closing down".to_owned(),
        };
        tracing::debug!(connection = number, why = ended, "a connection to APNs is gone");
        self.change(|house| house.known.retain(|known| known.connection.number != number));
        // What was still asked on it fails as the traffic is dropped.
    }

    /// No new requests on it.
    fn close(self: &Arc<Self>, number: u64) {
        self.change(|house| {
            if let Some(known) = house.of(number) {
                known.closing = true;
                if known.asked == 0 {
                    known.connection.over.cancel();
                }
            }
        });
    }

    fn give_back(self: &Arc<Self>, number: u64) {
        self.change(|house| {
            if let Some(known) = house.of(number) {
                known.asked -= 1;
                if known.closing && known.asked == 0 {
                    known.connection.over.cancel();
                }
            }
        });
    }

    fn proven(self: &Arc<Self>, number: u64, proven: bool) {
        let mut house = self.lock();
        house.accepted += u64::from(proven);
        let known = house.of(number);
        let changed = known.is_some_and(|known| std::mem::replace(&mut known.proven, proven) != proven);
        drop(house);
        if changed {
            self.change(|_| {});
        }
    }
}

/// Room for one request.
enum Room {
    Now(Line),
    Later(oneshot::Receiver<Result<Line, String>>),
}

/// Room for one request on one connection.
pub(super) struct Line {
    shared: Arc<Shared>,
    connection: Arc<Connection>,
}

impl Line {
    /// Whether nothing was asked on its connection before.
    pub(super) fn is_first(&self) -> bool {
        self.connection.is_first()
    }

    /// Asks once, now, and waits for the answer until it is over.
    pub(super) async fn exchange(
        &self,
        request: Request<()>,
        body: Bytes,
        now: Timestamp,
        over: Timestamp,
        clock: &Clock,
    ) -> Result<Reply, Lost> {
        match self.connection.exchange(request, body, now, over, clock).await {
            Ok(reply) => Ok(reply),
            Err((lost, gives_up)) => {
                if gives_up {
                    self.condemn();
                } else if matches!(lost, Lost::Unprocessed(_)) {
                    // It refused a stream: one at a time again until it accepts something.
                    self.shared.proven(self.connection.number, false);
                }
                Err(lost)
            }
        }
    }

    /// Its connection had a request accepted.
    pub(super) fn prove(&self) {
        self.shared.proven(self.connection.number, true);
    }

    /// Its connection gets no new requests.
    pub(super) fn condemn(&self) {
        self.shared.close(self.connection.number);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shared.give_back(self.connection.number);
    }
}
