//! Access tokens: got with the account's key (RFC 7523), good for an hour, shared by all messages.
//!
//! ```text
//!   made ──────────── fresh ────────────┬──── ageing ────┬── over
//!                                       renewed aside,   everybody waits for
//!                                       the old one used  the one who asks
//! ```
//!
//! **Invariants**
//! - One is asked for at a time. Who waited for it takes what came of it, a failure too, and does not ask again.
//! - A token that ages is renewed beside the messages, which do not wait for it; in vain, not again for [`ASIDE_EVERY`].
//! - One that is refused is replaced once within [`REFUSED_EVERY`]: an endpoint that refuses every token does not make us ask for each
//!   message.
//! - A token that `now` says is not yet made is not used: after the clock was set back nobody knows how old it is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Client, Response};
use serde::Deserialize;

use super::service_account::ServiceAccount;
use crate::clock::Timestamp;
use crate::push::Outcome;
use crate::push::answer::{beginning, retry_after, why};

/// Tokens have a kilobyte or two.
const REPLY_MAX_BYTES: usize = 16 * 1_024;

/// How long before its end a token is renewed, when it lives long enough.
const RENEW_BEFORE: Duration = Duration::from_mins(5);

/// How long before its end a token is used no more: it has to be good when it arrives.
const STOP_BEFORE: Duration = Duration::from_secs(30);

/// How often an ageing token is tried to be renewed.
const ASIDE_EVERY: Duration = Duration::from_secs(30);

/// How often a refused token is replaced.
const REFUSED_EVERY: Duration = Duration::from_mins(1);

/// No token lives longer, whatever the endpoint says.
const LIFE_MAX: Duration = Duration::from_hours(24);

/// How long to wait when the endpoint asks for patience without saying how much.
const PATIENCE: Duration = Duration::from_mins(1);

/// An access token.
pub(super) struct Access {
    header: HeaderValue,
    made_at: Timestamp,
    life: Duration,
}

impl Access {
    /// `Bearer …`, which is not printed.
    pub(super) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    fn is_fresh(&self, now: Timestamp) -> bool {
        self.made_at <= now && now < self.made_at.after(self.life.saturating_sub(RENEW_BEFORE.min(self.life / 2)))
    }

    fn is_good(&self, now: Timestamp) -> bool {
        self.made_at <= now && now < self.made_at.after(self.life.saturating_sub(STOP_BEFORE.min(self.life / 10)))
    }
}

/// Gets access tokens, and keeps one.
pub(super) struct AccessTokens {
    account: ServiceAccount,
    client: Client,
    state: Mutex<State>,
    /// Whose turn it is to ask.
    turn: Arc<tokio::sync::Mutex<()>>,
}

type Asked = Result<Arc<Access>, Outcome>;

#[derive(Default)]
struct State {
    current: Option<Arc<Access>>,
    /// How often was asked, and what came of it last.
    rounds: u64,
    last: Option<Asked>,
    aside_at: Option<Timestamp>,
    refused_at: Option<Timestamp>,
}

impl AccessTokens {
    pub(super) fn new(account: ServiceAccount, client: Client) -> Self {
        Self { account, client, state: Mutex::default(), turn: Arc::default() }
    }

    /// A token that is good.
    pub(super) async fn good(self: &Arc<Self>, now: Timestamp) -> Asked {
        let seen = {
            let mut state = self.state();
            match &state.current {
                Some(access) if access.is_fresh(now) => return Ok(access.clone()),
                Some(access) if access.is_good(now) => {
                    let access = access.clone();
                    self.renew_aside(&mut state, now);
                    return Ok(access);
                }
                _ => state.rounds,
            }
        };
        self.asked(seen, now).await
    }

    /// A token instead of one that was refused.
    pub(super) async fn instead_of(&self, refused: &Arc<Access>, now: Timestamp) -> Asked {
        let seen = {
            let mut state = self.state();
            match state.current.clone() {
                // Somebody was refused before us, and there is another by now.
                Some(current) if !Arc::ptr_eq(&current, refused) && current.is_good(now) => return Ok(current),
                Some(_) if is_within(state.refused_at, REFUSED_EVERY, now) => return Err(not_accepted()),
                Some(_) => {
                    state.refused_at = Some(now);
                    state.current = None;
                }
                None => {}
            }
            state.rounds
        };
        self.asked(seen, now).await
    }

