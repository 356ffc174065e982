//! Socket Mode, from Slack's side.

use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_util::task::TaskTracker;

use super::{APP, Slack, State};
use crate::sim::gate;

/// What is to happen to a socket.
pub(super) enum Command {
    /// This is sent.
    Send(String),
    /// It is closed.
    Close,
    /// It breaks, without a word.
    Break,
}

pub(super) async fn serve(listener: TcpListener, state: Arc<State>) {
    let stop = state.stop.clone();
    let each = |stream| {
        let state = Arc::clone(&state);
        async move {
            let stop = state.stop.clone();
            tokio::select! {
                () = stop.cancelled() => {}
                () = connection(stream, state) => {}
            }
        }
    };
    gate::each(listener, &stop, &TaskTracker::new(), each).await;
}

async fn connection(stream: TcpStream, state: Arc<State>) {
    // Slack's own type, which is large: it is not ours to box.
    #[expect(clippy::result_large_err, reason = "the library's signature")]
    let admit = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        let query = request.uri().query().unwrap_or_default();
        let ticket = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "ticket").map(|(_, value)| value);
        let known = ticket.is_some_and(|ticket| {
            state.change(|workspace| {
                // A ticket is for one socket.
                let place = workspace.tickets.iter().position(|known| *known == ticket);
                place.map(|place| workspace.tickets.remove(place)).is_some()
            })
        });
        if known {
            return Ok(response);
        }
        let mut refused = ErrorResponse::new(None);
        *refused.status_mut() = StatusCode::FORBIDDEN;
        Err(refused)
    };
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, admit).await else { return };
    let (commands, mut to_do) = mpsc::unbounded_channel();
    let (number, open) = state.change(|workspace| {
        workspace.opened += 1;
        workspace.sockets.insert(workspace.opened, commands);
        (workspace.opened, workspace.sockets.len())
    });
    let hello = json!({
        "type": "hello", "num_connections": open, "connection_info": {"app_id": APP},
        "debug_info": {"host": "sim", "started": "2027-01-01 00:00:00.000", "build_number": 1, "approximate_connection_time": 18_060},
    });
    let _ = socket.send(Message::text(hello.to_string())).await;
    loop {
        tokio::select! {
            command = to_do.recv() => match command {
                Some(Command::Send(text)) => {
                    if socket.send(Message::text(text)).await.is_err() {
                        break;
                    }
                }
                Some(Command::Close) => drop(socket.close(None).await),
                Some(Command::Break) | None => break,
            },
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => acknowledged(&state, &text),
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            },
        }
    }
    state.change(|workspace| {
        workspace.ending.remove(&number);
        workspace.sockets.remove(&number);
    });
}

fn acknowledged(state: &State, text: &str) {
    let said: Value = serde_json::from_str(text).unwrap_or_default();
    let Some(id) = said["envelope_id"].as_str() else { return };
    let waiting = state.change(|workspace| workspace.acknowledging.remove(id));
    if let Some(waiting) = waiting {
        let _ = waiting.send(said["payload"].clone());
    }
}

impl Slack {
    /// Tells every socket that it will be closed, as Slack does every few hours: `warning`, `refresh_requested`, `link_disabled`.
    pub fn disconnect(&self, reason: &str) {
        self.0.disconnect(reason);
    }

    /// Closes every socket.
    pub fn close_sockets(&self) {
        self.0.command(|| Command::Close);
    }

    /// Breaks every socket.
    pub fn break_sockets(&self) {
        self.0.command(|| Command::Break);
    }
}

impl State {
    pub(super) fn disconnect(&self, reason: &str) {
        let frame = json!({"type": "disconnect", "reason": reason, "debug_info": {"host": "sim"}}).to_string();
        self.command(|| Command::Send(frame.clone()));
        // Slack brings nothing more by a socket that it is about to end.
        self.change(|workspace| workspace.ending.extend(workspace.sockets.keys().copied().collect::<Vec<_>>()));
    }

    fn command(&self, command: impl Fn() -> Command) {
        for socket in self.workspace().sockets.values() {
            let _ = socket.send(command());
        }
    }

    /// Sends something by the newest socket; `false` when there is none.
    pub(super) fn send(&self, text: &str) -> bool {
        let workspace = self.workspace();
        let stay = workspace.sockets.iter().filter(|(number, _)| !workspace.ending.contains(number));
        let newest = stay.max_by_key(|(number, _)| **number);
        newest.is_some_and(|(_, socket)| socket.send(Command::Send(text.to_owned())).is_ok())
    }
}
