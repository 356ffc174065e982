//! A chat's own bot: it signs what people say, and reads the answer.

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use phoneops::client::Client;
use phoneops::clock::Clock;
use phoneops::secret::{b64, random};
use serde_json::{Value, json};

use crate::Failure;
use crate::world::World;

/// What a key of the bot is called.
const NAME: &str = "bench";

/// The team of all.
const EVERYBODY: &str = "everybody";

/// The bot of all rooms, and the people who speak to it.
pub(crate) struct Room {
    key: RsaKeyPair,
    http: reqwest::Client,
    clock: Clock,
    url: String,
}

impl Room {
    /// Registers a key, and links everybody.
    pub(crate) async fn open(world: &World) -> Result<Self, Failure> {
        let operator = Client::local(&world.server.socket)?;
        let key = RsaKeyPair::generate(KeySize::Rsa2048)?;
        let der: PublicKeyX509Der<'_> = key.public_key().as_der()?;
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", b64(der.as_ref()));
        let body = json!({"public_key": pem, "name": NAME, "platform": "irc", "workspace": "example"});
        let bots = operator.get("/v1/bots").await?.body;
        let bot = bots["bots"][0]["id"].as_str().ok_or("there is no bot")?;
        operator.post(&format!("/v1/bots/{bot}/keys"), &body).await?;
        let http = reqwest::Client::builder().pool_max_idle_per_host(256).build()?;
        let url = format!("{}/chatops/_chatops/line", world.server.issuer);
        let room = Self { key, http, clock: world.clock.clone(), url };
        operator.post("/v1/teams", &json!({"name": EVERYBODY})).await?;
        for (number, person) in world.people.iter().enumerate() {
            operator.put(&format!("/v1/teams/{EVERYBODY}/members/{}", person.handle), &json!({})).await?;
            let reply = room.post(number, "link me").await?;
            let whispered = reply["whisper"].as_str().ok_or("no code")?;
            let code = whispered.split_whitespace().find(|word| word.matches('-').count() == 2).ok_or("no code in it")?;
            let body = json!({"code": code.trim_end_matches('.')});
            person.phone.post("/v1/chat-identities", &body).await?.accepted()?;
        }
        Ok(room)
    }

    async fn post(&self, who: usize, line: &str) -> Result<Value, Failure> {
        let body = json!({"user": format!("person-{who}"), "room_id": format!("#room-{who}"), "method": "line", "params": {"line": line}})
            .to_string();
        let (nonce, time) = (b64(random::<32>()), self.clock.now().to_string());
        let message = [&self.url, &nonce, &time, &body].map(String::as_str).join("\n");
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)?;
        let request = self.http.post(&self.url).header("chatops-nonce", nonce).header("chatops-timestamp", time);
        let signature = format!("Signature keyid={NAME},signature={}", b64(&signature));
        let reply = request.header("chatops-signature", signature).body(body).send().await?;
        let (status, text) = (reply.status(), reply.text().await?);
        if !status.is_success() {
            return Err(format!("{line}: {status}: {text}").into());
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// Somebody says a line, and the reply has `words` in it.
    pub(crate) async fn says(&self, who: usize, line: &str, words: &str) -> Result<String, Failure> {
        let reply = self.post(who, line).await?;
        let result = reply["result"].as_str().ok_or("a reply without a result")?;
        if result.contains(words) { Ok(result.to_owned()) } else { Err(format!("{line}: {result}").into()) }
    }

    /// Somebody pages themselves; the incident.
    pub(crate) async fn page(&self, who: usize) -> Result<String, Failure> {
        self.paged(who, &format!("@person-{who}"), "All your apps are down").await
    }

    /// The one incident that is everybody's, and rings nobody any more.
    pub(crate) async fn page_everybody(&self) -> Result<String, Failure> {
        let incident = self.paged(0, &format!("team:{EVERYBODY}"), "The database is slow").await?;
        self.says(0, &format!("ack {incident}"), "acknowledged").await?;
        Ok(incident)
    }

    async fn paged(&self, who: usize, whom: &str, title: &str) -> Result<String, Failure> {
        let said = self.says(who, &format!("page {whom} {title}"), ": Incident ").await?;
        let reference = said.split_once(": Incident ").map(|(_, rest)| rest.split_whitespace().next().unwrap_or_default());
        Ok(reference.unwrap_or_default().to_owned())
    }
}
