//! A client of the REST API, for the command line, the demo, tests and benchmarks. Phones have their own (`sim::phone`).
//!
//! **Invariants**
//! - It speaks HTTP and nothing else: it never opens a database.
//! - A token travels in a header only, and does not print.
//! - As a person, every call carries a proof of the device key, and signing in happens by itself.

mod device;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::secret::Secret;

pub use device::{DeviceKey, Login};

/// Longer than the longest wait a server agrees to.
const TIMEOUT: Duration = Duration::from_secs(90);

/// For a download, which may be large.
const DOWNLOAD: Duration = Duration::from_secs(24 * 3600);

/// How a server is reached, and as whom.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    credentials: Credentials,
}

/// As whom.
#[derive(Clone, Debug)]
enum Credentials {
    /// As nobody, or as whoever can open the socket.
    None,
    /// As a bot.
    Bot(Secret),
    /// As a person, on a device of theirs.
    Device(Arc<Session>),
}

/// A device that signs in when it has to.
#[derive(Debug)]
struct Session {
    key: DeviceKey,
    device: String,
    token: tokio::sync::Mutex<Option<Secret>>,
}

/// What a server answered with 2xx.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The status: 200, 201, 204.
    pub status: u16,
    /// The JSON; null when there was none.
    pub body: Value,
    /// The server's clock in whole seconds: its `Date` (RFC 9110 section 6.6.1), as it was sent.
    pub date: Option<String>,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server could not be reached, or hung up.
    #[error("{base} does not answer: {source}")]
    Unreachable {
        /// Where it was looked for.
        base: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The server said no.
    #[error("{}", .0.detail)]
    Refused(Box<Refusal>),
    /// A download did not get into its file whole.
    #[error("the file could not be written: {0}")]
    Unwritten(std::io::Error),
    /// What answered is not PhoneOps.
    #[error("{base} answered {status} with something that is not JSON: is this PhoneOps?")]
    NotPhoneOps {
        /// Where.
        base: String,
        /// The status.
        status: u16,
    },
}

/// A problem (RFC 9457), as a server sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The stable name of what went wrong.
    pub code: String,
    /// For people; begins with the field it is about, if there is one.
    pub detail: String,
    /// How long the server asks to wait before the next try: its `Retry-After` (RFC 9110 section 10.2.3), where that is a number of
    /// seconds.
    pub retry_after: Option<Duration>,
    /// The whole problem.
    pub body: Value,
}

impl Error {
    /// The problem's code, when the server said no.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(refusal) => Some(&refusal.code),
            _ => None,
        }
    }
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(TIMEOUT)
}

impl Client {
    /// As the operator, through the server's Unix socket.
    ///
    /// # Errors
    /// When the operating system's certificates cannot be loaded.
    pub fn local(socket: &Path) -> Result<Self, Error> {
        let base = "http://localhost".to_owned();
        let built = builder().unix_socket(socket).build();
        let http = built.map_err(|source| Error::Unreachable { base: socket.display().to_string(), source })?;
        Ok(Self { http, base, credentials: Credentials::None })
    }

    /// As a bot; `base` is the `public_url`.
    ///
    /// # Errors
    /// As [`Client::local`].
    pub fn bot(base: &str, token: Secret) -> Result<Self, Error> {
        let base = base.trim_end_matches('/').to_owned();
        let http = builder().build().map_err(|source| Error::Unreachable { base: base.clone(), source })?;
        Ok(Self { http, base, credentials: Credentials::Bot(token) })
    }

    /// As nobody: for the health checks.
    ///
    /// # Errors
    /// As [`Client::local`].
    pub fn anonymous(base: &str) -> Result<Self, Error> {
        Ok(Self { credentials: Credentials::None, ..Self::bot(base, Secret::new(String::new()))? })
    }

    /// As a person, on the device with this id and key.
    ///
    /// # Errors
    /// As [`Client::local`].
    pub fn device(base: &str, device: &str, key: DeviceKey) -> Result<Self, Error> {
        let session = Session { key, device: device.to_owned(), token: tokio::sync::Mutex::default() };
        Ok(Self { credentials: Credentials::Device(Arc::new(session)), ..Self::anonymous(base)? })
    }

