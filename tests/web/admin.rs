//! What an administrator does on the phone, and that it is really done: each story ends at the server.

use phoneops::client::Client;
use phoneops::secret::Secret;
use phoneops::sim::phone::{Factor, Verdict};
use serde_json::{Value, json};

use crate::browser::Page;
use crate::house::{Holder, House};
use crate::world::deploy;

/// An administrator with the app in their hand, on its screens for them.
async fn administrator(house: &House) -> Holder {
    let ada = house.person("ada", "Ada Example").await;
    house.world.operator.put("/v1/users/@ada/role", &json!({"role": "admin"})).await.expect("she administers");
    open(house, &ada.page, "/admin").await;
    ada.page.sees("Approval policies").await;
    ada
}

async fn open(house: &House, page: &Page, path: &str) {
    page.open(&house.address(path)).await;
    page.wait(&format!("location.pathname === {} && document.querySelector('main .admin')", json!(path))).await;
}

/// Follows a link of the app to `path`.
async fn go(page: &Page, path: &str) {
    page.tap_on(&format!("main a[href={}]", json!(path))).await;
    page.wait(&format!("location.pathname === {} && document.querySelector('main .admin')", json!(path))).await;
}

/// Chooses in a drop-down.
async fn choose(page: &Page, field: &str, value: &str) {
    let (selector, value) = (json!(format!("select[name={}]", json!(field))), json!(value));
    page.wait(&format!("[...(document.querySelector({selector})?.options ?? [])].some((one) => one.value === {value})")).await;
    page.eval(&format!(
        "(() => {{ const one = document.querySelector({selector}); one.value = {value}; \
         one.dispatchEvent(new Event('change', {{ bubbles: true }})); }})()"
    ))
    .await;
}

/// Confirms with a passkey what weakens.
async fn confirm(page: &Page) {
    page.sees("This needs your passkey").await;
    page.tap("Confirm with passkey").await;
    page.wait("!document.querySelector('dialog')").await;
}

/// Says yes in the dialog that asks.
async fn yes(page: &Page) {
    page.wait("document.querySelector('dialog[open]')").await;
    page.tap_on("dialog .choices button").await;
    page.wait("!document.querySelector('dialog')").await;
}

/// What stands in the field of that label, to be copied.
async fn shown(page: &Page, label: &str) -> String {
    let field = format!("document.querySelector('input[readonly][aria-label={}]')", json!(label));
    page.wait(&field).await;
    page.eval(&format!("{field}.value")).await.as_str().expect("a text").to_owned()
}

/// What a camera would read off the QR code on the screen: whether the middle of each module is drawn dark, decoded.
async fn scanned(page: &Page) -> String {
    page.wait("document.querySelector('svg.qr')").await;
    let modules = "(() => { const code = document.querySelector('svg.qr'); const size = code.viewBox.baseVal.width; \
         const dark = code.querySelector('path'); \
         return Array.from({ length: size }, (_, y) => Array.from({ length: size }, (_, x) => \
         dark.isPointInFill(new DOMPoint(x + 0.5, y + 0.5)))); })()";
    let rows: Vec<Vec<bool>> = serde_json::from_value(page.eval(modules).await).expect("a square of truths");
    let scale = 4;
    let dark = |x: usize, y: usize| rows[y / scale][x / scale];
    let size = rows.len() * scale;
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(size, size, |x, y| if dark(x, y) { 0 } else { 255 });
    let grids = image.detect_grids();
    assert_eq!(grids.len(), 1, "one code is there");
    grids[0].decode().expect("it can be read").1
}

pub(crate) async fn a_person_is_added_and_given_an_enrolment_link(house: &House) -> Vec<Holder> {
    let ada = administrator(house).await;
    let page = &ada.page;
    go(page, "/admin/people").await;
    go(page, "/admin/people/+").await;
    page.write("name", "Yannick Schutz").await;
    page.write("handle", "yannick").await;
    ada.picture("admin-person-add").await;
    page.tap("Add a person").await;
    page.sees("Yannick Schutz was added").await;
    page.tap("Make an enrolment link").await;
    page.sees("could join as Yannick Schutz").await;
    ada.picture("admin-step-up").await;
    confirm(page).await;
    let link = shown(page, "Link").await;
    ada.picture("admin-enrolment").await;
    assert!(link.starts_with(&house.address("/enroll#")), "{link}");
    assert_eq!(scanned(page).await, link);
    let code = link.split_once('#').expect("a code").1;
    house.world.blank_phone().enrol(code, "A phone", None).await.expect("the code is good");
    page.tap("Done").await;
    page.sees("A phone").await;
    vec![ada]
}

