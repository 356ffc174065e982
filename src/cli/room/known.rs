//! The rooms that the server knows, each with what it hears of.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::chat::PlaceId;
use crate::cli::Failure;
use crate::client::Client;
use crate::identity::Handle;
use crate::identity::chat::ChatId;

/// A room of chat, by the chat's own ids: `platform:workspace:room`. Only the last part may have colons in it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct Address {
    /// `slack`, `irc`, …
    pub(in crate::cli) platform: ChatId,
    /// The workspace, team or server.
    pub(in crate::cli) workspace: ChatId,
    /// The room there.
    pub(in crate::cli) room: PlaceId,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.platform.as_str(), self.workspace.as_str(), self.room)
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, ':');
        let mut next = || parts.next().ok_or_else(|| "expected platform:workspace:room, like slack:T0ORG:C0OPS".to_owned());
        let (platform, workspace, room) = (next()?, next()?, next()?);
        Ok(Self {
            platform: platform.parse().map_err(|error| format!("{platform}: {error}"))?,
            workspace: workspace.parse().map_err(|error| format!("{workspace}: {error}"))?,
            room: room.parse().map_err(|error| format!("{room}: {error}"))?,
        })
    }
}

/// What names a room: its bot, and where it is.
const KEY: [&str; 4] = ["bot", "platform", "workspace", "room"];

/// The rooms in which something holds or that hear of something, by bot and place, as `/v1/chat/rooms` shows them; under `hears` what each
/// hears of, as `/v1/chat/subscriptions` shows it, the oldest first.
pub(in crate::cli) async fn all(client: &Client) -> Result<Vec<Value>, Failure> {
    let mut rooms = client.get("/v1/chat/rooms").await?.body;
    let mut heard = client.get("/v1/chat/subscriptions").await?.body;
    Ok(together(listed(&mut rooms["rooms"]), listed(&mut heard["subscriptions"])))
}

fn listed(list: &mut Value) -> Vec<Value> {
    list.as_array_mut().map(std::mem::take).unwrap_or_default()
}

fn together(mut rooms: Vec<Value>, heard: Vec<Value>) -> Vec<Value> {
    for room in &mut rooms {
        room["hears"] = Value::Array(Vec::new());
    }
    for mut one in heard {
        let mut room: Map<String, Value> = KEY.map(|name| (name.to_owned(), one[name].take())).into_iter().collect();
        if let Some(members) = one.as_object_mut() {
            members.retain(|name, _| !KEY.contains(&name.as_str()));
        }
        let known = rooms.iter_mut().find(|known| KEY.iter().all(|name| known[name] == room[*name]));
        if let Some(hears) = known.and_then(|known| known["hears"].as_array_mut()) {
            hears.push(one);
        } else {
            room.insert("hears".to_owned(), Value::Array(vec![one]));
            rooms.push(Value::Object(room));
        }
    }
    rooms.sort_by_cached_key(|room| KEY.map(|name| room[name].as_str().unwrap_or_default().to_owned()));
    rooms
}

/// One room of those.
pub(super) fn the<'r>(rooms: &'r [Value], bot: &Handle, address: &Address) -> Option<&'r Value> {
    let wanted = [bot.as_str(), address.platform.as_str(), address.workspace.as_str(), address.room.as_str()];
    rooms.iter().find(|room| KEY.iter().zip(wanted).all(|(name, wanted)| room[*name] == wanted))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_room_is_named_by_the_ids_of_its_chat() {
        let matrix: Address = "matrix:example:!ops:example.org".parse().unwrap();
        assert_eq!((matrix.room.as_str(), matrix.to_string().as_str()), ("!ops:example.org", "matrix:example:!ops:example.org"));
        for bad in ["slack:T0ORG", "slack::C1", "a b:T0ORG:C1", ":T0ORG:C1", "slack:T0ORG:", "#ops"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_room_hears_of_stands_with_what_holds_in_it() {
        let at = |bot: &str, room: &str| json!({"bot": bot, "platform": "irc", "workspace": "example", "room": room});
        let with = |mut room: Value, name: &str, value: Value| {
            room[name] = value;
            room
        };
        let held = vec![with(at("loki", "#ops"), "team", json!("ops"))];
        let heard = vec![
            with(with(at("loki", "#ops"), "id", json!("sub_1")), "of", json!("incidents")),
            with(with(at("heimdall", "#ops"), "id", json!("sub_2")), "of", json!("approvals")),
            with(with(at("loki", "#ops"), "id", json!("sub_3")), "of", json!("approvals")),
        ];
        let rooms = together(held, heard);
        let hears = |room: &Value| room["hears"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect::<Vec<_>>();
        assert_eq!(rooms.iter().map(|room| room["bot"].clone()).collect::<Vec<_>>(), ["heimdall", "loki"]);
        assert_eq!((hears(&rooms[0]), hears(&rooms[1])), (vec![json!("sub_2")], vec![json!("sub_1"), json!("sub_3")]));
        assert_eq!(rooms[0]["hears"][0], json!({"id": "sub_2", "of": "approvals"}));
        let ops = "irc:example:#ops".parse().unwrap();
        assert_eq!(the(&rooms, &"loki".parse().unwrap(), &ops).unwrap()["team"], "ops");
        assert!(the(&rooms, &"loki".parse().unwrap(), &"irc:example:#dev".parse().unwrap()).is_none());
    }
}
