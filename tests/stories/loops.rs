//! Both loops, told as stories: real keys, real signatures, real HTTP, on both engines.

crate::world::stories! {
    an_approved_deployment
    a_denied_deployment
    an_unanswered_deployment
    a_cancelled_deployment
    a_page_acknowledged_on_the_phone
    a_page_nobody_answers
    a_page_answered_through_the_bot
    not_me
    the_first_administrator
    a_page_to_somebody_without_a_phone
    an_acknowledged_incident_that_is_forgotten_rings_again
    a_second_phone_is_told_that_it_is_over
    a_test_page
    an_incident_whose_timer_was_buried_rings_all_the_same
    timers_that_are_set_again_are_one_timer
}

mod stories {
    use serde_json::json;

    use crate::world::{World, deploy, expect_push, minutes, phone_refused, refused, seconds};

    pub(crate) async fn an_approved_deployment(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        let action = deploy("api/new_auth", "production");

        let asked = heimdall.ask(&yannick, action.clone()).await;
        let push = yannick.expect_push(world, "Approval needed").await;
        assert_eq!(push.data()["subject"], asked.as_str());
        assert!(!push.body().contains("new_auth"), "a push says only that something waits");
        assert_eq!(yannick.phone.inbox().await.unwrap()[0]["display"]["title"], "deploy → production");

        let approval = yannick.phone.approve(&asked).await.unwrap();
        assert_eq!(approval["state"], "approved");
        assert!(approval["grant"].is_null(), "the grant is the bot's");

        let grant = heimdall.expect_grant(&asked).await;
        heimdall.redeem(&grant, &action).await.unwrap();
        refused(heimdall.redeem(&grant, &action).await, "grant_redeemed");
        assert!(yannick.phone.inbox().await.unwrap().is_empty());
        for kind in ["approval.requested", "approval.approved", "grant.redeemed"] {
            assert_eq!(world.recorded(kind).await, 1, "{kind}");
        }
    }

    pub(crate) async fn a_denied_deployment(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        let asked = heimdall.ask(&yannick, deploy("api/new_auth", "production")).await;
        yannick.expect_push(world, "Approval needed").await;

        yannick.phone.deny(&asked, Some("not on a Friday")).await.unwrap();
        let approval = heimdall.approval(&asked).await;
        assert_eq!(approval["state"], "denied");
        assert_eq!(approval["decision"]["reason"], "not on a Friday");
        assert_eq!(approval["decision"]["by"]["handle"], "yannick");
        assert!(approval["grant"].is_null());
        phone_refused(yannick.phone.approve(&asked).await, "approval_decided");
    }

    pub(crate) async fn an_unanswered_deployment(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        let asked = heimdall.ask(&yannick, deploy("api/new_auth", "production")).await;
        yannick.expect_push(world, "Approval needed").await;

        world.advance(minutes(5)).await;
        yannick.expect_push(world, "Expired").await;
        assert_eq!(heimdall.approval(&asked).await["state"], "expired");
        phone_refused(yannick.phone.approve(&asked).await, "approval_expired");
        assert_eq!(world.recorded("approval.expired").await, 1);
    }

    pub(crate) async fn a_cancelled_deployment(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        let asked = heimdall.ask(&yannick, deploy("api/new_auth", "production")).await;
        yannick.expect_push(world, "Approval needed").await;

        let path = format!("/v1/approvals/{asked}");
        assert_eq!(heimdall.client.delete(&path).await.unwrap().status, 204);
        assert_eq!(heimdall.client.delete(&path).await.unwrap().status, 204, "cancelling again is no error");
        yannick.expect_push(world, "Cancelled").await;
        phone_refused(yannick.phone.approve(&asked).await, "approval_cancelled");
        assert_eq!(world.recorded("approval.cancelled").await, 1);
    }

