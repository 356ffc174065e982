//! The running server, or, where none runs, its database; and the person who is paged when nobody answers.

use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde::Deserialize;
use serde_json::Value;

use super::super::Failure;
use super::super::connect::local;
use super::super::reply::read;
use super::{Finding, fail, ok, warn};
use crate::client::{Client, Error};
use crate::clock::{Clock, Timestamp};
use crate::config::Config;
use crate::db::{self, Store};
use crate::delivery::{self, Reach};
use crate::identity::UserRef;
use crate::server;
use crate::text::line;

const SERVER: &str = "server";
const DATABASE: &str = "database";
const CLOCK: &str = "clock";
const FALLBACK: &str = "fallback";
const POLICIES: &str = "policies";
const RECOVERY: &str = "recovery";
const FREEZES: &str = "freezes";
const ROUTES: &str = "routes";
const READINESS: &str = "readiness";
const ESCALATION: &str = "escalation";

const RESTORE: &str = "restore";

/// For so long a restore is named.
const RESTORED_LATELY: Duration = Duration::from_hours(24 * 30);

/// As `/readyz` sees it: beyond this, deadlines do not mean the same on both sides.
const MAX_SKEW: Duration = Duration::from_secs(2);

/// Where SQLite is, if that is what is configured.
pub(super) fn sqlite(config: &Config) -> PathBuf {
    config.data_dir.join("phoneops.sqlite")
}

pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    match local(&config.data_dir) {
        Ok(client) => running(config, &client).await,
        Err(Failure::NoServer(_)) => stopped(config).await,
        Err(failure) => vec![fail(SERVER, failure.to_string())],
    }
}

async fn running(config: &Config, client: &Client) -> Vec<Finding> {
    let mut findings = match client.get("/readyz").await {
        Ok(ready) => [
            vec![
                ok(SERVER, "it answers on its socket and is ready"),
                ok(DATABASE, "it answers the server"),
                ok(CLOCK, "it agrees with the database's"),
            ],
            routes(&ready.body),
        ]
        .concat(),
        Err(Error::Refused(refusal)) if refusal.code == "clock_skew" => {
            vec![fail(CLOCK, format!("{}: set the clocks, for example with NTP", refusal.detail))]
        }
        Err(error) => vec![fail(SERVER, format!("it runs and is not ready: {}", Failure::from(error)))],
    };
    let found = match handle(config) {
        Ok(None) => None,
        Ok(Some(handle)) => Some(reach(client, &handle).await),
        Err(finding) => return [findings, vec![finding]].concat(),
    };
    findings.push(fallback(config, found));
    findings.extend(client.get("/v1/policies").await.ok().and_then(|reply| taps(&reply.body)));
    findings.extend(client.get("/v1/escalation-policies").await.ok().and_then(|reply| silent(&reply.body)));
    findings.extend(recoveries(client).await);
    findings.extend(client.get("/v1/readiness").await.ok().map(|reply| readiness(&reply.body)));
    findings.extend(client.get("/v1/freezes").await.ok().and_then(|reply| frozen(&reply.body)));
    findings.extend(super::on_call::examine(client).await);
    let restores = client.get("/v1/journal?kind=backup.revived&order=newest&limit=1").await;
    findings.extend(restores.ok().and_then(|reply| restored(&reply.body, Clock::system().now())));
    findings
}

/// What works again since a backup was restored lately.
fn restored(body: &Value, now: Timestamp) -> Option<Finding> {
    let entry = body["entries"].as_array()?.first()?;
    let at: Timestamp = serde_json::from_value(entry["at"].clone()).ok()?;
    let (keys, calendars) = (entry["data"]["integration_keys"].as_i64()?, entry["data"]["calendars"].as_i64()?);
    let what = format!("{keys} keys of integrations and {calendars} addresses of calendars work as they did when it was made");
    let how =
        "those that were revoked or rotated since work again: revoke them again (`phoneops service key`, `phoneops calendar`)";
    (keys + calendars > 0 && at.after(RESTORED_LATELY) > now)
        .then(|| warn(RESTORE, format!("a backup was restored {at}; {what}, and {how}")))
}

