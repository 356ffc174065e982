//! All commands together, ready to take lines.

use std::collections::BTreeMap;

use super::RESERVED;
use super::declaration::{ActionTemplate, Declaration, Invalid, invalid};
use super::pattern::{Groups, Pattern, Template};
use crate::approvals::{Action, Param, Params};
use crate::identity::Handle;

/// A line that a command took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Which command.
    pub command: Handle,
    /// What is to be allowed.
    pub action: Action,
    /// What is said once it is.
    pub success: String,
}

/// Why no command took a line that begins with a command's verb.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It is not of the form of any command with that verb.
    #[error("say it like: {}", .0.join(", or: "))]
    Form(Vec<String>),
    /// Two commands take it.
    #[error("both {} take this line, so neither does; an administrator has to tell them apart", .0.join(" and "))]
    Both(Vec<String>),
    /// It is no action: a part is too long, or shows as what it is not.
    #[error("{command}: {why}")]
    NoAction {
        /// The command.
        command: String,
        /// Why not.
        why: String,
    },
}

/// The commands of an installation.
#[derive(Clone, Debug)]
pub struct Commands(Vec<Compiled>);

#[derive(Clone, Debug)]
struct Compiled {
    declaration: Declaration,
    pattern: Pattern,
    kind: String,
    target: Template,
    params: BTreeMap<String, Template>,
    success: Template,
}

/// The built-in commands.
///
/// # Panics
/// Never: a test reads them.
#[must_use]
pub fn built_in() -> Vec<Declaration> {
    let command =
        |name: &str, pattern: &str, (kind, target, params): (&str, &str, &[&str]), success: &str, help: &str, example: &str| {
            let params = params.iter().map(|name| ((*name).to_owned(), format!("{{{name}}}"))).collect();
            Declaration {
                name: name.parse().expect("a built-in command has a name"),
                pattern: pattern.to_owned(),
                action: ActionTemplate { kind: kind.to_owned(), target: target.to_owned(), params },
                success: success.to_owned(),
                help: help.to_owned(),
                example: example.to_owned(),
            }
        };
    let name = |group: &str| format!("(?<{group}>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)");
    // What git takes for a name, but for punctuation at its end, which belongs to the sentence.
    let branch = |group: &str| format!(r"(?<{group}>[^\s~^:?*\[\\./,;!@-](?:[^\s~^:?*\[\\]*[^\s~^:?*\[\\./,;!])?)");
    let (app, reference, environment) = (name("app"), branch("ref"), name("environment"));
    let (repository, branch) = (name("repository"), branch("branch"));
    vec![
        command(
            "approve",
            &format!("approve changes to {repository}/{branch}"),
            ("approve-changes", "{repository}", &["branch"]),
            "the changes to {repository}/{branch} are approved",
            "have changes approved",
            "approve changes to api/new_auth",
        ),
        command(
            "deploy",
            &format!("deploy {app}/{reference} (?:to|in) {environment}(?: (?<sha>[0-9a-f]{{7,40}}))?"),
            ("deploy", "{environment}", &["app", "ref", "sha"]),
            "you are deploying {app}/{ref} to {environment}",
            "deploy a branch of an app, or exactly that commit of it",
            "deploy api/new_auth to production",
        ),
        command(
            "merge",
            &format!("merge {repository}/{branch}"),
            ("merge", "{repository}", &["branch"]),
            "you are merging {repository}/{branch}",
            "merge a branch",
            "merge api/new_auth",
        ),
    ]
}

/// The verb of the built-in command of that name.
fn verb_of_built_in(verb: &str) -> Option<&'static str> {
    ["approve", "deploy", "merge"].into_iter().find(|built_in| *built_in == verb)
}

impl Commands {
    /// The built-in commands and nothing else.
    ///
    /// # Panics
    /// Never: a test compiles them.
    #[must_use]
    pub fn built_in() -> Self {
        Self::new(Vec::new()).expect("the built-in commands make sense")
    }

    /// The built-in commands, and those declared: one of a built-in's name takes its place.
    ///
    /// # Errors
    /// The first declaration that makes no sense, or two that take each other's examples.
    pub fn new(declared: Vec<Declaration>) -> Result<Self, Invalid> {
        let names: Vec<Handle> = declared.iter().map(|declaration| declaration.name.clone()).collect();
        let kept = built_in().into_iter().filter(|built_in| !names.contains(&built_in.name));
        let mut compiled: Vec<Compiled> = kept.chain(declared).map(compile).collect::<Result<_, _>>()?;
        compiled.sort_by(|a, b| a.declaration.name.cmp(&b.declaration.name));
        let commands = Self(compiled);
        for command in &commands.0 {
            commands.takes_own_example(&command.declaration)?;
        }
        Ok(commands)
    }

