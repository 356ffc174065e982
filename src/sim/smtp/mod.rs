//! A mail server that takes submissions (RFC 6409), for one machine: in the clear until `STARTTLS`, and with TLS from the first byte.
//!
//! | who | call |
//! |---|---|
//! | reader | `GET /letters?after=N&wait=25` → `{letters: [Letter…]}` |
//! | test | `POST /admin/faults` `{fault: {kind, at, …}, times}`, `DELETE` the same |
//! | test | `GET /admin/journal` → `{talks: [Talk…]}` |
//! | developer | `GET /authority.pem`: the certificate authority to trust |
//!
//! **Invariants**
//! - It may refuse more than other servers do, never less.
//! - What it says it has taken is among the letters.
//! - Dropping the handle ends everything: the listeners, the talks, those that hang.

mod fault;
mod post;
mod talk;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use fault::{Fault, Step};
pub use post::{Letter, Said, Talk};

use super::gate;
use super::plain::{self, Since, until_some};
use super::script::{Script, Scripted as _};
use super::tls::Identity;
use crate::clock::Clock;
use crate::secret::Secret;
use post::Post;

/// How a mail server is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where TLS comes after `STARTTLS`, or not at all.
    pub listen: SocketAddr,
    /// Where TLS is from the first byte.
    pub listen_tls: SocketAddr,
    /// Where tests and readers connect to.
    pub admin: SocketAddr,
    /// By which names clients know it, beside `localhost`.
    pub names: Vec<String>,
    /// The one user and the password, if not anybody may send.
    pub account: Option<(String, Secret)>,
}

impl Default for Settings {
    fn default() -> Self {
        let free = (Ipv4Addr::LOCALHOST, 0).into();
        Self { listen: free, listen_tls: free, admin: free, names: Vec::new(), account: None }
    }
}

/// A running mail server. Stops when dropped.
pub struct Smtp {
    address: SocketAddr,
    tls_address: SocketAddr,
    admin: SocketAddr,
    identity: Identity,
    control: Control,
    tasks: TaskTracker,
}

/// What tests and the admin API turn.
#[derive(Clone)]
struct Control {
    post: Arc<Post>,
    stop: CancellationToken,
}

impl Smtp {
    /// On free ports of the loopback interface, for anybody.
    ///
    /// # Errors
    /// When the operating system gives no port.
    pub async fn start(clock: Clock) -> io::Result<Self> {
        Self::with(Settings::default(), clock).await
    }

    /// As set up.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub async fn with(settings: Settings, clock: Clock) -> io::Result<Self> {
        let [clear, wrapped, admin] =
            [settings.listen, settings.listen_tls, settings.admin].map(|address| async move { TcpListener::bind(address).await });
        let (clear, wrapped, admin) = (clear.await?, wrapped.await?, admin.await?);
        let smtp = Self {
            address: clear.local_addr()?,
            tls_address: wrapped.local_addr()?,
            admin: admin.local_addr()?,
            identity: Identity::generate(&settings.names),
            control: Control { post: Arc::new(Post::new(clock, settings.account)), stop: CancellationToken::new() },
            tasks: TaskTracker::new(),
        };
        smtp.open(clear, false);
        smtp.open(wrapped, true);
        let Control { stop, .. } = &smtp.control;
        let router = router(smtp.control.clone(), smtp.identity.authority());
        smtp.tasks.spawn(plain::serve(admin, router, stop.clone(), smtp.tasks.clone()));
        Ok(smtp)
    }

    fn open(&self, listener: TcpListener, wrapped: bool) {
        let (acceptor, tasks, Control { post, stop }) = (self.identity.acceptor(&[]), self.tasks.clone(), self.control.clone());
        self.tasks.spawn(async move {
            let serve = |stream: TcpStream| {
                let (talk, stop) = (talk::serve(stream, acceptor.clone(), Arc::clone(&post), wrapped), stop.clone());
                async move { stop.run_until_cancelled(talk).await.unwrap_or_default() }
            };
            gate::each(listener, &stop, &tasks, serve).await;
        });
    }

    /// Where it is spoken to in the clear, and after `STARTTLS`.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it is spoken to over TLS.
    #[must_use]
    pub fn tls_address(&self) -> SocketAddr {
        self.tls_address
    }

    /// Where the admin API is.
    #[must_use]
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// The certificate authority to trust, in PEM.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.identity.authority()
    }

    /// The next `times` that a talk comes to the step of `fault` in order, it meets it.
    ///
    /// # Panics
    /// When an answer or an extension is more than one line.
    pub fn script(&self, fault: Fault, times: u32) {
        self.control.post.script(Script::new(fault, times));
    }

    /// Forgets the faults that are still to come.
    pub fn clear_faults(&self) {
        self.control.post.clear();
    }

    /// The mails that were taken, oldest first.
    #[must_use]
    pub fn letters(&self) -> Vec<Letter> {
        self.control.post.letters()
    }

    /// Waits until so many mails were taken.
    pub async fn until_taken(&self, number: u64) {
        let post = &self.control.post;
        plain::until(&post.noted, || post.taken() >= number).await;
    }

    /// What was said, talk by talk, without passwords.
    #[must_use]
    pub fn talks(&self) -> Vec<Talk> {
        self.control.post.talks()
    }

    /// Stops, and returns when the last connection is closed.
    pub async fn stop(self) {
        self.control.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        self.control.stop.cancel();
    }
}

fn router(control: Control, authority: &str) -> Router {
    Router::new()
        .route("/letters", get(letters))
        .route("/admin/faults", post(script).delete(clear))
        .route("/admin/journal", get(journal))
        .with_state(control)
        .merge(plain::trust(authority))
}

async fn letters(State(control): State<Control>, Query(since): Query<Since>) -> Json<Value> {
    let Control { post, stop } = control;
    let newer = || post.letters().into_iter().filter(|letter| letter.number > since.after).collect();
    Json(json!({"letters": until_some(&post.noted, since.wait(), &stop, newer).await}))
}

async fn script(State(control): State<Control>, Json(script): Json<Script<Fault>>) -> Response {
    if !script.fault.is_possible() {
        let refusal = json!({"reason": "BadReply", "detail": "an answer and an extension are one line"});
        return (StatusCode::BAD_REQUEST, Json(refusal)).into_response();
    }
    control.post.script(script);
    StatusCode::NO_CONTENT.into_response()
}

async fn clear(State(control): State<Control>) -> StatusCode {
    control.post.clear();
    StatusCode::NO_CONTENT
}

async fn journal(State(control): State<Control>) -> Json<Value> {
    Json(json!({"talks": control.post.talks()}))
}
