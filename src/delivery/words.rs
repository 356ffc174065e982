//! What a phone is to show, and how much of it travels to where.
//!
//! **Invariants**
//! - A doorbell is the same for everything of its kind: constant words, ids of one length, and padding for what is not.
//! - Where the provider can read it, what waits for approval is never named unless the settings say so.

use serde_json::{Map, Value, json};

use super::service::Content;
use crate::config::{ApprovalsShow, PagesShow, Privacy};
use crate::id::NotificationId;
use crate::push::Category;

/// How much of a notification travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    /// That something of its kind waits.
    Doorbell,
    /// The words it was written with.
    Words,
    /// Everything there is.
    Full,
}

fn level(content: &Content, privacy: Privacy, readable: bool) -> Level {
    let of_a_page = match content.category {
        Category::Page | Category::Acted | Category::Test => true,
        Category::Answered => content.reference.is_some(),
        Category::Approval | Category::Device | Category::Notice | Category::Outcome => false,
    };
    if of_a_page {
        return match privacy.pages {
            PagesShow::Minimal => Level::Doorbell,
            PagesShow::Title => Level::Words,
            PagesShow::Full => Level::Full,
        };
    }
    match privacy.approvals {
        ApprovalsShow::Minimal => Level::Doorbell,
        ApprovalsShow::Doorbell if readable => Level::Doorbell,
        ApprovalsShow::Doorbell => Level::Words,
        ApprovalsShow::Full => Level::Full,
    }
}

/// The title and the body that travel, and whether they are a doorbell's.
pub(super) fn shown(content: &Content, privacy: Privacy, readable: bool) -> (String, String, bool) {
    let words = match level(content, privacy, readable) {
        Level::Doorbell => {
            let (title, body) = doorbell(content.category);
            return (title.into(), body.into(), true);
        }
        Level::Words => &content.words,
        Level::Full => content.full.as_ref().unwrap_or(&content.words),
    };
    (words.title.clone(), words.body.clone(), false)
}

fn doorbell(category: Category) -> (&'static str, &'static str) {
    match category {
        Category::Page => ("Page", "Open to read and answer"),
        Category::Approval => ("Approval needed", "Open to read and answer"),
        Category::Acted => ("Somebody acted as you", "Not you? Open to undo it"),
        Category::Answered => ("Answered", "Nothing left to do"),
        Category::Device => ("Your devices", "Open to see what changed"),
        Category::Notice => ("PhoneOps needs you", "Open to see what happened"),
        Category::Outcome => ("What you approved was done", "Open to see what became of it"),
        Category::Test => ("Test page", "Your phone rings"),
    }
}

/// The members of the phone's `data`, but `kind`. Those of a doorbell have one length, whichever round it is.
pub(super) fn data(
    content: &Content,
    notification: NotificationId,
    round: i64,
    receipt: &str,
    doorbell: bool,
) -> Map<String, Value> {
    let mut data = Map::new();
    data.insert("subject".into(), json!(content.subject));
    data.insert("ref".into(), json!(content.reference));
    data.insert("notification".into(), json!(notification));
    data.insert("round".into(), json!(round));
    data.insert("receipt".into(), json!(receipt));
    if doorbell {
        let digits = round.to_string().len();
        data.insert("pad".into(), json!("0".repeat(20_usize.saturating_sub(digits))));
    }
    data
}
