//! What people do in the workspace: they type commands, mention the bot, and press buttons. Slack brings it to the app.

use std::time::Duration;

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{APP, BOT_USER, Message, ResponseUrl, Slack, State, TEAM};
use crate::secret::{b64u, random};

/// How long an acknowledgement is waited for. Slack waits three seconds; a test may run on a machine that is slower than that.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(30);

/// How long an answer may be posted to a `response_url`.
const ANSWERED_WITHIN: Duration = Duration::from_mins(30);

/// What the app said at once.
#[derive(Clone, Debug, PartialEq)]
pub enum Acknowledged {
    /// It took it, and with this.
    Taken(Value),
    /// By HTTP it said something else than 200.
    Refused(u16, String),
    /// Nothing.
    Not,
}

/// Something somebody does.
#[derive(Clone, Debug)]
pub struct Typed {
    /// Who.
    pub user: String,
    /// The workspace they belong to: another's member may sit in a shared channel.
    pub team: String,
    /// Where.
    pub channel: String,
    /// The words.
    pub text: String,
    /// The thread in which it is said.
    pub thread: Option<String>,
}

impl Typed {
    /// A member of the workspace says something.
    #[must_use]
    pub fn new(user: &str, channel: &str, text: &str) -> Self {
        let [user, channel, text] = [user, channel, text].map(str::to_owned);
        Self { user, team: TEAM.to_owned(), channel, text, thread: None }
    }
}

/// A call that Slack made: it may be made again, as it was or otherwise.
#[derive(Clone, Debug)]
pub struct Made {
    kind: &'static str,
    path: &'static str,
    payload: Value,
    /// The seconds that it was signed at.
    pub time: i64,
    /// The body as it is sent by HTTP.
    pub body: String,
}

impl Slack {
    /// Types a slash command. What Slack shows of it is shown.
    pub async fn command(&self, typed: &Typed) -> Acknowledged {
        let made = self.make_command(typed);
        let acknowledged = self.deliver(&made).await;
        if let Acknowledged::Taken(answer) = &acknowledged {
            if answer["response_type"] == "in_channel" {
                self.0.said(typed, &format!("/phoneops {}", typed.text));
            }
            if answer["text"].as_str().is_some_and(|text| !text.is_empty()) {
                self.0.answered(&typed.channel, &typed.user, None, answer);
            }
        }
        acknowledged
    }

    /// A command that is not sent yet.
    #[must_use]
    pub fn make_command(&self, typed: &Typed) -> Made {
        let mut fields = vec![
            ("token", "legacy".to_owned()),
            ("team_id", typed.team.clone()),
            ("team_domain", "example".to_owned()),
            ("channel_id", typed.channel.clone()),
            ("channel_name", "ops".to_owned()),
            ("user_id", typed.user.clone()),
            ("user_name", typed.user.to_lowercase()),
            ("command", "/phoneops".to_owned()),
            ("text", escaped(&typed.text)),
            ("api_app_id", APP.to_owned()),
            ("is_enterprise_install", "false".to_owned()),
            ("response_url", self.0.response_url(&typed.channel, &typed.user, None)),
            ("trigger_id", self.0.trigger()),
        ];
        fields.retain(|(_, value)| !value.is_empty());
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
        let payload = Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect());
        Made { kind: "slash_commands", path: "/slack/commands", payload, time: self.0.clock.now().as_seconds(), body }
    }

    /// Says something to the bot, by a mention; the message's time, and what the app said.
    pub async fn mention(&self, typed: &Typed) -> (String, Acknowledged) {
        let text = format!("<@{BOT_USER}> {}", escaped(&typed.text));
        let ts = self.0.said(typed, &text);
        let mut event = json!({
            "type": "app_mention", "user": typed.user, "text": text, "ts": ts, "event_ts": ts, "channel": typed.channel,
            "team": typed.team,
        });
        if let Some(thread) = &typed.thread {
            event["thread_ts"] = json!(thread);
        }
        let payload = json!({
            "token": "legacy", "team_id": TEAM, "api_app_id": APP, "event": event, "type": "event_callback",
            "event_id": format!("Ev{}", b64u(random::<8>())), "event_time": self.0.clock.now().as_seconds(),
        });
        let made = Made {
            kind: "events_api",
            path: "/slack/events",
            body: payload.to_string(),
            payload,
            time: self.0.clock.now().as_seconds(),
        };
        (ts, self.deliver(&made).await)
    }

    /// Presses the button of that label in a message.
    ///
    /// # Panics
    /// When the message has no such button.
    pub async fn press(&self, user: &str, message: &Message, label: &str) -> Acknowledged {
        self.press_from(TEAM, user, message, label).await
    }

    /// The same, by somebody who belongs to another workspace.
    ///
    /// # Panics
    /// When the message has no such button.
    pub async fn press_from(&self, team: &str, user: &str, message: &Message, label: &str) -> Acknowledged {
        let button = button(message, label).unwrap_or_else(|| panic!("no {label} in {message:?}"));
        let time = self.0.clock.now().as_seconds();
        let shown = json!({"type": "message", "ts": message.ts, "text": message.text, "attachments": message.attachments,
            "thread_ts": message.thread_ts, "user": BOT_USER});
        let payload = json!({
            "type": "block_actions", "api_app_id": APP, "token": "legacy", "trigger_id": self.0.trigger(),
            "team": {"id": TEAM, "domain": "example"}, "enterprise": null, "is_enterprise_install": false,
            "user": {"id": user, "username": user.to_lowercase(), "name": user.to_lowercase(), "team_id": team},
            "channel": {"id": message.channel, "name": "ops"}, "message": shown, "state": {"values": {}},
            "container": {"type": "message_attachment", "message_ts": message.ts, "channel_id": message.channel,
                "attachment_id": 1, "is_ephemeral": false},
            "response_url": self.0.response_url(&message.channel, user, Some(&message.ts)),
            "actions": [{"type": "button", "block_id": "x", "action_id": button["action_id"], "value": button["value"],
                "text": button["text"], "action_ts": format!("{time}.000001")}],
        });
        let body = url::form_urlencoded::Serializer::new(String::new()).append_pair("payload", &payload.to_string()).finish();
        self.deliver(&Made { kind: "interactive", path: "/slack/interactivity", payload, time, body }).await
    }

    /// Brings a call to the app: by a socket where one is open, else by HTTP, signed.
    pub async fn deliver(&self, made: &Made) -> Acknowledged {
        self.0.deliver(made).await
    }

    /// The signature of a body at a time.
    #[must_use]
    pub fn sign(&self, time: i64, body: &str) -> String {
        self.0.sign(time, body)
    }

    /// Brings a body to the app by HTTP with these headers, as somebody might who is not Slack.
    pub async fn forge(&self, path: &str, time: &str, signature: &str, body: &str) -> Acknowledged {
        self.0.post(path, time, signature, body).await
    }
}