/// The ways to phones that the server leaves alone, as `/readyz` names them.
fn routes(ready: &Value) -> Vec<Finding> {
    let down = ready["routes_down"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let found: Vec<_> = down
        .map(|route| fail(ROUTES, format!("{route} fails and is left alone: its log says why (`route.opened` in the journal)")))
        .collect();
    if found.is_empty() { vec![ok(ROUTES, "none is down")] } else { found }
}

/// Who may be paged, and whether any phone of theirs said lately that a push came.
fn readiness(body: &Value) -> Finding {
    let all = body["responders"].as_array().map(Vec::as_slice).unwrap_or_default();
    let silent = all.iter().filter(|responder| responder["ready"] != true);
    let names: Vec<_> =
        silent.map(|responder| format!("@{}", line(responder["user"]["handle"].as_str().unwrap_or_default(), 80))).collect();
    if names.is_empty() {
        return ok(READINESS, format!("everybody who may be paged was heard of lately ({})", all.len()));
    }
    let why = "no phone of theirs said in 30 days that a push came: let them send themselves a test page";
    warn(READINESS, format!("{} of {}: {why}: {}", names.len(), all.len(), names.join(", ")))
}

/// People with a device that recovers them and decides nothing yet: whoever did not ask for it has until then to end it.
async fn recoveries(client: &Client) -> Vec<Finding> {
    let Ok(users) = client.get("/v1/users").await else { return Vec::new() };
    let now = Clock::system().now();
    let mut findings = Vec::new();
    for handle in users.body["users"].as_array().into_iter().flatten().filter_map(|user| user["handle"].as_str()) {
        let Ok(has) = client.get(&format!("/v1/users/@{handle}/devices")).await else { continue };
        findings.extend(has.body["devices"].as_array().into_iter().flatten().filter_map(|device| recovery(handle, device, now)));
    }
    findings
}

/// What is to be said of a device that recovers its person.
fn recovery(handle: &str, device: &serde_json::Value, now: Timestamp) -> Option<Finding> {
    let from: Timestamp = serde_json::from_value(device["approves_from"].clone()).ok()?;
    let id = device["id"].as_str()?;
    let end = format!("if nobody asked for that, `phoneops device revoke {id}`");
    (now < from).then(|| warn(RECOVERY, format!("@{handle} is being recovered: {id} decides for them from {from} on; {end}")))
}

/// What is frozen until an administrator lifts it.
fn frozen(body: &serde_json::Value) -> Option<Finding> {
    let freezes = body["freezes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let one = |freeze: &serde_json::Value| {
        let name = |value: &serde_json::Value| line(value.as_str().unwrap_or_default(), 80);
        let whom = freeze["requester"]["handle"].as_str().map(|handle| format!(" for @{}", line(handle, 80))).unwrap_or_default();
        format!("{}{whom} ({})", name(&freeze["bot"]["name"]), name(&freeze["id"]))
    };
    let all: Vec<_> = freezes.iter().map(one).collect();
    let why = || format!("{}: somebody reported these, and nothing is approved until `phoneops freeze lift`", all.join(", "));
    (!all.is_empty()).then(|| warn(FREEZES, why()))
}

/// Which policies take a tap, which shows no more than that somebody held the phone.
fn taps(body: &serde_json::Value) -> Option<Finding> {
    let policies = body["policies"].as_array().map(Vec::as_slice).unwrap_or_default();
    let weak = policies.iter().filter(|policy| policy["require"]["factor"] == "tap");
    let names: Vec<_> = weak.filter_map(|policy| policy["name"].as_str()).collect();
    let why =
        || format!("{} takes a tap, which is for low risk only: ask for a code or a passkey where it matters", names.join(", "));
    (!names.is_empty()).then(|| warn(POLICIES, why()))
}

/// Whom escalation policies name and would not reach now.
fn silent(body: &serde_json::Value) -> Option<Finding> {
    let policies = body["escalation_policies"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of = |policy: &serde_json::Value| {
        let name = line(policy["name"].as_str().unwrap_or_default(), 80);
        let warnings = policy["warnings"].as_array().cloned().unwrap_or_default();
        warnings.into_iter().filter_map(move |text| Some(format!("{name}: {}", line(text.as_str()?, 200)))).collect::<Vec<_>>()
    };
    let all: Vec<_> = policies.iter().flat_map(of).collect();
    (!all.is_empty()).then(|| warn(ESCALATION, format!("{}; a page goes on to the next step there", all.join("; "))))
}

/// What a person has to be reached on and to approve with.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Has {
    push_devices: usize,
    passkeys: usize,
}

/// What `who` has, as the server says; none when there is no such person. The error is for people.
async fn reach(client: &Client, who: &UserRef) -> Result<Option<Has>, String> {
    match client.get(&format!("/v1/users/{who}")).await {
        Ok(reply) => read(&reply.body).map(Some).map_err(|failure| failure.to_string()),
        Err(Error::Refused(refusal)) if refusal.code == "not_found" => Ok(None),
        Err(error) => Err(Failure::from(error).to_string()),
    }
}

async fn stopped(config: &Config) -> Vec<Finding> {
    let lock = match lock(config) {
        Ok(lock) => lock,
        Err(finding) => return vec![finding],
    };
    let mut findings = vec![warn(SERVER, Failure::NoServer(config.data_dir.clone()).to_string())];
    if config.database_url.is_none() && !sqlite(config).exists() {
        findings.push(warn(DATABASE, format!("{} is not there yet; the first start makes it", sqlite(config).display())));
        findings.push(no_fallback_yet(config));
        return findings;
    }
    match server::open(config).await {
        Ok(store) => {
            findings.push(match store.is_at_home().await {
                Ok(true) => ok(DATABASE, "it opens, and its schema is this version's"),
                Ok(false) => fail(DATABASE, server::Error::DumpRestored.to_string()),
                Err(error) => fail(DATABASE, error.to_string()),
            });
            findings.push(clock(&store).await);
            findings.push(fallback_in(config, &store).await);
        }
        Err(error) => findings.push(fail(DATABASE, error.to_string())),
    }
    drop(lock);
    findings
}

/// Keeps a server from starting while its database is open here. None where no server has ever run.
fn lock(config: &Config) -> Result<Option<std::fs::File>, Finding> {
    let path = config.data_dir.join("lock");
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(SERVER, format!("{}: {error}", path.display()))),
    };
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let why = "a server holds the data directory and does not answer on its socket";
        return Err(fail(SERVER, format!("{why}: is it starting or stopping? Look at its log")));
    }
    Ok(Some(file))
}

