//! A server that is started again between a request and its end.

use super::requests::hush;
use super::room::{Room, tag};
use crate::support::TestDb;
use crate::world::{World, seconds};

crate::support::engines! { a_restart_between_request_and_approval }

async fn a_restart_between_request_and_approval(db: TestDb) {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("master.key");
    std::fs::write(&key, &*phoneops::secret::MasterKey::generate().to_text()).unwrap();
    let settings = [("PHONEOPS_MASTER_KEY_FILE", key.to_str().expect("a path"))];
    let start = phoneops::clock::Timestamp::from_seconds(1_800_000_000);
    let world = World::start_at(db.clone(), start, &settings).await;
    let (yannick, room) = (world.person("yannick", "Yannick Schutz").await, Room::new(&world, "C1").await);
    room.link(&yannick).await;
    let asked = room.say_in("yannick", "1", "deploy api/one to production").await;
    room.shown(asked.about.unwrap(), "1.reply").await;
    room.posts().await;
    hush(&world, &[&yannick]).await;
    let bot = crate::world::Bot { id: room.bot.id.clone(), client: room.bot.client.clone() };
    drop(room);
    world.end().await;

    let world = World::start_at(db, start.after(seconds(30)), &settings).await;
    let room = Room::of(&world, bot, "C1").await;
    room.posts().await;
    world.advance(seconds(300)).await;
    let told = room.told().await;
    assert_eq!(told.message.as_deref(), Some("1.reply"), "what was asked before is told where it was asked");
    assert!(told.reply.text.starts_with(&format!("Nobody approved request {}", tag(&asked))), "{}", told.reply.text);
    world.end().await;
}
