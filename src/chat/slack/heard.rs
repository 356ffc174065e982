//! What Slack sends: a command that was typed, a button that was pressed, a mention of the bot. Members that are not known are passed
//! over.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::blocks::SAYS;
use crate::secret::tagged_sha256;

/// A line, and what is known of whoever said it. It is kept, sealed, until it is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line {
    /// Who, by Slack's id.
    pub(super) user: String,
    /// What Slack calls them.
    pub(super) name: Option<String>,
    /// The workspace in which the app hears it.
    pub(super) team: Option<String>,
    /// The organisation of that workspace, where it belongs to one.
    pub(super) enterprise: Option<String>,
    /// The workspace, or organisation, that whoever said it belongs to.
    pub(super) home: Option<String>,
    pub(super) channel: String,
    pub(super) thread: Option<String>,
    /// What names the message: Slack's time of it, or what names the command, which is in no message.
    pub(super) message: String,
    /// As Slack writes it.
    pub(super) text: String,
    pub(super) by: By,
    /// Where an answer may be posted for half an hour. Whoever holds it can post there.
    pub(super) response_url: Option<String>,
}

/// How a line was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum By {
    /// As a slash command.
    Command,
    /// By a button.
    Button,
    /// In a message that mentions the bot, or is to it alone.
    Message,
}

/// Something that Slack sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// A line, and what makes it one of its kind.
    Line(Box<Line>, [u8; 32]),
    /// Slack asks whether somebody is there, and wants this back.
    Challenge(String),
    /// Nothing for us.
    Nothing,
}

/// Not what Slack sends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotUnderstood(String);

impl NotUnderstood {
    pub(super) fn new(why: &str) -> Self {
        Self(why.to_owned())
    }
}

fn missing(name: &str) -> NotUnderstood {
    NotUnderstood(format!("`{name}` is missing, or is no text"))
}

/// What a member says, when it says something.
fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn once(kind: &str, id: &str) -> [u8; 32] {
    tagged_sha256("phoneops.slack.once.v1", format!("{kind}\n{id}").as_bytes())
}

/// The fields of a form, the first of each name.
pub(super) fn form(body: &[u8]) -> HashMap<String, String> {
    let mut fields = HashMap::new();
    for (name, value) in url::form_urlencoded::parse(body) {
        fields.entry(name.into_owned()).or_insert_with(|| value.into_owned());
    }
    fields
}

/// A slash command, by its form's fields.
pub(super) fn command(fields: &HashMap<String, String>) -> Result<Incoming, NotUnderstood> {
    if fields.contains_key("ssl_check") {
        return Ok(Incoming::Nothing);
    }
    let some = |name: &str| fields.get(name).filter(|value| !value.is_empty()).cloned();
    let needed = |name: &str| some(name).ok_or_else(|| missing(name));
    let trigger = needed("trigger_id")?;
    let team = some("team_id");
    let line = Line {
        user: needed("user_id")?,
        name: some("user_name"),
        home: team.clone(),
        team,
        enterprise: some("enterprise_id"),
        channel: needed("channel_id")?,
        thread: some("thread_ts"),
        message: trigger.clone(),
        text: some("text").unwrap_or_else(|| "help".to_owned()),
        by: By::Command,
        response_url: some("response_url"),
    };
    Ok(Incoming::Line(Box::new(line), once("command", &trigger)))
}

/// A slash command as Socket Mode carries it: the same fields, as JSON.
pub(super) fn command_in(payload: &Value) -> Result<Incoming, NotUnderstood> {
    let fields = payload.as_object().ok_or_else(|| missing("payload"))?;
    let texts = fields.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    command(&texts.collect())
}

