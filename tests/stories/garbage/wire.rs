//! Paths, headers and connections that are not what they should be.

crate::world::stories! {
    paths
    headers
    bodies_that_never_end
}

mod stories {
    use std::time::{Duration, Instant};

    use futures_util::future::join_all;
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use crate::garbage::routes::Cast;
    use crate::world::World;
    use crate::world::contract::OPERATIONS;
    use crate::world::raw::{As, Raw};

    pub(crate) async fn paths(world: &World) {
        let raw = Raw::new(world);
        let Cast { bot, phone } = Cast::of(&raw).await;
        let long = "a".repeat(8_000);
        let wrong_kind = format!("usr_{:032x}", 1);
        let upper = format!("APR_{:032X}", u128::MAX);
        let junk = [
            "%00",
            "%ff%fe",
            "%2e%2e",
            "%2F..%2F",
            "%",
            "%zz",
            "..%5c",
            "@",
            "%F0%9F%94%A5",
            "a%20b",
            "%u202e",
            &long,
            &wrong_kind,
            &upper,
        ];
        for operation in OPERATIONS.iter().filter(|operation| operation.template.contains('{')) {
            for junk in junk {
                let path = fill(&operation.template, junk);
                for caller in [As::Bot(&bot), As::Phone(&phone), As::Operator] {
                    let shot = raw.shot(caller, &operation.method, &path);
                    let shot =
                        if operation.method == "GET" || operation.method == "DELETE" { shot } else { shot.json(&json!({})) };
                    let seen = shot.fire().await;
                    let known = junk == wrong_kind && operation.template == "/v1/users/{user}";
                    // The client itself takes it out of the path, and what is left here is a route, or the web app.
                    let page = seen.media_type() == "text/html";
                    if junk == "%2e%2e" && (page || ["/v1/users/%2e%2e/devices", "/v1/bots/%2e%2e/keys"].contains(&path.as_str()))
                    {
                        continue;
                    }
                    assert!(
                        seen.status >= 400 && (seen.status != 404 || !seen.code().is_empty() || known),
                        "{path} {}",
                        seen.text
                    );
                }
            }
        }
        for path in ["//", "/v1", "/v1/", "/v1/me/", "/V1/me", "/v1/%6de/x", "/.well-known/", "/v1/approvals/"] {
            raw.get(As::Phone(&phone), path).await.expect_refusal(404, "not_found");
        }
        for method in ["PATCH", "OPTIONS", "BREW", "TRACE"] {
            raw.shot(As::Phone(&phone), method, "/v1/me").fire().await.expect_refusal(405, "method_not_allowed");
        }
    }

    fn fill(template: &str, junk: &str) -> String {
        let parts = template.split('/').map(|part| if part.starts_with('{') { junk } else { part });
        parts.collect::<Vec<_>>().join("/")
    }

    pub(crate) async fn headers(world: &World) {
        let raw = Raw::new(world);
        let Cast { bot, phone } = Cast::of(&raw).await;
        let long = "a".repeat(20_000);
        let junk: [&[u8]; 12] = [
            b"",
            b" ",
            b"\xff\xfe",
            b"Bearer",
            b"Bearer ",
            b"DPoP \xe2\x80\xae",
            b"Basic YTpi",
            b"Bearer pob_ pob_",
            b"DPoP eyJhbGciOiJub25lIn0..",
            b"dpop\tx",
            b"Bearer \"; drop table bots; --",
            long.as_bytes(),
        ];
        for value in junk {
            for caller in [As::Nobody, As::Operator] {
                let seen = raw.shot(caller, "GET", "/v1/users").header_bytes("authorization", value).fire().await;
                assert_eq!(seen.status, 401, "{} {}", String::from_utf8_lossy(value), seen.text);
            }
            let seen = raw.shot(As::Phone(&phone), "GET", "/v1/me").header_bytes("dpop", value).fire().await;
            seen.expect_refusal(401, "invalid_dpop_proof");
            let page = json!({"title": "Down", "to": ["@yannick"]});
            let shot = raw.shot(As::Bot(&bot), "POST", "/v1/incidents").json(&page).header_bytes("idempotency-key", value);
            let seen = shot.fire().await;
            let taken = std::str::from_utf8(value)
                .is_ok_and(|text| (1..=255).contains(&text.trim().len()) && text.is_ascii() && !text.contains('\t'));
            if taken {
                seen.expect(201);
            } else {
                let seen = seen.expect_refusal(400, "invalid_request");
                assert_eq!(seen.field(), Some("Idempotency-Key"));
            }
            let shot = raw.shot(As::Bot(&bot), "POST", "/v1/incidents").bytes(page.to_string().into_bytes());
            shot.header_bytes("content-type", value).fire().await.expect_refusal(415, "not_json");
        }
        // One key, two routes: the second hears that it is taken, whatever the first one's outcome looks like.
        let keyed =
            |path: &str, body: &Value| raw.shot(As::Bot(&bot), "POST", path).json(body).header("idempotency-key", "one").fire();
        let page = keyed("/v1/incidents", &json!({"title": "Down", "to": ["@yannick"]})).await.expect(201);
        let act = format!("/v1/incidents/{}/acknowledge", page.body["ref"].as_str().unwrap());
        let action = json!({"type": "a", "target": "b"});
        for (path, body) in [
            (act.as_str(), json!({"actor": "@yannick"})),
            ("/v1/approvals", json!({"action": action, "requester": "@yannick"})),
            ("/v1/grants/redeem", json!({"action": action, "grant": "a.b.c"})),
        ] {
            keyed(path, &body).await.expect_refusal(422, "idempotency_key_reused");
        }
    }

    pub(crate) async fn bodies_that_never_end(world: &World) {
        let address = world.server.issuer().trim_start_matches("http://").to_owned();
        let cases = [
            ("/v1/incidents", "application/json"),
            ("/v1/enrollments/claim", "application/json"),
            ("/v1/token", "application/x-www-form-urlencoded"),
        ];
        let started = Instant::now();
        let answers = join_all(cases.map(|(path, kind)| drip(&address, path, kind))).await;
        assert!(started.elapsed() < Duration::from_secs(14), "{:?}", started.elapsed());
        for answer in answers {
            assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
            let problem: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
            assert_eq!(problem["code"], "body_too_slow");
        }
        // A connection that was abused serves nobody else; a new one is served.
        Raw::new(world).get(As::Nobody, "/healthz").await.expect(200);
    }

    /// Sends a body byte by byte, and gives what is answered meanwhile.
    async fn drip(address: &str, path: &str, kind: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\ncontent-length: 1000\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let (mut read, mut write) = stream.split();
        let dripping = async {
            // Until the server has had enough of it.
            while write.write_all(b"a").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            std::future::pending::<()>().await;
        };
        let reading = async {
            let mut answer = Vec::new();
            let mut chunk = [0; 4096];
            while !String::from_utf8_lossy(&answer).contains('}') {
                match read.read(&mut chunk).await {
                    Ok(0) | Err(_) => break,
                    Ok(n) => answer.extend_from_slice(&chunk[..n]),
                }
            }
            String::from_utf8_lossy(&answer).into_owned()
        };
        tokio::select! {
            () = dripping => unreachable!("it drips for ever"),
            answer = tokio::time::timeout(Duration::from_secs(20), reading) => answer.unwrap_or_default(),
        }
    }
}
