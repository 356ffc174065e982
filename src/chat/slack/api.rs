//! Slack's Web API, as far as we speak it.
//!
//! **Invariants**
//! - Tokens, and addresses that are capabilities, are in no error and no log.
//! - Nothing is followed: no redirect, no proxy, and an address to answer at only where Slack's are.
//! - Slack is asked no faster than it wants, and again only when it did not say no.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_rustls::rustls::ClientConfig;
use url::Url;

use super::pacing::Pacing;
use crate::push::tls::{self, NoTls};
use crate::secret::Secret;

/// Connecting, and one call in all.
const CONNECT: Duration = Duration::from_secs(5);
const CALL: Duration = Duration::from_secs(15);

/// So much of an answer is read.
const ANSWER: usize = 256 * 1024;

/// How long Slack is left alone that asks for patience without saying how much, and how long at most.
const PATIENCE: Duration = Duration::from_secs(10);
const PATIENCE_MAX: Duration = Duration::from_mins(10);

/// The first pause after a call that failed, which doubles, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Hosts of Slack's at which `response_url`s are.
const ANSWERED_AT: [&str; 2] = ["hooks.slack.com", "hooks.slack-gov.com"];

/// What Slack says when it may do it another time.
const LATER: [&str; 8] = [
    "ratelimited",
    "rate_limited",
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
    "team_added_to_org",
    "external_channel_migrating",
];

/// What Slack says when the token is to blame, which an operator has to see to.
const TOKEN: [&str; 11] = [
    "invalid_auth",
    "not_authed",
    "account_inactive",
    "token_revoked",
    "token_expired",
    "missing_scope",
    "no_permission",
    "org_login_required",
    "ekm_access_denied",
    "not_allowed_token_type",
    "access_denied",
];

/// Why the clients cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// TLS.
    #[error("{0}")]
    Tls(#[from] NoTls),
    /// The HTTP client.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
}

/// Why Slack did not do it. Texts are for operators and hold nothing secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ApiError {
    /// Slack says no, by this word.
    #[error("Slack says {0}")]
    Refused(String),
    /// The token works no more, or lacks a scope.
    #[error("Slack says {0}: look at the app's tokens and scopes")]
    Token(String),
    /// Not this time.
    #[error("{why}")]
    Later {
        /// Why.
        why: String,
        /// How long Slack asks to wait.
        wait: Option<Duration>,
    },
}

/// Whom a token acts as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Us {
    pub(super) team: String,
    /// The organisation that the workspace belongs to.
    pub(super) enterprise: Option<String>,
    /// The bot's own user.
    pub(super) user: String,
    /// What people call the workspace.
    pub(super) team_name: String,
    /// The scopes of the token, where Slack said.
    pub(super) scopes: Option<String>,
}

impl Us {
    /// What identities and rooms are named with: user ids are an organisation's, where the workspace belongs to one.
    pub(super) fn workspace(&self) -> &str {
        self.enterprise.as_deref().unwrap_or(&self.team)
    }
}

/// The Web API of one workspace.
pub(super) struct Api {
    client: Client,
    tls: Arc<ClientConfig>,
    url: Url,
    bot_token: Secret,
    app_token: Option<Secret>,
    pacing: Pacing,
}