    fn takes_own_example(&self, declaration: &Declaration) -> Result<(), Invalid> {
        match self.take(&declaration.example) {
            Some(Ok(taken)) if taken.command == declaration.name => Ok(()),
            Some(Err(NotTaken::Both(both))) => {
                Err(invalid("pattern", format!("{} would take the line “{}”", both.join(" and "), declaration.example)))
            }
            Some(Err(NotTaken::NoAction { why, .. })) => Err(invalid("example", why)),
            _ => Err(invalid("example", "is not taken by the pattern")),
        }
    }

    /// What each is, by name.
    pub fn all(&self) -> impl Iterator<Item = &Declaration> {
        self.0.iter().map(|command| &command.declaration)
    }

    /// The verbs, each once for each command that has it.
    pub fn verbs(&self) -> impl Iterator<Item = (&str, &Declaration)> {
        self.0.iter().map(|command| (command.pattern.verb.as_str(), &command.declaration))
    }

    /// What a line asks for, words parted by one space: nothing when it does not begin with the verb of a command.
    #[must_use]
    pub fn take(&self, line: &str) -> Option<Result<Taken, NotTaken>> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let verb = verb.to_ascii_lowercase();
        let of_the_verb: Vec<&Compiled> = self.0.iter().filter(|command| command.pattern.verb == verb).collect();
        if of_the_verb.is_empty() {
            return None;
        }
        let taking: Vec<(&Compiled, Groups)> =
            of_the_verb.iter().filter_map(|command| Some((*command, command.pattern.take(rest)?))).collect();
        Some(match taking.as_slice() {
            [] => Err(NotTaken::Form(of_the_verb.iter().map(|command| command.declaration.example.clone()).collect())),
            [(command, groups)] => command.taken(groups),
            several => Err(NotTaken::Both(several.iter().map(|(command, _)| command.declaration.name.to_string()).collect())),
        })
    }
}

impl Compiled {
    fn taken(&self, groups: &Groups) -> Result<Taken, NotTaken> {
        let command = self.declaration.name.to_string();
        let no_action = |why: String| NotTaken::NoAction { command: command.clone(), why };
        // Upper and lower case are the same to a pattern, and to that these two are k and s.
        if let Some(c) = groups.values().flat_map(|text| text.chars()).find(|c| matches!(c, '\u{212a}' | '\u{17f}')) {
            return Err(no_action(format!("must not hold the character U+{:04X}, which looks like another", u32::from(c))));
        }
        let missing = || no_action(format!("say it like: {}", self.declaration.example));
        let target = self.target.fill(groups).ok_or_else(missing)?;
        let mut params = BTreeMap::new();
        for (name, template) in &self.params {
            if template.only().is_some_and(|group| !groups.contains_key(group)) {
                continue;
            }
            params.insert(name.clone(), Param::Text(template.fill(groups).ok_or_else(missing)?));
        }
        let action = Action { kind: self.kind.clone(), target, params: Params(params) };
        // The action's own rules are those by which it is read.
        let action = serde_json::to_value(&action)
            .and_then(serde_json::from_value::<Action>)
            .map_err(|error| no_action(error.to_string()))?;
        Ok(Taken { command: self.declaration.name.clone(), action, success: self.success.say(groups) })
    }
}

fn compile(declaration: Declaration) -> Result<Compiled, Invalid> {
    declaration.check_texts()?;
    let pattern = Pattern::compile(&declaration.pattern).map_err(|why| invalid("pattern", why))?;
    let verb = pattern.verb.as_str();
    let own = verb_of_built_in(verb).is_some_and(|built_in| built_in == declaration.name.as_str());
    if !own && (RESERVED.contains(&verb) || verb_of_built_in(verb).is_some()) {
        return Err(invalid("pattern", format!("must not begin with {verb}, which means something else in chat")));
    }
    let template = |field: String, text: &str| {
        let template = Template::parse(text).map_err(|why| invalid(field.clone(), why))?;
        match template.groups().find(|group| !pattern.groups().any(|known| known == *group)) {
            None => Ok(template),
            Some(unknown) => Err(invalid(field, format!("names {{{unknown}}}, which is no group of the pattern"))),
        }
    };
    let target = template("action.target".to_owned(), &declaration.action.target)?;
    let params = declaration.action.params.iter();
    let params: BTreeMap<_, _> = params
        .map(|(name, text)| Ok((name.clone(), template(format!("action.params.{name}"), text)?)))
        .collect::<Result<_, Invalid>>()?;
    let success = template("success".to_owned(), &declaration.success)?;
    let shown: Vec<&str> = target.groups().chain(params.values().flat_map(Template::groups)).collect();
    if let Some(unseen) = pattern.groups().find(|group| !shown.contains(group)) {
        return Err(invalid(
            "pattern",
            format!("has the group {unseen}, which nothing of the action names: whoever approves would not see it"),
        ));
    }
    let kind = declaration.action.kind.clone();
    drop(shown);
    Ok(Compiled { pattern, kind, target, params, success, declaration })
}
