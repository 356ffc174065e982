//! The phone web app in a real browser, against the real server, on both engines.

mod support;
#[path = "web/browser.rs"]
mod browser;
#[path = "web/house.rs"]
mod house;
mod world;

/// Makes `sqlite::name` and `postgres::name` of each story.
macro_rules! stories {
    ($($name:ident)*) => {
        support::engines! { $($name)* }
        $(
            async fn $name(db: support::TestDb) {
                let house = house::House::start(db).await;
                let holders = stories::$name(&house).await;
                house.end(holders).await;
            }
        )*
    };
}

#[path = "web/admin.rs"]
mod admin;

stories! {
    a_deployment_is_approved_with_two_taps
    a_deployment_is_denied_with_a_reason
    nobody_approves_whom_the_phone_does_not_recognise
    what_strangers_write_is_shown_and_not_obeyed
    what_was_answered_elsewhere_is_over_at_once
}

mod stories {
    use serde_json::json;

    use crate::house::{Holder, House};
    use crate::world::deploy;

    pub(crate) async fn a_deployment_is_approved_with_two_taps(house: &House) -> Vec<Holder> {
        let yannick = house.person("yannick", "Yannick Schutz").await;
        yannick.picture("on-duty").await;
        let heimdall = house.world.bot("heimdall").await;
        let asked = heimdall.ask_handle(&yannick.handle, deploy("api/new_auth", "production")).await;
        house.world.settle().await;
        let notification = yannick.delivered(house).await;
        assert!(!notification.to_string().contains("new_auth"), "a push says only that something waits: {notification}");
        // One tap opened the notification; the second approves, and the passkey's prompt is the confirmation.
        yannick.follow(&notification).await;
        yannick.page.sees("api/new_auth").await;
        yannick.picture("approval").await;
        yannick.page.tap("Approve").await;
        yannick.page.sees("Approved by Yannick Schutz").await;
        yannick.picture("approved").await;
        assert!(heimdall.approval(&asked).await["grant"].is_string(), "the bot has its grant");
        vec![yannick]
    }

    pub(crate) async fn a_deployment_is_denied_with_a_reason(house: &House) -> Vec<Holder> {
        let yannick = house.person("yannick", "Yannick Schutz").await;
        let heimdall = house.world.bot("heimdall").await;
        let asked = heimdall.ask_handle(&yannick.handle, deploy("api", "production")).await;
        house.world.settle().await;
        let notification = yannick.delivered(house).await;
        yannick.follow(&notification).await;
        yannick.page.tap("Deny").await;
        yannick.page.write("reason", "not on a Friday").await;
        yannick.page.tap("Deny").await;
        yannick.page.sees("Denied by Yannick Schutz").await;
        let approval = heimdall.approval(&asked).await;
        assert_eq!((&approval["state"], &approval["decision"]["reason"]), (&json!("denied"), &json!("not on a Friday")));
        vec![yannick]
    }

    pub(crate) async fn nobody_approves_whom_the_phone_does_not_recognise(house: &House) -> Vec<Holder> {
        let yannick = house.person("yannick", "Yannick Schutz").await;
        let heimdall = house.world.bot("heimdall").await;
        let asked = heimdall.ask_handle(&yannick.handle, deploy("api", "production")).await;
        house.world.settle().await;
        let notification = yannick.delivered(house).await;
        yannick.page.recognises(&yannick.authenticator, false).await;
        yannick.follow(&notification).await;
        yannick.page.tap("Approve").await;
        yannick.page.sees("Nothing was signed").await;
        assert_eq!(heimdall.approval(&asked).await["state"], "pending");
        vec![yannick]
    }

    pub(crate) async fn what_strangers_write_is_shown_and_not_obeyed(house: &House) -> Vec<Holder> {
        let yannick = house.person("yannick", "Yannick Schutz").await;
        let heimdall = house.world.bot("heimdall").await;
        let hostile = format!("<img src=x onerror=alert(1)>\u{202e}evil\u{200b} {}", "long ".repeat(150));
        let body = json!({"action": {"type": "deploy", "target": "production", "params": {"ref": hostile}}, "requester": yannick.handle,
            "reason": format!("ignore all that \u{2066}<script>alert(1)</script> {}", "x".repeat(700))});
        let asked = heimdall.client.post("/v1/approvals", &body).await.expect("it is asked").body["id"].as_str().expect("an id").to_owned();
        house.world.settle().await;
        yannick.delivered(house).await;
        yannick.page.open(&house.address(&format!("/a/{asked}"))).await;
        yannick.page.sees("<img src=x onerror=alert(1)>").await;
        yannick.page.sees("\\u{202e}").await;
        yannick.picture("hostile").await;
        // The verb, the target and the answer are on the screen, whatever else is.
        let seen = "['.verb', '.target', 'button.main'].every((one) => { const box = document.querySelector(one).getBoundingClientRect(); \
             return box.width > 0 && box.top >= 0 && box.bottom <= innerHeight; })";
        yannick.page.wait(seen).await;
        assert_eq!(yannick.page.eval("document.querySelectorAll('main img, main script').length").await, 0);
        vec![yannick]
    }

    pub(crate) async fn what_was_answered_elsewhere_is_over_at_once(house: &House) -> Vec<Holder> {
        let yannick = house.person("yannick", "Yannick Schutz").await;
        let heimdall = house.world.bot("heimdall").await;
        let asked = heimdall.ask_handle(&yannick.handle, deploy("api", "production")).await;
        house.world.settle().await;
        let notification = yannick.delivered(house).await;
        yannick.follow(&notification).await;
        yannick.page.sees("Approve").await;
        heimdall.client.delete(&format!("/v1/approvals/{asked}")).await.expect("it is cancelled");
        yannick.page.sees("Withdrawn").await;
        house.world.settle().await;
        yannick.delivered(house).await;
        vec![yannick]
    }
}
