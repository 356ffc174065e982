//! From a line to a command, by what is declared now; and help.

use super::doing::words::{plain, refused};
use super::doing::{Chat, Error};
use super::{Command, Entry, Reply, Vocabulary, parse};

impl Chat {
    /// What can be said now.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn vocabulary(&self) -> Result<Vocabulary, Error> {
        Ok(self.built_in.clone())
    }

    /// What a line asks for, or what is said to whoever is not understood.
    pub(super) async fn understand(&self, line: &str) -> Result<Result<Command, Box<Reply>>, Error> {
        let vocabulary = self.vocabulary().await?;
        Ok(parse(line, &vocabulary).map_err(|not| Box::new(refused(not.to_string()))))
    }

    /// What can be said, or how one thing is.
    pub(super) async fn help(&self, word: Option<&str>) -> Result<Reply, Error> {
        let entries = self.vocabulary().await?.help(word);
        Ok(match (word, entries.as_slice()) {
            (Some(word), []) => refused(format!("I know nothing that is called {}. Say `help` for all I know.", crate::text::line(word, 80))),
            (None, all) => plain(all.iter().map(in_a_list).collect::<Vec<_>>().join("\n")),
            (Some(_), some) => plain(some.iter().map(in_full).collect::<Vec<_>>().join("\n")),
        })
    }
}

fn gate(entry: &Entry) -> &'static str {
    if entry.gated { " (takes an approval on the phone)" } else { "" }
}

fn in_a_list(entry: &Entry) -> String {
    format!("{} — {}{}", entry.usage, entry.help, gate(entry))
}

fn in_full(entry: &Entry) -> String {
    format!("{} — {}{}\nFor example: {}", entry.usage, entry.help, gate(entry), entry.example)
}
