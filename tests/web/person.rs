//! What is a person's own: how they are paged, the pager, calendars, devices, chat, and requests alike.

use serde_json::json;

use crate::browser::until;
use crate::house::{Holder, House};

pub(crate) async fn a_device_is_renamed_and_rules_are_changed(house: &House) -> Vec<Holder> {
    let yannick = house.person("yannick", "Yannick Schutz").await;
    yannick.page.open(&house.address("/me")).await;
    yannick.page.tap("Rename the device A phone").await;
    yannick.page.write("name", "The phone in my pocket").await;
    // Something of theirs changes meanwhile, and the app looks again: what they are writing stays.
    let looked = yannick.page.times_asked("/v1/me/paging-rules");
    house
        .world
        .operator
        .put("/v1/users/@yannick/email", &json!({"email": "yannick@phoneops.example"}))
        .await
        .expect("an address");
    until!("the screen hears of it", (yannick.page.times_asked("/v1/me/paging-rules") > looked).then_some(()));
    yannick.page.tap("Save").await;
    yannick.page.sees("The phone in my pocket").await;
    let devices = house.world.operator.get("/v1/users/@yannick/devices").await.expect("their devices").body;
    assert_eq!(devices["devices"][0]["name"], "The phone in my pocket");

    yannick.page.sees("Urgent: a loud push at once, an e-mail after 5 min; repeated at every ring.").await;
    yannick.page.tap("Change").await;
    yannick.page.tap("Add hours").await;
    yannick.page.tap("Add an entry").await;
    yannick.page.write("services", "api, web").await;
    yannick.page.write("labels", "env=production").await;
    yannick.picture("paging-rules").await;
    yannick.page.tap("Save").await;
    yannick.page.sees("Only for: services api or web, labels env=production.").await;
    let rules = house.world.operator.get("/v1/users/@yannick/paging-rules").await.expect("their rules").body;
    let only = json!([{"services": ["api", "web"], "labels": {"env": "production"}}]);
    assert_eq!((&rules["only"], &rules["quiet_hours"]["hours"]), (&only, &json!(["mon-sun 22:00-07:00"])));
    vec![yannick]
}

pub(crate) async fn the_pager_is_taken_and_calendars_are_made(house: &House) -> Vec<Holder> {
    let yannick = house.person("yannick", "Yannick Schutz").await;
    house.world.operator.post("/v1/users", &json!({"handle": "ys", "name": "Ys Example"})).await.expect("a user");
    house.world.operator.post("/v1/teams", &json!({"name": "ops"})).await.expect("a team");
    house.world.operator.put("/v1/teams/ops/members/@yannick", &json!({})).await.expect("a member");
    let layer = json!({"name": "primary", "people": ["@ys"], "shift": "1 week", "first": "2024-01-01T09:00"});
    let schedule = json!({"zone": "Europe/Paris", "team": "ops", "layers": [layer]});
    house.world.operator.put("/v1/schedules/nights", &schedule).await.expect("a schedule");
    yannick.page.open(&house.address("/on-call")).await;
    yannick.page.sees("Ys Example").await;
    yannick.page.tap("Take the pager").await;
    yannick.page.tap("1 hour").await;
    yannick.page.sees("You, now").await;
    yannick.page.sees("My shifts").await;
    yannick.picture("on-call-taken").await;
    yannick.page.tap("Make a calendar").await;
    yannick.page.sees(".ics").await;
    let made = yannick.page.eval("document.querySelector('p.mono').innerText").await;
    let feed = house.world.http.get(made.as_str().expect("an address")).send().await.expect("an answer");
    assert!(feed.text().await.expect("a calendar").starts_with("BEGIN:VCALENDAR"));
    vec![yannick]
}

pub(crate) async fn a_chat_identity_is_shown_before_it_is_linked(house: &House) -> Vec<Holder> {
    let yannick = house.person("yannick", "Yannick Schutz").await;
    let heimdall = house.world.bot("heimdall").await;
    let identity = json!({"platform": "slack", "workspace": "T0ORG", "user": "U0YANNICK", "name": "yannick-in-chat"});
    let code = heimdall.client.post("/v1/chat-identities/codes", &identity).await.expect("a code").body;
    // The link that a chat shows brings the code along.
    yannick.page.open(code["link"].as_str().expect("a link")).await;
    yannick.page.sees("Link code from chat").await;
    yannick.page.tap("Link").await;
    yannick.page.sees("Is this you?").await;
    yannick.page.sees("yannick-in-chat").await;
    yannick.picture("chat-is-this-you").await;
    yannick.page.tap("Yes, link it").await;
    yannick.page.sees("Unlink").await;
    vec![yannick]
}

pub(crate) async fn requests_alike_say_what_is_different(house: &House) -> Vec<Holder> {
    let yannick = house.person("yannick", "Yannick Schutz").await;
    let heimdall = house.world.bot("heimdall").await;
    let deploys = |reference: &str| json!({"type": "deploy", "target": "production", "params": {"app": "api", "ref": reference}});
    heimdall.ask_handle(&yannick.handle, deploys("new_auth")).await;
    house.world.settle().await;
    yannick.delivered(house).await;
    let second = heimdall.ask_handle(&yannick.handle, deploys("other")).await;
    house.world.settle().await;
    yannick.page.open(&house.address(&format!("/a/{second}"))).await;
    yannick.page.sees("rang instead").await;
    yannick.page.sees("new_auth → other").await;
    yannick.picture("approval-alike").await;
    vec![yannick]
}

/// Says on the screen that they are away for an hour.
async fn says_that_they_are_away(holder: &Holder, delegate: &str) {
    holder.page.tap("Say that you are away").await;
    let field = "document.querySelector('[name=until]')";
    holder.page.wait(field).await;
    let in_an_hour = "(() => { const at = new Date(Date.now() + 3600000); at.setMinutes(at.getMinutes() - at.getTimezoneOffset()); \
         return at.toISOString().slice(0, 16); })()";
    holder.page.eval(&format!("{field}.value = {in_an_hour}")).await;
    if !delegate.is_empty() {
        holder.page.write("delegate", delegate).await;
    }
    holder.look(if delegate.is_empty() { "away" } else { "away-delegate" }).await;
    holder.page.tap("Save").await;
}

pub(crate) async fn somebody_goes_away_and_comes_back(house: &House) -> Vec<Holder> {
    let yannick = house.person("yannick", "Yannick Schutz").await;
    house.world.person("ys", "Ys Example").await;
    let away = async || house.world.operator.get("/v1/users/@yannick").await.expect("a person").body["away"].clone();
    yannick.page.open(&house.address("/me")).await;
    says_that_they_are_away(&yannick, "").await;
    yannick.page.sees("You are away from").await;
    assert!(away().await["until"].is_string() && away().await["delegate"].is_null(), "{}", away().await);
    yannick.look("away-now").await;
    yannick.page.tap("I am back").await;
    yannick.page.sees_no_more("You are away from").await;
    assert_eq!(away().await, json!(null));

    // Somebody else answers in their place: that takes a passkey.
    says_that_they_are_away(&yannick, "@ys").await;
    yannick.page.sees("Somebody is away, with a delegate").await;
    assert_eq!(away().await, json!(null), "nothing is so before it was confirmed");
    yannick.look("away-act").await;
    yannick.page.tap("Confirm with passkey").await;
    yannick.page.sees("Done").await;
    assert_eq!(away().await["delegate"]["handle"], "ys");
    yannick.page.open(&house.address("/me")).await;
    yannick.page.sees("Ys Example answers for you.").await;
    house.world.settle().await;
    vec![yannick]
}
