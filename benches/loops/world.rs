//! Who takes part: a server, people with phones, one bot, one push service.

use std::sync::Arc;

use phoneops::client::Client;
use phoneops::clock::Clock;
use phoneops::secret::{Secret, random};
use phoneops::sim::phone::{self, Phone};
use phoneops::sim::push_service::PushService;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;

use crate::Failure;
use crate::server::Running;

/// A directory on the disk that is built on: `/tmp` may be memory, where a sync costs nothing.
pub(crate) fn directory() -> Result<TempDir, Failure> {
    Ok(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?)
}

/// A `PostgreSQL` database of the run's own.
pub(crate) struct Database {
    server: String,
    name: String,
    pub(crate) url: String,
}

impl Database {
    pub(crate) async fn create(server: &str) -> Result<Self, Failure> {
        let name = format!("phoneops_bench_{:016x}", u64::from_ne_bytes(random()));
        let mut url: url::Url = server.parse()?;
        url.set_path(&name);
        let database = Self { server: server.to_owned(), name, url: url.into() };
        database.on_server("create database").await?;
        Ok(database)
    }

    /// Another on the same server.
    pub(crate) async fn another(&self) -> Result<Self, Failure> {
        Self::create(&self.server).await
    }

    pub(crate) async fn remove(&self) -> Result<(), Failure> {
        self.on_server("drop database").await
    }

    async fn on_server(&self, verb: &str) -> Result<(), Failure> {
        let mut connection = PgConnection::connect(&self.server).await?;
        let force = if verb.starts_with("drop") { " with (force)" } else { "" };
        sqlx::raw_sql(AssertSqlSafe(format!("{verb} {}{force}", self.name))).execute(&mut connection).await?;
        Ok(())
    }
}

/// A person with a phone.
pub(crate) struct Person {
    pub(crate) handle: String,
    pub(crate) phone: Phone,
}

/// Everybody.
pub(crate) struct World {
    pub(crate) server: Running,
    pub(crate) clock: Clock,
    pub(crate) people: Arc<Vec<Person>>,
    pub(crate) bot: Client,
    pub(crate) bot_token: Secret,
    pub(crate) push_service: Arc<PushService>,
    http: reqwest::Client,
    pub(crate) data: TempDir,
}

impl World {
    /// `people` people, each with a phone that has a passkey and takes pushes, and a bot with every scope.
    pub(crate) async fn start(database: Option<&Database>, people: usize) -> Result<Self, Failure> {
        Self::start_with(database, people, &[]).await
    }

    /// With further settings, as the environment gives them.
    pub(crate) async fn start_with(
        database: Option<&Database>,
        people: usize,
        settings: &[(&str, &str)],
    ) -> Result<Self, Failure> {
        let data = directory()?;
        let server = Running::start_with(data.path(), database.map(|database| database.url.as_str()), settings).await?;
        let clock = Clock::system();
        let push_service = Arc::new(PushService::start(clock.clone()).await?);
        let operator = Client::local(&server.socket)?;
        let http = phone::client()?;
        let mut enrolled = Vec::with_capacity(people);
        for number in 0..people {
            let phone = Phone::with_client(http.clone(), clock.clone(), &server.issuer, push_service.url());
            enrolled.push(person(&operator, phone, &format!("person-{number}"), "member").await?);
        }
        let scopes = ["approvals:request", "grants:redeem", "incidents:write", "incidents:read", "events:read"];
        let made = operator.post("/v1/bots", &json!({"name": "heimdall", "scopes": scopes})).await?;
        let bot_token = Secret::new(made.body["token"].as_str().ok_or("a bot without a token")?.to_owned());
        let bot = Client::bot(&server.issuer, bot_token.clone())?;
        Ok(Self { server, clock, people: Arc::new(enrolled), bot, bot_token, push_service, http, data })
    }

    /// An administrator, who can confirm what weakens.
    pub(crate) async fn administrator(&self, handle: &str) -> Result<Person, Failure> {
        let phone = Phone::with_client(self.http.clone(), self.clock.clone(), &self.server.issuer, self.push_service.url());
        person(&Client::local(&self.server.socket)?, phone, handle, "admin").await
    }

    /// How many pushes the push service has met.
    pub(crate) fn pushes(&self) -> u64 {
        self.push_service.journal().last().map_or(0, |entry| entry.number)
    }

    pub(crate) async fn stop(self) -> Result<(), Failure> {
        // The push service stops with the last that knows it.
        self.server.stop().await
    }
}

async fn person(operator: &Client, phone: Phone, handle: &str, role: &str) -> Result<Person, Failure> {
    operator.post("/v1/users", &json!({"handle": handle, "name": handle, "role": role})).await?;
    let handle = format!("@{handle}");
    let enrollment = operator.post("/v1/enrollments", &json!({"user": handle})).await?;
    let code = enrollment.body["code"].as_str().ok_or("an enrolment without a code")?;
    phone.enrol(code, "A phone", None).await?;
    phone.create_passkey("Face ID").await?;
    phone.register_push().await?;
    Ok(Person { handle, phone })
}