/// What was pressed in a message. Other interactions are nothing for us.
pub(super) fn interaction(payload: &Value) -> Result<Incoming, NotUnderstood> {
    if payload["type"] != "block_actions" {
        return Ok(Incoming::Nothing);
    }
    let actions = payload["actions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ours = actions.iter().find(|action| action["action_id"].as_str().is_some_and(|id| id.starts_with(SAYS)));
    let Some(action) = ours else { return Ok(Incoming::Nothing) };
    let needed = |value: &Value, name: &str| text(value).ok_or_else(|| missing(name));
    let user = &payload["user"];
    let container = &payload["container"];
    let message = text(&payload["message"]["ts"]).or(text(&container["message_ts"]));
    let message = message.ok_or_else(|| missing("message.ts"))?;
    let by = needed(&user["id"], "user.id")?;
    let named = match text(&payload["trigger_id"]) {
        Some(trigger) => trigger,
        None => format!("{message}\n{by}\n{}", needed(&action["action_ts"], "action_ts")?),
    };
    let line = Line {
        user: by,
        name: text(&user["name"]).or(text(&user["username"])),
        team: text(&payload["team"]["id"]),
        enterprise: text(&payload["enterprise"]["id"]).or(text(&payload["team"]["enterprise_id"])),
        home: text(&user["team_id"]),
        channel: text(&payload["channel"]["id"]).or(text(&container["channel_id"])).ok_or_else(|| missing("channel.id"))?,
        thread: text(&payload["message"]["thread_ts"])
            .or(text(&container["thread_ts"]))
            // The first message of a thread names itself: it stands in the channel.
            .filter(|thread| *thread != message),
        message,
        text: needed(&action["value"], "actions[0].value")?,
        by: By::Button,
        response_url: text(&payload["response_url"]),
    };
    Ok(Incoming::Line(Box::new(line), once("button", &named)))
}

/// An event: somebody mentions the bot, or writes to it alone. Others are nothing for us, and so is what bots say and what was removed. A
/// message with other words is a line of its own, under the message's name: whoever does it knows what it said before.
pub(super) fn event(payload: &Value) -> Result<Incoming, NotUnderstood> {
    if payload["type"] == "url_verification" {
        return text(&payload["challenge"]).map(Incoming::Challenge).ok_or_else(|| missing("challenge"));
    }
    let event = &payload["event"];
    let to_the_bot = event["type"] == "app_mention" || event["type"] == "message" && event["channel_type"] == "im";
    let changed = event["subtype"] == "message_changed";
    let said = if changed { &event["message"] } else { event };
    // Slack also says that a message changed when a link in it was unfurled.
    let other_words = !changed || event["previous_message"]["text"] != said["text"];
    let by_a_person = said["bot_id"].is_null() && (said["subtype"].is_null() || said["subtype"] == "thread_broadcast");
    if payload["type"] != "event_callback" || !to_the_bot || !by_a_person || !other_words {
        return Ok(Incoming::Nothing);
    }
    let needed = |value: &Value, name: &str| text(value).ok_or_else(|| missing(name));
    let (channel, message) = (needed(&event["channel"], "event.channel")?, needed(&said["ts"], "event.ts")?);
    let edited = text(&said["edited"]["ts"]).unwrap_or_default();
    // A mention in a direct message comes as two events about one message.
    let once = once("message", &format!("{channel}\n{message}\n{edited}"));
    let line = Line {
        user: needed(&said["user"], "event.user")?,
        name: None,
        team: text(&payload["team_id"]),
        enterprise: text(&payload["enterprise_id"]),
        home: text(&said["user_team"]).or(text(&said["team"])),
        thread: text(&said["thread_ts"]),
        text: needed(&said["text"], "event.text")?,
        by: By::Message,
        response_url: None,
        channel,
        message,
    };
    Ok(Incoming::Line(Box::new(line), once))
}

/// A line as the grammar has it: without Slack's escapes. A mention stays one, by its id.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        out.push_str(&unescaped(&rest[..start]));
        let inside = &rest[start + 1..];
        let Some(end) = inside.find('>') else {
            rest = &rest[start..];
            break;
        };
        out.push_str(&marked(&inside[..end]));
        rest = &inside[end + 1..];
    }
    out.push_str(&unescaped(rest));
    out
}

