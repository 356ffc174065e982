//! The defence against asking until somebody gives in, told as stories: folding, budgets, cool-downs, freezes, on both engines.

mod nodes;
mod restart;

crate::world::stories! {
    alike_requests_fold_into_one
    the_oldest_folded_one_rings_when_the_open_one_is_over
    when_the_next_in_line_is_over_too_the_one_after_it_rings
    after_a_denial_nothing_rings_by_itself
    a_denial_starts_a_cool_down_that_doubles
    the_next_group_goes_through_the_same_gate
    a_report_freezes_what_a_bot_asks_for_a_person
    what_is_held_is_frozen_too
    what_is_frozen_is_denied_and_not_approved
    two_reporters_freeze_a_bot
    incidents_are_never_frozen
}

mod stories {
    use std::time::Duration;

    use phoneops::client::{Error, Reply};
    use phoneops::sim::phone::{Factor, Verdict};
    use serde_json::{Value, json};

    use crate::world::{Bot, Person, World, deploy, minutes, phone_refused, refused, seconds};

    async fn ask(bot: &Bot, whom: &Person, action: Value) -> Result<Reply, Error> {
        bot.client.post("/v1/approvals", &json!({"action": action, "requester": whom.handle})).await
    }

    async fn report(who: &Person, asked: &str) {
        who.phone.answer_with(asked, Verdict::Report, Factor::Passkey).await.expect("the report is taken");
    }

    pub(crate) async fn alike_requests_fold_into_one(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let (heimdall, loki) = (world.bot("heimdall").await, world.bot("loki").await);
        let first = heimdall.ask(&yannick, deploy("api", "production")).await;
        yannick.expect_push(world, "Approval needed").await;
        // Params and bot make no difference; type, target and requester do.
        let second = heimdall.ask(&yannick, deploy("web", "production")).await;
        let third = loki.ask(&yannick, deploy("api", "production")).await;
        yannick.expect_silence(world).await;
        let into = [heimdall.approval(&second).await, loki.approval(&third).await].map(|found| found["folded_into"].clone());
        assert_eq!(into, [json!(first), json!(first)]);
        assert!(heimdall.approval(&first).await["folded_into"].is_null());
        heimdall.ask(&yannick, deploy("api", "staging")).await;
        yannick.expect_push(world, "Approval needed").await;

        let inbox = yannick.phone.inbox().await.unwrap();
        assert_eq!(inbox.len(), 4, "folded ones wait like any other");
        assert_eq!(inbox.iter().filter(|approval| approval["folded_into"] == first.as_str()).count(), 2);
        assert_eq!((world.recorded("approval.not_rung").await, world.recorded("approval.rung").await), (2, 0));
        // They can be answered like any other, before the one that rang.
        assert_eq!(yannick.phone.approve(&second).await.unwrap()["state"], "approved");
        yannick.expect_silence(world).await;
    }

    pub(crate) async fn the_oldest_folded_one_rings_when_the_open_one_is_over(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        let mut asked = Vec::new();
        for app in ["api", "web", "db", "cache"] {
            asked.push(heimdall.ask(&yannick, deploy(app, "production")).await);
            world.advance(seconds(1)).await;
        }
        yannick.expect_push(world, "Approval needed").await;
        yannick.expect_silence(world).await;
        yannick.phone.approve(&asked[0]).await.unwrap();
        let push = yannick.expect_push(world, "Approval needed").await;
        assert_eq!(push.data()["subject"], asked[1].as_str());
        assert_eq!(heimdall.approval(&asked[2]).await["folded_into"], asked[1].as_str());
        assert!(heimdall.approval(&asked[1]).await["folded_into"].is_null());
        yannick.expect_silence(world).await;

        heimdall.client.delete(&format!("/v1/approvals/{}", asked[1])).await.unwrap();
        yannick.expect_pushes(world, &["Cancelled", "Approval needed"]).await;
        // The last is over before the one it is folded into.
        yannick.phone.approve(&asked[3]).await.unwrap();
        world.advance(minutes(5)).await;
        yannick.expect_push(world, "Expired").await;
        assert_eq!((world.recorded("approval.not_rung").await, world.recorded("approval.rung").await), (3, 2));
    }

