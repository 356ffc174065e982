//! What may be declared, and what is taken.

use std::collections::BTreeMap;

use super::*;
use crate::approvals::{Action, Param, Params};

fn restart() -> Declaration {
    Declaration {
        name: "restart".parse().unwrap(),
        pattern: "restart (?<service>[a-z-]+)(?: in (?<environment>[a-z]+))?".into(),
        action: ActionTemplate {
            kind: "restart".into(),
            target: "{service}".into(),
            params: BTreeMap::from([("environment".into(), "{environment}".into()), ("how".into(), "{{gently}}".into())]),
        },
        success: "you are restarting {service} {environment}".into(),
        help: "restart a service".into(),
        example: "restart web in production".into(),
    }
}

fn declared(change: impl FnOnce(&mut Declaration)) -> Result<Commands, Invalid> {
    let mut declaration = restart();
    change(&mut declaration);
    Commands::new(vec![declaration])
}

fn refused(change: impl FnOnce(&mut Declaration)) -> String {
    match declared(change) {
        Err(invalid) => invalid.to_string(),
        Ok(commands) => panic!("{commands:?}"),
    }
}

fn text(text: &str) -> Param {
    Param::Text(text.to_owned())
}

#[test]
fn a_line_becomes_the_action_that_was_declared() {
    let commands = declared(|_| {}).unwrap();
    let taken = commands.take("Restart Web IN Production").unwrap().unwrap();
    let params = BTreeMap::from([("environment".into(), text("production")), ("how".into(), text("{gently}"))]);
    assert_eq!(taken.action, Action { kind: "restart".into(), target: "Web".into(), params: Params(params) });
    assert_eq!((taken.command.as_str(), taken.success.as_str()), ("restart", "you are restarting Web production"));
    let without = commands.take("restart web").unwrap().unwrap();
    assert_eq!(without.action.params.0.keys().collect::<Vec<_>>(), ["how"]);
    assert_eq!(without.success, "you are restarting web");
    assert_eq!(commands.take("restarted web"), None);
    let form = NotTaken::Form(vec!["restart web in production".into()]);
    for line in ["restart", "restart web in", "restart web in production now", "restart web2", "restart web\n"] {
        assert_eq!(commands.take(line), Some(Err(form.clone())), "{line:?}");
    }
    assert!(matches!(commands.take("restart \u{17f}ervice"), Some(Err(NotTaken::NoAction { .. }))));
}

#[test]
fn alternatives_and_flags_do_not_let_a_pattern_out_of_its_verb() {
    let any = declared(|d| d.pattern = "restart (?<service>[a-z-]+)(?<environment> .+)?|(?:deploy .*)".into()).unwrap();
    assert_eq!(any.take("deploy api/x to production").unwrap().unwrap().command.as_str(), "deploy");
    for pattern in [
        "restart (?<service>a))|(?:(?<environment>b)",
        "restart (?x)(?<service>a) (?<environment>b)#",
        "restart (?i:(?<service>a))(?<environment>b)",
        "restart (?P<service>a)(?<environment>b)",
        "restart (?=x)(?<service>a)(?<environment>b)",
        "restart (?<Service>a)(?<environment>b)",
        "restart (a)(?<service>b)(?<environment>c)",
        "restart (?<service>a",
        "restart (?<service>(?:a{1000}){1000})(?<environment>b)",
        "restart (?<service>a*)(?<environment>b*)",
        "restart ",
        "(?<service>a) (?<environment>b)",
        "Restart (?<service>a) (?<environment>b)",
        "r (?<service>a) (?<environment>b)",
        "",
    ] {
        let why = refused(|d| d.pattern = pattern.into());
        assert!(why.starts_with("pattern: "), "{pattern}: {why}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_by_its_field() {
    fn why(change: fn(&mut Declaration)) -> String {
        refused(change)
    }
    assert!(why(|d| d.action.kind = "{service}".into()).starts_with("action.type: is a fixed text"));
    assert!(why(|d| d.action.target = "{host}".into()).starts_with("action.target: names {host}"));
    assert!(
        why(|d| drop(d.action.params.remove("environment"))).starts_with("pattern: has the group environment, which nothing")
    );
    assert!(why(|d| d.success = "you are {restarting".into()).starts_with("success: has a {"));
    assert!(why(|d| d.success = "you are} restarting".into()).starts_with("success: has a }"));
    assert!(why(|d| d.example = "restart it now please".into()).starts_with("example: is not taken"));
    assert!(why(|d| d.help = "a\u{202e}b".into()).starts_with("help: must not hold the character U+202E"));
    assert!(why(|d| d.help = " ".into()).starts_with("help: must have"));
    assert!(why(|d| d.example = "restart web\n".into()).starts_with("example: must have"));
    assert!(why(|d| d.action.params = (0..65).map(|n| (n.to_string(), "x".into())).collect()).starts_with("action.params: "));
    // A target that needs a group which took nothing.
    assert!(
        why(|d| {
            d.action.target = "{service}-{environment}".into();
            d.example = "restart web".into();
        })
        .starts_with("example: say it like")
    );
}

#[test]
fn no_command_takes_a_word_that_means_something_else() {
    for verb in RESERVED
        .iter()
        .copied()
        .filter(|verb| verb.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
        .chain(["deploy", "approve"])
    {
        let why = refused(|d| {
            d.pattern = d.pattern.replacen("restart", verb, 1);
            d.example = d.example.replacen("restart", verb, 1);
        });
        assert!(why.contains("which means something else in chat"), "{verb}: {why}");
    }
}

#[test]
fn one_of_a_built_in_name_takes_its_place() {
    let ship = |pattern: &str, example: &str| {
        declared(|d| {
            d.name = "deploy".parse().unwrap();
            d.pattern = pattern.replace("PLACE", "(?<service>[a-z]+) (?<environment>[a-z]+)");
            d.example = example.into();
        })
    };
    let commands = ship("deploy PLACE", "deploy web production").unwrap();
    assert_eq!(commands.take("deploy web production").unwrap().unwrap().action.kind, "restart");
    assert!(commands.take("deploy api/new_auth to production").unwrap().is_err());
    let elsewhere = ship("ship PLACE", "ship web production").unwrap();
    assert!(elsewhere.take("deploy api/new_auth to production").is_none());
    assert!(ship("merge PLACE", "merge web production").is_err());
    assert_eq!(
        Commands::built_in().all().map(|command| command.name.to_string()).collect::<Vec<_>>(),
        ["approve", "deploy", "merge"]
    );
}

#[test]
fn a_line_that_two_take_is_neithers() {
    let mut host = restart();
    host.name = "restart-host".parse().unwrap();
    host.pattern = "restart (?<host>[a-z]+[0-9]*)".into();
    host.action = ActionTemplate { kind: "reboot".into(), target: "{host}".into(), params: BTreeMap::new() };
    host.success = "you are rebooting {host}".into();
    host.example = "restart web1".into();
    let commands = Commands::new(vec![restart(), host.clone()]).unwrap();
    assert_eq!(commands.take("restart web1").unwrap().unwrap().action.kind, "reboot");
    assert_eq!(commands.take("restart web in production").unwrap().unwrap().action.kind, "restart");
    let both = commands.take("restart web").unwrap().unwrap_err();
    assert_eq!(
        both.to_string(),
        "both restart and restart-host take this line, so neither does; an administrator has to tell them apart"
    );
    // Where one would take the other's own example, it is not declared.
    host.example = "restart web".into();
    let why = Commands::new(vec![restart(), host]).unwrap_err().to_string();
    assert!(why.starts_with("pattern: restart and restart-host would take the line"), "{why}");
}
