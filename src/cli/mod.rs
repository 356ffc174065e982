//! The command line: one file per noun.
//!
//! | who | commands | how they reach the server |
//! |---|---|---|
//! | operator | `user`, `bot`, `team`, `schedule`, `override`, `policy`, `service`, `escalation-policy`, `maintenance`, `apply`, `export`, `chat-command`, `chat-identity`, `room`, `freeze`, `enroll`, `device`, `admin`, `keys`, `journal`, `doctor`, `backup` | the server's Unix socket |
//! | operator | `restore` | the database, which no server may have open |
//! | bot | `request`, `exec`, `page`, `incident`, `deliveries`, `chat-identity code` | HTTP, with a token from the environment |
//! | bot or operator | `events`, `on-call`, `schedule list`, `schedule show` | HTTP with a token; without one the Unix socket |
//! | person | `login`, `logout`, `whoami`, `calendar`; and what an operator and a bot do, but for `request`, `exec`, `backup` | HTTP, with the key of the login |
//! | nobody | `healthcheck`, `openapi`, `completions`, `verify` | HTTP, or not at all |
//!
//! **Invariants**
//! - It never opens the database of a running server.
//! - A token is read from the environment or a file, never from an argument, which every process on the machine can see.
//! - What a program reads is on stdout; what only a person wants to know about it is on stderr.
//! - An output that nobody reads any more changes no outcome.

mod admin;
mod apply;
mod backup;
mod bot;
mod break_glass;
mod calendar;
mod chat_command;
mod chat_identity;
mod completions;
mod connect;
mod deliveries;
mod demo;
mod device;
mod doctor;
mod enroll;
mod escalation_policy;
mod events;
mod exec;
mod freeze;
mod healthcheck;
mod incident;
mod interrupt;
mod journal;
mod keys;
mod login;
mod maintenance;
mod noun;
mod on_call;
mod openapi;
mod outcome;
mod output;
mod overrides;
mod page;
mod policy;
mod qr;
mod reply;
mod request;
mod restore;
mod room;
mod rules;
mod schedule;
mod serve;
mod service;
mod team;
mod telemetry;
mod time;
mod user;
mod verify;
mod words;

use std::ffi::OsString;

use clap::{Parser, Subcommand};

pub use outcome::{Failure, NotRun, Outcome};
pub use output::Out;

/// Pages and approvals on the phone: push, passkeys and grants for ChatOps, in one binary.
#[derive(Debug, Parser)]
#[command(name = "phoneops", version, arg_required_else_help = true, max_term_width = 110, after_help = outcome::EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Demo(demo::Demo),
    User(user::Command),
    Bot(bot::Command),
    Team(team::Command),
    #[command(name = "chat-command")]
    ChatLine(chat_command::Command),
    ChatIdentity(chat_identity::Command),
    Room(room::Command),
    Policy(policy::Command),
    Freeze(freeze::Command),
    Enroll(enroll::Enroll),
    Device(device::Command),
    Admin(admin::Command),
    Login(login::Login),
    Logout(login::Logout),
    Whoami(login::Whoami),
    Request(request::Request),
    Exec(exec::Exec),
    BreakGlass(break_glass::BreakGlass),
    Page(page::Page),
    Incident(incident::Command),
    Ack(incident::Ack),
    Service(service::Command),
    EscalationPolicy(escalation_policy::Command),
    Deliveries(deliveries::Deliveries),
    OnCall(on_call::OnCall),
    Schedule(schedule::Command),
    Override(overrides::Command),
    Calendar(calendar::Command),
    Rules(rules::Command),
    Maintenance(maintenance::Command),
    Apply(apply::Apply),
    Export(apply::Export),
    Events(events::Events),
    Journal(journal::Command),
    Keys(keys::Command),
    Verify(verify::Verify),
    Healthcheck(healthcheck::Healthcheck),
    Doctor(doctor::Doctor),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Openapi(openapi::Openapi),
    Completions(completions::Completions),
}

