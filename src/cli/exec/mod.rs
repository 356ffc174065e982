//! `phoneops exec`: run a command once a person has approved it.
//!
//! **Invariants**
//! - The command runs after the server has said that this grant was redeemed for this action, and in no other case: an error, an
//!   unclear answer, a grant that is over or a signal that came meanwhile all mean that it does not run.
//! - stdout is the command's alone; what is said here is on stderr.
//! - The command does not get the bot's token.

mod child;
mod program;
mod signals;

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use self::child::Ended as Exit;
use self::signals::Passing;
use super::connect::At;
use super::interrupt::Interrupt;
use super::reply::read;
use super::request::wait::{Asked, Ended, Waiting};
use super::request::words::{Approval, State};
use super::request::{action, params};
use super::{Failure, NotRun, Out, Outcome};
use crate::approvals::{Action, Param};
use crate::client::{self, Client};
use crate::identity::Who;

const HELP: &str = "\
Exit codes: the command's own (128 and the signal's number when a signal ended it). When it was not run:
  120  denied
  121  nobody answered in time
  122  the request was withdrawn
  123  approved, but the grant is over, used, revoked or not for this
  124  the server does not take the request: not authorised, no such person, no passkey
  125  in doubt: the server was not reached, or its answer is unclear
  126  approved, but the command could not be started
  127  the arguments make no sense, or there is no such command; nobody was asked
  130  interrupted while waiting; the request is cancelled
A command that itself ends with one of these is told apart by stderr: `phoneops: not run: …`.

Example:
  phoneops exec --action deploy --target production --param app=api --requester @yannick -- ./deploy api";

/// How often, and how far apart, telling the outcome is tried.
const REPORTS: u32 = 3;
const REPORT_PAUSE: Duration = Duration::from_secs(1);
const REPORT_LIMIT: Duration = Duration::from_secs(5);

/// Run a command once a person has approved it on their phone
///
/// Asks, waits, redeems the grant, runs the command, and tells those who approved what became of it. As the bot whose token is in
/// `PHONEOPS_TOKEN` or in the file that `PHONEOPS_TOKEN_FILE` names; the command does not get it. Signals are passed on to the command;
/// while nobody has answered they cancel the request. When in doubt, the command is not run.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Exec {
    #[command(flatten)]
    at: At,
    /// What is to be done: deploy, merge, rotate-keys
    #[arg(long, value_name = "TYPE")]
    action: String,
    /// What it is done to: production
    #[arg(long, value_name = "TARGET")]
    target: String,
    /// A detail that is a text; can be given more than once
    #[arg(long = "param", value_name = "NAME=TEXT")]
    params: Vec<String>,
    /// A detail that is any JSON without fractions; can be given more than once
    #[arg(long = "param-json", value_name = "NAME=JSON")]
    json_params: Vec<String>,
    /// Make the command line a detail of the action, named command: it is shown on the phone and signed
    #[arg(long)]
    sign_command: bool,
    /// Who wants it: @handle, usr_… or platform:workspace:user as chat knows them
    #[arg(long, env = "PHONEOPS_REQUESTER", hide_env_values = true, value_name = "PERSON")]
    requester: Who,
    /// Why, in the requester's own words
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Seconds it may be answered, when that is to be less than the policy says
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(10..=3600))]
    expires_in: Option<u32>,
    /// What to run, after --
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Why it did not run, and what to say about it.
struct Stopped(Outcome, String);

impl Stopped {
    fn because(why: NotRun, what: impl std::fmt::Display) -> Self {
        Self(Outcome::NotRun(why), what.to_string())
    }

    /// What a failure means before anything was approved.
    fn asking(failure: &Failure) -> Self {
        let why = match failure {
            Failure::Usage(_) | Failure::File { .. } => NotRun::Usage,
            Failure::Client(client::Error::Refused(refusal)) if is_final(refusal.status) => NotRun::Refused,
            _ => NotRun::InDoubt,
        };
        Self::because(why, failure)
    }

    /// What a failure means when the grant was to be redeemed.
    fn redeeming(failure: &Failure) -> Self {
        match failure {
            Failure::Client(client::Error::Refused(refusal)) if is_final(refusal.status) => {
                Self::because(NotRun::NoGrant, failure)
            }
            _ => Self::because(NotRun::InDoubt, format_args!("{failure}; the grant may have been used up")),
        }
    }
}

/// Whether the server has decided: it is not merely away or busy.
fn is_final(status: u16) -> bool {
    (400..500).contains(&status) && !matches!(status, 408 | 429)
}