    /// Asks for a token, or takes what came of it when somebody else has asked since `seen`.
    async fn asked(&self, seen: u64, now: Timestamp) -> Asked {
        let _turn = self.turn.lock().await;
        {
            let state = self.state();
            if state.rounds != seen
                && let Some(last) = &state.last
            {
                return last.clone();
            }
        }
        let asked = self.ask(now).await.map(Arc::new);
        self.keep(asked.clone());
        asked
    }

    fn renew_aside(self: &Arc<Self>, state: &mut State, now: Timestamp) {
        if is_within(state.aside_at, ASIDE_EVERY, now) {
            return;
        }
        let Ok(turn) = self.turn.clone().try_lock_owned() else { return };
        state.aside_at = Some(now);
        let tokens = self.clone();
        tokio::spawn(async move {
            match tokens.ask(now).await.map(Arc::new) {
                Ok(access) => tokens.keep(Ok(access)),
                Err(outcome) => tracing::warn!(?outcome, "FCM's access token was not renewed, and is still good"),
            }
            drop(turn);
        });
    }

    fn keep(&self, asked: Asked) {
        let mut state = self.state();
        state.rounds += 1;
        if let Ok(access) = &asked {
            state.current = Some(access.clone());
        }
        state.last = Some(asked);
    }

    /// A panic elsewhere leaves at worst a token less.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, now: Timestamp) -> Result<Access, Outcome> {
        let uri = self.account.token_uri();
        let form = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", &self.account.assertion(now))];
        let origin = uri.origin().ascii_serialization();
        match self.client.post(uri.clone()).form(&form).send().await {
            Ok(response) => read(response, &origin, now).await,
            Err(error) => {
                let why = why(&error).unwrap_or_else(ToString::to_string);
                Err(Outcome::Retryable(format!("{origin} gave no access token: {why}")))
            }
        }
    }
}

/// What an operator hears when no token helps.
pub(super) fn not_accepted() -> Outcome {
    Outcome::Misconfigured(
        "FCM accepts no access token of this service account: does it belong to the project, and may it send?".into(),
    )
}

fn is_within(since: Option<Timestamp>, pause: Duration, now: Timestamp) -> bool {
    since.is_some_and(|since| since <= now && now < since.after(pause))
}

/// RFC 6749 section 5.1.
#[derive(Deserialize)]
struct Given {
    access_token: zeroize::Zeroizing<String>,
    expires_in: u64,
    token_type: String,
}

/// RFC 6749 section 5.2.
#[derive(Deserialize)]
struct Refused {
    error: String,
}

async fn read(mut response: Response, origin: &str, now: Timestamp) -> Result<Access, Outcome> {
    let body = beginning(&mut response, REPLY_MAX_BYTES).await;
    let status = response.status().as_u16();
    match status {
        200 => given(&body, now).ok_or_else(|| Outcome::Retryable(format!("{origin} answered 200 without an access token"))),
        // Without a token nobody is sent anything.
        429 => Err(Outcome::Throttled(retry_after(response.headers(), now).unwrap_or(PATIENCE))),
        500..=599 => Err(match retry_after(response.headers(), now) {
            Some(wait) => Outcome::Throttled(wait),
            None => Outcome::Retryable(format!("{origin} answered {status}")),
        }),
        _ => {
            let word = |word: &String| word.len() <= 40 && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            let reason = serde_json::from_slice(&body).map(|refused: Refused| refused.error).ok().filter(word);
            let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
            Err(Outcome::Misconfigured(format!(
                "{origin} answered {status}{reason}: look at this machine's clock and at the key in fcm.service_account_file"
            )))
        }
    }
}

fn given(body: &[u8], now: Timestamp) -> Option<Access> {
    let given: Given = serde_json::from_slice(body).ok()?;
    if !given.token_type.eq_ignore_ascii_case("bearer") || given.access_token.is_empty() || given.expires_in == 0 {
        return None;
    }
    let mut header = HeaderValue::try_from(format!("Bearer {}", *given.access_token)).ok()?;
    header.set_sensitive(true);
    Some(Access { header, made_at: now, life: Duration::from_secs(given.expires_in).min(LIFE_MAX) })
}
