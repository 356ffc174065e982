//! Limits against the words of their documentation, and what widens them against every request there is in a small organisation.

use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::widening::Widening;
use super::*;
use crate::approvals::Params;
use crate::id::UserId;
use crate::identity::Role;

fn action(kind: &str, target: &str) -> Action {
    Action { kind: kind.into(), target: target.into(), params: Params::default() }
}

fn limits(json: serde_json::Value) -> Limits {
    serde_json::from_value(json).unwrap()
}

#[test]
fn what_is_not_named_may_not_be_asked() {
    let some = limits(json!({"actions": [{"type": "deploy", "target": "stag*"}, {"type": "merge"}]}));
    assert!(some.check().is_ok());
    assert!(some.take(&action("deploy", "staging")) && some.take(&action("merge", "anything")));
    assert!(!some.take(&action("deploy", "production")) && !some.take(&action("deploys", "staging")));
    assert!(Limits::default().take(&action("deploy", "production")));
}

#[test]
fn what_is_asked_nowhere_is_in_no_room() {
    let origin = Origin { platform: "slack".into(), workspace: "T1".into(), room: "C1".into(), message: None };
    let some = limits(json!({"rooms": [{"platform": "slack", "workspace": "T1", "room": "C?"}]}));
    assert!(some.take_in(Some(&origin)) && !some.take_in(None));
    assert!(!some.take_in(Some(&Origin { workspace: "T2".into(), ..origin })));
    assert!(Limits::default().take_in(None));
}

