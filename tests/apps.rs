//! Native apps: what the platforms fetch to know which apps belong to this installation.

mod support;
mod world;

use serde_json::{Value, json};

use support::TestDb;
use world::World;

const FINGERPRINT: &str = "FA:C6:17:45:DC:09:03:78:6F:B9:ED:E6:2A:96:2B:39:9F:73:48:F0:BB:6F:89:9B:83:32:66:75:91:03:3B:9C";

crate::support::engines! {
    apps_that_are_configured_are_named_as_their_platforms_want
    without_apps_there_is_nothing
}

async fn fetch(world: &World, path: &str) -> (u16, String, Value) {
    let url = format!("{}/.well-known/{path}", world.server.issuer());
    let response = world.http.get(url).send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (status, headers["content-type"].to_str().unwrap().to_owned(), response.json().await.unwrap())
}

async fn apps_that_are_configured_are_named_as_their_platforms_want(db: TestDb) {
    let android = format!("com.example.phoneops={FINGERPRINT}");
    let settings = [("PHONEOPS_IOS_APPS", "9JA89QQLNQ.com.example.phoneops"), ("PHONEOPS_ANDROID_APPS", android.as_str())];
    let world = World::start_with(db, &settings).await;
    let apps = ["9JA89QQLNQ.com.example.phoneops"];
    let links = [json!({"/": "/a/*"}), json!({"/": "/i/*"}), json!({"/": "/enroll"})];
    let expected = json!({
        "webcredentials": {"apps": apps},
        "applinks": {"details": [{"appIDs": apps, "components": links}]},
    });
    let json_type = "application/json".to_owned();
    assert_eq!(fetch(&world, "apple-app-site-association").await, (200, json_type.clone(), expected));
    let expected = json!([{
        "relation": ["delegate_permission/common.handle_all_urls", "delegate_permission/common.get_login_creds"],
        "target": {"namespace": "android_app", "package_name": "com.example.phoneops", "sha256_cert_fingerprints": [FINGERPRINT]},
    }]);
    assert_eq!(fetch(&world, "assetlinks.json").await, (200, json_type, expected));
    world.end().await;
}

async fn without_apps_there_is_nothing(db: TestDb) {
    let world = World::start(db).await;
    for path in ["apple-app-site-association", "assetlinks.json"] {
        assert_eq!(fetch(&world, path).await.0, 404);
    }
    world.end().await;
}