pub(crate) async fn a_refusal_stands_at_its_field(house: &House) -> Vec<Holder> {
    let ada = administrator(house).await;
    let page = &ada.page;
    open(house, page, "/admin/people/+").await;
    page.tap("Add a person").await;
    page.sees("This has to be filled in").await;
    assert_eq!(page.eval("document.activeElement.name").await, "name");
    page.write("name", "Another Ada").await;
    page.write("handle", "Ada!").await;
    page.tap("Add a person").await;
    page.wait("document.querySelector('[name=handle]').getAttribute('aria-invalid') === 'true'").await;
    let problem = "document.getElementById(document.activeElement.getAttribute('aria-describedby').split(' ').pop())";
    assert_eq!(page.eval("document.activeElement.name").await, "handle", "where it has to be put right");
    assert_ne!(page.eval(&format!("{problem}.textContent")).await, "");
    ada.picture("admin-refused").await;
    page.write("handle", "ada").await;
    page.tap("Add a person").await;
    page.wait("document.querySelector('.problem:not([hidden])')?.textContent.includes('ada')").await;
    assert_eq!(page.eval("document.activeElement.name").await, "handle");
    page.complaints();
    vec![ada]
}

pub(crate) async fn a_bot_is_made_and_its_token_is_seen_once(house: &House) -> Vec<Holder> {
    let ada = administrator(house).await;
    let page = &ada.page;
    go(page, "/admin/bots").await;
    page.sees("No bots yet").await;
    ada.picture("admin-bots-none").await;
    go(page, "/admin/bots/+").await;
    page.write("name", "heimdall").await;
    ada.picture("admin-bot-add").await;
    page.tap("Make a bot").await;
    let token = shown(page, "Token").await;
    ada.picture("admin-bot-token").await;
    let heimdall = Client::bot(house.world.server.issuer(), Secret::new(token.clone())).expect("a client");
    heimdall.get("/v1/incidents").await.expect("the token works");
    page.tap("I have kept it").await;
    page.sees("Rotate the token").await;
    ada.picture("admin-bot").await;
    assert!(!page.eval("document.documentElement.outerHTML").await.as_str().expect("a text").contains(&token));
    choose(page, "overlap_seconds", "0").await;
    page.tap("Rotate the token").await;
    let next = shown(page, "Token").await;
    assert_ne!(next, token);
    heimdall.get("/v1/incidents").await.expect_err("the old one ended");
    page.tap("I have kept it").await;
    page.tap("Revoke the bot").await;
    page.sees("Revoke heimdall?").await;
    ada.picture("admin-sure").await;
    yes(page).await;
    page.sees("heimdall was removed").await;
    assert_eq!(house.world.operator.get("/v1/bots").await.expect("the bots").body["bots"], json!([]));
    vec![ada]
}

pub(crate) async fn a_policy_is_made_and_tried(house: &House) -> Vec<Holder> {
    let ada = administrator(house).await;
    let ys = house.world.person("ys", "Ys Example").await;
    house.world.team("ops", &[&ys]).await;
    house.world.bot("heimdall").await;
    let page = &ada.page;
    go(page, "/admin/policies").await;
    go(page, "/admin/policies/+").await;
    page.write("name", "production").await;
    page.write("types", "deploy").await;
    page.write("targets", "prod*").await;
    page.tap("Add a parameter").await;
    page.write("param", "app").await;
    page.write("values", "api/*, \"3\", 4, true").await;
    page.tap("Add a group").await;
    choose(page, "teams", "ops").await;
    ada.picture("admin-policy-add").await;
    page.tap("Make a policy").await;
    // Before there was none, the requester's own passkey was enough for anything: whether this weakens is for the server to say.
    page.wait("document.querySelector('dialog[open]') || location.pathname === '/admin/policies/production'").await;
    if page.eval("Boolean(document.querySelector('dialog[open]'))").await == true {
        confirm(page).await;
    }
    page.sees("1 of ops (team)").await;
    ada.picture("admin-policy").await;
    let made = house.world.operator.get("/v1/policies/production").await.expect("the policy").body;
    assert_eq!(made["match"]["params"]["app"], json!(["api/*", "3", 4, true]));
    assert_eq!(made["require"]["groups"], json!([{"quorum": 1, "teams": ["ops"]}]));
    // It is changed by the form that shows it, and nothing is lost on the way.
    go(page, "/admin/policies/production/change").await;
    page.tap("Save").await;
    page.sees("Saved.").await;
    let again = house.world.operator.get("/v1/policies/production").await.expect("the policy").body;
    assert_eq!((&again["match"], &again["require"]), (&made["match"], &made["require"]));

    open(house, page, "/admin/policies/+test").await;
    page.write("type", "deploy").await;
    page.write("target", "production").await;
    page.tap("Add a parameter").await;
    page.write("value", "api/new_auth").await;
    page.eval("document.querySelectorAll('[name=name]')[0].focus()").await;
    page.write("name", "app").await;
    choose(page, "requester", "@ada").await;
    choose(page, "bot", "heimdall").await;
    page.tap("Try it").await;
    page.sees("It would be asked").await;
    page.sees("Ys Example").await;
    ada.picture("admin-policy-tried").await;
    page.write("target", "staging").await;
    page.tap("Try it").await;
    page.sees("no policy allows this action").await;
    ada.picture("admin-policy-refused").await;
    vec![ada]
}

