//! The stage: a server, a push service, two people with phones, and a bot. All of it talks HTTP.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Error;
use crate::chat::{Command, Gated, Vocabulary, Which, Whom, render};
use crate::client::{self, Client};
use crate::clock::Clock;
use crate::config::Config;
use crate::paging::Reference;
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
    /// What can be said.
    pub(super) vocabulary: Vocabulary,
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
    pub(super) success: String,
    pub(super) doing: String,
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
        Ok(Self { server, bot, people, operator, vocabulary: Vocabulary::built_in(), _push_service: push_service, data })
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

    /// Asks for what is gated, for yannick, who types in this chat.
    pub(super) async fn ask(&self, gated: &Gated) -> Result<Asked, Error> {
        let body = json!({"action": gated.action, "requester": "@yannick", "reason": "asked in #ops"});
        let reply = self.bot.post("/v1/approvals", &body).await?.body;
        let text = |name: &'static str| reply[name].as_str().map(str::to_owned).ok_or(Error::Reply(name));
        let doing = gated.success.strip_prefix("you are ").unwrap_or(&gated.success).to_owned();
        Ok(Asked { id: text("id")?, tag: text("tag")?, action: json!(gated.action), success: gated.success.clone(), doing })
    }

    /// Does what a line asks for that is not gated, for yannick: what the bot says. `last` is the last incident of this room.
    pub(super) async fn say(&self, command: &Command, last: &str) -> Result<Vec<String>, Error> {
        let one = |said: String| vec![said];
        match command {
            Command::Page { to, title } => {
                let body = json!({"title": title, "to": names(to), "actor": "@yannick"});
                self.handed("/v1/incidents", &body).await.map(one)
            }
            Command::Escalate { incident, to, message } => {
                let reference = incident.as_ref().map_or(last, Reference::as_str);
                if reference.is_empty() {
                    return Ok(one("There is no incident in this room yet".to_owned()));
                }
                let body = json!({"to": names(to), "message": message, "actor": "@yannick"});
                self.handed(&format!("/v1/incidents/{reference}/escalate"), &body).await.map(one)
            }
            Command::Reassign(reference, to) => {
                let body = json!({"to": names(to), "actor": "@yannick"});
                self.handed(&format!("/v1/incidents/{reference}/reassign"), &body).await.map(one)
            }
            Command::Acknowledge(Which::These(these)) => self.act_on(these, "acknowledge").await,
            Command::Acknowledge(Which::Mine | Which::All) => {
                let open = self.bot.get("/v1/incidents").await?.body;
                let ringing =
                    open["incidents"].as_array().into_iter().flatten().filter(|incident| incident["state"] == "triggered");
                let these: Vec<Reference> = ringing.filter_map(|incident| text(&incident["ref"]).parse().ok()).collect();
                if these.is_empty() { Ok(one("Nothing rings".to_owned())) } else { self.act_on(&these, "acknowledge").await }
            }
            Command::Resolve(these) => self.act_on(these, "resolve").await,
            Command::Snooze(reference, time) => {
                self.act(reference, "snooze", json!({"for_seconds": time.as_secs()})).await.map(one)
            }
            Command::Note(reference, words) => self.noted(reference, words).await.map(one),
            Command::Merge { from, into } => self.act(from, "merge", json!({"into": into})).await.map(one),
            Command::Incidents { .. } => self.incidents().await,
            Command::Incident(reference) => Ok(one(match self.bot.get(&format!("/v1/incidents/{reference}")).await {
                Ok(reply) => in_a_line(&reply.body),
                Err(client::Error::Refused(refusal)) => refusal.detail.clone(),
                Err(error) => return Err(error.into()),
            })),
            Command::Help(topic) => Ok(match self.vocabulary.help(topic.as_deref()) {
                all if all.is_empty() => one("I know no such command. Say help to see what I know.".to_owned()),
                all => all.iter().map(|entry| format!("{:<44} {}", entry.usage, entry.help)).collect(),
            }),
            Command::Gated(gated) => Ok(one(gated.success.clone())),
            Command::OnCall(_)
            | Command::AmIOnCall
            | Command::Take(..)
            | Command::Override { .. }
            | Command::Maintenance(..)
            | Command::Request(_)
            | Command::Cancel(_)
            | Command::LinkMe
            | Command::TestMe
            | Command::ShowOnly(_) => Ok(one(format!(
                "“{}” is understood, but this stage has no schedules, services, links or rooms for it",
                render(command)
            ))),
        }
    }

    /// Hands an incident to somebody: what the bot says.
    async fn handed(&self, path: &str, body: &Value) -> Result<String, Error> {
        match self.bot.post(path, body).await {
            Ok(reply) => said_of_a_page(&reply.body),
            Err(client::Error::Refused(refusal)) => Ok(refusal.detail.clone()),
            Err(error) => Err(error.into()),
        }
    }

    async fn act_on(&self, these: &[Reference], verb: &str) -> Result<Vec<String>, Error> {
        let mut said = Vec::new();
        for reference in these {
            said.push(self.act(reference, verb, json!({})).await?);
        }
        Ok(said)
    }

    /// Acts on an incident for yannick: what the bot says.
    async fn act(&self, reference: &Reference, verb: &str, mut body: Value) -> Result<String, Error> {
        body["actor"] = json!("@yannick");
        match self.bot.post(&format!("/v1/incidents/{reference}/{verb}"), &body).await {
            Ok(reply) => Ok(format!("Incident {} {}", text(&reply.body["ref"]), text(&reply.body["state"]))),
            Err(client::Error::Refused(refusal)) => Ok(refusal.detail.clone()),
            Err(error) => Err(error.into()),
        }
    }

    async fn noted(&self, reference: &Reference, words: &str) -> Result<String, Error> {
        match self.bot.post(&format!("/v1/incidents/{reference}/notes"), &json!({"text": words, "actor": "@yannick"})).await {
            Ok(_) => Ok(format!("Noted in incident {reference}")),
            Err(client::Error::Refused(refusal)) => Ok(refusal.detail.clone()),
            Err(error) => Err(error.into()),
        }
    }

    /// What is open.
    async fn incidents(&self) -> Result<Vec<String>, Error> {
        let body = self.bot.get("/v1/incidents").await?.body;
        let incidents = body["incidents"].as_array().cloned().unwrap_or_default();
        if incidents.is_empty() {
            return Ok(vec!["No open incidents".to_owned()]);
        }
        Ok(incidents.iter().map(in_a_line).collect())
    }
}

fn in_a_line(incident: &Value) -> String {
    format!("{} {} ({})", text(&incident["ref"]), text(&incident["title"]), text(&incident["state"]))
}

/// Whom a line names, as the API has it.
fn names(to: &[Whom]) -> Vec<String> {
    to.iter().map(Whom::to_string).collect()
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
    let Asked { success, doing, .. } = asked;
    Ok(match approval["state"].as_str() {
        Some("approved") => {
            let grant = approval["grant"].as_str().ok_or(Error::Reply("grant"))?;
            bot.post("/v1/grants/redeem", &json!({"grant": grant, "action": asked.action})).await?;
            let opened = approval["break_glass"]["reason"].as_str();
            Some(match opened.filter(|_| approval["decision"].is_null()) {
                Some(reason) => format!("{success}, which the operator opened by break-glass: {reason}"),
                None => success.clone(),
            })
        }
        Some("denied") => Some(match approval["decision"]["reason"].as_str() {
            Some(reason) => format!("{by} denied {doing}: {reason}"),
            None => format!("{by} denied {doing}"),
        }),
        Some("expired") => Some(format!("nobody approved {doing} in time")),
        Some("cancelled") => Some(format!("{doing} was cancelled")),
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
