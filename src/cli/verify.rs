//! `phoneops verify`: check a receipt without the server.
//!
//! **Invariants**
//! - Exit code 0 means: an issuer key of the trust root vouches for it, everything in it holds, and people approved the action; with
//!   `--allow-break-glass`, or that it was opened by break-glass.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::{Failure, Out, Outcome};
use crate::approvals::receipt::Ended;
use crate::approvals::receipt::verify::{Check, Fault, MAX_BYTES, TrustRoot, Verified, verify};
use crate::text::line;

const EXAMPLE: &str = "Example:\n  phoneops verify receipt.json --issuer-keys jwks.json";

/// Check a receipt offline: who approved exactly what, and with which key
///
/// Names the first thing that is wrong. The trust root is a copy of the installation's /.well-known/jwks.json; without one the answer is
/// "unauthenticated". Exits with 0 when the receipt holds and the action was approved, 1 when something is wrong, 3 when it holds and the
/// action was denied, 4 unauthenticated, 5 expired, 6 cancelled, 7 when it holds and nobody approved: it was opened by break-glass.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Verify {
    /// The receipt, as /v1/approvals/{id}/receipt gave it; - reads stdin
    #[arg(value_name = "FILE")]
    receipt: PathBuf,
    /// The keys to believe: a JWK set
    #[arg(long, value_name = "FILE")]
    issuer_keys: Option<PathBuf>,
    /// The installation it has to be of, like `https://phoneops.example`
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// Take what was opened by break-glass for approved
    #[arg(long)]
    allow_break_glass: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let root = self.issuer_keys.as_deref().map(trust_root).transpose()?;
        let bytes = read(&self.receipt)?;
        let issuer = self.issuer.as_deref().map(|issuer| issuer.trim_end_matches('/'));
        let verified = verify(&bytes, root.as_ref(), issuer);
        if self.json {
            out.json(&told(&verified));
        } else {
            out.lines(sentences(&verified));
        }
        Ok(outcome(&verified, self.allow_break_glass))
    }
}

fn trust_root(path: &Path) -> Result<TrustRoot, Failure> {
    TrustRoot::parse(&read(path)?).map_err(|why| Failure::Usage(format!("{}: {why}", path.display())))
}

/// The file's bytes, or as many as show that it is too large.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|source| Failure::File { path: path.to_owned(), source })?;
    Ok(bytes)
}

fn outcome(verified: &Result<Verified, Fault>, allow_break_glass: bool) -> Outcome {
    match verified {
        Ok(Verified { break_glass: true, .. }) if !allow_break_glass => Outcome::BreakGlass,
        Ok(Verified { state: Ended::Approved, .. }) => Outcome::Done,
        Ok(Verified { state: Ended::Denied, .. }) => Outcome::Denied,
        Ok(Verified { state: Ended::Expired, .. }) => Outcome::Expired,
        Ok(Verified { state: Ended::Cancelled, .. }) => Outcome::Cancelled,
        Err(fault) if fault.check == Check::Unauthenticated => Outcome::NotAuthorised,
        Err(_) => Outcome::Failed,
    }
}

fn told(verified: &Result<Verified, Fault>) -> Value {
    match verified {
        Ok(verified) => {
            let approval = &verified.receipt["approval"];
            let mut told =
                json!({"result": "valid", "state": verified.state, "approval": approval["id"], "action": approval["action"]});
            if verified.break_glass {
                told["break_glass"] = json!(true);
            }
            told
        }
        Err(fault) => {
            let result = if fault.check == Check::Unauthenticated { "unauthenticated" } else { "invalid" };
            json!({"result": result, "check": fault.check.code(), "detail": fault.detail})
        }
    }
}

fn sentences(verified: &Result<Verified, Fault>) -> Vec<String> {
    let receipt = match verified {
        Ok(verified) => &verified.receipt,
        Err(fault) if fault.check == Check::Unauthenticated => return vec![fault.to_string()],
        Err(fault) => return vec![format!("The receipt does not hold: {}", line(&fault.to_string(), 400))],
    };
    let text = |value: &Value| line(value.as_str().unwrap_or_default(), 400);
    let approval = &receipt["approval"];
    let mut lines = vec![
        format!("The receipt of {} by {} holds: {}", text(&approval["id"]), text(&receipt["issuer"]), text(&approval["state"])),
        format!("  {}", text(&approval["display"]["title"])),
    ];
    let rows = approval["display"]["rows"].as_array().map_or(&[][..], Vec::as_slice);
    lines.extend(rows.iter().map(|row| format!("    {}: {}", text(&row["label"]), text(&row["value"]))));
    let (asker, bot) = (text(&approval["display"]["requester"]), text(&approval["display"]["bot"]));
    lines.push(format!("  asked for {asker} through {bot}, {}", text(&approval["created_at"])));
    let answers = receipt["answers"].as_array().map_or(&[][..], Vec::as_slice);
    lines.extend(answers.iter().map(|answer| {
        let (who, how) = (named(receipt, &answer["approver"]), text(&answer["factor"]));
        format!("  {} by {who} with {how}, {}", text(&answer["verdict"]), text(&answer["answered_at"]))
    }));
    if let Some(reason) = receipt["break_glass"]["reason"].as_str() {
        let (at, how) =
            (text(&receipt["break_glass"]["at"]), if approval["state"] == "approved" { ", and nobody approved" } else { "" });
        lines.push(format!("  BREAK-GLASS by the operator{how}, {at}: {}", line(reason, 500)));
    }
    if let Some(jkt) = receipt["grant"]["cnf"]["jkt"].as_str() {
        lines.push(format!("  the grant was bound to the key {}", line(jkt, 60)));
    }
    if let Some(at) = receipt["redemption"]["at"].as_str() {
        lines.push(format!("  redeemed, {}", line(at, 40)));
    }
    if let Some(outcome) = receipt["outcome"]["outcome"].as_str() {
        lines.push(format!("  {}, {}", line(outcome, 40), text(&receipt["outcome"]["at"])));
    }
    lines
}

/// `Yannick Schutz (@yannick)`, as far as the receipt names them.
fn named(receipt: &Value, id: &Value) -> String {
    let people = receipt["people"].as_array().map_or(&[][..], Vec::as_slice);
    let name = |person: &Value| Some(format!("{} (@{})", person["name"].as_str()?, person["handle"].as_str()?));
    let known = people.iter().find(|person| person["id"] == *id).and_then(name);
    line(known.as_deref().or(id.as_str()).unwrap_or_default(), 200)
}
