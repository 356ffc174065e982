//! After everything that can be done was done, neither the database nor the log holds a secret.

mod support;
mod world;

world::stories! {
    nothing_leaks
    the_log_names_routes_and_never_paths
}

mod stories {
    use std::io::Write;
    use std::sync::{Mutex, MutexGuard, OnceLock};

    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
    use phoneops::secret::{b64u, from_b64u, random};
    use serde_json::json;
    use sqlx::Row as _;
    use tokio::net::TcpListener;
    use tracing_subscriber::fmt::format::FmtSpan;

    use crate::world::raw::{As, Raw, RawPhone};
    use crate::world::{World, deploy, seconds};

    static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

    struct Log(MutexGuard<'static, Vec<u8>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Everything that anything in this process logs, at the finest level.
    fn listen() {
        static ONCE: OnceLock<()> = OnceLock::new();
        ONCE.get_or_init(|| {
            let everything = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
            // The span of every request becomes a line.
            let everything = everything.with_span_events(FmtSpan::CLOSE);
            everything.with_writer(|| Log(LOG.lock().unwrap())).init();
        });
    }

    /// A secret and the ways in which it could stand somewhere.
    struct Hidden {
        what: String,
        forms: Vec<Vec<u8>>,
    }

    fn hidden(what: &str, text: &str) -> Hidden {
        Hidden { what: what.to_owned(), forms: forms(text.as_bytes()) }
    }

    /// A secret that travels as base64url: its bytes count as well as its text.
    fn hidden_bytes(what: &str, text: &str) -> Hidden {
        let bytes = from_b64u(text).expect("base64url");
        assert!(bytes.len() >= 16, "{what} is too short to be searched for");
        Hidden { what: what.to_owned(), forms: [forms(text.as_bytes()), forms(&bytes)].concat() }
    }

    fn forms(bytes: &[u8]) -> Vec<Vec<u8>> {
        let hex = bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        let listed = bytes.iter().map(ToString::to_string).collect::<Vec<_>>();
        vec![
            bytes.to_vec(),
            hex.to_uppercase().into_bytes(),
            hex.into_bytes(),
            STANDARD.encode(bytes).into_bytes(),
            STANDARD_NO_PAD.encode(bytes).into_bytes(),
            URL_SAFE.encode(bytes).into_bytes(),
            URL_SAFE_NO_PAD.encode(bytes).into_bytes(),
            listed.join(", ").into_bytes(),
            listed.join(",").into_bytes(),
        ]
    }

    fn holds(haystack: &[u8], needle: &[u8]) -> bool {
        memmem(haystack, needle).is_some()
    }

    fn memmem(haystack: &[u8], needle: &[u8]) -> Option<usize> {
        let (first, rest) = needle.split_first()?;
        let mut from = 0;
        while let Some(at) = haystack[from..].iter().position(|byte| byte == first) {
            if haystack[from + at + 1..].starts_with(rest) {
                return Some(from + at);
            }
            from += at + 1;
        }
        None
    }

    pub(crate) async fn nothing_leaks(world: &World) {
        listen();
        let raw = Raw::new(world);
        let secrets = everything(world, &raw).await;
        let database = dump(world).await;
        let log = LOG.lock().unwrap().clone();
        // That the search finds what is there: ids stand in both.
        let bot = world.db.number("select count(*) from bots").await;
        assert!(bot == 1 && holds(&database, b"heimdall") && holds(&log, b"phoneops"), "the search itself is blind");
        let mut found = Vec::new();
        for secret in &secrets {
            for (place, bytes) in [("the database", &database), ("the log", &log)] {
                for form in secret.forms.iter().filter(|form| holds(bytes, form)) {
                    let at = memmem(bytes, form).unwrap();
                    let around = String::from_utf8_lossy(&bytes[at.saturating_sub(120)..(at + 60).min(bytes.len())]).into_owned();
                    found.push(format!("{} in {place}: {around}", secret.what));
                }
            }
        }
        assert!(found.is_empty(), "{found:#?}");
    }

    pub(crate) async fn the_log_names_routes_and_never_paths(world: &World) {
        listen();
        let raw = Raw::new(world);
        let (bot, phone) = (raw.able_bot("heimdall").await, raw.person("yannick", "member").await);
        let asked = raw.ask(&bot, "yannick", &deploy("api", "production")).await;
        let reference = raw.page(&bot, "yannick").await;
        let code = raw.code("yannick").await;
        let mut paths = Vec::new();
        for (by, method, path, route) in [
            (As::Bot(&bot), "GET", format!("/v1/approvals/{asked}"), "/v1/approvals/{id}"),
            (As::Bot(&bot), "DELETE", format!("/v1/approvals/{asked}"), "/v1/approvals/{id}"),
            (As::Phone(&phone), "GET", format!("/v1/incidents/{reference}"), "/v1/incidents/{ref}"),
            (As::Operator, "GET", format!("/v1/users/{}", phone.user), "/v1/users/{user}"),
            (As::Operator, "DELETE", format!("/v1/bots/{}", bot.id), "/v1/bots/{id}"),
            (As::Phone(&phone), "DELETE", format!("/v1/devices/{}", phone.device), "/v1/devices/{id}"),
            (As::Nobody, "GET", format!("/v1/approvals/{asked}?wait=1&after={code}"), "/v1/approvals/{id}"),
            (As::Nobody, "GET", format!("/enroll/{code}"), "\"-\""),
            (As::Nobody, "PATCH", format!("/v1/approvals/{asked}"), "/v1/approvals/{id}"),
        ] {
            raw.shot(by, method, &path).fire().await;
            paths.push((method, path, route));
        }
        let log = String::from_utf8_lossy(&LOG.lock().unwrap()).into_owned();
        let spans = |route: &str| log.lines().filter(|line| line.contains("request{") && line.contains(route)).count();
        for (method, path, route) in paths {
            assert!(spans(route) > 0, "{method} {route} left no line: {}", log.lines().take(20).collect::<Vec<_>>().join("\n"));
            let quoted: Vec<_> = log.lines().filter(|line| line.contains(path.split('?').next().unwrap())).collect();
            assert!(quoted.is_empty(), "{method} {path} is in the log: {quoted:#?}");
        }
        assert!(!log.contains(&code), "the code of a path or a query is in the log");
    }

    /// Does everything, and gives every secret that came up.
    async fn everything(world: &World, raw: &Raw<'_>) -> Vec<Hidden> {
        let mut secrets = Vec::new();
        let first_admin = world.server.first_admin.as_ref().unwrap().expose_grouped();
        let bot = raw.able_bot("heimdall").await;
        secrets.push(hidden("the bot's token", &bot.token));
        secrets.push(hidden_bytes("the bot's token", bot.token.strip_prefix("pob_").unwrap()));
        secrets.extend(webhooks(raw).await);
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let codes = [first_admin, raw.code("yannick").await];
        let (phone, _) = raw.claimed("yannick").await;
        yannick.expect_push(world, "A new device waits").await;
        yannick.phone.confirm_device(&phone.device, &phone.match_number()).await.unwrap();
        yannick.expect_push(world, "A new device joined").await;
        phone.sign_in(raw).await;
        phone.make_passkey(raw).await;
        for code in codes {
            secrets.push(hidden("an enrolment code", &code));
            secrets.push(hidden("an enrolment code", &code.replace('-', "")));
        }
        secrets.push(hidden("an access token", &phone.token()));
        for (at, part) in phone.token().split('.').enumerate().skip(1) {
            secrets.push(hidden(&format!("part {at} of an access token"), part));
        }
        let action = deploy("api", "production");
        let asked = raw.ask(&bot, "yannick", &action).await;
        yannick.expect_push(world, "Approval needed").await;
        phone.answer(raw, &asked, "approve").await.expect(200);
        let told = raw.get(As::Bot(&bot), &format!("/v1/approvals/{asked}")).await.expect(200);
        let grant = told.body["grant"].as_str().unwrap().to_owned();
        yannick.expect_push(world, "Answered by Yannick Schutz").await;
        let body = json!({"grant": grant, "action": action});
        let redeem = || raw.shot(As::Bot(&bot), "POST", "/v1/grants/redeem").json(&body).header("idempotency-key", "k").fire();
        redeem().await.expect(200);
        redeem().await.expect(200);
        raw.post(As::Bot(&bot), "/v1/grants/redeem", &body).await.expect_refusal(409, "grant_redeemed");
        secrets.push(hidden("a grant", &grant));
        secrets.push(hidden_bytes("a grant's signature", grant.rsplit('.').next().unwrap()));
        raw.get(As::Phone(&phone), &format!("/v1/approvals/{asked}")).await.expect(200);
        let reference = raw.page(&bot, "yannick").await;
        yannick.expect_push(world, "All your apps are down").await;
        yannick.phone.acknowledge(&reference).await.unwrap();
        refused_with_secrets(raw, &bot.token, &phone.token()).await;
        world.advance(seconds(5)).await;
        secrets.extend(push_secrets(world, &yannick.phone));
        secrets.extend(registered(raw, &phone).await);
        secrets.extend(own_keys(world).await);
        secrets
    }

    /// One webhook that is told everything and one that nobody answers, each at an address that only its owner knows.
    async fn webhooks(raw: &Raw<'_>) -> Vec<Hidden> {
        let (taken, gone) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let addresses = [taken.local_addr().unwrap(), gone.local_addr().unwrap()];
        drop(gone);
        tokio::spawn(async move { axum::serve(taken, axum::Router::new().fallback(async || "")).await });
        let mut secrets = Vec::new();
        for address in addresses {
            let path = b64u(random::<24>());
            let made =
                raw.post(As::Operator, "/v1/webhooks", &json!({"url": format!("http://{address}/{path}")})).await.expect(201);
            let rotate = format!("/v1/webhooks/{}/rotate", made.id());
            let rotated = raw.post(As::Operator, &rotate, &json!({})).await.expect(200);
            raw.post(As::Operator, &rotate.replace("rotate", "test"), &json!({})).await.expect(200);
            secrets.push(hidden_bytes("a webhook's address", &path));
            for secret in [&made, &rotated].map(|seen| seen.body["secret"].as_str().unwrap().to_owned()) {
                let bytes = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
                secrets.push(hidden_bytes("a webhook's secret", &b64u(bytes)));
            }
        }
        secrets
    }

    /// Refusals must not quote what they refuse.
    async fn refused_with_secrets(raw: &Raw<'_>, bot: &str, token: &str) {
        for secret in [bot, token] {
            for path in [format!("/v1/incidents/{secret}"), format!("/v1/me?token={secret}")] {
                raw.get(As::Nobody, &path).await;
            }
            raw.shot(As::Nobody, "GET", "/v1/me").header("authorization", secret).fire().await.expect(401);
            raw.post(As::Operator, "/v1/enrollments", &json!({"user": secret})).await.expect(400);
        }
    }

    /// A registration of which every part is known here. Nothing is pushed to it any more.
    async fn registered(raw: &Raw<'_>, phone: &RawPhone) -> Vec<Hidden> {
        let (endpoint, auth) = (format!("https://push.example/{}", b64u(random::<24>())), b64u(random::<16>()));
        let p256dh = RawPhone::blank(raw.world.clock.clone(), raw.issuer()).p256dh();
        let body = json!({"kind": "web_push", "endpoint": endpoint, "keys": {"p256dh": p256dh, "auth": auth}});
        raw.shot(As::Phone(phone), "PUT", &format!("/v1/devices/{}/push", phone.device)).json(&body).fire().await.expect(200);
        vec![hidden("a push endpoint", &endpoint), hidden_bytes("a push key", &p256dh), hidden_bytes("a push secret", &auth)]
    }

    /// How the phone is reached, from the state file that it keeps for itself.
    fn push_secrets(world: &World, phone: &phoneops::sim::phone::Phone) -> Vec<Hidden> {
        let file = world.server.socket().with_file_name("phone-under-test");
        phone.save(&file).unwrap();
        let state: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        std::fs::remove_file(&file).unwrap();
        let subscription = &state["state"]["subscription"];
        let text = |name: &str| subscription[name].as_str().unwrap().to_owned();
        let endpoint = text("endpoint");
        vec![hidden("the push endpoint", &endpoint), hidden_bytes("the push secret", &text("auth"))]
    }

    /// The master key, and what it seals.
    async fn own_keys(world: &World) -> Vec<Hidden> {
        let file = world.server.socket().with_file_name("master.key");
        let text = std::fs::read_to_string(file).unwrap();
        let master = phoneops::secret::MasterKey::parse(&text).unwrap();
        let store = world.db.store().await;
        let mut keys = vec![hidden_bytes("the master key", text.trim())];
        for purpose in [phoneops::identity::Purpose::Vapid, phoneops::identity::Purpose::Issuer] {
            let key = phoneops::identity::load_or_create(&store, &master, purpose, world.clock.now()).await.unwrap();
            // In PKCS#8 the scalar is the octet string of 32 bytes (RFC 5915).
            let at = memmem(&key.private, &[0x04, 0x20]).unwrap() + 2;
            let scalar = &key.private[at..at + 32];
            keys.push(Hidden {
                what: format!("the private key of {purpose:?}"),
                forms: [forms(&key.private), forms(scalar)].concat(),
            });
        }
        keys
    }

    /// All that the database holds, as bytes.
    async fn dump(world: &World) -> Vec<u8> {
        if let Some(directory) = world.db.directory() {
            let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
            let own = files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("phoneops.sqlite"));
            return own.flat_map(|path| std::fs::read(path).unwrap()).collect();
        }
        let mut connection = world.db.pg().await;
        let tables = "select quote_ident(table_name) from information_schema.tables where table_schema = 'public'";
        let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut connection).await.unwrap();
        assert!(tables.len() > 15, "{tables:?}");
        let mut all = Vec::new();
        for table in tables {
            // As text and as JSON: binary columns are hexadecimal in both.
            let rows = sqlx::query(sqlx::AssertSqlSafe(format!("select t::text, row_to_json(t)::text from {table} as t")));
            for row in rows.fetch_all(&mut connection).await.unwrap() {
                for column in 0..2 {
                    all.extend_from_slice(row.get::<String, _>(column).as_bytes());
                    all.push(b'\n');
                }
            }
        }
        all
    }
}