impl Api {
    pub(super) fn new(url: Url, bot_token: Secret, app_token: Option<Secret>, ca_pem: Option<&[u8]>) -> Result<Self, SetupError> {
        let https_only = url.scheme() == "https";
        let client = Client::builder()
            .user_agent(concat!("phoneops/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .https_only(https_only)
            .tls_backend_preconfigured(tls::client(ca_pem, &[b"h2", b"http/1.1"])?)
            .connect_timeout(CONNECT)
            .timeout(CALL)
            .build()
            .map_err(SetupError::Client)?;
        // A socket begins as HTTP/1.1 (RFC 6455).
        let tls = Arc::new(tls::client(ca_pem, &[b"http/1.1"])?);
        Ok(Self { client, tls, url, bot_token, app_token, pacing: Pacing::default() })
    }

    /// Whom sockets trust.
    pub(super) fn tls(&self) -> Arc<ClientConfig> {
        self.tls.clone()
    }

    /// Whether what is said may be read on the way: to this machine.
    pub(super) fn in_the_clear(&self) -> bool {
        self.url.scheme() == "http"
    }

    /// Who we are.
    pub(super) async fn who(&self) -> Result<Us, ApiError> {
        self.pacing.turn("auth.test", None).await;
        let (body, scopes) = self.call_with("auth.test", &self.bot_token, &json!({})).await?;
        let text = |name: &str| body[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let strange = || ApiError::Refused("something else than who we are".to_owned());
        let team = text("team_id").ok_or_else(strange)?;
        let user = text("user_id").ok_or_else(strange)?;
        Ok(Us { enterprise: text("enterprise_id"), user, team_name: text("team").unwrap_or_else(|| team.clone()), team, scopes })
    }

    /// Where a socket may be opened, once.
    pub(super) async fn open(&self) -> Result<Url, ApiError> {
        let Some(token) = &self.app_token else { return Err(ApiError::Token("there is no app token".to_owned())) };
        self.pacing.turn("apps.connections.open", None).await;
        let (body, _) = self.call_with("apps.connections.open", token, &json!({})).await?;
        let strange = || ApiError::Refused("no address of a socket".to_owned());
        let url: Url = body["url"].as_str().and_then(|url| url.parse().ok()).ok_or_else(strange)?;
        let secret = url.scheme() == "wss" || self.in_the_clear() && url.scheme() == "ws";
        if secret && url.has_host() { Ok(url) } else { Err(strange()) }
    }

    /// Says something in a channel; the message's time, which is its id.
    pub(super) async fn post(
        &self,
        channel: &str,
        thread: Option<&str>,
        shown: &Value,
        until: Patience,
    ) -> Result<String, ApiError> {
        let mut body = shown.clone();
        body["channel"] = json!(channel);
        body["unfurl_links"] = json!(false);
        body["unfurl_media"] = json!(false);
        if let Some(thread) = thread {
            body["thread_ts"] = json!(thread);
        }
        let said = self.insist("chat.postMessage", Some(channel), &body, until).await?;
        let ts = said["ts"].as_str().filter(|ts| !ts.is_empty());
        ts.map(str::to_owned).ok_or_else(|| ApiError::Refused("no time of the message".to_owned()))
    }

    /// Changes what a message says.
    pub(super) async fn update(&self, channel: &str, message: &str, shown: &Value, until: Patience) -> Result<(), ApiError> {
        let mut body = shown.clone();
        body["channel"] = json!(channel);
        body["ts"] = json!(message);
        self.insist("chat.update", Some(channel), &body, until).await.map(drop)
    }

    /// Says something in a channel that one person sees.
    pub(super) async fn whisper(
        &self,
        channel: &str,
        thread: Option<&str>,
        user: &str,
        text: &str,
        until: Patience,
    ) -> Result<(), ApiError> {
        let mut body = json!({"channel": channel, "user": user, "text": text});
        if let Some(thread) = thread {
            body["thread_ts"] = json!(thread);
        }
        self.insist("chat.postEphemeral", Some(channel), &body, until).await.map(drop)
    }

    /// Answers at the address that came with a command or a button: five times in half an hour.
    pub(super) async fn respond(&self, url: &str, body: &Value, until: Patience) -> Result<(), ApiError> {
        let refused = || ApiError::Refused("no address of Slack's to answer at".to_owned());
        let url: Url = url.parse().map_err(|_| refused())?;
        let slacks = url.scheme() == "https" && url.host_str().is_some_and(|host| ANSWERED_AT.contains(&host));
        if !slacks && url.origin() != self.url.origin() {
            return Err(refused());
        }
        until
            .insist(|| async {
                let answer =
                    self.client.post(url.clone()).json(body).send().await.map_err(|error| unanswered("response_url", &error))?;
                match (answer.status(), wait(&answer)) {
                    (status, _) if status.is_success() => Ok(()),
                    (StatusCode::TOO_MANY_REQUESTS, wait) => Err(ApiError::Later { why: "response_url: 429".into(), wait }),
                    (status, wait) if status.is_server_error() => {
                        Err(ApiError::Later { why: format!("response_url: {status}"), wait })
                    }
                    (status, _) => Err(ApiError::Refused(format!("{} at response_url", status.as_u16()))),
                }
            })
            .await
    }

    async fn insist(
        &self,
        method: &'static str,
        channel: Option<&str>,
        body: &Value,
        until: Patience,
    ) -> Result<Value, ApiError> {
        until
            .insist(|| async {
                self.pacing.turn(method, channel).await;
                self.call(method, body).await
            })
            .await
    }

    async fn call(&self, method: &'static str, body: &Value) -> Result<Value, ApiError> {
        self.call_with(method, &self.bot_token, body).await.map(|(body, _)| body)
    }

    /// One call; what was said, and the token's scopes.
    async fn call_with(&self, method: &'static str, token: &Secret, body: &Value) -> Result<(Value, Option<String>), ApiError> {
        let odd = |_| ApiError::Refused(format!("{method} makes no address"));
        let url = self.url.join(method).map_err(odd)?;
        let request = self.client.post(url).bearer_auth(token.expose());
        // With its charset: without one Slack warns each time.
        let request = request.header("content-type", "application/json; charset=utf-8").body(body.to_string());
        let answer = request.send().await.map_err(|error| unanswered(method, &error))?;
        let (status, wait) = (answer.status(), wait(&answer));
        if status == StatusCode::TOO_MANY_REQUESTS {
            let wait = wait.unwrap_or(PATIENCE);
            self.pacing.hold(method, wait);
            return Err(ApiError::Later { why: format!("{method}: Slack asks to wait {} s", wait.as_secs()), wait: Some(wait) });
        }
        let scopes = answer.headers().get("x-oauth-scopes").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let text = read(answer).await;
        let said: Option<Value> = serde_json::from_slice(&text).ok();
        let Some(said) = said.filter(|_| status == StatusCode::OK) else {
            return Err(ApiError::Later { why: format!("{method}: {}, and no answer to read", status.as_u16()), wait });
        };
        if said["ok"] == true {
            return Ok((said, scopes));
        }
        let word = said["error"].as_str().filter(|word| is_a_word(word)).unwrap_or("no, and not why").to_owned();
        Err(if LATER.contains(&word.as_str()) {
            ApiError::Later { why: format!("{method}: {word}"), wait }
        } else if TOKEN.contains(&word.as_str()) {
            ApiError::Token(word)
        } else {
            ApiError::Refused(word)
        })
    }
}

/// How long is tried again what Slack did not refuse.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    /// Until then.
    Until(Instant),
    /// Whatever it takes, a token that an operator must replace included.
    Endless,
}

impl Patience {
    async fn insist<T, F: Future<Output = Result<T, ApiError>>>(self, mut call: impl FnMut() -> F) -> Result<T, ApiError> {
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match call().await {
                Err(error) if self.goes_on(&error) => error,
                done => return done,
            };
            let asked = if let ApiError::Later { wait, .. } = &error { *wait } else { Some(LONGEST_PAUSE) };
            let wait = asked.unwrap_or(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
            if let Self::Until(until) = self
                && Instant::now() + wait >= until
            {
                return Err(error);
            }
            tracing::warn!(%error, seconds = wait.as_secs_f32(), "Slack is asked again later");
            tokio::time::sleep(wait).await;
        }
    }

    fn goes_on(self, error: &ApiError) -> bool {
        match error {
            ApiError::Later { .. } => true,
            ApiError::Token(_) => matches!(self, Self::Endless),
            ApiError::Refused(_) => false,
        }
    }
}

/// Slack's words are names; anything else is not repeated.
fn is_a_word(word: &str) -> bool {
    !word.is_empty() && word.len() <= 60 && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn wait(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(PATIENCE_MAX))
}

async fn read(mut answer: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < ANSWER {
        match answer.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    body
}

/// Only the kind of it: the error itself would print the address.
fn unanswered(method: &str, error: &reqwest::Error) -> ApiError {
    let what = if error.is_connect() {
        "no connection"
    } else if error.is_timeout() {
        "no answer in time"
    } else {
        "no answer"
    };
    ApiError::Later { why: format!("{method}: {what}"), wait: None }
}
