//! Random organisations through the whole house: what is asked, answered and redeemed over HTTP is what a slow and obvious evaluator says.
//!
//! **Invariants**
//! - The evaluator is written from what the documentation says, and shares nothing with the server.
//! - A run that fails prints one seed; `PHONEOPS_TEST_SEED` plays it again.

crate::world::stories! { organisations_at_random }

/// How many requests are played on each engine.
const CASES: usize = 120;

/// How many people there are. The first two have two phones each, with a passkey each.
const PEOPLE: usize = 5;

mod stories {
    use phoneops::secret::random;
    use serde_json::{Value, json};

    use super::{CASES, PEOPLE};
    use crate::support::dice::Dice;
    use crate::world::raw::{As, Raw, RawBot, RawPhone, Seen};
    use crate::world::{Person, World, deploy, seconds};

    impl Dice {
        /// Some of the people.
        fn some(&mut self) -> Vec<usize> {
            let bits = self.roll(1 << PEOPLE);
            (0..PEOPLE).filter(|who| bits >> who & 1 == 1).collect()
        }

        fn shuffled(&mut self) -> Vec<usize> {
            let mut all: Vec<_> = (0..PEOPLE).collect();
            (1..PEOPLE).for_each(|at| all.swap(at, self.roll(at + 1)));
            all
        }
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Whereabouts {
        There,
        Away,
        AwayWith(usize),
    }

    use Whereabouts::{Away, AwayWith, There};

    /// What decides, at one moment. A group is the people it names and, if it says so, the team.
    #[derive(Clone, Debug)]
    struct Organisation {
        people: [Whereabouts; PEOPLE],
        team: Vec<usize>,
        group: Vec<usize>,
        with_team: bool,
        quorum: usize,
        requester: usize,
        requester_approves: bool,
        requester_excluded: bool,
    }

    // The evaluator.

    impl Organisation {
        fn members(&self) -> Vec<usize> {
            (0..PEOPLE).filter(|who| self.group.contains(who) || (self.with_team && self.team.contains(who))).collect()
        }

        /// `who` answers in the place of `member`: named by them, there, and neither is the requester.
        fn stands_in(&self, who: usize, member: usize) -> bool {
            let named = self.people[member] == AwayWith(who) && self.people[who] == There;
            named && who != self.requester && member != self.requester
        }

        /// Whether `who` counts: as a member who is there, or for one who is not.
        fn counts(&self, who: usize) -> bool {
            let members = self.members();
            let excluded = self.requester_excluded && who == self.requester;
            let own = members.contains(&who) && self.people[who] == There && !excluded;
            own || members.iter().any(|&member| self.stands_in(who, member))
        }

        fn may(&self, who: usize) -> bool {
            self.counts(who) || (self.requester_approves && who == self.requester)
        }

        fn answers_for(&self, who: usize) -> Vec<usize> {
            self.members().into_iter().filter(|&member| self.stands_in(who, member)).collect()
        }

        /// Everybody has a passkey, so that it is only a matter of enough people being there.
        fn reachable(&self) -> bool {
            (0..PEOPLE).filter(|&who| self.counts(who)).count() >= self.quorum
        }

        /// Whether these people, who answer once each with keys of their own, are enough.
        fn allows(&self, answered: &[usize]) -> bool {
            let own = !self.requester_approves || answered.contains(&self.requester);
            own && answered.iter().filter(|&&who| self.counts(who)).count() >= self.quorum
        }
    }

    /// The people with their phones, and the organisation as it was set.
    struct House<'w> {
        world: &'w World,
        raw: Raw<'w>,
        ada: Person,
        bot: RawBot,
        phones: Vec<Vec<RawPhone>>,
        now: Organisation,
        dice: Dice,
    }

    impl<'w> House<'w> {
        async fn set(world: &'w World, seed: u64) -> Self {
            let raw = Raw::new(world);
            let mut phones = Vec::new();
            for who in 0..PEOPLE {
                let mut own = vec![raw.person(&format!("p{who}"), "member").await];
                if who < 2 {
                    let further = raw.further_phone(&format!("p{who}"), &own[0]).await;
                    own.push(further);
                }
                phones.push(own);
            }
            let ada = world.administrator("ada", "Ada Byron").await;
            raw.post(As::Operator, "/v1/teams", &json!({"name": "ops"})).await.expect(201);
            let bot = raw.able_bot("heimdall").await;
            let now = Organisation {
                people: [There; PEOPLE],
                team: Vec::new(),
                group: vec![0],
                with_team: true,
                quorum: 1,
                requester: 0,
                requester_approves: false,
                requester_excluded: true,
            };
            Self { world, raw, ada, bot, phones, now, dice: Dice(seed) }
        }