/// The button of that label.
fn button(message: &Message, label: &str) -> Option<Value> {
    let attachments = message.attachments.as_array()?;
    let blocks = attachments.iter().filter_map(|attachment| attachment["blocks"].as_array()).flatten();
    let mut buttons = blocks.filter_map(|block| block["elements"].as_array()).flatten();
    buttons.find(|button| button["text"]["text"] == label).cloned()
}

/// As Slack sends what people type, with `should_escape`: mentions are written `<@U…>` here already.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    text.split_whitespace()
        .map(|word| if word.starts_with("<@") { word.to_owned() } else { word.replace('<', "&lt;").replace('>', "&gt;") })
        .collect::<Vec<_>>()
        .join(" ")
}

impl State {
    /// A person's message in a channel; its time.
    fn said(&self, typed: &Typed, text: &str) -> String {
        self.change(|workspace| {
            let ts = self.ts(workspace);
            workspace.messages.push(Message {
                channel: typed.channel.clone(),
                ts: ts.clone(),
                thread_ts: typed.thread.clone(),
                user: typed.user.clone(),
                text: text.to_owned(),
                attachments: Value::Null,
                edits: 0,
            });
            ts
        })
    }

    fn trigger(&self) -> String {
        format!("{}.{}.{}", self.clock.now().as_seconds(), TEAM, b64u(random::<12>()))
    }

    fn response_url(&self, channel: &str, user: &str, message: Option<&str>) -> String {
        let id = b64u(random::<16>());
        let known = ResponseUrl {
            channel: channel.to_owned(),
            user: user.to_owned(),
            message: message.map(str::to_owned),
            uses: 0,
            until: self.clock.now().after(ANSWERED_WITHIN),
        };
        self.change(|workspace| workspace.response_urls.insert(id.clone(), known));
        format!("{}/response/{id}", self.url)
    }

    fn sign(&self, time: i64, body: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.signing_secret.as_bytes());
        let signature = hmac::sign(&key, format!("v0:{time}:{body}").as_bytes());
        let digits = signature.as_ref().iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let hex: String = digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect();
        format!("v0={hex}")
    }

    pub(super) async fn deliver(&self, made: &Made) -> Acknowledged {
        let id = b64u(random::<16>());
        let answers = made.kind == "slash_commands";
        let mut envelope =
            json!({"type": made.kind, "envelope_id": id, "accepts_response_payload": answers, "payload": made.payload});
        if made.kind == "events_api" {
            envelope["retry_attempt"] = json!(0);
            envelope["retry_reason"] = json!("");
        }
        let (acknowledging, acknowledged) = oneshot::channel();
        self.change(|workspace| workspace.acknowledging.insert(id, acknowledging));
        if self.send(&envelope.to_string()) {
            return match tokio::time::timeout(ACKNOWLEDGED_WITHIN, acknowledged).await {
                Ok(Ok(answer)) => Acknowledged::Taken(answer),
                _ => Acknowledged::Not,
            };
        }
        self.post(made.path, &made.time.to_string(), &self.sign(made.time, &made.body), &made.body).await
    }

    async fn post(&self, path: &str, time: &str, signature: &str, body: &str) -> Acknowledged {
        let Some(origin) = self.workspace().calls_at.clone() else { return Acknowledged::Not };
        let kind = if body.starts_with('{') { "application/json" } else { "application/x-www-form-urlencoded" };
        let request = self.http.post(format!("{origin}{path}")).header("content-type", kind);
        let request = request.header("x-slack-request-timestamp", time).header("x-slack-signature", signature);
        match request.timeout(ACKNOWLEDGED_WITHIN).body(body.to_owned()).send().await {
            Ok(answer) if answer.status() == 200 => {
                let text = answer.text().await.unwrap_or_default();
                Acknowledged::Taken(serde_json::from_str(&text).unwrap_or_default())
            }
            Ok(answer) => {
                let status = answer.status().as_u16();
                Acknowledged::Refused(status, answer.text().await.unwrap_or_default())
            }
            Err(_) => Acknowledged::Not,
        }
    }
}