    pub(crate) async fn a_page_acknowledged_on_the_phone(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        let reference = heimdall.page(&yannick, "All your apps are down").await;
        let push = yannick.expect_push(world, "All your apps are down").await;
        assert_eq!(push.body(), format!("Page {reference} from heimdall"));

        let incident = yannick.phone.acknowledge(&reference.to_lowercase()).await.unwrap();
        assert_eq!((&incident["state"], &incident["acted"]["by"]["handle"]), (&json!("acknowledged"), &json!("yannick")));
        world.advance(minutes(20)).await;
        yannick.expect_silence(world).await;

        heimdall.act(&reference, "resolve", &yannick).await.unwrap();
        assert_eq!(heimdall.incident(&reference).await["state"], "resolved");
        yannick.expect_pushes(world, &["Resolved by Yannick Schutz", "Resolved as you via heimdall"]).await;
    }

    pub(crate) async fn a_page_nobody_answers(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let ys = world.person("ys", "Ys Example").await;
        let heimdall = world.bot("heimdall").await;
        let reference = heimdall.page(&yannick, "All your apps are down").await;

        let first = yannick.expect_push(world, "All your apps are down").await;
        world.advance(seconds(60)).await;
        let second = yannick.expect_push(world, "All your apps are down").await;
        assert_ne!(first.tag(), second.tag(), "the next round rings again");
        ys.expect_silence(world).await;

        world.advance(seconds(60)).await;
        ys.expect_push(world, "All your apps are down").await;
        yannick.expect_push(world, "All your apps are down").await;
        world.advance(seconds(60)).await;
        ys.expect_push(world, "All your apps are down").await;
        yannick.expect_push(world, "All your apps are down").await;

        ys.phone.acknowledge(&reference).await.unwrap();
        yannick.expect_push(world, "Acknowledged by Ys Example").await;
        let shown: Vec<_> = yannick.phone.shown().await.unwrap().iter().map(|push| push.title().to_owned()).collect();
        assert_eq!(shown, ["Acknowledged by Ys Example"], "nothing that rings is left on the screen");
        world.advance(minutes(20)).await;
    }

    pub(crate) async fn a_page_answered_through_the_bot(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        let reference = heimdall.page(&yannick, "All your apps are down").await;
        yannick.expect_push(world, "All your apps are down").await;

        let nobody = heimdall.client.post(&format!("/v1/incidents/{reference}/acknowledge"), &json!({})).await;
        refused(nobody, "invalid_request");
        heimdall.act(&reference, "acknowledge", &yannick).await.unwrap();
        yannick.expect_pushes(world, &["Acknowledged by Yannick Schutz", "Acknowledged as you via heimdall"]).await;
        let again = heimdall.act(&reference, "acknowledge", &yannick).await.unwrap();
        assert_eq!(again.body["acted"]["via"]["name"], "heimdall");
        assert_eq!(world.recorded("incident.acknowledged").await, 1);
    }

    pub(crate) async fn not_me(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        let reference = heimdall.page(&yannick, "All your apps are down").await;
        yannick.expect_push(world, "All your apps are down").await;
        heimdall.act(&reference, "resolve", &yannick).await.unwrap();
        yannick.expect_pushes(world, &["Resolved by Yannick Schutz", "Resolved as you via heimdall"]).await;

        yannick.phone.not_me(&reference).await.unwrap();
        yannick.expect_push(world, "All your apps are down").await;
        assert_eq!(heimdall.incident(&reference).await["state"], "triggered");
        phone_refused(yannick.phone.not_me(&reference).await, "not_acted_for_you");
        yannick.phone.resolve(&reference).await.unwrap();
        phone_refused(yannick.phone.acknowledge(&reference).await, "incident_resolved");
    }

    pub(crate) async fn the_first_administrator(world: &World) {
        let code = world.server.first_admin.as_ref().unwrap().expose_grouped();
        let phone = world.blank_phone();
        phone_refused(phone.enrol(&code, "My phone", None).await, "invalid_request");
        let claimed = phone.enrol(&code, "My phone", Some(("yannick", "Yannick Schutz"))).await.unwrap();
        assert_eq!(claimed["user"]["role"], "admin");
        // The reply was lost: the same phone claims again, and another one cannot.
        phone.enrol(&code, "My phone", Some(("yannick", "Yannick Schutz"))).await.unwrap();
        let thief = world.blank_phone();
        phone_refused(thief.enrol(&code, "Mine", Some(("mallory", "Mallory Example"))).await, "enrollment_claimed");

        let made = phone.post("/v1/users", &json!({"handle": "ys", "name": "Ys Example"})).await.unwrap();
        assert_eq!(made.status, 201);
        refused(world.operator.delete("/v1/users/@yannick").await, "last_admin");
        let lay_down = json!({"role": "member"});
        refused(world.operator.put("/v1/users/@yannick/role", &lay_down).await, "last_admin");
        assert_eq!(world.operator.put("/v1/users/@ys/role", &json!({"role": "admin"})).await.unwrap().status, 204);
        assert_eq!(phone.put("/v1/users/@yannick/role", &lay_down).await.unwrap().status, 204);
        assert_eq!(phone.get("/v1/users").await.unwrap().status, 403, "at once");
        assert_eq!(world.recorded("user.role_changed").await, 2);
        assert_eq!(world.recorded("device.enrolled").await, 1);
    }