    pub(crate) async fn when_the_next_in_line_is_over_too_the_one_after_it_rings(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        heimdall.ask(&yannick, deploy("api", "production")).await;
        yannick.expect_push(world, "Approval needed").await;
        // Its time is over in the moment of the first one's.
        heimdall.ask(&yannick, deploy("web", "production")).await;
        world.advance(seconds(10)).await;
        let third = heimdall.ask(&yannick, deploy("db", "production")).await;
        world.advance(seconds(290)).await;
        yannick.expect_pushes(world, &["Expired", "Approval needed"]).await;
        let found = heimdall.approval(&third).await;
        assert_eq!((found["state"].as_str(), found["folded_into"].is_null()), (Some("pending"), true), "{found}");
        yannick.expect_silence(world).await;
    }

    pub(crate) async fn after_a_denial_nothing_rings_by_itself(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        let first = heimdall.ask(&yannick, deploy("api", "production")).await;
        yannick.expect_push(world, "Approval needed").await;
        let second = heimdall.ask(&yannick, deploy("web", "production")).await;
        yannick.phone.deny(&first, None).await.unwrap();
        yannick.expect_silence(world).await;
        // Not later either, nor because another one that is alike ends well.
        world.advance(seconds(61)).await;
        let third = heimdall.ask(&yannick, deploy("db", "production")).await;
        yannick.expect_push(world, "Approval needed").await;
        yannick.phone.approve(&third).await.unwrap();
        world.advance(minutes(3)).await;
        yannick.expect_silence(world).await;
        assert_eq!(heimdall.approval(&second).await["state"], "pending");
        assert_eq!(yannick.phone.inbox().await.unwrap().len(), 1, "it waits where people look");
        assert_eq!(world.recorded("approval.rung").await, 0);
    }

    /// That a request is refused because nobody would hear of it, for this reason and so long.
    fn rings_nobody(reply: Result<Reply, Error>, reason: &str, wait: Duration) {
        let Err(Error::Refused(refusal)) = reply else { panic!("it was taken: {reply:?}") };
        assert_eq!((refusal.status, &*refusal.code, &refusal.body["reason"]), (429, "nobody_rings", &json!(reason)));
        assert_eq!(refusal.retry_after, Some(wait), "{}", refusal.detail);
    }

    pub(crate) async fn a_denial_starts_a_cool_down_that_doubles(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        let action = || deploy("api", "production");
        for (denials, pause) in [60, 120, 240].into_iter().enumerate() {
            let asked = heimdall.ask(&yannick, action()).await;
            yannick.expect_push(world, "Approval needed").await;
            yannick.phone.deny(&asked, None).await.unwrap();
            rings_nobody(ask(&heimdall, &yannick, action()).await, "denied", seconds(pause));
            world.advance(seconds(pause - 1)).await;
            rings_nobody(ask(&heimdall, &yannick, deploy("web", "production")).await, "denied", seconds(1));
            // What is not alike is not cooled down.
            let other = heimdall.ask(&yannick, deploy("api", &format!("staging-{denials}"))).await;
            yannick.expect_push(world, "Approval needed").await;
            yannick.phone.approve(&other).await.unwrap();
            world.advance(seconds(1)).await;
        }
        let approved = heimdall.ask(&yannick, action()).await;
        yannick.expect_push(world, "Approval needed").await;
        yannick.phone.approve(&approved).await.unwrap();
        world.advance(seconds(1)).await;
        let asked = heimdall.ask(&yannick, action()).await;
        yannick.expect_push(world, "Approval needed").await;
        yannick.phone.deny(&asked, None).await.unwrap();
        rings_nobody(ask(&heimdall, &yannick, action()).await, "denied", seconds(60));
        assert_eq!(
            world.db.number("select count(*) from approvals where state = 'pending'").await,
            0,
            "refused ones leave nothing"
        );
    }

    pub(crate) async fn the_next_group_goes_through_the_same_gate(world: &World) {
        let ada = world.administrator("ada", "Ada Byron").await;
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let (ann, bea) = (world.person("ann", "Ann Example").await, world.person("bea", "Bea Example").await);
        let groups = json!([{"quorum": 1, "users": ["@ann"]}, {"quorum": 1, "users": ["@bea"]}]);
        let rule = json!({"require": {"groups": groups, "expires_in": 40, "on_no_answer": "ask_next_group"}});
        world.policy(&ada, "any", &rule).await;
        let heimdall = world.bot("heimdall").await;
        let first = heimdall.ask(&yannick, deploy("api", "production")).await;
        world.advance(seconds(1)).await;
        let second = heimdall.ask(&yannick, deploy("web", "production")).await;
        ann.expect_push(world, "Approval needed").await;
        world.advance(seconds(40)).await;
        bea.expect_push(world, "Approval needed").await;
        for person in [&ann, &bea] {
            person.expect_silence(world).await;
            assert_eq!(person.phone.inbox().await.unwrap().len(), 2);
        }
        bea.phone.deny(&first, None).await.unwrap();
        ann.expect_push(world, "Answered by Bea Example").await;
        heimdall.client.delete(&format!("/v1/approvals/{second}")).await.unwrap();
        // Ann did not deny. Bea is not rung when her turn comes, and the timer goes on all the same.
        let third = heimdall.ask(&yannick, deploy("db", "production")).await;
        ann.expect_push(world, "Approval needed").await;
        world.advance(seconds(40)).await;
        assert_eq!(bea.phone.inbox().await.unwrap().len(), 1);
        world.advance(seconds(40)).await;
        ann.expect_push(world, "Expired").await;
        bea.expect_silence(world).await;
        assert_eq!(heimdall.approval(&third).await["state"], "expired");
    }

