//! ChatOps RPC over the wire: what a chat's own bot signs is done, and nothing else is.

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use phoneops::clock::Timestamp;
use phoneops::secret::{b64, random};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::{Bot, Person, World};

crate::world::stories! {
    what_is_signed_is_done
    what_is_not_signed_right_is_refused
    a_nonce_is_good_once_and_on_whichever_server
    what_became_of_it_is_streamed
    two_keys_of_a_bot_work
}

/// A chat's own bot: its key, and what it says of itself.
struct Chat<'a> {
    world: &'a World,
    bot: Bot,
    key: RsaKeyPair,
    name: String,
    http: reqwest::Client,
}

/// A request, signed; whoever attacks changes what is sent.
struct Signed {
    method: &'static str,
    path: String,
    nonce: String,
    time: String,
    signature: String,
    body: String,
}

fn pem(key: &RsaKeyPair) -> String {
    let der: PublicKeyX509Der<'_> = key.public_key().as_der().expect("a key");
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", b64(der.as_ref()))
}

impl<'a> Chat<'a> {
    async fn new(world: &'a World, name: &str) -> Chat<'a> {
        let bot = world.bot(name).await;
        let key = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        let chat = Self { world, bot, key, name: format!("{name}-key"), http: reqwest::Client::new() };
        chat.register(&chat.key, &chat.name).await.expect("it is registered");
        chat
    }

    async fn register(&self, key: &RsaKeyPair, name: &str) -> Result<String, phoneops::client::Error> {
        let body = json!({"public_key": pem(key), "name": name, "platform": "irc", "workspace": "example"});
        let made = self.world.operator.post(&format!("/v1/bots/{}/keys", self.bot.id), &body).await?;
        Ok(made.body["id"].as_str().expect("an id").to_owned())
    }

    fn sign(&self, method: &'static str, path: &str, body: String) -> Signed {
        self.sign_at(self.world.clock.now(), method, path, body)
    }

    fn sign_at(&self, at: Timestamp, method: &'static str, path: &str, body: String) -> Signed {
        let (nonce, time) = (b64(random::<32>()), at.to_string());
        let message = [&format!("{}{path}", self.world.server.issuer()), &nonce, &time, &body].map(String::as_str).join("\n");
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).expect("it signs");
        let signature = format!("Signature keyid={},signature={}", self.name, b64(&signature));
        Signed { method, path: path.to_owned(), nonce, time, signature, body }
    }

    fn said(user: &str, line: &str) -> String {
        json!({"user": user, "room_id": "#ops", "method": "line", "params": {"line": line}}).to_string()
    }

    async fn send(&self, signed: &Signed) -> (StatusCode, Value) {
        let method = signed.method.parse().expect("a method");
        let request = self.http.request(method, format!("{}{}", self.world.server.issuer(), signed.path));
        let request = request.header("chatops-nonce", &signed.nonce).header("chatops-timestamp", &signed.time);
        let reply =
            request.header("chatops-signature", &signed.signature).body(signed.body.clone()).send().await.expect("a reply");
        let status = reply.status();
        let text = reply.text().await.expect("a text");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn say(&self, user: &str, line: &str) -> Value {
        let (status, reply) = self.send(&self.sign("POST", "/chatops/_chatops/line", Self::said(user, line))).await;
        assert_eq!(status, StatusCode::OK, "{reply}");
        reply
    }

    async fn link(&self, person: &Person, user: &str) {
        let reply = self.say(user, "link me").await;
        let whispered = reply["whisper"].as_str().expect("a code");
        let code = whispered.split_whitespace().find(|word| word.matches('-').count() == 2).expect("a code in it");
        let code = code.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        person.phone.post("/v1/chat-identities", &json!({"code": code})).await.expect("an answer").accepted().expect("linked");
    }

    /// The one event of the stream behind `after`.
    async fn posts(&self, after: i64) -> Value {
        self.world.journal().await;
        let signed = self.sign("GET", "/chatops/_events", String::new());
        let request = self.http.get(format!("{}{}", self.world.server.issuer(), signed.path));
        let request = request.header("chatops-nonce", &signed.nonce).header("chatops-timestamp", &signed.time);
        let request = request.header("chatops-signature", &signed.signature).header("last-event-id", after);
        let mut reply = request.send().await.expect("a reply");
        assert_eq!(reply.status(), StatusCode::OK);
        let first = reply.chunk().await.expect("a chunk").expect("an event");
        let text = String::from_utf8(first.to_vec()).expect("a text");
        let data = text.lines().find_map(|line| line.strip_prefix("data: "));
        data.map_or(Value::Null, |data| serde_json::from_str(data).expect("JSON"))
    }
}

mod stories {
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::RsaKeyPair;
    use phoneops::secret::{b64, random};
    use reqwest::StatusCode;
    use serde_json::json;