pub(crate) async fn a_service_is_made_and_its_key_reports(house: &House) -> Vec<Holder> {
    let ada = administrator(house).await;
    let ys = house.world.person("ys", "Ys Example").await;
    house.world.team("ops", &[&ys]).await;
    let page = &ada.page;
    go(page, "/admin/services").await;
    go(page, "/admin/services/+").await;
    page.write("name", "api").await;
    choose(page, "team", "ops").await;
    ada.picture("admin-service-add").await;
    page.tap("Make a service").await;
    page.sees("Nothing reports for this service yet").await;
    go(page, "/admin/services/api/keys").await;
    page.write("name", "prom").await;
    choose(page, "kind", "generic").await;
    page.tap("Make a key").await;
    let url = shown(page, "URL to paste").await;
    assert!(url.contains(&shown(page, "Key").await));
    ada.picture("admin-service-key").await;
    let report = json!({"title": "All your apps are down", "severity": "critical"});
    let taken = house.world.http.post(&url).json(&report).send().await.expect("an answer");
    assert!(taken.status().is_success(), "{}", taken.status());
    ys.expect_push(&house.world, "All your apps are down").await;
    page.tap("I have kept it").await;
    page.sees("one open incident").await;
    ada.picture("admin-service").await;
    page.tap("Revoke the key prom").await;
    yes(page).await;
    page.sees("prom was removed").await;
    let refused = house.world.http.post(&url).json(&report).send().await.expect("an answer");
    assert!(refused.status().is_client_error(), "{}", refused.status());
    let open = house.world.operator.get("/v1/services/api").await.expect("the service").body;
    assert_eq!(open["open_incidents"], 1, "what it began goes on");
    vec![ada]
}

pub(crate) async fn a_schedule_is_made_and_its_week_is_read(house: &House) -> Vec<Holder> {
    let ada = administrator(house).await;
    house.world.operator.post("/v1/users", &json!({"handle": "ys", "name": "Ys Example"})).await.expect("a user");
    let page = &ada.page;
    go(page, "/admin/schedules").await;
    go(page, "/admin/schedules/+").await;
    page.write("name", "primary").await;
    choose(page, "zone", "Europe/Paris").await;
    choose(page, "people", "@ada").await;
    choose(page, "people", "@ys").await;
    page.eval("document.querySelectorAll('[name=name]')[1].focus()").await;
    page.eval("document.querySelector('[name=shift]').value = '1 day'").await;
    page.eval("document.querySelector('[name=first]').value = '2026-01-05T09:00'").await;
    ada.picture("admin-schedule-add").await;
    page.tap("Make a schedule").await;
    page.sees("Times are by the clock of Europe/Paris.").await;
    house.world.settle().await;
    assert_eq!(page.eval("document.querySelectorAll('.day').length").await, 7);
    let both = "['Ada Example', 'Ys Example'].every((name) => document.querySelector('.week').innerText.includes(name))";
    page.wait(both).await;
    let over = json!({"user": "@ys", "for": "5 hours"});
    house.world.operator.post("/v1/schedules/primary/overrides", &over).await.expect("an override");
    house.world.settle().await;
    open(house, page, "/admin/schedules/primary").await;
    page.wait("document.querySelector('.week').innerText.includes('override by')").await;
    // What the week says is what the server says.
    let today = "document.querySelector('.day.today .override')";
    page.wait(today).await;
    ada.picture("admin-week").await;
    page.tap("Later").await;
    page.wait("!document.querySelector('.day.today')").await;
    page.tap("This week").await;
    page.wait(today).await;
    // By way of the list, so that the finger finds a screen that stands still.
    open(house, page, "/admin/schedules").await;
    go(page, "/admin/schedules/primary").await;
    page.tap("Take back").await;
    yes(page).await;
    page.sees("No overrides.").await;
    house.world.settle().await;
    vec![ada]
}