    pub(crate) async fn a_page_to_somebody_without_a_phone(world: &World) {
        let ys = world.person("ys", "Ys Example").await;
        world.operator.post("/v1/users", &json!({"handle": "yannick", "name": "Yannick Schutz"})).await.unwrap();
        let heimdall = world.bot("heimdall").await;
        let page = json!({"title": "All your apps are down", "to": ["@yannick"]});
        let paged = heimdall.client.post("/v1/incidents", &page).await.unwrap().body;
        assert_eq!(paged["unreachable"][0]["handle"], "yannick");
        assert_eq!(paged["paged"][0]["handle"], "ys", "somebody is rung at once");
        ys.expect_push(world, "All your apps are down").await;
        ys.phone.acknowledge(paged["ref"].as_str().unwrap()).await.unwrap();
    }

    pub(crate) async fn an_acknowledged_incident_that_is_forgotten_rings_again(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        let reference = heimdall.page(&yannick, "All your apps are down").await;
        yannick.expect_push(world, "All your apps are down").await;
        yannick.phone.acknowledge(&reference).await.unwrap();
        world.advance(minutes(29)).await;
        yannick.expect_silence(world).await;
        world.advance(minutes(1)).await;
        yannick.expect_push(world, "All your apps are down").await;
        yannick.phone.resolve(&reference).await.unwrap();
    }

    pub(crate) async fn a_second_phone_is_told_that_it_is_over(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let tablet = world.another_phone(&yannick).await;
        tablet.register_push().await.unwrap();
        let heimdall = world.bot("heimdall").await;
        let asked = heimdall.ask(&yannick, deploy("api/new_auth", "production")).await;
        yannick.expect_push(world, "Approval needed").await;
        let rung = expect_push(&tablet, world, "Approval needed").await;
        yannick.phone.approve(&asked).await.unwrap();
        let over = expect_push(&tablet, world, "Answered by Yannick Schutz").await;
        assert_eq!(rung.tag(), over.tag(), "it takes the card's place");
        assert_eq!(tablet.shown().await.unwrap().len(), 1);
    }

    pub(crate) async fn an_incident_whose_timer_was_buried_rings_all_the_same(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        let reference = heimdall.page(&yannick, "All your apps are down").await;
        yannick.expect_push(world, "All your apps are down").await;
        world.db.raw("delete from jobs where kind = 'incident_timer'").await;
        world.advance(minutes(3)).await;
        yannick.expect_push(world, "All your apps are down").await;
        yannick.phone.acknowledge(&reference).await.unwrap();
    }

    pub(crate) async fn timers_that_are_set_again_are_one_timer(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        let reference = heimdall.page(&yannick, "All your apps are down").await;
        yannick.expect_push(world, "All your apps are down").await;
        yannick.phone.acknowledge(&reference).await.unwrap();
        world.advance(minutes(3)).await;
        let timers = world.db.number("select count(*) from jobs where kind = 'incident_timer'").await;
        assert_eq!(timers, 1, "the ring's timer rang early for the acknowledged incident and became the time-out's");
        yannick.phone.resolve(&reference).await.unwrap();
    }

    pub(crate) async fn a_test_page(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let reply = yannick.phone.post("/v1/me/test-page", &json!({})).await.unwrap();
        assert_eq!(reply.body["devices"], 1);
        yannick.expect_push(world, "Test page").await;
    }
}
