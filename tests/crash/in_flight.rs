//! A death while a push is under way: the push service has it and has not answered.

use phoneops::sim::push_service::Fault;

use crate::check::{Once, check};
use crate::story::join;
use crate::support::{TestDb, engines};
use crate::world::{FirstLife, World, eventually};

engines! { a_push_under_way_is_sent_again }

/// Nobody knows what became of it, so it is sent again.
async fn a_push_under_way_is_sent_again(db: TestDb) {
    let world = World::start(db, FirstLife::default()).await;
    let cast = join(&world).await;
    let subscription = cast.phone.subscription_id().expect("a subscription");
    world.push_service.script(&subscription, Fault::Hang, 1).expect("the phone is subscribed");
    let (incident, reference) = cast.page("All your apps are down").await;
    let hangs = || async { world.push_service.journal().iter().any(|entry| entry.fault.is_some()).then_some(()) };
    eventually("the push is under way", hangs).await;
    world.process.kill();
    eventually("the next life", || async { world.process.was_killed(1).then_some(()) }).await;
    cast.rings(&incident, 1).await;
    cast.settle(&reference).await;
    check(&world, &Once { people: 1, further: 0, incidents: 1, approvals: 0, redeemed: 0 }).await;
}