    use super::{Chat, Signed};
    use crate::world::{World, refused, seconds};

    pub(crate) async fn what_is_signed_is_done(world: &World) {
        let (yannick, hubot) = (world.person("yannick", "Yannick Schutz").await, Chat::new(world, "hubot").await);
        let stranger = hubot.say("yannick", "page @yannick All your apps are down").await;
        assert!(stranger["result"].as_str().unwrap().contains("link me"), "{stranger}");
        hubot.link(&yannick, "yannick").await;
        let paged = hubot.say("yannick", "page @yannick All your apps are down").await;
        let reference =
            paged["result"].as_str().unwrap().strip_prefix("Paged Yannick Schutz: Incident ").expect("the talk's words");
        assert_eq!(paged["buttons"][0], json!({"label": "Acknowledge", "command": format!("ack {reference}")}));
        yannick.expect_push(world, "All your apps are down").await;
        let resolved = hubot.say("yannick", &format!("resolve {reference}")).await;
        assert_eq!(resolved["result"], json!(format!("Incident {reference} resolved")));
        yannick.expect_pushes(world, &["Resolved by Yannick Schutz", "Resolved as you via hubot"]).await;

        let (status, listing) = hubot.send(&hubot.sign("GET", "/chatops/_chatops", String::new())).await;
        assert_eq!((status, &listing["version"]), (StatusCode::OK, &json!(3)));
        assert_eq!(listing["methods"]["page"]["path"], json!("_chatops/page"));
        let help =
            json!({"user": "yannick", "room_id": "#ops", "method": "help", "params": {"line": "help page", "force": "true"}});
        let (status, help) = hubot.send(&hubot.sign("POST", "/chatops/_chatops/help", help.to_string())).await;
        assert!(status == StatusCode::OK && help["result"].as_str().unwrap().contains("page @user"), "{help}");
    }

