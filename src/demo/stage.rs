//! The stage: a server, a push service, two people with phones, and a bot. All of it talks HTTP.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Error;
use crate::client::{self, Client};
use crate::clock::Clock;
use crate::config::Config;
use crate::secret::Secret;
use crate::server::Server;
use crate::sim::phone::{self, Phone};
use crate::sim::push_service::PushService;

/// The people: handle and name.
const PEOPLE: [(&str, &str); 2] = [("yannick", "Yannick Schutz"), ("ys", "Ys Example")];

/// Everything on stage.
pub(super) struct Stage {
    pub(super) server: Server,
    pub(super) bot: Client,
    pub(super) people: Vec<Person>,
    operator: Client,
    _push_service: PushService,
    data: std::path::PathBuf,
}

/// A person with a phone.
#[derive(Clone)]
pub(super) struct Person {
    pub(super) handle: &'static str,
    pub(super) phone: Arc<Phone>,
}

/// A request that was made in chat.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) id: String,
    pub(super) tag: String,
    pub(super) action: Value,
    pub(super) what: String,
}

impl Stage {
    /// Raises the curtain.
    pub(super) async fn set(clock: Clock) -> Result<Self, Error> {
        let data = std::env::temp_dir().join(format!("phoneops-demo-{}", crate::secret::b64u(crate::secret::random::<9>())));
        let push_service = PushService::start(clock.clone()).await?;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let settings = [
            ("PUBLIC_URL", format!("http://localhost:{}", listener.local_addr()?.port())),
            ("DATA_DIR", data.display().to_string()),
            ("WEB_PUSH_ALLOW_PRIVATE_NETWORKS", "true".to_owned()),
            ("WEB_PUSH_SUBJECT", "mailto:demo@phoneops.example".to_owned()),
            ("PAGING_FALLBACK", "@ys".to_owned()),
            ("PAGING_RINGS", "2".to_owned()),
            // Whoever tries it out is not to be left alone after half an hour.
            ("APPROVALS_PUSHES_PER_APPROVER_PER_HOUR", "1000".to_owned()),
            ("APPROVALS_PUSHES_PER_REQUESTER_PER_HOUR", "1000".to_owned()),
        ];
        let config = Config::load(None, settings.map(|(key, value)| (format!("PHONEOPS_{key}"), value)))?;
        let server = Server::start(&config, clock.clone(), listener, None).await?;
        let operator = Client::local(server.socket())?;
        let http = phone::client()?;
        let mut people = Vec::new();
        for (handle, name) in PEOPLE {
            let phone = Phone::with_client(http.clone(), clock.clone(), server.issuer(), push_service.url());
            people.push(Person { handle, phone: enrol(&operator, phone, handle, name).await? });
        }
        let scopes = ["approvals:request", "grants:redeem", "incidents:write", "incidents:read"];
        let made = operator.post("/v1/bots", &json!({"name": "heimdall", "scopes": scopes})).await?;
        let token = made.body["token"].as_str().ok_or(Error::Reply("token"))?.to_owned();
        let bot = Client::bot(server.issuer(), Secret::new(token))?;
        Ok(Self { server, bot, people, operator, _push_service: push_service, data })
    }

    /// Lowers the curtain and sweeps the stage.
    pub(super) async fn strike(self) -> Result<(), Error> {
        self.server.stop().await;
        Ok(std::fs::remove_dir_all(&self.data)?)
    }

    pub(super) fn person(&self, handle: &str) -> Result<&Person, Error> {
        self.people.iter().find(|person| person.handle == handle).ok_or_else(|| Error::Nobody(handle.to_owned()))
    }

    /// A link with which a browser becomes somebody's, once one of their phones confirms it; good for ten minutes.
    pub(super) async fn link(&self, whose: &str) -> Result<String, Error> {
        let made = self.operator.post("/v1/enrollments", &json!({"user": format!("@{whose}")})).await?;
        made.body["link"].as_str().map(str::to_owned).ok_or(Error::Reply("link"))
    }

    /// Asks, for yannick, who types in this chat.
    pub(super) async fn deploy(&self, app: &str, reference: &str, environment: &str) -> Result<Asked, Error> {
        let action = json!({"type": "deploy", "target": environment, "params": {"app": app, "ref": reference}});
        let body = json!({"action": action, "requester": "@yannick", "reason": "asked in #ops"});
        let reply = self.bot.post("/v1/approvals", &body).await?.body;
        let text = |name: &'static str| reply[name].as_str().map(str::to_owned).ok_or(Error::Reply(name));
        Ok(Asked { id: text("id")?, tag: text("tag")?, action, what: format!("{app}/{reference} to {environment}") })
    }