/// Parses `arguments` (the first is the program's own name), does what they say, and tells stderr why not.
pub async fn run(arguments: impl IntoIterator<Item = OsString>) -> Outcome {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let outcome = refused(&error);
            // The codes of `exec` are apart from those that its command may have.
            let exec = arguments.get(1).is_some_and(|name| name == "exec");
            return if exec && outcome == Outcome::Usage { Outcome::NotRun(NotRun::Usage) } else { outcome };
        }
    };
    let mut out = Out::system();
    let outcome = perform(cli.command, &mut out).await.unwrap_or_else(|failure| {
        out.note(format!("phoneops: {failure}"));
        failure.outcome()
    });
    match out.lost() {
        // What was asked for has not reached whoever asked.
        Some(error) => {
            out.note(format!("phoneops: the output could not be written: {error}"));
            Outcome::Failed
        }
        None => outcome,
    }
}

/// Help and the version are asked for; anything else is a mistake in the arguments.
fn refused(error: &clap::Error) -> Outcome {
    // Nobody may be there to read it; the exit code says it too.
    let _ = error.print();
    if error.use_stderr() { Outcome::Usage } else { Outcome::Done }
}

async fn perform(command: Command, out: &mut Out) -> Result<Outcome, Failure> {
    match command {
        Command::Serve(serve) => serve.run(out).await,
        Command::Demo(demo) => demo.run().await,
        Command::User(user) => user.run(out).await,
        Command::Bot(bot) => bot.run(out).await,
        Command::Team(team) => team.run(out).await,
        Command::ChatLine(command) => command.run(out).await,
        Command::ChatIdentity(identity) => identity.run(out).await,
        Command::Room(room) => room.run(out).await,
        Command::Policy(policy) => policy.run(out).await,
        Command::Freeze(freeze) => freeze.run(out).await,
        Command::Enroll(enroll) => enroll.run(out).await,
        Command::Device(device) => device.run(out).await,
        Command::Admin(admin) => admin.run(out).await,
        Command::Login(login) => login.run(out).await,
        Command::Logout(logout) => logout.run(out).await,
        Command::Whoami(whoami) => whoami.run(out).await,
        Command::Request(request) => request.run(out).await,
        Command::BreakGlass(broken) => broken.run(out).await,
        Command::Exec(exec) => Ok(exec.run(out).await),
        Command::Page(page) => page.run(out).await,
        Command::Incident(incident) => incident.run(out).await,
        Command::Ack(ack) => ack.run(out).await,
        Command::Service(service) => service.run(out).await,
        Command::EscalationPolicy(policy) => policy.run(out).await,
        Command::Deliveries(deliveries) => deliveries.run(out).await,
        Command::OnCall(on_call) => on_call.run(out).await,
        Command::Schedule(schedule) => schedule.run(out).await,
        Command::Rules(rules) => rules.run(out).await,
        Command::Override(over) => over.run(out).await,
        Command::Calendar(calendar) => calendar.run(out).await,
        Command::Maintenance(maintenance) => maintenance.run(out).await,
        Command::Apply(apply) => apply.run(out).await,
        Command::Export(export) => export.run(out).await,
        Command::Events(events) => events.run(out).await,
        Command::Journal(journal) => journal.run(out).await,
        Command::Keys(keys) => keys.run(out).await,
        Command::Verify(verify) => verify.run(out),
        Command::Healthcheck(healthcheck) => healthcheck.run().await,
        Command::Doctor(doctor) => doctor.run(out).await,
        Command::Backup(backup) => backup.run(out).await,
        Command::Restore(restore) => restore.run(out).await,
        Command::Openapi(openapi) => openapi.run(out),
        Command::Completions(completions) => Ok(completions.run(out)),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        fn walk(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let mut commands = command.get_subcommands().peekable();
            if commands.peek().is_none() {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("Example:\n  "), "{path} has no example");
                assert!(help.contains(path.trim()), "the example of{path} shows another command: {help}");
            }
            commands.for_each(|command| walk(command, &path));
        }
        walk(&Cli::command(), "");
    }

    #[test]
    fn what_is_asked_for_is_no_mistake_and_what_is_mistaken_is_said_so() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' ')).unwrap_err();
        assert!(!parse("phoneops --version").use_stderr());
        assert!(!parse("phoneops request --help").use_stderr());
        assert!(parse("phoneops request deploy").use_stderr());
        assert!(parse("phoneops serf").use_stderr());
    }
}