pub(crate) async fn an_escalation_policy_is_made_of_steps(house: &House) -> Vec<Holder> {
    let ada = administrator(house).await;
    house.world.team("ops", &[]).await;
    let page = &ada.page;
    open(house, page, "/admin/escalation/+").await;
    page.write("name", "api").await;
    choose(page, "to", "@ada").await;
    page.tap("Add a step").await;
    // The second step's own drop-down.
    page.eval("document.querySelectorAll('select[name=to]')[0].name = 'first'").await;
    choose(page, "to", "team:ops").await;
    page.write("repeats", "2").await;
    ada.picture("admin-escalation-add").await;
    page.tap("Make an escalation policy").await;
    page.sees("Then all of it 2 times more.").await;
    ada.picture("admin-escalation").await;
    let made = house.world.operator.get("/v1/escalation-policies/api").await.expect("the policy").body;
    assert_eq!((&made["steps"][0]["to"], &made["steps"][1]["to"]), (&json!(["@ada"]), &json!(["team:ops"])));
    assert_eq!(made["repeats"], 2);
    vec![ada]
}

pub(crate) async fn the_journal_is_searched(house: &House) -> Vec<Holder> {
    let ada = administrator(house).await;
    house.world.operator.post("/v1/teams", &json!({"name": "ops"})).await.expect("a team");
    house.world.operator.post("/v1/teams", &json!({"name": "web"})).await.expect("a team");
    house.world.journal().await;
    let page = &ada.page;
    go(page, "/admin/journal").await;
    page.sees("User role changed").await;
    ada.picture("admin-journal").await;
    page.write("text", "ops").await;
    page.tap("Search").await;
    page.sees("One entry").await;
    page.sees("Team created ops").await;
    page.write("text", "nowhere to be found").await;
    page.tap("Search").await;
    page.sees("Nothing fits.").await;
    page.tap("Check the chain").await;
    page.sees("The chain holds").await;
    ada.picture("admin-journal-none").await;
    vec![ada]
}

pub(crate) async fn a_lost_phone_is_revoked(house: &House) -> Vec<Holder> {
    let ada = administrator(house).await;
    let ys = house.world.person("ys", "Ys Example").await;
    let page = &ada.page;
    go(page, "/admin/people").await;
    go(page, "/admin/people/@ys").await;
    page.sees("One device rings").await;
    ada.picture("admin-person").await;
    page.tap("Revoke the device A phone").await;
    page.sees("Revoke A phone of Ys Example?").await;
    yes(page).await;
    page.sees("A phone was revoked.").await;
    page.sees("No device is enrolled.").await;
    ys.phone.get("/v1/me").await.map(|reply| assert!(reply.status >= 400, "{}", reply.status)).unwrap_or_default();
    assert_eq!(house.world.recorded("device.revoked").await, 1);
    // None is left: they are recovered, by the administrator's passkey.
    page.tap("Recover them").await;
    confirm(page).await;
    let code = shown(page, "Link").await.split_once('#').expect("a code").1.to_owned();
    let phone = house.world.blank_phone();
    phone.enrol(&code, "Another phone", None).await.expect("the code is good");
    page.tap("Done").await;
    page.sees("Recovers its person").await;
    house.world.settle().await;
    vec![ada]
}