    /// Ada administers and hears of what she should; Yannick and Ys have phones.
    async fn people(world: &World) -> (Person, Person, Person) {
        let ada = world.administrator("ada", "Ada Byron").await;
        ada.phone.register_push().await.expect("a push registration");
        (ada, world.person("yannick", "Yannick Schutz").await, world.person("ys", "Ys Example").await)
    }

    async fn freezes(world: &World) -> Vec<Value> {
        let listed = world.operator.get("/v1/freezes").await.unwrap().body;
        listed["freezes"].as_array().unwrap().clone()
    }

    /// Whoever approved has nothing left to answer, and their report stops it all the same.
    pub(crate) async fn what_is_held_is_frozen_too(world: &World) {
        let (ada, yannick, _) = people(world).await;
        let heimdall = world.bot("heimdall").await;
        world.policy(&ada, "slow", &json!({"match": {}, "require": {"requester": true, "delay": 3600}})).await;
        let held = heimdall.ask(&yannick, deploy("api", "production")).await;
        let asked = heimdall.ask(&yannick, deploy("api", "staging")).await;
        yannick.expect_pushes(world, &["Approval needed", "Approval needed"]).await;
        assert!(yannick.phone.approve(&held).await.unwrap()["holds_until"].is_string());
        report(&yannick, &asked).await;
        ada.expect_push(world, "Frozen: heimdall for Yannick Schutz (@yannick)").await;
        world.settle().await;
        assert_eq!(heimdall.approval(&held).await["cancelled_because"], "frozen");
        let told = yannick.phone.next_push(Duration::from_secs(2)).await.unwrap().expect("it is taken off");
        assert_eq!(told.title(), "Cancelled: somebody reported the bot");
    }

    pub(crate) async fn a_report_freezes_what_a_bot_asks_for_a_person(world: &World) {
        let (ada, yannick, ys) = people(world).await;
        let (heimdall, loki) = (world.bot("heimdall").await, world.bot("loki").await);
        let done = heimdall.ask(&yannick, deploy("api", "test")).await;
        yannick.expect_push(world, "Approval needed").await;
        yannick.phone.approve(&done).await.unwrap();
        let grant = heimdall.expect_grant(&done).await;
        let asked = heimdall.ask(&yannick, deploy("api", "production")).await;
        let waiting = heimdall.ask(&yannick, deploy("api", "staging")).await;
        yannick.expect_pushes(world, &["Approval needed", "Approval needed"]).await;

        report(&yannick, &asked).await;
        ada.expect_push(world, "Frozen: heimdall for Yannick Schutz (@yannick)").await;
        yannick.expect_push(world, "Cancelled: somebody reported the bot").await;
        let cancelled = heimdall.approval(&waiting).await;
        assert_eq!((&cancelled["state"], &cancelled["cancelled_because"]), (&json!("cancelled"), &json!("frozen")));
        let error = ask(&heimdall, &yannick, deploy("api", "test")).await;
        assert!(error.as_ref().unwrap_err().to_string().contains("an administrator lifts that"), "{error:?}");
        refused(error, "frozen");
        refused(heimdall.redeem(&grant, &deploy("api", "test")).await, "frozen");
        // Neither for another person nor by another bot.
        heimdall.ask(&ys, deploy("api", "test")).await;
        ys.expect_push(world, "Approval needed").await;
        loki.ask(&yannick, deploy("api", "test")).await;
        yannick.expect_push(world, "Approval needed").await;

        let open = freezes(world).await;
        assert_eq!((open.len(), &open[0]["bot"]["name"], &open[0]["approval"]), (1, &json!("heimdall"), &json!(asked)));
        let path = format!("/v1/freezes/{}", open[0]["id"].as_str().unwrap());
        phone_refused(yannick.phone.delete(&path, None).await.unwrap().accepted(), "forbidden");
        let act = world.operator.delete(&path).await.unwrap();
        assert_eq!((act.status, &act.body["change"]["kind"]), (202, &json!("freeze.lifted")));
        refused(heimdall.redeem(&grant, &deploy("api", "test")).await, "frozen");
        ada.phone.confirm_act(&act.body).await.unwrap();
        assert!(freezes(world).await.is_empty());
        heimdall.redeem(&grant, &deploy("api", "test")).await.unwrap();
        refused(world.operator.delete(&path).await, "not_found");
        assert_eq!((world.recorded("approval.frozen").await, world.recorded("freeze.lifted").await), (1, 1));
    }