    /// `GET`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn get(&self, path: &str) -> Result<Reply, Error> {
        self.send(Method::GET, path, |request| request).await
    }

    /// `POST` with a JSON body.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Reply, Error> {
        self.send(Method::POST, path, |request| request.json(body)).await
    }

    /// `POST` that may be repeated under the same `key`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn post_once(&self, path: &str, key: &str, body: &Value) -> Result<Reply, Error> {
        self.send(Method::POST, path, |request| request.header("idempotency-key", key).json(body)).await
    }

    /// `POST` with a DPoP proof of this very call (RFC 9449).
    ///
    /// # Errors
    /// [`Error`].
    pub async fn post_proven(&self, path: &str, proof: &str, body: &Value) -> Result<Reply, Error> {
        self.send(Method::POST, path, |request| request.header("dpop", proof).json(body)).await
    }

    /// `PUT` with a JSON body.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn put(&self, path: &str, body: &Value) -> Result<Reply, Error> {
        self.send(Method::PUT, path, |request| request.json(body)).await
    }

    /// `DELETE`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn delete(&self, path: &str) -> Result<Reply, Error> {
        self.send(Method::DELETE, path, |request| request).await
    }

    /// `GET`, into `file`; `progress` hears how many bytes have come and how many will.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Unwritten`] when the file cannot be written, or the answer ended early.
    pub async fn download(&self, path: &str, file: &mut std::fs::File, mut progress: impl FnMut(u64, u64)) -> Result<u64, Error> {
        use std::io::Write as _;
        let unreachable = |source| Error::Unreachable { base: self.base.clone(), source };
        let request = self.http.get(self.url(path)).timeout(DOWNLOAD);
        let mut response = request.send().await.map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(self.read(response).await.err().unwrap_or(Error::NotPhoneOps { base: self.base.clone(), status: 200 }));
        }
        let expected = response.content_length().unwrap_or_default();
        let mut came = 0;
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            file.write_all(&chunk).map_err(Error::Unwritten)?;
            came += chunk.len() as u64;
            progress(came, expected);
        }
        file.sync_all().map_err(Error::Unwritten)?;
        if came == expected { Ok(came) } else { Err(Error::Unwritten(std::io::ErrorKind::UnexpectedEof.into())) }
    }

    /// Where the server is, without a trailing slash.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        with: impl Fn(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Result<Reply, Error> {
        let sent = self.send_once(&method, path, &with).await;
        match (&self.credentials, &sent) {
            // The token's ten minutes are over.
            (Credentials::Device(session), Err(error)) if error.code() == Some("invalid_token") => {
                *session.token.lock().await = None;
                self.send_once(&method, path, &with).await
            }
            _ => sent,
        }
    }

    async fn send_once(
        &self,
        method: &Method,
        path: &str,
        with: impl Fn(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Result<Reply, Error> {
        let request = with(self.http.request(method.clone(), self.url(path)));
        let request = match &self.credentials {
            Credentials::None => request,
            Credentials::Bot(token) => request.bearer_auth(token.expose()),
            Credentials::Device(session) => {
                let token = self.token(session).await?;
                let url = self.url(path);
                // The URI without query and fragment (RFC 9449 section 4.2).
                let plain = url.split(['?', '#']).next().unwrap_or_default();
                let proof = session.key.proof(method.as_str(), plain, Some(&token));
                request.header("dpop", proof).header(reqwest::header::AUTHORIZATION, format!("DPoP {}", token.expose()))
            }
        };
        let unreachable = |source| Error::Unreachable { base: self.base.clone(), source };
        let response = request.send().await.map_err(unreachable)?;
        self.read(response).await
    }

    /// An access token, the same for as long as it works.
    async fn token(&self, session: &Session) -> Result<Secret, Error> {
        let mut slot = session.token.lock().await;
        if let Some(token) = &*slot {
            return Ok(token.clone());
        }
        let url = self.url("/v1/token");
        let assertion = session.key.assertion(&session.device, &url);
        let form = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", assertion.as_str())];
        let proof = session.key.proof("POST", &url, None);
        let unreachable = |source| Error::Unreachable { base: self.base.clone(), source };
        let response = self.http.post(&url).header("dpop", proof).form(&form).send().await.map_err(unreachable)?;
        let reply = self.read(response).await?;
        let token = reply.body["access_token"].as_str().map(|token| Secret::new(token.to_owned()));
        let token = token.ok_or_else(|| Error::NotPhoneOps { base: self.base.clone(), status: reply.status })?;
        *slot = Some(token.clone());
        Ok(token)
    }

    async fn read(&self, response: reqwest::Response) -> Result<Reply, Error> {
        let unreachable = |source| Error::Unreachable { base: self.base.clone(), source };
        let status = response.status().as_u16();
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let date = text(reqwest::header::DATE);
        let retry_after = text(reqwest::header::RETRY_AFTER).and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        let bytes = response.bytes().await.map_err(unreachable)?;
        if bytes.is_empty() && (200..300).contains(&status) {
            return Ok(Reply { status, body: Value::Null, date });
        }
        let Ok(body) = serde_json::from_slice::<Value>(&bytes) else {
            return Err(Error::NotPhoneOps { base: self.base.clone(), status });
        };
        if (200..300).contains(&status) { Ok(Reply { status, body, date }) } else { Err(refused(status, retry_after, body)) }
    }
}

fn refused(status: u16, retry_after: Option<Duration>, body: Value) -> Error {
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let detail = match body["field"].as_str() {
        Some(field) if !text("detail").starts_with(field) => format!("{field}: {}", text("detail")),
        _ => text("detail"),
    };
    Error::Refused(Box::new(Refusal { status, code: text("code"), detail, retry_after, body }))
}