pub(crate) async fn an_administrator_is_made_and_ends_as_one(house: &House) -> Vec<Holder> {
    let ada = administrator(house).await;
    house.world.operator.post("/v1/users", &json!({"handle": "ys", "name": "Ys Example"})).await.expect("a user");
    let role = async || house.world.operator.get("/v1/users/@ys").await.expect("ys").body["role"].clone();
    let page = &ada.page;
    open(house, page, "/admin/people/@ys").await;
    page.tap("Make an administrator").await;
    page.sees("Ys Example (@ys) could administer").await;
    page.tap("Not now").await;
    page.sees("Nothing was changed yet").await;
    assert_eq!(role().await, "member");
    page.tap("Make an administrator").await;
    confirm(page).await;
    page.sees("Ys Example is now: Administrator.").await;
    assert_eq!(role().await, "admin");
    page.tap("Make a member").await;
    yes(page).await;
    page.sees("Ys Example is now: Member.").await;
    assert_eq!(role().await, "member");
    vec![ada]
}

pub(crate) async fn what_was_reported_is_lifted(house: &House) -> Vec<Holder> {
    let ada = administrator(house).await;
    let ys = house.world.person("ys", "Ys Example").await;
    let heimdall = house.world.bot("heimdall").await;
    let asked = heimdall.ask_handle("@ys", deploy("api", "production")).await;
    house.world.settle().await;
    ys.expect_push(&house.world, "Approval needed").await;
    ys.phone.answer_with(&asked, Verdict::Report, Factor::Passkey).await.expect("it is reported");
    house.world.settle().await;
    let page = &ada.page;
    open(house, page, "/admin").await;
    page.sees("One bot was reported and is stopped").await;
    ada.picture("admin-attention").await;
    go(page, "/admin/stopped").await;
    page.sees("what it asks for Ys Example").await;
    ada.picture("admin-stopped").await;
    page.tap("Lift").await;
    confirm(page).await;
    page.sees("No bot is stopped.").await;
    let left = house.world.operator.get("/v1/freezes").await.expect("the freezes").body;
    assert_eq!(left["freezes"], json!([]));
    vec![ada]
}

pub(crate) async fn maintenance_and_webhooks_are_set_up(house: &House) -> Vec<Holder> {
    let ada = administrator(house).await;
    house.world.operator.post("/v1/teams", &json!({"name": "ops"})).await.expect("a team");
    let page = &ada.page;
    open(house, page, "/admin/maintenance/+").await;
    page.write("reason", "moving the racks").await;
    page.tap("Plan maintenance").await;
    page.wait("document.querySelector('[name=service]').getAttribute('aria-invalid') === 'true'").await;
    page.complaints();
    choose(page, "team", "ops").await;
    page.tap("Plan maintenance").await;
    page.sees("moving the racks").await;
    ada.picture("admin-maintenance").await;
    page.tap("End it now").await;
    yes(page).await;
    page.sees("No maintenance is planned.").await;
    open(house, page, "/admin/webhooks/+").await;
    page.write("url", "https://hooks.example.com/phoneops").await;
    page.write("kinds", "approval., incident.").await;
    page.tap("Make a webhook").await;
    assert!(shown(page, "Signing secret").await.starts_with("whsec_"));
    page.tap("I have kept it").await;
    page.sees("Send a test event").await;
    ada.picture("admin-webhook").await;
    let kinds = house.world.operator.get("/v1/webhooks").await.expect("the webhooks").body["webhooks"][0]["kinds"].clone();
    assert_eq!(kinds, json!(["approval.", "incident."]));
    page.tap("Remove the webhook").await;
    yes(page).await;
    page.sees("No webhooks yet.").await;
    vec![ada]
}

pub(crate) async fn whoever_is_no_administrator_sees_nothing_of_it(house: &House) -> Vec<Holder> {
    let ys = house.person("ys", "Ys Example").await;
    ys.page.open(&house.address("/me")).await;
    ys.page.sees("Remove this device").await;
    assert_eq!(ys.page.eval("document.querySelectorAll('a[href^=\"/admin\"]').length").await, 0);
    ys.page.open(&house.address("/admin")).await;
    ys.page.sees("only an administrator may do this").await;
    // That its calls were refused is what the console says, and nothing else.
    let complaints = ys.page.complaints();
    assert!(complaints.iter().all(|one| one.contains("403")), "{complaints:?}");
    vec![ys]
}

/// What every screen keeps to: nothing runs over the edge, whatever is filled in has a name, and whatever is tapped is large enough.
const KEPT: &str = "(() => { const wrong = []; \
     if (document.documentElement.scrollWidth > screen.width) wrong.push(`${document.documentElement.scrollWidth} wide`); \
     for (const one of document.querySelectorAll('main input, main select, main textarea')) \
       if (!one.labels?.length && !one.getAttribute('aria-label')) wrong.push(`${one.name} has no label`); \
     for (const one of document.querySelectorAll('main button, main a.way, main a.button')) { \
       const box = one.getBoundingClientRect(); \
       if (one.checkVisibility() && (box.height < 44 || (one.innerText.trim() || one.getAttribute('aria-label') || '') === '')) \
         wrong.push(`${one.outerHTML.slice(0, 80)} ${box.height}`); } \
     return wrong; })()";