    /// Pages somebody: what the bot says.
    pub(super) async fn page(&self, whom: &str, title: &str) -> Result<String, Error> {
        let body = json!({"title": title, "to": [format!("@{whom}")], "actor": "@yannick"});
        let paged = match self.bot.post("/v1/incidents", &body).await {
            Ok(reply) => reply.body,
            Err(client::Error::Refused(refusal)) => return Ok(refusal.detail.clone()),
            Err(error) => return Err(error.into()),
        };
        said_of_a_page(&paged)
    }

    /// Hands an incident on for yannick: what the bot says.
    pub(super) async fn escalate(&self, reference: &str, whom: &str, message: Option<&str>) -> Result<String, Error> {
        let body = json!({"to": [format!("@{whom}")], "message": message, "actor": "@yannick"});
        match self.bot.post(&format!("/v1/incidents/{reference}/escalate"), &body).await {
            Ok(reply) => said_of_a_page(&reply.body),
            Err(client::Error::Refused(refusal)) => Ok(refusal.detail.clone()),
            Err(error) => Err(error.into()),
        }
    }

    /// Acts on an incident for yannick: what the bot says.
    pub(super) async fn act(&self, reference: &str, verb: &str) -> Result<String, Error> {
        match self.bot.post(&format!("/v1/incidents/{reference}/{verb}"), &json!({"actor": "@yannick"})).await {
            Ok(reply) => Ok(format!("Incident {} {}", text(&reply.body["ref"]), text(&reply.body["state"]))),
            Err(client::Error::Refused(refusal)) => Ok(refusal.detail.clone()),
            Err(error) => Err(error.into()),
        }
    }

    /// What is open.
    pub(super) async fn incidents(&self) -> Result<Vec<String>, Error> {
        let body = self.bot.get("/v1/incidents").await?.body;
        let incidents = body["incidents"].as_array().cloned().unwrap_or_default();
        if incidents.is_empty() {
            return Ok(vec!["No open incidents".to_owned()]);
        }
        let line =
            |incident: &Value| format!("{} {} ({})", text(&incident["ref"]), text(&incident["title"]), text(&incident["state"]));
        Ok(incidents.iter().map(line).collect())
    }
}

/// Who was paged, as the bot says it.
fn said_of_a_page(paged: &Value) -> Result<String, Error> {
    let names = |of: &str| -> Vec<String> {
        let people = paged[of].as_array().map(Vec::as_slice).unwrap_or_default();
        people.iter().filter_map(|person| person["name"].as_str().map(str::to_owned)).collect()
    };
    let reference = paged["ref"].as_str().ok_or(Error::Reply("ref"))?;
    let unreachable = match names("unreachable").join(", ") {
        nobody if nobody.is_empty() => String::new(),
        somebody => format!(" (could not reach {somebody})"),
    };
    Ok(format!("Paged {}: Incident {reference}{unreachable}", names("paged").join(", ")))
}

/// What became of a request, as the bot says it. The deployment begins only with a redeemed grant.
pub(super) async fn outcome(bot: &Client, asked: &Asked, wait: u32) -> Result<Option<String>, Error> {
    let approval = bot.get(&format!("/v1/approvals/{}?wait={wait}", asked.id)).await?.body;
    let by = text(&approval["decision"]["by"]["name"]);
    let what = &asked.what;
    Ok(match approval["state"].as_str() {
        Some("approved") => {
            let grant = approval["grant"].as_str().ok_or(Error::Reply("grant"))?;
            bot.post("/v1/grants/redeem", &json!({"grant": grant, "action": asked.action})).await?;
            let opened = approval["break_glass"]["reason"].as_str();
            Some(match opened.filter(|_| approval["decision"].is_null()) {
                Some(reason) => format!("you are deploying {what}, which the operator opened by break-glass: {reason}"),
                None => format!("you are deploying {what}"),
            })
        }
        Some("denied") => Some(match approval["decision"]["reason"].as_str() {
            Some(reason) => format!("{by} denied deploying {what}: {reason}"),
            None => format!("{by} denied deploying {what}"),
        }),
        Some("expired") => Some(format!("nobody approved deploying {what} in time")),
        Some("cancelled") => Some(format!("deploying {what} was cancelled")),
        _ => None,
    })
}

async fn enrol(operator: &Client, phone: Phone, handle: &str, name: &str) -> Result<Arc<Phone>, Error> {
    operator.post("/v1/users", &json!({"handle": handle, "name": name})).await?;
    let made = operator.post("/v1/enrollments", &json!({"user": format!("@{handle}")})).await?;
    let code = made.body["code"].as_str().ok_or(Error::Reply("code"))?;
    phone.enrol(code, &format!("{name}'s phone"), None).await?;
    phone.create_passkey("Face ID").await?;
    phone.register_push().await?;
    Ok(Arc::new(phone))
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
