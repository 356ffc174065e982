//! What Slack refuses of a message.

use std::collections::HashSet;

use serde_json::Value;

/// Slack's word for what is wrong with a message's members.
pub(super) fn message(body: &Value) -> Result<(), &'static str> {
    let text = body["text"].as_str().unwrap_or_default();
    let attachments = body["attachments"].as_array().map(Vec::as_slice).unwrap_or_default();
    let blocks = body["blocks"].as_array().map(Vec::as_slice).unwrap_or_default();
    if text.is_empty() && attachments.is_empty() && blocks.is_empty() {
        return Err("no_text");
    }
    if text.chars().count() > 40_000 {
        return Err("msg_too_long");
    }
    markup(text)?;
    if attachments.len() > 100 {
        return Err("too_many_attachments");
    }
    each(blocks)?;
    for attachment in attachments {
        let color = attachment["color"].as_str().unwrap_or("#000000");
        let hex = color.strip_prefix('#').is_some_and(|hex| hex.len() == 6 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if !hex {
            return Err("invalid_attachments");
        }
        each(attachment["blocks"].as_array().map(Vec::as_slice).unwrap_or_default()).map_err(|_| "invalid_attachments")?;
    }
    Ok(())
}

fn each(blocks: &[Value]) -> Result<(), &'static str> {
    let mut ids = HashSet::new();
    if blocks.len() > 50 || !blocks.iter().all(|block| is_block(block, &mut ids)) {
        return Err("invalid_blocks");
    }
    Ok(())
}

fn within(value: &Value, max: usize) -> bool {
    value.as_str().is_some_and(|text| (1..=max).contains(&text.chars().count()))
}

fn is_block(block: &Value, ids: &mut HashSet<String>) -> bool {
    match block["type"].as_str() {
        Some("section") => {
            let text = &block["text"];
            matches!(text["type"].as_str(), Some("mrkdwn" | "plain_text"))
                && within(&text["text"], 3_000)
                && markup(text["text"].as_str().unwrap_or_default()).is_ok()
        }
        Some("actions") => {
            let elements = block["elements"].as_array().map(Vec::as_slice).unwrap_or_default();
            (1..=25).contains(&elements.len()) && elements.iter().all(|element| is_button(element, ids))
        }
        Some("divider") => true,
        _ => false,
    }
}

fn is_button(element: &Value, ids: &mut HashSet<String>) -> bool {
    element["type"] == "button"
        && element["text"]["type"] == "plain_text"
        && within(&element["text"]["text"], 75)
        && within(&element["value"], 2_000)
        && within(&element["action_id"], 255)
        && ids.insert(element["action_id"].as_str().unwrap_or_default().to_owned())
}

/// Whether whatever stands between `<` and `>` is markup, and nothing else uses those.
fn markup(text: &str) -> Result<(), &'static str> {
    let mut rest = text;
    while let Some(start) = rest.find(['<', '>']) {
        let inside = rest[start..].strip_prefix('<').ok_or("stray_markup")?;
        let end = inside.find(['<', '>']).filter(|end| inside[*end..].starts_with('>')).ok_or("stray_markup")?;
        let known = ["@", "#", "!", "http://", "https://", "mailto:"].iter().any(|start| inside.starts_with(start));
        if !known {
            return Err("stray_markup");
        }
        rest = &inside[end + 1..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_slack_would_not_take_is_refused() {
        let button =
            |id: &str| json!({"type": "button", "action_id": id, "value": "v", "text": {"type": "plain_text", "text": "Go"}});
        let with = |elements: Value| json!({"attachments": [{"blocks": [{"type": "actions", "elements": elements}]}]});
        assert_eq!(message(&json!({"text": "a &lt; b <https://a.example|x>"})), Ok(()));
        assert_eq!(message(&with(json!([button("a"), button("b")]))), Ok(()));
        for (body, word) in [
            (json!({}), "no_text"),
            (json!({"text": "x".repeat(40_001)}), "msg_too_long"),
            (json!({"text": "a < b"}), "stray_markup"),
            (json!({"text": "a > b"}), "stray_markup"),
            (json!({"text": "<b>"}), "stray_markup"),
            (with(json!([])), "invalid_attachments"),
            (with(json!([button("a"), button("a")])), "invalid_attachments"),
            (json!({"attachments": [{"color": "red"}]}), "invalid_attachments"),
            (json!({"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": ""}}]}), "invalid_blocks"),
            (json!({"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "x".repeat(3_001)}}]}), "invalid_blocks"),
        ] {
            assert_eq!(message(&body), Err(word), "{body:.80}");
        }
    }
}