    pub(crate) async fn what_is_not_signed_right_is_refused(world: &World) {
        let (yannick, hubot) = (world.person("yannick", "Yannick Schutz").await, Chat::new(world, "hubot").await);
        let other = Chat::new(world, "loki").await;
        hubot.link(&yannick, "yannick").await;
        let path = "/chatops/_chatops/line";
        let good = || hubot.sign("POST", path, Chat::said("yannick", "page @yannick Down"));
        let now = world.clock.now();
        let at = |at| hubot.sign_at(at, "POST", path, Chat::said("yannick", "page @yannick Down"));
        let mut wrong = vec![
            Signed { body: Chat::said("ys", "page @yannick Down"), ..good() },
            Signed { body: String::new(), ..good() },
            Signed { nonce: b64(random::<32>()), ..good() },
            Signed { nonce: String::new(), ..good() },
            Signed { time: world.clock.now().after(seconds(1)).to_string(), ..good() },
            Signed { time: "yesterday".into(), ..good() },
            Signed { path: "/chatops/_chatops/page".into(), ..good() },
            Signed { signature: String::new(), ..good() },
            Signed { signature: good().signature.replace("hubot-key", "loki-key"), ..good() },
            Signed { signature: good().signature.replace("hubot-key", "nobody"), ..good() },
            Signed { signature: other.sign("POST", path, good().body).signature, ..good() },
            at(now.before(seconds(61))),
            at(now.after(seconds(61))),
        ];
        let whole = good();
        wrong.push(Signed { body: whole.body[..whole.body.len() - 1].to_owned(), ..whole });
        for (number, signed) in wrong.iter().enumerate() {
            let (status, said) = hubot.send(signed).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{number}: {said}");
            assert_eq!(said, json!("Not signed with a key that works here, or not for this address and minute.\n"), "{number}");
        }
        yannick.expect_silence(world).await;
        assert_eq!(world.recorded("incident.triggered").await, 0);
        // What is signed right and is no call is told what is wrong with it.
        for (body, code) in [("[]", -32600), (r##"{"user": "yannick", "room_id": "#ops", "method": "line"}"##, -32602)] {
            let (status, said) = hubot.send(&hubot.sign("POST", path, body.to_owned())).await;
            assert_eq!((status, &said["error"]["code"]), (StatusCode::BAD_REQUEST, &json!(code)), "{said}");
        }
        let unknown = Chat::said("yannick", "page @yannick Down").replace("\"line\",", "\"explode\",");
        let (status, said) = hubot.send(&hubot.sign("POST", "/chatops/_chatops/explode", unknown)).await;
        assert_eq!((status, &said["error"]["code"]), (StatusCode::NOT_FOUND, &json!(-32601)), "{said}");
        // In another's name a key only asks: whoever is not linked in its workspace is nobody.
        let (_, said) = other.send(&other.sign("POST", path, Chat::said("ys", "page @yannick Down"))).await;
        assert!(said["result"].as_str().unwrap().contains("link me"), "{said}");
        yannick.expect_silence(world).await;
    }

    pub(crate) async fn a_nonce_is_good_once_and_on_whichever_server(world: &World) {
        let (yannick, hubot) = (world.person("yannick", "Yannick Schutz").await, Chat::new(world, "hubot").await);
        hubot.link(&yannick, "yannick").await;
        let page = hubot.sign("POST", "/chatops/_chatops/line", Chat::said("yannick", "page @yannick Down"));
        assert_eq!(hubot.send(&page).await.0, StatusCode::OK);
        yannick.expect_push(world, "Down").await;
        assert_eq!(hubot.send(&page).await.0, StatusCode::FORBIDDEN, "at once");
        world.advance(seconds(30)).await;
        assert_eq!(hubot.send(&page).await.0, StatusCode::FORBIDDEN, "while it would not be stale");
        assert_eq!(world.recorded("incident.triggered").await, 1);
        // What was used is in the database, where every node and the next start look.
        let used = world.db.number("select count(*) from used_proofs").await;
        assert!(used >= 2, "{used}");
    }

    pub(crate) async fn what_became_of_it_is_streamed(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let scopes = ["approvals:request", "grants:redeem", "incidents:write", "incidents:read", "events:read"];
        let deaf = Chat::new(world, "deaf").await;
        world.db.raw("update bots set scopes = '[\"approvals:request\"]' where name = 'deaf'").await;
        let (status, _) = deaf.send(&deaf.sign("GET", "/chatops/_events", String::new())).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        let bot = world.bot_with("hubot", &scopes).await;
        let key = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        let hubot = Chat { world, bot, key, name: "hubot-key".into(), http: reqwest::Client::new() };
        hubot.register(&hubot.key, &hubot.name).await.unwrap();
        hubot.link(&yannick, "yannick").await;
        let asked = hubot.say("yannick", "deploy api/new_auth to production").await;
        yannick.expect_push(world, "Approval needed").await;
        let id = asked["about"]["approval"].as_str().expect("what it is about").to_owned();
        yannick.phone.approve(&id).await.unwrap();
        let told = hubot.posts(0).await;
        let last = told["posts"].as_array().and_then(|posts| posts.last()).expect("a post").clone();
        assert_eq!((&last["room_id"], &last["about"]["approval"]), (&json!("#ops"), &json!(id)));
        assert_eq!(last["result"], json!("you are deploying api/new_auth to production"));
    }

    pub(crate) async fn two_keys_of_a_bot_work(world: &World) {
        let mut hubot = Chat::new(world, "hubot").await;
        let next = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        let id = hubot.register(&next, "next").await.unwrap();
        let third = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        refused(hubot.register(&third, "third").await, "two_keys");
        let keys = world.operator.get(&format!("/v1/bots/{}/keys", hubot.bot.id)).await.unwrap().body;
        let first = keys["keys"][0]["id"].as_str().expect("an id").to_owned();
        hubot.say("yannick", "help").await;
        world.operator.delete(&format!("/v1/bots/{}/keys/{first}", hubot.bot.id)).await.unwrap();
        let (status, _) = hubot.send(&hubot.sign("GET", "/chatops/_chatops", String::new())).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "what is revoked works no more");
        (hubot.key, hubot.name) = (next, "next".into());
        hubot.say("yannick", "help").await;
        refused(hubot.register(&third, "next").await, "name_taken");
        hubot.register(&third, "third").await.unwrap();
        world.operator.delete(&format!("/v1/bots/{}", hubot.bot.id)).await.unwrap();
        let (status, _) = hubot.send(&hubot.sign("GET", "/chatops/_chatops", String::new())).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "a bot that is gone says nothing: key {id}");
    }
}