        /// What was answered 202 is confirmed by an administrator, or by the person themself.
        async fn confirmed(&self, seen: Seen, own: Option<usize>) {
            if seen.status != 202 {
                assert!(seen.status == 200 || seen.status == 204, "{}", seen.text);
                return;
            }
            let Some(who) = own else {
                self.ada.phone.confirm_act(&seen.body).await.expect("confirmed");
                return;
            };
            let phone = &self.phones[who][0];
            let path = format!("/v1/acts/{}", seen.id());
            let offered = self.raw.post(As::Phone(phone), &format!("{path}/challenge"), &json!({})).await.expect(200);
            let credential = phone.sign(&offered.body, phoneops::sim::authenticator::Misbehaviour::default());
            let body = json!({"challenge": offered.body["challenge"], "credential": credential});
            self.raw.post(As::Phone(phone), &format!("{path}/confirm"), &body).await.expect(200);
        }

        async fn put(&self, by: As<'_>, path: &str, body: &Value, own: Option<usize>) {
            let seen = self.raw.shot(by, "PUT", path).json(body).fire().await;
            self.confirmed(seen, own).await;
        }

        /// Puts somebody somewhere, by themselves or by an administrator.
        async fn move_to(&mut self, who: usize, place: Whereabouts) {
            self.now.people[who] = place;
            let until = self.world.clock.now().after(seconds(86_400)).to_string();
            let body = match place {
                There => None,
                Away => Some(json!({"until": until})),
                AwayWith(delegate) => Some(json!({"until": until, "delegate": format!("@p{delegate}")})),
            };
            let own = self.dice.roll(2) == 0;
            let path = if own { "/v1/me/away".to_owned() } else { format!("/v1/users/@p{who}/away") };
            let by = if own { As::Phone(&self.phones[who][0]) } else { As::Operator };
            match body {
                None => drop(self.raw.delete(by, &path).await.expect(204)),
                Some(body) => self.put(by, &path, &body, own.then_some(who)).await,
            }
        }

        /// Lets somebody join or leave the team.
        async fn switch(&mut self, who: usize) {
            let path = format!("/v1/teams/ops/members/@p{who}");
            if let Some(at) = self.now.team.iter().position(|member| *member == who) {
                self.now.team.remove(at);
                self.raw.delete(As::Operator, &path).await.expect(204);
            } else {
                self.now.team.push(who);
                self.put(As::Operator, &path, &json!({}), None).await;
            }
        }

        fn place(&mut self, who: usize) -> Whereabouts {
            match self.dice.roll(8) {
                0..3 => There,
                3 => Away,
                _ => {
                    let other = self.dice.roll(PEOPLE);
                    if other == who { Away } else { AwayWith(other) }
                }
            }
        }

        async fn rearrange(&mut self) {
            for who in 0..PEOPLE {
                let place = self.place(who);
                if self.dice.roll(2) == 0 && place != self.now.people[who] {
                    self.move_to(who, place).await;
                }
            }
            let who = self.dice.roll(PEOPLE);
            self.switch(who).await;
            let dice = &mut self.dice;
            self.now.group = dice.some();
            self.now.with_team = self.now.group.is_empty() || dice.roll(2) == 0;
            self.now.quorum = 1 + dice.roll(self.now.group.len().clamp(1, 3));
            self.now.requester = dice.roll(PEOPLE);
            self.now.requester_approves = dice.roll(4) == 0;
            self.now.requester_excluded = dice.roll(3) > 0;
            self.rule().await;
        }

        async fn rule(&self) {
            let users: Vec<_> = self.now.group.iter().map(|who| format!("@p{who}")).collect();
            let teams = if self.now.with_team { vec!["ops"] } else { Vec::new() };
            let rule = json!({"require": {"requester": self.now.requester_approves, "requester_excluded": self.now.requester_excluded,
                "groups": [{"quorum": self.now.quorum, "users": users, "teams": teams}]}});
            self.put(As::Operator, "/v1/policies/rule", &rule, None).await;
        }