    pub(crate) async fn what_is_frozen_is_denied_and_not_approved(world: &World) {
        let (ada, yannick, _) = people(world).await;
        let heimdall = world.bot("heimdall").await;
        let asked = heimdall.ask(&yannick, deploy("api", "production")).await;
        yannick.expect_push(world, "Approval needed").await;
        let prepared = yannick.phone.prepare_answer(&asked, Verdict::Approve, None).await.unwrap();
        // As if it had been asked for in the very moment of the report.
        world
            .db
            .raw("insert into freezes (id, bot_id, approval_id, frozen_by, frozen_at) select id, bot_id, id, requester_id, 0 from approvals")
            .await;
        phone_refused(yannick.phone.post(&prepared.path, &prepared.body).await.unwrap().accepted(), "frozen");
        phone_refused(yannick.phone.approve(&asked).await, "frozen");
        assert_eq!(heimdall.approval(&asked).await["state"], "pending");
        assert_eq!(yannick.phone.deny(&asked, None).await.unwrap()["state"], "denied");
        ada.expect_silence(world).await;
        assert_eq!(freezes(world).await.len(), 1);
    }

    pub(crate) async fn two_reporters_freeze_a_bot(world: &World) {
        let (ada, yannick, ys) = people(world).await;
        let cyd = world.person("cyd", "Cyd Example").await;
        let (heimdall, loki) = (world.bot("heimdall").await, world.bot("loki").await);
        for (who, target) in [(&yannick, "one"), (&ys, "two")] {
            let asked = heimdall.ask(who, deploy("api", target)).await;
            who.expect_push(world, "Approval needed").await;
            world.advance(seconds(1)).await;
            report(who, &asked).await;
        }
        let titles =
            ["Frozen: heimdall for Yannick Schutz (@yannick)", "Frozen: heimdall for Ys Example (@ys)", "Frozen: heimdall"];
        ada.expect_pushes(world, &titles).await;
        refused(ask(&heimdall, &cyd, deploy("api", "production")).await, "frozen");
        loki.ask(&cyd, deploy("api", "staging")).await;
        cyd.expect_push(world, "Approval needed").await;
        // Each is lifted by itself.
        let open = freezes(world).await;
        assert_eq!(open.len(), 3);
        let whole = open.iter().find(|freeze| freeze["requester"].is_null()).expect("the bot is frozen");
        world.advance(seconds(1)).await;
        let act = world.operator.delete(&format!("/v1/freezes/{}", whole["id"].as_str().unwrap())).await.unwrap().body;
        ada.phone.confirm_act(&act).await.unwrap();
        refused(ask(&heimdall, &yannick, deploy("api", "test")).await, "frozen");
        let asked = heimdall.ask(&cyd, deploy("api", "production")).await;
        cyd.expect_push(world, "Approval needed").await;
        // The reports from before were judged; one more is one.
        world.advance(seconds(1)).await;
        report(&cyd, &asked).await;
        ada.expect_push(world, "Frozen: heimdall for Cyd Example (@cyd)").await;
        assert_eq!((freezes(world).await.len(), world.recorded("approval.frozen").await), (3, 4));
    }

    pub(crate) async fn incidents_are_never_frozen(world: &World) {
        let (ada, yannick, _) = people(world).await;
        let heimdall = world.bot("heimdall").await;
        let asked = heimdall.ask(&yannick, deploy("api", "production")).await;
        yannick.expect_push(world, "Approval needed").await;
        report(&yannick, &asked).await;
        ada.expect_push(world, "Frozen: heimdall for Yannick Schutz (@yannick)").await;
        let reference = heimdall.page(&yannick, "All your apps are down").await;
        yannick.expect_push(world, "All your apps are down").await;
        yannick.phone.resolve(&reference).await.unwrap();
    }
}