impl Exec {
    pub(super) async fn run(self, out: &mut Out) -> Outcome {
        match self.approved(out).await {
            Ok(outcome) => outcome,
            Err(Stopped(outcome, why)) => {
                out.note(format_args!("phoneops: not run: {why}"));
                outcome
            }
        }
    }

    async fn approved(self, out: &mut Out) -> Result<Outcome, Stopped> {
        let usage = |failure: Failure| Stopped::asking(&failure);
        let action = self.action().map_err(usage)?;
        let program = program::find(&self.command[0]).map_err(|why| Stopped::because(NotRun::Usage, why))?;
        let client = self.at.bot().map_err(usage)?;
        let mut passing = Passing::watch().map_err(|error| usage(Failure::Signals(error)))?;
        let mut waiting = Waiting::new(client.clone(), Interrupt::watch().map_err(usage)?);
        let approval = wait(&mut waiting, &self.ask(&action), out).await?;
        let grant = redeem(&client, &approval, &action).await?;
        if passing.asked_to_end() {
            let why = "interrupted before the command was started";
            report(&client, &grant, &json!({"outcome": "failed", "detail": why}), out).await;
            return Err(Stopped(Outcome::Interrupted, why.into()));
        }
        let ended = child::run(&program, &self.command, &approval.id, &mut passing).await;
        report(&client, &grant, &told(&ended), out).await;
        match ended {
            Exit::Code(code) => Ok(Outcome::Ran(code)),
            Exit::NotStarted(error) => Err(Stopped::because(NotRun::NotStarted, format_args!("{}: {error}", program.display()))),
            Exit::Lost(error) => {
                out.note(format_args!("phoneops: how the command ended is not known: {error}"));
                Ok(Outcome::Failed)
            }
        }
    }

    fn action(&self) -> Result<Action, Failure> {
        let mut params = params::collect(&self.params, &self.json_params).map_err(Failure::Usage)?;
        if self.sign_command {
            let text = |word: &OsString| word.to_str().map(|word| Param::Text(word.to_owned()));
            let words: Option<Vec<_>> = self.command.iter().map(text).collect();
            let words = words.ok_or_else(|| Failure::Usage("--sign-command: the command line is not UTF-8".into()))?;
            if params.0.insert("command".into(), Param::List(words)).is_some() {
                return Err(Failure::Usage("--sign-command: there is a --param command already".into()));
            }
        }
        action(&self.action, &self.target, &params)
    }

    fn ask(&self, action: &Action) -> Value {
        let mut ask = json!({"action": action, "requester": self.requester});
        if let Some(seconds) = self.expires_in {
            ask["expires_in"] = json!(seconds);
        }
        if let Some(reason) = &self.reason {
            ask["reason"] = json!(reason);
        }
        ask
    }
}

/// Asks and waits; gives the approval once it is approved.
async fn wait(waiting: &mut Waiting, ask: &Value, out: &mut Out) -> Result<Approval, Stopped> {
    let failed = |failure: Failure| Stopped::asking(&failure);
    let interrupted = |how| Stopped(Outcome::Interrupted, how);
    let body = match waiting.ask(ask).await.map_err(failed)? {
        Asked::Taken(body) => body,
        Asked::Interrupted(how) => return Err(interrupted(how)),
    };
    let asked: Approval = read(&body).map_err(failed)?;
    if asked.state != State::Pending {
        return decided(asked);
    }
    out.note(asked.waits());
    match waiting.until_decided(&asked, out).await.map_err(failed)? {
        Ended::Decided(body) => {
            let approval: Approval = read(&body).map_err(failed)?;
            if approval.id != asked.id {
                return Err(Stopped::because(NotRun::InDoubt, "the server answered for another request"));
            }
            out.note(approval.sentence());
            decided(approval)
        }
        Ended::Interrupted(how) => Err(interrupted(how)),
    }
}

fn decided(approval: Approval) -> Result<Approval, Stopped> {
    let why = match approval.state {
        State::Approved => return Ok(approval),
        State::Denied => NotRun::Denied,
        State::Expired => NotRun::Expired,
        State::Cancelled => NotRun::Cancelled,
        State::Pending => NotRun::InDoubt,
    };
    Err(Stopped::because(why, approval.sentence()))
}