        /// Lets everybody answer in a random order on a random phone; who did, when that was enough.
        async fn answered(&mut self, asked: &str) -> Option<Vec<usize>> {
            let (organisation, mut answered) = (self.now.clone(), Vec::new());
            for who in self.dice.shuffled() {
                let phone = self.dice.roll(self.phones[who].len());
                let phone = &self.phones[who][phone];
                let offered = phone.challenge(&self.raw, asked, "approve").await;
                if !organisation.may(who) {
                    assert!(
                        matches!(offered.code(), "not_found" | "not_an_approver"),
                        "{who} in {organisation:?}: {}",
                        offered.text
                    );
                    continue;
                }
                let offered = offered.expect(200).body;
                let statement: Value = serde_json::from_str(offered["statement"].as_str().unwrap()).unwrap();
                let absent = organisation.answers_for(who);
                let absent: Vec<_> = absent.iter().map(|&absent| self.phones[absent][0].user.as_str()).collect();
                let said = if absent.is_empty() { Value::Null } else { json!(absent) };
                assert_eq!(statement["for"], said, "{who} in {organisation:?}");
                let credential = phone.sign(&offered, phoneops::sim::authenticator::Misbehaviour::default());
                let answer = json!({"challenge": offered["challenge"], "credential": credential});
                let after = phone.send(&self.raw, asked, &answer).await.expect(200).body;
                answered.push(who);
                let approved = organisation.allows(&answered);
                assert_eq!(after["state"] == "approved", approved, "{answered:?} in {organisation:?}: {after}");
                if approved {
                    return Some(answered);
                }
            }
            None
        }

        /// Changes something between the approval and its redemption. The organisation that redeeming judges by: today's members, and
        /// who was away when it was asked, as far as nobody took that back.
        async fn twist(&mut self) -> Organisation {
            let mut today = self.now.clone();
            let who = self.dice.roll(PEOPLE);
            match self.dice.roll(5) {
                0 | 1 => {
                    self.switch(who).await;
                    today.team.clone_from(&self.now.team);
                }
                2 if self.now.people[who] != There => {
                    self.move_to(who, There).await;
                    today.people[who] = There;
                }
                3 if self.now.people[who] == There => self.move_to(who, Away).await,
                4 => {
                    self.now.quorum = 1 + self.dice.roll(self.now.group.len().clamp(1, 3));
                    self.rule().await;
                    today.quorum = self.now.quorum;
                }
                _ => {}
            }
            today
        }

        async fn redeemed(&mut self, asked: &str, answered: &[usize], action: &Value) -> bool {
            let then = self.now.clone();
            let found = self.raw.get(As::Bot(&self.bot), &format!("/v1/approvals/{asked}")).await.expect(200);
            let grant = found.body["grant"].as_str().expect("a grant").to_owned();
            self.world.advance(seconds(1)).await;
            let today = self.twist().await;
            let seen = self.raw.post(As::Bot(&self.bot), "/v1/grants/redeem", &json!({"grant": grant, "action": action})).await;
            let allowed = then.allows(answered) && today.allows(answered);
            let said = format!("{answered:?} then in {then:?}, today in {today:?}: {}", seen.text);
            assert_eq!(seen.status == 200, allowed, "{said}");
            assert!(allowed || matches!(seen.code(), "grant_membership_changed" | "grant_policy_changed"), "{said}");
            allowed
        }

        /// One request, from asking to redeeming; what became of it.
        async fn play(&mut self) -> &'static str {
            self.rearrange().await;
            self.world.advance(seconds(1)).await;
            let action = deploy("api", "production");
            let body = json!({"action": action, "requester": format!("@p{}", self.now.requester)});
            let seen = self.raw.post(As::Bot(&self.bot), "/v1/approvals", &body).await;
            if !self.now.reachable() {
                assert_eq!(seen.code(), "approvers_unreachable", "{:?}: {}", self.now, seen.text);
                return "unreachable";
            }
            let asked = seen.expect(201).id();
            match self.answered(&asked).await {
                Some(answered) if self.redeemed(&asked, &answered, &action).await => "redeemed",
                Some(_) => "not redeemed",
                None => {
                    self.raw.delete(As::Bot(&self.bot), &format!("/v1/approvals/{asked}")).await.expect(204);
                    "not approved"
                }
            }
        }
    }

    pub(crate) async fn organisations_at_random(world: &World) {
        let seed = std::env::var("PHONEOPS_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = seed.unwrap_or_else(|| u64::from_le_bytes(random()) | 1);
        println!("PHONEOPS_TEST_SEED={seed}");
        let mut house = House::set(world, seed).await;
        let mut ends = std::collections::BTreeMap::<_, usize>::new();
        let enough = |ends: &std::collections::BTreeMap<_, usize>| {
            ["unreachable", "redeemed", "not redeemed"].iter().all(|end| ends.get(end).is_some_and(|count| *count > 2))
        };
        // Chance brings each end about; what is rare may take a while.
        let mut case = 0;
        while case < CASES || (!enough(&ends) && case < 10 * CASES) {
            if case % 60 == 0 {
                for phone in house.phones.iter().flatten() {
                    phone.sign_in(&house.raw).await;
                }
            }
            *ends.entry(house.play().await).or_default() += 1;
            case += 1;
        }
        println!("{ends:?}");
        assert!(enough(&ends), "too few of some: {ends:?}");
    }
}
