//! What is said in chat, in one form for every front.

use serde::{Deserialize, Serialize};

pub use crate::identity::About;

/// Something said. The text says everything; a front that shows nothing else loses no meaning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Reply {
    /// What is said, as plain text; lines are parted by `\n`. No markup: fronts escape it.
    pub text: String,
    /// A heading, where it is a card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Where the title leads: a page of the web app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// How it stands.
    #[serde(default)]
    pub tone: Tone,
    /// What can be pressed; each says a line of chat as whoever presses it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buttons: Vec<Button>,
    /// For the one who asked, and nobody else: said where the chat can whisper; never said aloud where it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whisper: Option<String>,
    /// What it is about, and follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<About>,
}

/// How what is said stands; each front has a colour for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// Said in passing.
    #[default]
    Plain,
    /// It waits for somebody.
    Waiting,
    /// It rings, or it is refused.
    Alarm,
    /// It is done.
    Good,
    /// It is over, and nothing was done.
    Over,
}

impl Tone {
    /// Its colour: six hexadecimal digits.
    #[must_use]
    pub fn hex(self) -> &'static str {
        match self {
            Self::Plain => "8a8f98",
            Self::Waiting => "b7791f",
            Self::Alarm => "c53030",
            Self::Good => "2f855a",
            Self::Over => "4a5568",
        }
    }
}

/// A button.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Button {
    /// Its word: `Acknowledge`.
    pub label: String,
    /// The line of chat that it says: `ack P7K3M2X`.
    pub command: String,
}