/// Uses the grant up, once and without a second try; the grant's id.
async fn redeem(client: &Client, approval: &Approval, action: &Action) -> Result<String, Stopped> {
    let Some(grant) = &approval.grant else {
        return Err(Stopped::because(
            NotRun::NoGrant,
            "the grant is not to be had any more: it was redeemed, or its time is over",
        ));
    };
    let body = json!({"grant": grant.expose(), "action": action});
    let reply = client.post("/v1/grants/redeem", &body).await.map_err(|error| Stopped::redeeming(&error.into()))?;
    let same = reply.status == 200 && reply.body["approval"] == json!(approval.id);
    let id = reply.body["grant"].as_str().filter(|id| same && id.starts_with("grt_"));
    id.map(str::to_owned).ok_or_else(|| Stopped::because(NotRun::InDoubt, "the server's answer about the grant is unclear"))
}

/// The outcome, as the server takes it.
fn told(ended: &Exit) -> Value {
    match ended {
        Exit::Code(0) => json!({"outcome": "succeeded"}),
        Exit::Code(code) if *code > 128 => {
            json!({"outcome": "failed", "detail": format!("exit code {code}: signal {}", code - 128)})
        }
        Exit::Code(code) => json!({"outcome": "failed", "detail": format!("exit code {code}")}),
        Exit::NotStarted(_) => json!({"outcome": "failed", "detail": "the command could not be started"}),
        Exit::Lost(_) => json!({"outcome": "failed", "detail": "how the command ended is not known"}),
    }
}

/// Tells those who approved what became of it. That it could not be told changes nothing about what was done.
async fn report(client: &Client, grant: &str, outcome: &Value, out: &mut Out) {
    let path = format!("/v1/grants/{grant}/outcome");
    let mut why = "the server does not answer".to_owned();
    for again in 1..=REPORTS {
        match tokio::time::timeout(REPORT_LIMIT, client.post_once(&path, grant, outcome)).await {
            Ok(Ok(_)) => return,
            Ok(Err(client::Error::Refused(refusal))) if is_final(refusal.status) => {
                why = refusal.detail;
                break;
            }
            Ok(Err(error)) => why = Failure::from(error).to_string(),
            Err(_) => {}
        }
        if again < REPORTS {
            tokio::time::sleep(REPORT_PAUSE).await;
        }
    }
    out.note(format_args!("phoneops: the outcome could not be told: {why}"));
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        exec: Exec,
    }

    fn asked(line: &str) -> Result<Value, String> {
        let words = ["exec", "--action", "deploy", "--target", "production", "--requester", "@yannick"];
        let line = Line::try_parse_from(words.into_iter().chain(line.split_whitespace())).map_err(|error| error.to_string())?;
        let action = line.exec.action().map_err(|failure| failure.to_string())?;
        Ok(line.exec.ask(&action))
    }

    #[test]
    fn arguments_become_the_request_and_the_command_stays_apart() {
        let plain = asked("--param ref=a --reason soon -- ./deploy --param x=y").unwrap();
        let action = json!({"type": "deploy", "target": "production", "params": {"ref": "a"}});
        assert_eq!(plain, json!({"action": action, "requester": "@yannick", "reason": "soon"}), "the policy says how long");
        let signed = asked("--sign-command -- ./deploy api").unwrap();
        assert_eq!(signed["action"]["params"], json!({"command": ["./deploy", "api"]}));
        assert!(asked("--sign-command --param command=x -- ./deploy").unwrap_err().contains("already"));
        assert!(asked("").unwrap_err().contains("COMMAND"));
    }

    #[test]
    fn only_a_clear_no_is_not_doubt() {
        let refused = |status| {
            let refusal =
                client::Refusal { status, code: String::new(), detail: "no".into(), retry_after: None, body: Value::Null };
            Failure::from(client::Error::Refused(Box::new(refusal)))
        };
        let asking = |failure: &Failure| Stopped::asking(failure).0.code();
        let redeeming = |failure: &Failure| Stopped::redeeming(failure).0.code();
        assert_eq!([400, 401, 403, 404, 409].map(|status| asking(&refused(status))), [124; 5]);
        assert_eq!([408, 429, 500, 503].map(|status| asking(&refused(status))), [125; 4]);
        assert_eq!([403, 409].map(|status| redeeming(&refused(status))), [123; 2]);
        assert_eq!([408, 500, 503].map(|status| redeeming(&refused(status))), [125; 3]);
        let page = Failure::from(client::Error::NotPhoneOps { base: String::new(), status: 200 });
        assert_eq!((asking(&page), redeeming(&page)), (125, 125));
        assert_eq!(asking(&Failure::Usage(String::new())), 127);
    }
}
