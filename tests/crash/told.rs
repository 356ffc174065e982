//! A receiver of webhooks that goes on while the server dies, and what it must have been told in the end.

use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use phoneops::db::{Error, Store};
use serde_json::{Value, json};

use crate::story::{shown, text};
use crate::world::{World, eventually, insist};

/// One event as it came: to which path, with which headers and body.
type Came = (String, HeaderMap, String);

/// A receiver that refuses the first event once, and then takes everything.
pub(crate) struct Receiver {
    url: String,
    came: Arc<Mutex<Vec<Came>>>,
}

/// A webhook, and the secrets that were shown.
pub(crate) struct Told {
    receiver: Receiver,
    path: String,
    secrets: Vec<String>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let came = Arc::new(Mutex::new(Vec::new()));
        let kept = came.clone();
        let receive = async move |Path(path): Path<String>, headers: HeaderMap, body: Bytes| {
            let mut kept = kept.lock().expect("not poisoned");
            let first = !kept.iter().any(|(known, ..): &Came| *known == path);
            kept.push((path, headers, String::from_utf8(body.to_vec()).expect("UTF-8")));
            if first { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::NO_CONTENT }
        };
        let router = Router::new().route("/{path}", axum::routing::post(receive));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, came }
    }

    /// The operator makes a webhook and rotates its secret.
    pub(crate) async fn subscribe(self, world: &World) -> Told {
        let operator = world.operator().await;
        let body = |attempt| json!({"url": format!("{}/{attempt}", self.url), "kinds": ["approval.", "grant."]});
        let made = shown(&operator, "/v1/webhooks", "told", "secret", body).await;
        let path = text(&made, "url").rsplit('/').next().expect("a path").to_owned();
        let rotate = format!("/v1/webhooks/{}/rotate", text(&made, "id"));
        let rotated = shown(&operator, &rotate, "told", "secret", |_| json!({"overlap": 3600})).await;
        Told { receiver: self, path, secrets: vec![text(&made, "secret"), text(&rotated, "secret")] }
    }
}

impl Told {
    /// Each event came, the first time in order, whatever died meanwhile; each time signed, and each time the same.
    pub(crate) async fn everything(&self, world: &World) {
        let store = world.store().await;
        let complete = || async {
            let (expected, came) = (expected(&store).await, self.first_times());
            (expected.len() == came.len()).then_some((expected, came))
        };
        let (expected, came) = eventually("the webhook is told everything", complete).await;
        assert!(expected.len() >= 4, "there was something to tell: {expected:?}");
        assert_eq!(came, expected, "in order");
        for (path, headers, body) in self.receiver.came.lock().expect("not poisoned").iter().filter(|came| came.0 == self.path) {
            assert!(self.secrets.iter().any(|secret| verifies(secret, headers, body)), "{path}: {headers:?} {body}");
        }
    }

    /// The ids that came, each once.
    fn first_times(&self) -> Vec<String> {
        let mut ids = Vec::new();
        for (_, headers, body) in self.receiver.came.lock().expect("not poisoned").iter().filter(|came| came.0 == self.path) {
            let event: Value = serde_json::from_str(body).expect("JSON");
            let id = text(&event, "id");
            assert_eq!(headers["webhook-id"], id.as_str());
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }
}

async fn expected(store: &Store) -> Vec<String> {
    let ask = || {
        store.read::<_, Error, _>(|db| {
            Box::pin(async move {
                let sql = "select id from journal where kind like 'approval.%' or kind like 'grant.%' order by seq";
                let ids: Vec<phoneops::id::EventId> = db.query(sql).all().await?;
                Ok(ids)
            })
        })
    };
    insist("the journal", ask).await.iter().map(ToString::to_string).collect()
}

fn verifies(secret: &str, headers: &HeaderMap, body: &str) -> bool {
    let header = |name: &str| headers[name].to_str().expect("text");
    let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("its prefix")).expect("base64");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let text = format!("{}.{}.{body}", header("webhook-id"), header("webhook-timestamp"));
    let signatures = header("webhook-signature").split(' ').filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok());
    signatures.into_iter().any(|signature| hmac::verify(&key, text.as_bytes(), &signature).is_ok())
}
