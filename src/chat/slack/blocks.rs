//! A reply as Slack shows it: the text, and below it the card with its colour, its title that is a link, and its buttons.
//!
//! Pure. What people wrote is escaped as Slack asks (`&`, `<`, `>`), so that it mentions nobody and links nowhere.

use serde_json::{Value, json};

use crate::chat::{Button, Reply};

/// How the ids of our buttons begin.
pub(super) const SAYS: &str = "say_";

/// Slack cuts a message's text after 40,000 characters; beyond 4,000 nobody reads on.
const TEXT: usize = 30_000;

/// The text of a section, a button's label, what a button says, and buttons in a row (Block Kit reference).
const SECTION: usize = 3_000;
const LABEL: usize = 75;
const VALUE: usize = 2_000;
const BUTTONS: usize = 25;

/// The members `text` and `attachments` of a message.
pub(super) fn message(reply: &Reply) -> Value {
    json!({"text": escaped(&reply.text, TEXT), "attachments": card(reply).map_or_else(|| json!([]), |card| json!([card]))})
}

/// The member `text`, for what is said to one person.
pub(super) fn text(text: &str) -> String {
    escaped(text, TEXT)
}

fn card(reply: &Reply) -> Option<Value> {
    let mut blocks = Vec::new();
    if let Some(title) = reply.title.as_ref().or(reply.link.as_ref()) {
        blocks.push(json!({"type": "section", "text": {"type": "mrkdwn", "text": heading(title, reply.link.as_deref())}}));
    }
    let buttons: Vec<Value> = reply
        .buttons
        .iter()
        // One that would say half a line is worse than none.
        .filter(|button| button.command.chars().count() <= VALUE && !button.command.is_empty())
        .take(BUTTONS)
        .enumerate()
        .map(|(number, Button { label, command })| {
            json!({
                "type": "button", "action_id": format!("{SAYS}{number}"), "value": command,
                "text": {"type": "plain_text", "text": cut(label, LABEL)},
            })
        })
        .collect();
    if !buttons.is_empty() {
        blocks.push(json!({"type": "actions", "elements": buttons}));
    }
    let fallback = escaped(reply.title.as_deref().unwrap_or(&reply.text), SECTION);
    (!blocks.is_empty()).then(|| json!({"color": format!("#{}", reply.tone.hex()), "fallback": fallback, "blocks": blocks}))
}

fn heading(title: &str, link: Option<&str>) -> String {
    // A bar would end the address, and the address is ours.
    let Some(link) = link.filter(|link| !link.contains(['|', '<', '>', ' '])) else { return escaped(title, SECTION) };
    let room = SECTION.saturating_sub(link.chars().count() + 3);
    format!("<{link}|{}>", escaped(title, room))
}

/// Escaped, with an ellipsis for what is beyond `max` characters of what is sent. No escape is cut.
fn escaped(text: &str, max: usize) -> String {
    let whole: usize = text.chars().map(|c| escape(c).map_or(1, str::len)).sum();
    // Room for the ellipsis, where there is one.
    let (mut room, cut) = if whole <= max { (max, false) } else { (max.saturating_sub(1), true) };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let escape = escape(c);
        let Some(rest) = room.checked_sub(escape.map_or(1, str::len)) else { break };
        room = rest;
        match escape {
            Some(escape) => out.push_str(escape),
            None => out.push(c),
        }
    }
    if cut {
        out.push('…');
    }
    out
}

fn escape(c: char) -> Option<&'static str> {
    match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        _ => None,
    }
}

fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Tone;

    fn button(label: &str, command: &str) -> Button {
        Button { label: label.to_owned(), command: command.to_owned() }
    }

    #[test]
    fn a_card_has_its_colour_its_link_and_its_buttons() {
        let reply = Reply {
            text: "Paged Yannick Schutz: Incident P7K3M2X".into(),
            title: Some("All your apps are down".into()),
            link: Some("https://phoneops.example/i/P7K3M2X".into()),
            tone: Tone::Alarm,
            buttons: vec![button("Acknowledge", "ack P7K3M2X"), button("Resolve", "resolve P7K3M2X")],
            ..Reply::default()
        };
        let shown = message(&reply);
        assert_eq!(shown["text"], "Paged Yannick Schutz: Incident P7K3M2X");
        let card = &shown["attachments"][0];
        assert_eq!((&card["color"], &card["fallback"]), (&json!("#c53030"), &json!("All your apps are down")));
        assert_eq!(card["blocks"][0]["text"]["text"], "<https://phoneops.example/i/P7K3M2X|All your apps are down>");
        let buttons = &card["blocks"][1]["elements"];
        assert_eq!((&buttons[0]["text"]["text"], &buttons[0]["value"]), (&json!("Acknowledge"), &json!("ack P7K3M2X")));
        assert_eq!((&buttons[1]["action_id"], buttons.as_array().unwrap().len()), (&json!("say_1"), 2));
        assert_eq!(message(&Reply { text: "No incident is open.".into(), ..Reply::default() })["attachments"], json!([]));
    }

    #[test]
    fn what_people_wrote_is_shown_and_not_obeyed() {
        let evil = "<!channel> <https://evil.example|Approve> & <@U1>";
        let reply =
            Reply { text: evil.into(), title: Some(evil.into()), link: Some("https://a.example/i/1".into()), ..Reply::default() };
        let shown = message(&reply);
        let kept = "&lt;!channel&gt; &lt;https://evil.example|Approve&gt; &amp; &lt;@U1&gt;";
        assert_eq!(shown["text"], kept);
        assert_eq!(shown["attachments"][0]["blocks"][0]["text"]["text"], format!("<https://a.example/i/1|{kept}>"));
        assert_eq!(shown["attachments"][0]["fallback"], kept);
        assert_eq!(text("a < b"), "a &lt; b");
    }

    #[test]
    fn slacks_limits_are_kept() {
        let long = "&".repeat(50_000);
        let reply = Reply {
            text: long.clone(),
            title: Some(long.clone()),
            link: Some("https://a.example/i/1".into()),
            buttons: (0..40).map(|n| button(&"x".repeat(200), &"y".repeat(1_990 + n))).collect(),
            ..Reply::default()
        };
        let shown = message(&reply);
        let text = shown["text"].as_str().unwrap();
        assert!(text.chars().count() <= TEXT && text.ends_with("&amp;…"), "an escape is never cut");
        let blocks = &shown["attachments"][0]["blocks"];
        assert!(blocks[0]["text"]["text"].as_str().unwrap().chars().count() <= SECTION);
        let buttons = blocks[1]["elements"].as_array().unwrap();
        assert_eq!(buttons.len(), 11, "those that would say half a line are left out");
        assert!(buttons.iter().all(|button| button["text"]["text"].as_str().unwrap().chars().count() <= LABEL));
        let many = Reply { buttons: vec![button("a", "b"); 40], ..Reply::default() };
        assert_eq!(message(&many)["attachments"][0]["blocks"][0]["elements"].as_array().unwrap().len(), BUTTONS);
        assert_eq!(
            [escaped("abcd", 4), escaped("abcde", 4), escaped("abc&", 8), escaped("", 4)],
            ["abcd", "abc…", "abc&amp;", ""]
        );
    }
}