pub(crate) async fn every_screen_fits(house: &House) -> Vec<Holder> {
    let ada = administrator(house).await;
    furnish(house).await;
    let page = &ada.page;
    let screens = [
        "",
        "/people",
        "/people/+",
        "/people/@ys",
        "/teams",
        "/teams/+",
        "/teams/ops",
        "/bots",
        "/bots/+",
        "/policies",
        "/policies/+",
        "/policies/production",
        "/policies/production/change",
        "/policies/+test",
        "/escalation",
        "/escalation/+",
        "/escalation/api",
        "/schedules",
        "/schedules/+",
        "/schedules/primary",
        "/schedules/primary/give",
        "/services",
        "/services/+",
        "/services/api",
        "/services/api/keys",
        "/webhooks",
        "/webhooks/+",
        "/maintenance",
        "/maintenance/+",
        "/journal",
        "/carriers",
        "/stopped",
    ];
    let mut wrong = Vec::new();
    for screen in screens {
        open(house, page, &format!("/admin{screen}")).await;
        for (name, width, height, theme) in [
            ("phone", 390, 844, "light"),
            ("small", 320, 640, "dark"),
            ("desk", 1280, 900, "light"),
            ("night", 1280, 900, "dark"),
        ] {
            page.size(width, height).await;
            page.theme(theme).await;
            // What is drawn after this is drawn for that size.
            page.eval("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))").await;
            let found = page.eval(KEPT).await;
            if found != json!([]) {
                wrong.push(format!("{name} /admin{screen}: {found}"));
            }
            if ["phone", "night"].contains(&name) {
                page.picture(&format!("admin-{name}{}", screen.replace('/', "-"))).await;
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    vec![ada]
}

/// A house in which every screen has something to show.
async fn furnish(house: &House) {
    let world = &house.world;
    let ys = world.newcomer("ys", "Ys Example").await;
    world.operator.post("/v1/users", &json!({"handle": "yannick", "name": "Yannick Schutz"})).await.expect("a user");
    world.team("ops", &[&ys]).await;
    world.bot("heimdall").await;
    let post = async |path: &str, body: Value| world.operator.post(path, &body).await.expect(path).body;
    let rule = json!({"match": {"types": ["deploy"], "targets": ["prod*"], "params": {"app": ["api/*", {"absent": false}]}},
        "require": {"groups": [{"quorum": 1, "teams": ["ops"]}, {"quorum": 2, "users": ["@ada", "@yannick"]}],
            "on_no_answer": "ask_next_group", "factor": "passkey", "delay": 60}});
    let bea = world.administrator("bea", "Bea Example").await;
    world.policy(&bea, "production", &rule).await;
    let layer = json!({"name": "primary", "people": ["@ada", "@ys"], "shift": "12 hours", "first": "2026-01-05T08:00"});
    post("/v1/schedules", json!({"name": "primary", "zone": "Europe/Paris", "team": "ops", "layers": [layer]})).await;
    post("/v1/schedules/primary/overrides", json!({"user": "@yannick", "for": "3 hours"})).await;
    let steps = json!([{"to": ["schedule:primary"], "escalate_after_minutes": 5}, {"to": ["team:ops", "@yannick"], "escalate_after_minutes": 10}]);
    post("/v1/escalation-policies", json!({"name": "api", "team": "ops", "steps": steps, "repeats": 1, "last_resort": ["@ada"]}))
        .await;
    post("/v1/services", json!({"name": "api", "team": "ops", "policy": "api"})).await;
    post("/v1/services/api/integrations", json!({"name": "prom", "kind": "alertmanager"})).await;
    post("/v1/services/api/integrations", json!({"name": "backup", "kind": "heartbeat", "every_seconds": 3600})).await;
    post("/v1/maintenance", json!({"team": "ops", "for_seconds": 3600, "reason": "moving the racks"})).await;
    post("/v1/webhooks", json!({"url": "https://hooks.example.com/phoneops", "kinds": ["nothing."]})).await;
    world.settle().await;
    world.journal().await;
}
