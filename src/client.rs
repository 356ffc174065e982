//! A client of the REST API, for the command line, the demo, tests and benchmarks. Phones have their own (`sim::phone`).
//!
//! **Invariants**
//! - It speaks HTTP and nothing else: it never opens a database.
//! - A token travels in a header only, and does not print.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::secret::Secret;

/// Longer than the longest wait a server agrees to.
const TIMEOUT: Duration = Duration::from_secs(90);

/// For a download, which may be large.
const DOWNLOAD: Duration = Duration::from_secs(24 * 3600);

/// How a server is reached, and as whom.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<Secret>,
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
        Ok(Self { http, base, token: None })
    }

    /// As a bot; `base` is the `public_url`.
    ///
    /// # Errors
    /// As [`Client::local`].
    pub fn bot(base: &str, token: Secret) -> Result<Self, Error> {
        let base = base.trim_end_matches('/').to_owned();
        let http = builder().build().map_err(|source| Error::Unreachable { base: base.clone(), source })?;
        Ok(Self { http, base, token: Some(token) })
    }

    /// As nobody: for the health checks.
    ///
    /// # Errors
    /// As [`Client::local`].
    pub fn anonymous(base: &str) -> Result<Self, Error> {
        Ok(Self { token: None, ..Self::bot(base, Secret::new(String::new()))? })
    }

    /// `GET`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn get(&self, path: &str) -> Result<Reply, Error> {
        self.send(self.http.get(self.url(path))).await
    }

    /// `POST` with a JSON body.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Reply, Error> {
        self.send(self.http.post(self.url(path)).json(body)).await
    }

    /// `POST` that may be repeated under the same `key`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn post_once(&self, path: &str, key: &str, body: &Value) -> Result<Reply, Error> {
        self.send(self.http.post(self.url(path)).header("idempotency-key", key).json(body)).await
    }

    /// `POST` with a DPoP proof of this very call (RFC 9449).
    ///
    /// # Errors
    /// [`Error`].
    pub async fn post_proven(&self, path: &str, proof: &str, body: &Value) -> Result<Reply, Error> {
        self.send(self.http.post(self.url(path)).header("dpop", proof).json(body)).await
    }

    /// `PUT` with a JSON body.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn put(&self, path: &str, body: &Value) -> Result<Reply, Error> {
        self.send(self.http.put(self.url(path)).json(body)).await
    }

    /// `DELETE`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn delete(&self, path: &str) -> Result<Reply, Error> {
        self.send(self.http.delete(self.url(path))).await
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

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Reply, Error> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        };
        let unreachable = |source| Error::Unreachable { base: self.base.clone(), source };
        let response = request.send().await.map_err(unreachable)?;
        self.read(response).await
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