#[test]
fn limits_that_could_name_nothing_are_refused() {
    for bad in [
        json!({"actions": []}),
        json!({"actions": [{"type": ""}]}),
        json!({"actions": [{"type": "x".repeat(201)}]}),
        json!({"rooms": [{"platform": "slack", "workspace": "", "room": "*"}]}),
        json!({"users": []}),
    ] {
        assert!(limits(bad.clone()).check().is_err(), "{bad}");
    }
    for bad in [json!({"actions": [{"kind": "deploy"}]}), json!({"for": ["@ys"]}), json!({"users": ["nobody nowhere"]})] {
        assert!(serde_json::from_value::<Limits>(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn people_are_named_or_in_a_team_that_is() {
    let some = limits(json!({"users": ["@ann"], "teams": ["ops"]}));
    assert!(some.take_for(&person("ann"), &[]) && some.take_for(&person("bea"), &["ops".parse().unwrap()]));
    assert!(!some.take_for(&person("bea"), &[]) && !some.take_for(&person("bea"), &["sec".parse().unwrap()]));
    assert!(Limits::default().take_for(&person("bea"), &[]));
}

#[test]
fn what_lets_a_bot_ask_for_more_is_told_apart() {
    let at = |room: &str| json!({"platform": "slack", "workspace": "T1", "room": room});
    for (before, after, expected) in [
        (json!({}), json!({"teams": ["ops"]}), None),
        (json!({"teams": ["ops"]}), json!({}), Some(Widening::People)),
        (json!({"teams": ["ops"]}), json!({"teams": ["ops", "sec"]}), Some(Widening::People)),
        (json!({"teams": ["ops"]}), json!({"teams": ["ops"], "users": ["@ann"]}), Some(Widening::People)),
        (json!({"teams": ["ops"], "users": ["@ann"]}), json!({"users": ["@ann"]}), None),
        (
            json!({"actions": [{"type": "deploy", "target": "stag*"}]}),
            json!({"actions": [{"type": "deploy", "target": "staging"}]}),
            None,
        ),
        (
            json!({"actions": [{"type": "deploy", "target": "staging"}]}),
            json!({"actions": [{"type": "deploy", "target": "stag*"}]}),
            Some(Widening::Actions),
        ),
        (
            json!({"actions": [{"type": "deploy"}]}),
            json!({"actions": [{"type": "deploy"}, {"type": "merge"}]}),
            Some(Widening::Actions),
        ),
        (json!({"actions": [{"type": "*"}]}), json!({"actions": [{"type": "deploy"}, {"type": "m*", "target": "x"}]}), None),
        (json!({"actions": [{"type": "*"}]}), json!({}), None),
        (json!({"rooms": [{"platform": "*", "workspace": "*", "room": "*"}]}), json!({}), Some(Widening::Rooms)),
        (json!({"rooms": [at("C1")]}), json!({"rooms": [at("C2")]}), Some(Widening::Rooms)),
        (json!({"rooms": [at("C?")]}), json!({"rooms": [at("C2"), at("C1")]}), None),
        (json!({"rooms": [at("C1")]}), json!({}), Some(Widening::Rooms)),
        // What asks less here does not make up for what asks more there.
        (json!({"rooms": [at("C1")], "users": ["@ann", "@bea"]}), json!({"users": ["@ann"]}), Some(Widening::Rooms)),
    ] {
        assert_eq!(widening(&limits(before.clone()), &limits(after.clone())), expected, "{before} to {after}");
    }
}

// A small organisation, and everything that can be asked in it.

const PEOPLE: [&str; 3] = ["ann", "bea", "cyd"];
const TEAMS: [&str; 2] = ["ops", "sec"];

fn person(handle: &str) -> User {
    let at = PEOPLE.iter().position(|known| *known == handle).unwrap();
    User {
        id: UserId(Uuid::from_u128(at as u128 + 1)),
        handle: handle.parse().unwrap(),
        name: handle.parse().unwrap(),
        role: Role::Member,
        email: None,
        created_at: Timestamp::from_seconds(0),
        removed_at: None,
    }
}

/// A request of somebody who is in these teams.
type Request = (Action, Option<Origin>, User, Vec<Handle>);

/// Every request: of texts that patterns may name, and of one that none does.
fn requests() -> Vec<Request> {
    let texts = ["a", "ab", "zz"];
    let origin = |room: &str| Origin { platform: "slack".into(), workspace: "a".into(), room: room.into(), message: None };
    let origins: Vec<_> = texts.iter().map(|room| Some(origin(room))).chain([None]).collect();
    let mut all = Vec::new();
    for (kind, target) in texts.iter().flat_map(|kind| texts.iter().map(move |target| (kind, target))) {
        for (origin, handle) in origins.iter().flat_map(|origin| PEOPLE.iter().map(move |handle| (origin, handle))) {
            for teams in 0..4_usize {
                let of = (0..2).filter(|at| teams >> at & 1 == 1).map(|at| TEAMS[at].parse().unwrap()).collect();
                all.push((action(kind, target), origin.clone(), person(handle), of));
            }
        }
    }
    all
}

fn takes(limits: &Limits, (action, origin, who, teams): &Request) -> bool {
    limits.take(action) && limits.take_in(origin.as_ref()) && limits.take_for(who, teams)
}

/// Lists that are there are never empty, as with every limit that is kept.
fn listed<T: std::fmt::Debug + Clone + 'static>(one: impl Strategy<Value = T> + 'static) -> BoxedStrategy<Option<Vec<T>>> {
    proptest::option::of(proptest::collection::vec(one, 1..3)).boxed()
}

fn some_limits(pattern: &'static [&'static str]) -> impl Strategy<Value = Limits> {
    let text = move || proptest::sample::select(pattern).prop_map(str::to_owned);
    let actions = (text(), text()).prop_map(|(r#type, target)| Actions { r#type, target });
    let room = text().prop_map(|room| Room { platform: "slack".into(), workspace: "*".into(), room });
    let team = proptest::sample::select(&TEAMS[..]).prop_map(|name| name.parse::<Handle>().unwrap());
    let user = proptest::sample::select(&PEOPLE[..2]).prop_map(|name| UserRef::Handle(name.parse().unwrap()));
    (listed(actions), listed(team), listed(user), listed(room)).prop_map(|(actions, teams, users, rooms)| Limits {
        actions,
        teams,
        users,
        rooms,
    })
}

/// Patterns of every kind.
const PATTERNS: &[&str] = &["a", "ab", "*", "a*", "?", "?b", "*b", "\\a"];

/// Texts, and what takes everything.
const PLAIN: &[&str] = &["a", "ab", "*"];

/// Stricter in one thing: one entry less, or a list where there was none.
#[derive(Clone, Copy, Debug)]
enum Stricter {
    FewerActions,
    FewerRooms,
    FewerUsers,
    FewerTeams,
    Actions,
    Rooms,
    People,
}

fn stricter(how: Stricter, limits: &Limits) -> Limits {
    fn fewer<T>(list: &mut Option<Vec<T>>) {
        if let Some(list) = list.as_mut().filter(|list| list.len() > 1) {
            list.pop();
        }
    }
    let mut limits = limits.clone();
    match how {
        Stricter::FewerActions => fewer(&mut limits.actions),
        Stricter::FewerRooms => fewer(&mut limits.rooms),
        Stricter::FewerUsers => fewer(&mut limits.users),
        Stricter::FewerTeams => fewer(&mut limits.teams),
        Stricter::Actions => {
            limits.actions.get_or_insert_with(|| vec![Actions { r#type: "a".into(), target: "ab".into() }]);
        }
        Stricter::Rooms => {
            let room = Room { platform: "slack".into(), workspace: "a".into(), room: "a".into() };
            limits.rooms.get_or_insert_with(|| vec![room]);
        }
        Stricter::People => {
            if limits.take_anybody() {
                limits.users = Some(vec!["@ann".parse().unwrap()]);
            }
        }
    }
    limits
}

fn any_stricter() -> impl Strategy<Value = Stricter> {
    use Stricter as S;
    proptest::sample::select(vec![S::FewerActions, S::FewerRooms, S::FewerUsers, S::FewerTeams, S::Actions, S::Rooms, S::People])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_does_not_widen_lets_nothing_new_be_asked(before in some_limits(PATTERNS), after in some_limits(PATTERNS)) {
        if widening(&before, &after).is_none() {
            for request in requests() {
                prop_assert!(!takes(&after, &request) || takes(&before, &request), "{request:?}");
            }
        }
    }

    #[test]
    fn what_widens_lets_something_new_be_asked(before in some_limits(PLAIN), after in some_limits(PLAIN)) {
        let newly = requests().into_iter().find(|request| takes(&after, request) && !takes(&before, request));
        prop_assert_eq!(widening(&before, &after).is_some(), newly.is_some(), "{:?}", newly);
    }

    #[test]
    fn whatever_is_stricter_in_one_thing_does_not_widen(limits in some_limits(PATTERNS), how in any_stricter()) {
        let after = stricter(how, &limits);
        prop_assert_eq!(widening(&limits, &after), None);
        prop_assert_eq!(widening(&limits, &limits), None);
        prop_assert_eq!(widening(&Limits::default(), &limits), None);
    }
}
