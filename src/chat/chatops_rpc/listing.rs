//! What clients fetch: the methods, and by which pattern each knows its lines.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::chat::Entry;

/// The version of the protocol.
const VERSION: u32 = 3;

/// The name under which clients keep the listing, and which some put before every line unless they are told otherwise.
const NAMESPACE: &str = "phoneops";

/// What a client says when it cannot reach us: what to do instead.
const ERROR_RESPONSE: &str =
    "PhoneOps does not answer. Page and acknowledge on your phone, or with `phoneops page` and `phoneops ack`.";

/// The one parameter that methods take: the whole line, which the grammar understands.
pub const LINE: &str = "line";

/// Everything that can be said.
#[derive(Clone, Debug, Serialize)]
pub struct Listing {
    namespace: &'static str,
    version: u32,
    help: &'static str,
    error_response: &'static str,
    methods: BTreeMap<String, Method>,
}

/// One thing that can be said.
#[derive(Clone, Debug, Serialize)]
struct Method {
    /// Anchored by the client, which matches it in any case.
    regex: String,
    /// Relative to the listing.
    path: String,
    params: [&'static str; 1],
    help: String,
}

impl Listing {
    /// Of these entries. A line is matched by how it begins and posted whole, so that no client takes it apart in its own way.
    pub fn new(entries: impl Iterator<Item = Entry>) -> Self {
        let methods = entries.map(|entry| (entry.name.clone(), Method::of(&entry))).collect();
        let help = "pages, incidents, who is on call, and what needs approval: say help";
        Self { namespace: NAMESPACE, version: VERSION, help, error_response: ERROR_RESPONSE, methods }
    }
}

impl Method {
    fn of(entry: &Entry) -> Self {
        let starts: Vec<String> = entry.starts.iter().map(|start| pattern(start)).collect();
        Self {
            regex: format!(r"(?<{LINE}>(?:{})(?:[\s,:][\s\S]*)?)", starts.join("|")),
            path: format!("_chatops/{}", entry.name),
            params: [LINE],
            help: format!("{} - {}", entry.usage, entry.help),
        }
    }
}

/// The words that begin a line, whatever white space and apostrophe is typed between them.
fn pattern(start: &str) -> String {
    let words: Vec<String> = start.split(' ').map(|word| regex::escape(word).replace('\'', "['‘’]")).collect();
    words.join(r"\s+")
}

#[cfg(test)]
mod tests {
    use regex::RegexBuilder;
    use serde_json::Value;

    use super::*;
    use crate::chat::Vocabulary;

    /// As clients do: anchored, in any case.
    fn matched(method: &Value, line: &str) -> Option<String> {
        let source = format!("^(?:{})$", method["regex"].as_str().unwrap());
        let regex = RegexBuilder::new(&source).case_insensitive(true).build().expect("every client must compile it");
        regex.captures(line).map(|found| found[LINE].to_owned())
    }

    #[test]
    fn every_example_is_matched_by_its_own_method_and_given_whole() {
        let vocabulary = Vocabulary::built_in();
        let listing = serde_json::to_value(Listing::new(vocabulary.entries())).unwrap();
        assert_eq!((&listing["version"], &listing["namespace"]), (&Value::from(3), &Value::from("phoneops")));
        for entry in vocabulary.entries() {
            let method = &listing["methods"][&entry.name];
            assert_eq!(matched(method, &entry.example), Some(entry.example.clone()), "{}", entry.name);
            let loud = entry.example.to_uppercase();
            assert_eq!(matched(method, &loud), Some(loud.clone()), "{}", entry.name);
            for start in &entry.starts {
                assert!(matched(method, start).is_some(), "{start}");
                let begun = entry.starts.iter().any(|other| other != start && start.starts_with(&format!("{other} ")));
                assert!(matched(method, &format!("{start}xyz")).is_none() || begun, "{start}");
            }
        }
        let on_call = &listing["methods"]["on-call"];
        assert!(matched(on_call, "who’s  on call for api").is_some());
        assert_eq!(matched(&listing["methods"]["page"], "tell me, page @ys now"), None);
    }
}
