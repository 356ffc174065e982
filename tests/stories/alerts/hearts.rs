//! Heartbeats while PhoneOps itself was away, and while their service goes.

use phoneops::db::Engine;
use sqlx::{AssertSqlSafe, Connection as _};

use super::setting::{Monitor, only_incident, service};
use crate::world::raw::{As, Raw};
use crate::world::{World, minutes, seconds};

pub(crate) async fn a_heart_that_beat_while_nobody_listened(world: &World) {
    let yannick = service(world).await;
    let heimdall = world.bot("heimdall").await;
    let (well, dead, silent) = (
        Monitor::of(world, "well", "heartbeat").await,
        Monitor::of(world, "dead", "heartbeat").await,
        Monitor::of(world, "silent", "heartbeat").await,
    );
    silent.beats().await;
    world.advance(minutes(5)).await;
    yannick.expect_push(world, "No heartbeat from silent (api) for 5 min").await;
    yannick.phone.acknowledge(only_incident(&heimdall).await["ref"].as_str().unwrap()).await.unwrap();

    // Nobody looks for ten minutes: nothing that beat meanwhile was heard.
    well.beats().await;
    dead.beats().await;
    world.clock.advance(minutes(10));
    yannick.expect_silence(world).await;
    assert_eq!(world.recorded("heartbeat.excused").await, 2);
    assert_eq!(only_incident(&heimdall).await["state"], "acknowledged", "who was silent before is silent");
    world.advance(seconds(60)).await;
    well.beats().await;
    world.advance(seconds(239)).await;
    yannick.expect_silence(world).await;
    world.advance(seconds(1)).await;
    yannick.expect_push(world, "No heartbeat from dead (api) for 15 min").await;
    for (monitor, name) in [(&dead, "dead"), (&silent, "silent")] {
        monitor.beats().await;
        yannick.expect_push(world, &format!("Resolved by {name} (api)")).await;
    }
}

/// Whoever removes a service locks it and then its integrations, and so does a beat that ends a silence.
pub(crate) async fn a_service_is_removed_while_its_heart_beats(world: &World) {
    let yannick = service(world).await;
    let backup = Monitor::of(world, "backup", "heartbeat").await;
    backup.beats().await;
    world.advance(minutes(5)).await;
    yannick.expect_push(world, "No heartbeat from backup (api) for 5 min").await;
    let raw = Raw::new(world);
    let path = backup.path();
    if world.db.engine() == Engine::Lite {
        // There is one writer: the one waits for the other.
        let (beat, removed) = tokio::join!(raw.shot(As::Nobody, "POST", &path).fire(), world.operator.delete("/v1/services/api"));
        assert!([204, 404].contains(&beat.status), "{}", beat.status);
        assert!(removed.is_ok(), "{removed:?}");
    } else {
        let mut removing = world.db.pg().await;
        let mut tx = removing.begin().await.unwrap();
        for sql in ["set local deadlock_timeout = '100ms'", "select id from services for update"] {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *tx).await.unwrap();
        }
        let beat = raw.shot(As::Nobody, "POST", &path);
        let (beat, removed) = tokio::join!(beat.fire(), async {
            tokio::time::sleep(seconds(1)).await;
            let revoked = sqlx::raw_sql("update integrations set revoked_at = 1").execute(&mut *tx).await;
            tx.commit().await.unwrap();
            revoked
        });
        assert!(removed.is_ok(), "{removed:?}");
        assert_eq!(beat.status, 204);
    }
    let open = world.db.number("select count(*) from incidents where state <> 'resolved'").await;
    if open > 0 {
        let reference = only_incident(&world.bot("heimdall").await).await["ref"].as_str().unwrap().to_owned();
        yannick.phone.resolve(&reference).await.unwrap();
    } else {
        yannick.expect_push(world, "Resolved by backup (api)").await;
    }
}
