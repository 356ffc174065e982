//! Bodies that are not what they should be.

crate::world::stories! {
    members_that_do_not_belong
    values_that_do_not_fit
    arrays_for_objects
    bodies_that_are_no_json
    bodies_changed_at_random
    numbers_and_times_without_sense
}

mod stories {
    use futures_util::future::join_all;
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};
    use serde_json::{Value, json};

    use crate::garbage::routes::{Cast, Good, good, places, top};
    use crate::world::World;
    use crate::world::raw::{As, Raw, Seen};

    /// Whether the fault is said to be in the member that was spoilt.
    fn names(seen: &Seen, member: &str) -> bool {
        let field = seen.field().unwrap_or_default();
        field.strip_prefix(member).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }

    pub(crate) async fn members_that_do_not_belong(world: &World) {
        let raw = Raw::new(world);
        let cast = Cast::of(&raw).await;
        for good in good(&raw, &cast).await {
            let mut more = good.body.clone();
            more["zzz"] = json!(1);
            let seen = cast.send(&raw, &good, more.to_string().as_bytes()).await.expect_refusal(400, "invalid_request");
            assert_eq!(seen.field(), Some("zzz"), "{} {}", good.path, seen.text);
            missing(&raw, &cast, &good).await;
            repeated(&raw, &cast, &good).await;
        }
    }

    async fn missing(raw: &Raw<'_>, cast: &Cast, good: &Good) {
        let mut all = Vec::new();
        places(&good.body, "", &mut all);
        for place in all {
            let (parent, name) = place.rsplit_once('/').unwrap();
            let mut less = good.body.clone();
            let Some(members) = less.pointer_mut(parent).and_then(Value::as_object_mut) else { continue };
            members.remove(name);
            let seen = cast.send(raw, good, less.to_string().as_bytes()).await;
            if seen.code() == "invalid_request" && seen.text.contains("missing field") {
                let named = seen.field().unwrap_or_default();
                assert!(names(&seen, top(&place)) && named.ends_with(name), "{} without {place}: {}", good.path, seen.text);
            }
        }
    }

    /// Each object has each of its members twice, once at a time.
    async fn repeated(raw: &Raw<'_>, cast: &Cast, good: &Good) {
        let mut all = Vec::new();
        places(&good.body, "", &mut all);
        for place in all {
            let (parent, name) = place.rsplit_once('/').unwrap();
            let mut twice = good.body.clone();
            let value = good.body.pointer(&place).unwrap().clone();
            let Some(members) = twice.pointer_mut(parent).and_then(Value::as_object_mut) else { continue };
            members.insert("@@".to_owned(), value);
            let text = twice.to_string().replace("\"@@\"", &json!(name).to_string());
            let seen = cast.send(raw, good, text.as_bytes()).await.expect_refusal(400, "invalid_request");
            assert!(names(&seen, top(&place)), "{} with {place} twice: {}", good.path, seen.text);
        }
    }

    pub(crate) async fn values_that_do_not_fit(world: &World) {
        let raw = Raw::new(world);
        let cast = Cast::of(&raw).await;
        let strange = [
            json!(null),
            json!(true),
            json!(-1),
            json!(1.5),
            json!(1e308),
            json!(9_007_199_254_740_993_u64),
            json!(u64::MAX),
            json!(""),
            json!(" \t "),
            json!("a\0b"),
            json!("prod\u{202e}gnigats"),
            json!("bell\u{7}"),
            json!("\u{feff}"),
            json!("a".repeat(5_000)),
            json!([]),
            json!([[[[[[[]]]]]]]),
            json!({}),
            json!({"zzz": 1}),
        ];
        for good in good(&raw, &cast).await {
            let mut all = Vec::new();
            places(&good.body, "", &mut all);
            for place in all {
                let spoilt = strange.iter().map(|value| {
                    let mut body = good.body.clone();
                    *body.pointer_mut(&place).unwrap() = value.clone();
                    body
                });
                let spoilt: Vec<_> = spoilt.collect();
                let (raw, cast, good) = (&raw, &cast, &good);
                let sent = spoilt.iter().map(|body| async move { cast.send(raw, good, body.to_string().as_bytes()).await });
                for (body, seen) in spoilt.iter().zip(join_all(sent).await) {
                    let named = seen.code() != "invalid_request" || names(&seen, top(&place));
                    assert!(named, "{} {body}: the fault is in {place}, said was {}", good.path, seen.text);
                }
            }
        }
        world.journal().await;
    }

    /// Derived code would read a struct from an array of its fields.
    pub(crate) async fn arrays_for_objects(world: &World) {
        let raw = Raw::new(world);
        let cast = Cast::of(&raw).await;
        for good in good(&raw, &cast).await {
            let mut all = vec![String::new()];
            places(&good.body, "", &mut all);
            for place in all.into_iter().filter(|place| !place.starts_with("/credential") && !place.contains("/params/")) {
                let Some(members) = good.body.pointer(&place).and_then(Value::as_object) else { continue };
                let mut changed = good.body.clone();
                *changed.pointer_mut(&place).unwrap() = members.values().cloned().collect();
                let seen = cast.send(&raw, &good, changed.to_string().as_bytes()).await;
                let seen = seen.expect_refusal(400, "invalid_request");
                assert!(place.is_empty() || names(&seen, top(&place)), "{place} {}", seen.text);
            }
        }
    }

    pub(crate) async fn bodies_that_are_no_json(world: &World) {
        let raw = Raw::new(world);
        let cast = Cast::of(&raw).await;
        let deep = |open: &str, close: &str| format!("{}{}", open.repeat(10_000), close.repeat(10_000));
        for good in good(&raw, &cast).await {
            let whole = good.body.to_string();
            let cut = &whole[..whole.len() - 1];
            let after = format!("{whole}{{}}");
            for text in ["", " ", "null", "[]", "7", "\"a\"", cut, &after, "{\"a\":\"\\ud800\"}", "{'a':1}", "NaN"] {
                let seen = cast.send(&raw, &good, text.as_bytes()).await;
                assert_eq!((seen.status, seen.code()), (400, "invalid_request"), "{} {text}: {}", good.path, seen.text);
            }
            for bomb in [deep("[", "]"), deep("{\"a\":", "}"), "[".repeat(10_000)] {
                cast.send(&raw, &good, bomb.as_bytes()).await.expect_refusal(400, "invalid_request");
            }
            for (member, value) in good.body.as_object().unwrap() {
                let bomb = format!("{{{}:{}", json!(member), deep("[", "]"));
                cast.send(&raw, &good, bomb.as_bytes()).await.expect_refusal(400, "invalid_request");
                if value.is_string() {
                    let bad = [b"{".as_slice(), json!(member).to_string().as_bytes(), b":\"\xff\xfe\"}"].concat();
                    cast.send(&raw, &good, &bad).await.expect_refusal(400, "invalid_request");
                }
            }
            let large = format!("{{\"a\":\"{}\"}}", "a".repeat(65 * 1024 + 1));
            cast.send(&raw, &good, large.as_bytes()).await.expect_refusal(413, "body_too_large");
            for kind in [None, Some("text/plain"), Some("application/jsonp"), Some("application/x-www-form-urlencoded"), Some("")]
            {
                cast.send_as(&raw, &good, kind, whole.as_bytes()).await.expect_refusal(415, "not_json");
            }
        }
        let token =
            |kind: &str, body: Vec<u8>| raw.shot(As::Nobody, "POST", "/v1/token").bytes(body).header("content-type", kind).fire();
        let form = "application/x-www-form-urlencoded";
        token(form, vec![b'a'; 65 * 1024 + 1]).await.expect_refusal(413, "body_too_large");
        token("application/json", b"{}".to_vec()).await.expect_refusal(415, "not_a_form");
        for (body, field) in
            [("", "grant_type"), ("grant_type=x", "assertion"), ("zzz=1", "zzz"), ("assertion=&assertion=a", "assertion")]
        {
            let seen = token(form, body.into()).await.expect_refusal(400, "invalid_request");
            assert_eq!(seen.field(), Some(field));
        }
        let seen = token(form, "grant_type=password&assertion=a".into()).await;
        seen.expect_refusal(400, "unsupported_grant_type");
        token(form, b"grant_type=%ff%00&assertion=\xff".to_vec()).await.expect_refusal(400, "unsupported_grant_type");
    }

    pub(crate) async fn bodies_changed_at_random(world: &World) {
        let raw = Raw::new(world);
        let cast = Cast::of(&raw).await;
        let all = good(&raw, &cast).await;
        let strategy = (0..all.len(), prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6));
        let mut runner = TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
        let handle = tokio::runtime::Handle::current();
        let outcome = tokio::task::block_in_place(|| {
            runner.run(&strategy, |(route, changes)| {
                let mut bytes = all[route].body.to_string().into_bytes();
                for (at, byte, how) in changes {
                    let at = at.index(bytes.len());
                    match how {
                        0 => bytes[at] = byte,
                        1 => bytes.insert(at, byte),
                        2 if bytes.len() > 1 => drop(bytes.remove(at)),
                        _ => bytes.extend_from_within(at..),
                    }
                    bytes.truncate(60_000);
                }
                // The document and the promise of no internal error are held by every reply.
                handle.block_on(cast.send(&raw, &all[route], &bytes));
                Ok(())
            })
        });
        outcome.unwrap();
        world.journal().await;
    }

    pub(crate) async fn numbers_and_times_without_sense(world: &World) {
        let raw = Raw::new(world);
        let Cast { bot, phone } = Cast::of(&raw).await;
        for (path, field) in [
            ("/v1/incidents?limit=0", "limit"),
            ("/v1/incidents?limit=101", "limit"),
            ("/v1/incidents?limit=99999999999999999999", "limit"),
            ("/v1/incidents?cursor=usr_00000000000000000000000000000001", "cursor"),
            ("/v1/incidents?all=maybe", "all"),
            ("/v1/incidents?zzz=1", "zzz"),
            ("/v1/incidents?%00=%ff", "\0"),
            ("/v1/approvals?for=you", "for"),
            ("/v1/approvals", "for"),
        ] {
            let seen = raw.get(As::Phone(&phone), path).await.expect_refusal(400, "invalid_request");
            assert_eq!(seen.field(), Some(field), "{path} {}", seen.text);
        }
        for (path, field) in [("?limit=501", "limit"), ("?after=x", "after"), ("?after=9223372036854775808", "after")] {
            let seen = raw.get(As::Operator, &format!("/v1/journal{path}")).await.expect_refusal(400, "invalid_request");
            assert_eq!(seen.field(), Some(field), "{path} {}", seen.text);
        }
        raw.get(As::Operator, "/v1/journal?after=-9223372036854775808").await.expect(200);
        raw.get(As::Operator, "/v1/journal?after=9223372036854775807").await.expect(200);
        for wait in ["61", "-1", "1.5", "", "18446744073709551616", "1&wait=2"] {
            let path = format!("/v1/approvals/apr_{:032x}?wait={wait}", 1);
            let seen = raw.get(As::Bot(&bot), &path).await.expect_refusal(400, "invalid_request");
            assert_eq!(seen.field(), Some("wait"), "{wait} {}", seen.text);
        }
        for seconds in [json!(9), json!(3601), json!(-1), json!(1e9), json!(u64::MAX), json!("300")] {
            let body = json!({"action": {"type": "a", "target": "b"}, "requester": "@yannick", "expires_in": seconds});
            let seen = raw.post(As::Bot(&bot), "/v1/approvals", &body).await.expect_refusal(400, "invalid_request");
            assert_eq!(seen.field(), Some("expires_in"), "{}", seen.text);
        }
        for value in ["1.5", "1e2", "9007199254740992", "-9007199254740992", "18446744073709551616", "null", "1E400"] {
            let text = format!(r#"{{"action":{{"type":"a","target":"b","params":{{"x":{value}}}}},"requester":"@yannick"}}"#);
            let seen = raw.shot(As::Bot(&bot), "POST", "/v1/approvals").text(&text).fire().await;
            let seen = seen.expect_refusal(400, "invalid_request");
            assert_eq!(seen.field(), Some("action.params.x"), "{value} {}", seen.text);
        }
    }
}