/// What stands between `<` and `>`.
fn marked(inside: &str) -> String {
    let (what, label) =
        inside.split_once('|').map_or((inside, None), |(what, label)| (what, Some(label).filter(|l| !l.is_empty())));
    if let Some(user) = what.strip_prefix('@') {
        return format!("<@{user}>");
    }
    if let Some(channel) = what.strip_prefix('#') {
        return format!("#{}", unescaped(label.unwrap_or(channel)));
    }
    if let Some(special) = what.strip_prefix('!') {
        let name = label.unwrap_or_else(|| special.split_once('^').map_or(special, |(kind, _)| kind));
        return format!("@{}", unescaped(name.trim_start_matches('@')));
    }
    // What was typed as `api.example.com` comes as a link to it.
    match label {
        Some(label) if what.ends_with(label) => unescaped(label),
        _ => unescaped(what),
    }
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// The words after the first mention of the bot; all of them where it is not mentioned.
pub(super) fn addressed(text: &str, bot: &str) -> String {
    let mention = format!("<@{bot}>");
    let after = text.split_once(&mention).map_or(text, |(_, after)| after);
    after.trim_start_matches(|c: char| c.is_whitespace() || c == ',' || c == ':').trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(incoming: Result<Incoming, NotUnderstood>) -> (Line, [u8; 32]) {
        match incoming {
            Ok(Incoming::Line(line, once)) => (*line, once),
            other => panic!("a line: {other:?}"),
        }
    }

    #[test]
    fn a_command_is_read_from_its_form() {
        let body = b"token=x&team_id=T1&enterprise_id=E1&channel_id=C1&user_id=U1&user_name=yannick&command=%2Fphoneops&text=page+%3C%40U2%7Cys%3E+All+your+apps+%26amp%3B+more&response_url=https%3A%2F%2Fhooks.slack.com%2Fx&trigger_id=1.2.3&new=1";
        let (heard, once) = line(command(&form(body)));
        assert_eq!((heard.user.as_str(), heard.channel.as_str(), heard.by), ("U1", "C1", By::Command));
        assert_eq!((heard.enterprise.as_deref(), heard.home.as_deref()), (Some("E1"), Some("T1")));
        assert_eq!(plain(&heard.text), "page <@U2> All your apps & more");
        let again = line(command_in(&json!({"team_id": "T1", "channel_id": "C1", "user_id": "U1", "trigger_id": "1.2.3",
            "is_enterprise_install": false})));
        assert_eq!((again.0.text.as_str(), again.1), ("help", once), "whichever way it came, it is the same");
        assert_eq!(command(&form(b"ssl_check=1&token=x")), Ok(Incoming::Nothing));
        for odd in [
            &b""[..],
            b"user_id=U1&trigger_id=1",
            b"user_id=U1&channel_id=C1",
            b"user_id=&channel_id=C1&trigger_id=1",
            b"\xff=%ff",
        ] {
            assert!(command(&form(odd)).is_err());
        }
    }

    fn pressed() -> Value {
        json!({
            "type": "block_actions", "team": {"id": "T1", "domain": "example"}, "enterprise": null,
            "user": {"id": "U1", "username": "yannick", "team_id": "T1"}, "channel": {"id": "C1"},
            "container": {"type": "message", "message_ts": "7.1", "channel_id": "C1"}, "message": {"ts": "7.1", "thread_ts": "7.1"},
            "actions": [{"type": "button", "action_id": "other"}, {"type": "button", "action_id": "say_0", "value": "ack P7K3M2X", "action_ts": "9"}],
            "trigger_id": "5.6.7", "response_url": "https://hooks.slack.com/actions/x",
        })
    }

    #[test]
    fn a_button_says_its_line() {
        let (heard, once) = line(interaction(&pressed()));
        assert_eq!((heard.text.as_str(), heard.message.as_str(), heard.thread), ("ack P7K3M2X", "7.1", None));
        let mut other = pressed();
        other["trigger_id"] = json!("5.6.8");
        other["message"]["thread_ts"] = json!("7.0");
        let (second, twice) = line(interaction(&other));
        assert!(once != twice && second.thread.as_deref() == Some("7.0"));
        other["trigger_id"] = Value::Null;
        assert_ne!(line(interaction(&other)).1, twice);
        for nothing in [json!({"type": "view_submission"}), json!({}), json!([]), json!({"type": "block_actions", "actions": []})]
        {
            assert_eq!(interaction(&nothing), Ok(Incoming::Nothing));
        }
        for part in ["user", "channel", "message"] {
            let mut less = pressed();
            less[part] = Value::Null;
            less["container"] = Value::Null;
            assert!(interaction(&less).is_err(), "{part}");
        }
    }

    #[test]
    fn a_mention_says_what_comes_after_it() {
        let mention = |event: Value| json!({"type": "event_callback", "team_id": "T1", "event_id": "Ev1", "event": event});
        let said = json!({"type": "app_mention", "user": "U1", "text": "hey <@UBOT>, page <@U2|ys> Down", "ts": "8.1", "channel": "C1",
            "team": "T1", "thread_ts": "8.0"});
        let (heard, _) = line(event(&mention(said.clone())));
        assert_eq!((heard.thread.as_deref(), heard.message.as_str(), heard.home.as_deref()), (Some("8.0"), "8.1", Some("T1")));
        assert_eq!(addressed(&plain(&heard.text), "UBOT"), "page <@U2> Down");
        assert_eq!(addressed("incidents", "UBOT"), "incidents");
        for (name, value) in [("bot_id", json!("B1")), ("subtype", json!("message_deleted")), ("type", json!("message"))] {
            let mut other = said.clone();
            other[name] = value;
            assert_eq!(event(&mention(other)), Ok(Incoming::Nothing), "{name}");
        }
        let once = line(event(&mention(said.clone()))).1;
        let direct = |text: &str, before: &str| {
            let message =
                json!({"type": "message", "user": "U1", "text": text, "ts": "8.1", "team": "T1", "edited": {"ts": "9.0"}});
            let previous = json!({"text": before});
            mention(
                json!({"type": "message", "subtype": "message_changed", "channel_type": "im", "channel": "C1", "message": message,
                "previous_message": previous}),
            )
        };
        let (changed, twice) = line(event(&direct("incidents", "incident")));
        assert_eq!((changed.text.as_str(), changed.message.as_str()), ("incidents", "8.1"));
        assert_ne!(twice, once, "other words are another line");
        assert_eq!(event(&direct("incidents", "incidents")), Ok(Incoming::Nothing), "a link was unfurled");
        assert_eq!(event(&json!({"type": "url_verification", "challenge": "c"})), Ok(Incoming::Challenge("c".into())));
    }

    #[test]
    fn escapes_are_undone_once() {
        for (slack, people) in [
            ("&lt;b&gt; &amp;amp; c", "<b> &amp; c"),
            ("<#C1|ops> <!here> <!subteam^S1|@ops> <!here|here>", "#ops @here @ops @here"),
            (
                "see <http://api.example.com|api.example.com> and <https://a.example/x|docs>",
                "see api.example.com and https://a.example/x",
            ),
            ("a < b", "a < b"),
            ("<@U1", "<@U1"),
            ("<mailto:ys@example.com|ys@example.com>", "ys@example.com"),
            ("", ""),
        ] {
            assert_eq!(plain(slack), people);
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_is_sent_panics(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), said in ".*") {
            let _ = command(&form(&body));
            let _ = addressed(&plain(&said), "U1");
            if let Ok(value) = serde_json::from_str::<Value>(&said) {
                let _ = (interaction(&value), event(&value), command_in(&value));
            }
        }
    }
}