async fn clock(store: &Store) -> Finding {
    match store.now().await {
        Ok(None) => ok(CLOCK, "SQLite goes by this machine's"),
        Ok(Some(theirs)) => compared(Clock::system().now(), theirs),
        Err(error) => fail(CLOCK, format!("the database does not tell its time: {error}")),
    }
}

fn compared(ours: Timestamp, theirs: Timestamp) -> Finding {
    let skew = ours.until(theirs).max(theirs.until(ours));
    if skew <= MAX_SKEW {
        return ok(CLOCK, "it agrees with the database's");
    }
    let millis = skew.as_millis();
    fail(CLOCK, format!("it differs from the database's by {millis} ms: set the clocks, for example with NTP"))
}

/// Who is paged when nobody answers, when the setting names somebody at all.
fn handle(config: &Config) -> Result<Option<UserRef>, Finding> {
    let parsed = config.paging.fallback.as_deref().map(str::parse::<UserRef>).transpose();
    parsed.map_err(|error| fail(FALLBACK, format!("paging.fallback: {error}")))
}

async fn fallback_in(config: &Config, store: &Store) -> Finding {
    let handle = match handle(config) {
        Ok(handle) => handle,
        Err(finding) => return finding,
    };
    let Some(handle) = handle else { return fallback(config, None) };
    let found: db::Result<Option<Reach>> =
        store.read(move |db| Box::pin(async move { delivery::reach(db, &handle).await })).await;
    let has = |reach: Reach| Has { push_devices: reach.push_devices, passkeys: reach.passkeys };
    fallback(config, Some(found.map(|found| found.map(has)).map_err(|error| error.to_string())))
}

/// `found` is what the person of the setting has, if there is one, or why that is not known.
fn fallback(config: &Config, found: Option<Result<Option<Has>, String>>) -> Finding {
    let named = config.paging.fallback.as_deref().unwrap_or_default();
    match found {
        None => warn(FALLBACK, "nobody is paged when those who were paged do not answer: set paging.fallback"),
        Some(Ok(Some(has))) => reached(named, has),
        Some(Ok(None)) => {
            fail(FALLBACK, format!("there is no {named}: correct paging.fallback, or add them with `phoneops user add`"))
        }
        Some(Err(why)) => fail(FALLBACK, format!("whether {named} is there is not known: {why}")),
    }
}

fn reached(named: &str, has: Has) -> Finding {
    match has {
        Has { push_devices: 0, .. } => {
            let why = format!("{named} is paged when nobody else answers, and has no device that rings");
            fail(FALLBACK, format!("{why}: `phoneops enroll {named}`, then register for push on the phone"))
        }
        Has { passkeys: 0, .. } => {
            let why = format!("{named} is paged when nobody else answers, and has no passkey");
            warn(FALLBACK, format!("{why}: they could approve nothing; make one on their phone"))
        }
        Has { .. } => ok(FALLBACK, format!("{named} is paged when nobody else answers; they have push and a passkey")),
    }
}

