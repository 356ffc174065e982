//! `phoneops request`: ask a person's phone whether something may be done.
//!
//! **Invariants**
//! - Exit code 0 means that the server said `approved`; whatever is not that, or not known, is another.
//! - An interrupted request is cancelled before the process ends, so that nobody approves what nobody waits for.

pub(super) mod params;
pub(super) mod wait;
pub(super) mod words;

use clap::Args;
use serde_json::{Value, json};

use super::connect::At;
use super::interrupt::Interrupt;
use super::reply::read;
use super::{Failure, Out, Outcome};
use crate::approvals::{Action, Params};
use crate::identity::Who;
use wait::{Asked, Ended, Waiting};
use words::{Approval, State};

const EXAMPLE: &str = "Example:\n  phoneops request deploy production --for @yannick --param app=api --param ref=new_auth --wait";

/// Ask a person's phone whether something may be done
///
/// As the bot whose token is in `PHONEOPS_TOKEN` or in the file that `PHONEOPS_TOKEN_FILE` names. Exits with 0 when approved, 3 denied, 4 not
/// authorised, 5 expired, 6 cancelled, 8 still pending (always without --wait). Ctrl-C cancels the request and exits with 130.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Request {
    #[command(flatten)]
    at: At,
    /// What is to be done: deploy, merge, rotate-keys
    action: String,
    /// What it is done to: production
    target: String,
    /// Who wants it: @handle, usr_… or platform:workspace:user as chat knows them
    #[arg(long = "for", value_name = "PERSON")]
    requester: Who,
    /// A detail that is a text; can be given more than once
    #[arg(long = "param", value_name = "NAME=TEXT")]
    params: Vec<String>,
    /// A detail that is any JSON without fractions; can be given more than once
    #[arg(long = "param-json", value_name = "NAME=JSON")]
    json_params: Vec<String>,
    /// Why, in the requester's own words
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Seconds it may be answered at most [default: what the policy says, or 300]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(10..=3600))]
    expires_in: Option<u32>,
    /// Wait until it is decided
    #[arg(long)]
    wait: bool,
    /// Print the grant and nothing else to stdout, once approved
    #[arg(long, requires = "wait", conflicts_with = "json")]
    print_grant: bool,
    /// Print JSON: the approval as it then is, without its grant
    #[arg(long)]
    json: bool,
}

impl Request {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let ask = self.ask()?;
        let client = self.at.bot()?;
        let mut waiting = Waiting::new(client, Interrupt::watch()?);
        let reply = match waiting.ask(&ask).await? {
            Asked::Taken(body) => body,
            Asked::Interrupted(how) => {
                out.note(how);
                return Ok(Outcome::Interrupted);
            }
        };
        let asked: Approval = read(&reply)?;
        if !self.wait || asked.state != State::Pending {
            return self.tell(&reply, out);
        }
        if !self.json {
            self.say(out, asked.waits());
            self.show_code(&asked, out);
        }
        match waiting.until_decided(&asked, out).await? {
            Ended::Decided(body) => self.tell(&body, out),
            Ended::Interrupted(how) => {
                out.note(how);
                Ok(Outcome::Interrupted)
            }
        }
    }

    /// The request's body; what the server would refuse in an action is refused here already.
    fn ask(&self) -> Result<Value, Failure> {
        let params = params::collect(&self.params, &self.json_params).map_err(Failure::Usage)?;
        let action = action(&self.action, &self.target, &params)?;
        let mut ask = json!({"action": action, "requester": self.requester});
        if let Some(seconds) = self.expires_in {
            ask["expires_in"] = json!(seconds);
        }
        if let Some(reason) = &self.reason {
            ask["reason"] = json!(reason);
        }
        Ok(ask)
    }

    /// The code for whoever approves, where one serves: the requester is who sees this.
    fn show_code(&self, approval: &Approval, out: &mut Out) {
        if let Some(code) = &approval.code {
            self.say(out, format!("Code {}: whoever approves types it on their phone", code.expose()));
        }
    }

    /// A sentence, out of the way of the grant.
    fn say(&self, out: &mut Out, sentence: String) {
        if self.print_grant { out.note(sentence) } else { out.line(sentence) }
    }

    /// How it stands, and the outcome that follows.
    fn tell(&self, body: &Value, out: &mut Out) -> Result<Outcome, Failure> {
        let approval: Approval = read(body)?;
        let outcome = approval.outcome();
        if self.json {
            let mut shown = body.clone();
            shown.as_object_mut().map(|members| members.remove("grant"));
            out.json(&shown);
            return Ok(outcome);
        }
        self.say(out, approval.sentence());
        self.show_code(&approval, out);
        if self.print_grant && outcome == Outcome::Done {
            let gone = || Failure::Other("the grant is not to be had any more: it was redeemed, or its time is over".into());
            out.line(approval.grant.ok_or_else(gone)?.expose());
        }
        Ok(outcome)
    }
}

/// An action that the server would not refuse.
pub(super) fn action(kind: &str, target: &str, params: &Params) -> Result<Action, Failure> {
    let action = json!({"type": kind, "target": target, "params": params});
    serde_path_to_error::deserialize(&action).map_err(|error| Failure::Usage(format!("{}: {}", error.path(), error.inner())))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        request: Request,
    }

    fn ask(line: &str) -> Result<Value, String> {
        let words = ["request", "deploy", "production", "--for", "@yannick"].into_iter().chain(line.split_whitespace());
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        line.request.ask().map_err(|failure| {
            assert_eq!(failure.outcome(), Outcome::Usage);
            failure.to_string()
        })
    }

    #[test]
    fn arguments_become_the_request() {
        let asked = ask("--param ref=new_auth --param-json count=3 --reason soon --expires-in 60").unwrap();
        let action = json!({"type": "deploy", "target": "production", "params": {"ref": "new_auth", "count": 3}});
        assert_eq!(asked, json!({"action": action, "requester": "@yannick", "reason": "soon", "expires_in": 60}));
        assert!(ask("").unwrap()["expires_in"].is_null(), "the policy says how long");
    }

    #[test]
    fn what_the_server_would_refuse_is_refused_by_name() {
        let refused = |line: &str| ask(line).unwrap_err();
        assert!(refused("--expires-in 9").contains("10..=3600"));
        assert!(refused("--print-grant").contains("--wait"));
        assert!(refused("--wait --print-grant --json").contains("cannot be used with"));
        assert!(refused("--param ref").contains("--param ref: expected NAME=TEXT"));
        assert!(refused("--param-json share=0.5").contains("--param-json share=0.5: numbers must be integers"));
        assert!(refused("--param ref=a\u{202e}b").contains("U+202E"));
        assert!(refused("--param ref=a --param-json ref=1").contains("duplicate name `ref`"));
    }
}
