//! Native apps: what the platforms fetch to know which apps belong to this installation; and what its passkeys are bound to.

use std::path::Path;

use phoneops::clock::Clock;
use phoneops::config::Config;
use phoneops::server::Server;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::TestDb;
use crate::world::World;

const FINGERPRINT: &str = "FA:C6:17:45:DC:09:03:78:6F:B9:ED:E6:2A:96:2B:39:9F:73:48:F0:BB:6F:89:9B:83:32:66:75:91:03:3B:9C";

crate::support::engines! {
    apps_that_are_configured_are_named_as_their_platforms_want
    without_apps_there_is_nothing
    passkeys_stay_bound
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

/// Starts a server on this database as somebody who changed the settings would; what it says when it does not start.
async fn starts_as(db: &TestDb, data: &Path, host: &str, rp_id: &str) -> Result<(), String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut variables = vec![
        ("PHONEOPS_PUBLIC_URL", format!("https://{host}")),
        ("PHONEOPS_RP_ID", rp_id.to_owned()),
        ("PHONEOPS_DATA_DIR", db.directory().unwrap_or(data).display().to_string()),
    ];
    variables.extend(db.url().map(|url| ("PHONEOPS_DATABASE_URL", url)));
    let config = Config::load(None, variables.into_iter().map(|(key, value)| (key.to_owned(), value))).unwrap();
    let server = Server::start(&config, Clock::system(), listener, None).await.map_err(|error| error.to_string())?;
    server.stop().await;
    Ok(())
}

async fn passkeys_stay_bound(db: TestDb) {
    let data = tempfile::tempdir().unwrap();
    let start = async |host, rp_id| starts_as(&db, data.path(), host, rp_id).await;
    start("phones.ops.example", "phones.ops.example").await.unwrap();
    // Nobody has a passkey yet: a better choice costs nothing.
    start("phones.ops.example", "ops.example").await.unwrap();
    let (id, digest) = if db.url().is_some() { ("gen_random_uuid()", "'\\x01'") } else { ("randomblob(16)", "x'01'") };
    db.raw(&format!("insert into users (id, handle, name, role, created_at) values ({id}, 'ys', 'Ys Example', 'admin', 1)"))
        .await;
    db.raw(&format!(
        "insert into devices (id, user_id, name, platform, public_key, thumbprint, enrolled_at, attestation)
         select {id}, id, 'A phone', 'ios', {digest}, {digest}, 1, 'a' from users"
    ))
    .await;
    db.raw(&format!(
        "insert into passkeys (id, user_id, device_id, name, credential_id, credential, created_at, attestation)
         select {id}, user_id, id, 'Face ID', {digest}, '{{}}', 1, 'a' from devices"
    ))
    .await;
    let refused = start("phones.ops.example", "phones.ops.example").await.unwrap_err();
    let why =
        "rp_id is phones.ops.example, but 1 passkeys are bound to ops.example: set rp_id = \"ops.example\", or revoke them first";
    assert_eq!(refused, why);
    db.raw("update passkeys set revoked_at = 2").await;
    db.raw("update devices set revoked_at = 2").await;
    start("phones.ops.example", "phones.ops.example").await.unwrap();
}
