//! What chat understands, in one installation: the grammar, and the gated commands that administrators declared.

use std::sync::Arc;

use super::grammar::{VERBS, VerbHelp};
use crate::approvals::commands::{Commands, Declaration};

/// What a line can be. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Vocabulary(Arc<Commands>);

/// One thing that can be said, for help and for whoever lists commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// A word for it without spaces: `on-call`, `deploy`.
    pub name: String,
    /// The words that begin such a line, in lower case: `who's on call`, `on call`.
    pub starts: Vec<String>,
    /// How it is said.
    pub usage: String,
    /// A line.
    pub example: String,
    /// What it does.
    pub help: String,
    /// Whether it happens only when it is approved.
    pub gated: bool,
}

impl Vocabulary {
    /// The grammar with these commands.
    #[must_use]
    pub fn new(commands: Arc<Commands>) -> Self {
        Self(commands)
    }

    /// The grammar with the built-in gated commands.
    #[must_use]
    pub fn built_in() -> Self {
        Self(Arc::new(Commands::built_in()))
    }

    /// Its gated commands.
    #[must_use]
    pub fn commands(&self) -> &Commands {
        &self.0
    }

    /// Everything that can be said: the verbs, and then the gated commands by name.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        let gated = self.0.verbs().map(|(verb, command)| of_command(verb, command));
        VERBS.iter().map(of_verb).chain(gated)
    }

    /// What can be said of a topic: a name or words that begin a line. All of it without one; nothing when it is unknown.
    #[must_use]
    pub fn help(&self, topic: Option<&str>) -> Vec<Entry> {
        let Some(topic) = topic else { return self.entries().collect() };
        let topic = topic.replace(['‘', '’'], "'").to_lowercase();
        let about = |entry: &Entry| {
            entry.name == topic
                || entry.starts.iter().any(|start| *start == topic || start.split(' ').next() == Some(topic.as_str()))
        };
        self.entries().filter(about).collect()
    }
}

fn of_verb(help: &VerbHelp) -> Entry {
    Entry {
        name: help.name.to_owned(),
        starts: help.starts.iter().map(|start| (*start).to_owned()).collect(),
        usage: help.usage.to_owned(),
        example: help.example.to_owned(),
        help: help.help.to_owned(),
        gated: false,
    }
}

fn of_command(verb: &str, command: &Declaration) -> Entry {
    Entry {
        name: command.name.to_string(),
        starts: vec![verb.to_owned()],
        usage: command.example.clone(),
        example: command.example.clone(),
        help: command.help.clone(),
        gated: true,
    }
}