/// Before the first start nobody can be there.
fn no_fallback_yet(config: &Config) -> Finding {
    match handle(config) {
        Ok(None) => fallback(config, None),
        Ok(Some(named)) => warn(FALLBACK, format!("{named} has to be added after the first start: `phoneops user add`")),
        Err(finding) => finding,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::super::Level;
    use super::*;

    fn config(data_dir: &Path, fallback: Option<&str>) -> Config {
        let data_dir = ("PHONEOPS_DATA_DIR".to_owned(), data_dir.to_str().unwrap().to_owned());
        let fallback = fallback.map(|fallback| ("PHONEOPS_PAGING_FALLBACK".to_owned(), fallback.to_owned()));
        Config::load(None, [data_dir].into_iter().chain(fallback)).unwrap()
    }

    fn levels(findings: &[Finding]) -> Vec<(&'static str, Level)> {
        findings.iter().map(|finding| (finding.check, finding.level)).collect()
    }

    #[test]
    fn a_route_that_is_down_is_named() {
        let found = |ready| routes(&ready).iter().map(Finding::line).collect::<Vec<_>>().concat();
        assert!(found(serde_json::json!({"status": "ok", "routes_down": ["apns"]})).contains("apns fails"));
        assert!(found(serde_json::json!({"status": "ok", "routes_down": []})).contains("none is down"));
    }

    #[test]
    fn who_was_not_heard_of_is_named() {
        let one = |handle: &str, ready: bool| serde_json::json!({"user": {"handle": handle}, "ready": ready});
        let found = readiness(&serde_json::json!({"responders": [one("yannick", true), one("zoe", false)]}));
        assert!(found.level == Level::Warn && found.why.starts_with("1 of 2: ") && found.why.ends_with(": @zoe"), "{found:?}");
        assert_eq!(readiness(&serde_json::json!({"responders": [one("yannick", true)]})).level, Level::Ok);
    }

    #[tokio::test]
    async fn before_the_first_start_nothing_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let findings = examine(&config(dir.path(), Some("@ys"))).await;
        assert_eq!(levels(&findings), [(SERVER, Level::Warn), (DATABASE, Level::Warn), (FALLBACK, Level::Warn)]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn without_a_server_the_database_is_opened_and_asked() {
        let dir = tempfile::tempdir().unwrap();
        drop(server::open(&config(dir.path(), None)).await.unwrap());
        let findings = examine(&config(dir.path(), Some("@ys"))).await;
        let expected = [(SERVER, Level::Warn), (DATABASE, Level::Ok), (CLOCK, Level::Ok), (FALLBACK, Level::Fail)];
        assert_eq!(levels(&findings), expected);
        assert!(findings[3].why.contains("there is no @ys"));
    }

    #[tokio::test]
    async fn the_database_of_a_server_that_holds_the_lock_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let held = std::fs::File::create(dir.path().join("lock")).unwrap();
        flock(&held, FlockOperation::NonBlockingLockExclusive).unwrap();
        let findings = examine(&config(dir.path(), None)).await;
        assert_eq!(levels(&findings), [(SERVER, Level::Fail)]);
    }

    #[test]
    fn a_restore_is_named_for_a_month() {
        let at = Timestamp::from_seconds(1_800_000_000);
        let body = |keys| json!({"entries": [{"at": at, "data": {"integration_keys": keys, "calendars": 0}}]});
        let day = Duration::from_hours(24);
        let found = restored(&body(2), at.after(day * 29)).unwrap();
        assert!(found.level == Level::Warn && found.why.contains("2 keys of integrations and 0 addresses"), "{found:?}");
        assert_eq!(restored(&body(2), at.after(day * 31)), None);
        assert_eq!(restored(&body(0), at), None, "there is nothing to look at");
        assert_eq!(restored(&json!({"entries": []}), at), None);
    }

    #[test]
    fn what_is_frozen_is_named() {
        assert!(frozen(&serde_json::json!({"freezes": []})).is_none());
        let found = frozen(&serde_json::json!({"freezes": [
            {"id": "frz_1", "bot": {"name": "heimdall"}, "requester": {"handle": "yannick"}}, {"id": "frz_2", "bot": {"name": "loki"}}]}));
        let found = found.unwrap();
        assert!(found.level == Level::Warn && found.why.starts_with("heimdall for @yannick (frz_1), loki (frz_2):"), "{found:?}");
    }

    #[test]
    fn clocks_may_differ_by_two_seconds() {
        let now = Timestamp::from_seconds(1_000);
        assert_eq!(compared(now, now.after(MAX_SKEW)).level, Level::Ok);
        let apart = compared(now.after(Duration::from_millis(2_001)), now);
        assert!(apart.level == Level::Fail && apart.why.contains("2001 ms"), "{apart:?}");
    }

    #[test]
    fn a_fallback_person_is_of_use_only_when_a_phone_rings() {
        let level = |push_devices, passkeys| reached("@ys", Has { push_devices, passkeys }).level;
        assert_eq!([level(0, 0), level(0, 1), level(1, 0), level(1, 1)], [Level::Fail, Level::Fail, Level::Warn, Level::Ok]);
    }
}
