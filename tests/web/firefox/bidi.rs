//! `WebDriver BiDi` over its WebSocket.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::Message;

use super::PATIENCE;

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>;

/// One connection. Ends with it.
pub(super) struct Bidi {
    next: AtomicU64,
    waiting: Waiting,
    events: Arc<Mutex<Vec<Value>>>,
    out: mpsc::UnboundedSender<Message>,
}

impl Bidi {
    pub(super) async fn connect(url: &str) -> Self {
        let (socket, _) = tokio_tungstenite::connect_async(url).await.expect("Firefox answers");
        let (mut sink, mut stream) = socket.split();
        let (out, mut queue) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(message) = queue.recv().await {
                if sink.send(message).await.is_err() {
                    return;
                }
            }
        });
        let (waiting, events) = (Waiting::default(), Arc::<Mutex<Vec<Value>>>::default());
        let (askers, heard) = (waiting.clone(), events.clone());
        tokio::spawn(async move {
            while let Some(Ok(Message::Text(text))) = stream.next().await {
                let message: Value = serde_json::from_str(&text).expect("JSON");
                match message["id"].as_u64().and_then(|id| askers.lock().expect("no panic").remove(&id)) {
                    // Whoever asked may have gone.
                    Some(asker) => drop(asker.send(message)),
                    None => heard.lock().expect("no panic").push(message),
                }
            }
        });
        Self { next: AtomicU64::new(1), waiting, events, out }
    }

    /// The result of a command, or the error with its message.
    pub(super) async fn try_ask(&self, method: &str, params: Value) -> Result<Value, Value> {
        let id = self.next.fetch_add(1, Ordering::SeqCst);
        let (asker, answer) = oneshot::channel();
        self.waiting.lock().expect("no panic").insert(id, asker);
        self.out.send(Message::text(json!({"id": id, "method": method, "params": params}).to_string())).expect("Firefox runs");
        let mut answer =
            tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| panic!("{method}: no answer")).expect("Firefox runs");
        if answer["type"] == "success" { Ok(answer["result"].take()) } else { Err(answer) }
    }

    /// The result of a command.
    pub(super) async fn ask(&self, method: &str, params: Value) -> Value {
        self.try_ask(method, params).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// What happened since the last look.
    pub(super) fn events(&self) -> Vec<Value> {
        std::mem::take(&mut self.events.lock().expect("no panic"))
    }
}
