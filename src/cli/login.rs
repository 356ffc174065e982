//! `phoneops login`, `logout` and `whoami`: the command line as a device of a person.

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::connect::At;
use super::interrupt::Interrupt;
use super::noun::tell;
use super::reply::{Person, read};
use super::words::span;
use super::{Failure, Out, Outcome};
use crate::client::{self, Client, DeviceKey, Login as Kept};
use crate::clock::{Clock, Timestamp};
use crate::identity::UserRef;
use crate::identity::code::EnrollmentCode;
use crate::text::line;

/// How often it is looked whether somebody confirmed.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Sign in as a person: this command line becomes a device of theirs, which they confirm on their phone
///
/// Prints six digits; whoever types them on a phone of this person makes it theirs. From then on commands that administer, page and read
/// are given as this person, wherever neither PHONEOPS_TOKEN nor a server's socket says otherwise. It does not approve: its key is a file.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  phoneops login @yannick --server https://phoneops.example\n  phoneops login --code < code.txt"
)]
pub(super) struct Login {
    #[command(flatten)]
    at: At,
    /// As whom: @handle or usr_…
    #[arg(value_name = "@HANDLE", required_unless_present = "code", conflicts_with = "code")]
    user: Option<UserRef>,
    /// Read an enrolment code from standard input, instead of asking the person
    #[arg(long)]
    code: bool,
    /// What this device is called [default: the name of this machine]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// Sign out: this command line is a device of nobody any more
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  phoneops logout")]
pub(super) struct Logout {}

/// Show who this command line is signed in as
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  phoneops whoami")]
pub(super) struct Whoami {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A device, as `/v1/logins` and `/v1/enrollments/claim` answer it.
#[derive(Deserialize)]
struct Claimed {
    device: Device,
    issuer: String,
}

#[derive(Deserialize)]
struct Device {
    id: String,
    #[serde(rename = "match")]
    match_number: Option<String>,
    expires_at: Option<Timestamp>,
}

/// `/v1/me`, as far as it is shown.
#[derive(Deserialize)]
struct Me {
    user: Person,
    device: Named,
    issuer: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// Where the login is kept: `PHONEOPS_LOGIN_FILE`, or `phoneops/login.json` where configuration goes (XDG Base Directory).
fn file() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = || set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    set("PHONEOPS_LOGIN_FILE").or_else(|| Some(folder()?.join("phoneops").join("login.json")))
}

fn nowhere() -> Failure {
    Failure::Usage("nowhere to keep a login: set PHONEOPS_LOGIN_FILE or HOME".into())
}

/// The login of this command line, where there is one.
pub(super) fn kept() -> Result<Option<Kept>, Failure> {
    let Some(path) = file() else { return Ok(None) };
    match std::fs::read(&path) {
        Ok(bytes) => {
            let unreadable = |_| Failure::Usage(format!("{}: not a login: remove it and sign in anew", path.display()));
            serde_json::from_slice(&bytes).map(Some).map_err(unreadable)
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(Failure::File { path, source }),
    }
}

/// A client as the person who is signed in here.
pub(super) fn client(login: &Kept) -> Result<Client, Failure> {
    let key = login.key().ok_or_else(|| Failure::Usage("the login's key is not one: sign in anew".into()))?;
    Ok(Client::device(&login.issuer, &login.device, key)?)
}

/// Writes what whoever reads it can act with.
fn keep(path: &Path, login: &Kept) -> Result<(), Failure> {
    let failed = |source| Failure::File { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    }
    let text = zeroize::Zeroizing::new(serde_json::to_vec(login).map_err(|error| failed(error.into()))?);
    // Beside it and then in its place, so that a file which was readable by others never holds it.
    let new = path.with_extension("new");
    let removed = std::fs::remove_file(&new);
    if let Err(error) = removed
        && error.kind() != ErrorKind::NotFound
    {
        return Err(failed(error));
    }
    let opened = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&new);
    let written = opened.and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()));
    written.and_then(|()| std::fs::rename(&new, path)).map_err(failed)
}

impl Login {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let path = file().ok_or_else(nowhere)?;
        if let Some(kept) = kept()? {
            return Err(Failure::Usage(format!(
                "signed in as {} at {} already: `phoneops logout` first",
                kept.user, kept.issuer
            )));
        }
        let mut interrupt = Interrupt::watch()?;
        let key = DeviceKey::generate();
        let claimed = self.claim(&key).await?;
        let login = Kept::new(claimed.issuer.clone(), claimed.device.id.clone(), String::new(), &key);
        let client = client(&login)?;
        if let (Some(number), Some(until)) = (&claimed.device.match_number, claimed.device.expires_at) {
            let (first, last) = number.split_at_checked(3).unwrap_or((number, ""));
            out.line(format_args!("Type {} {} on your phone to confirm that this is you", line(first, 3), line(last, 3)));
            let waited = tokio::select! {
                waited = confirmed(&client, until, out) => waited?,
                () = interrupt.signalled() => Outcome::Interrupted,
            };
            if waited != Outcome::Done {
                return Ok(waited);
            }
        }
        let me: Me = read(&client.get("/v1/me").await?.body)?;
        keep(&path, &Kept::new(claimed.issuer, claimed.device.id, format!("@{}", me.user.handle), &key))?;
        out.line(format_args!("Signed in as {} (@{}) at {}", line(&me.user.name, 80), me.user.handle, me.issuer));
        Ok(Outcome::Done)
    }

    /// Asks the server; nobody is signed in yet.
    async fn claim(&self, key: &DeviceKey) -> Result<Claimed, Failure> {
        let anonymous = self.at.anonymous()?;
        let issuer = anonymous.base().to_owned();
        let name = self.name.clone().or_else(machine).unwrap_or_else(|| "A command line".to_owned());
        let device = json!({"name": name, "platform": "cli"});
        let (path, body) = if let Some(user) = &self.user {
            let proof = key.login_proof(&issuer, &user.to_string(), &device);
            ("/v1/logins", json!({"user": user, "device": device, "device_key": key.jwk(), "proof": proof}))
        } else {
            let code = typed()?;
            let proof = key.enrolment_proof(&issuer, &code, &device);
            ("/v1/enrollments/claim", json!({"code": code, "device": device, "device_key": key.jwk(), "proof": proof}))
        };
        let claimed: Claimed = read(&anonymous.post(path, &body).await?.body)?;
        if claimed.issuer != issuer {
            let other = line(&claimed.issuer, 200);
            return Err(Failure::Usage(format!("the server is {other}: sign in there, with `--server {other}`")));
        }
        Ok(claimed)
    }
}

/// The code on standard input, as a proof names it.
fn typed() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin().read_line(&mut text).map_err(|source| Failure::File { path: "standard input".into(), source })?;
    let code = EnrollmentCode::parse(text.trim()).map_err(|error| Failure::Usage(format!("standard input: {error}")))?;
    Ok(code.expose_grouped().replace('-', ""))
}

/// What this machine is called.
fn machine() -> Option<String> {
    let name = rustix::system::uname();
    let name = line(name.nodename().to_str().ok()?, 80);
    (!name.is_empty()).then_some(name)
}

/// Waits until the person has decided.
async fn confirmed(client: &Client, until: Timestamp, out: &mut Out) -> Result<Outcome, Failure> {
    loop {
        let left = Clock::system().now().until(until);
        match client.get("/v1/me").await {
            Ok(_) => {
                out.clear_progress();
                return Ok(Outcome::Done);
            }
            Err(client::Error::Refused(refusal)) if refusal.code == "device_waiting" => {
                out.progress(format_args!("Waiting for your phone: {} left", span(left)));
            }
            Err(client::Error::Refused(refusal)) if refusal.code == "invalid_grant" => {
                out.clear_progress();
                let (why, outcome) =
                    if left.is_zero() { ("nobody confirmed in time", Outcome::Expired) } else { ("rejected", Outcome::Denied) };
                out.note(format_args!("phoneops: not signed in: {why}"));
                return Ok(outcome);
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The login, or that there is none.
fn signed_in() -> Result<Kept, Failure> {
    kept()?.ok_or_else(|| Failure::Usage("not signed in: `phoneops login @handle`".into()))
}

impl Logout {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let login = signed_in()?;
        let ended = client(&login)?.delete(&format!("/v1/devices/{}", login.device)).await;
        match ended {
            Ok(_) => {}
            // It was ended before, from elsewhere.
            Err(client::Error::Refused(refusal)) if matches!(refusal.code.as_str(), "invalid_grant" | "not_found") => {}
            Err(error) => return Err(error.into()),
        }
        let path = file().ok_or_else(nowhere)?;
        std::fs::remove_file(&path).map_err(|source| Failure::File { path, source })?;
        out.line(format_args!("Signed out at {}: {} has one device less", login.issuer, login.user));
        Ok(Outcome::Done)
    }
}

impl Whoami {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let body: Value = client(&signed_in()?)?.get("/v1/me").await?.body;
        tell(out, self.json, &body, |out, me: Me| {
            out.line(format_args!(
                "{} (@{}) at {}, on {}",
                line(&me.user.name, 80),
                me.user.handle,
                me.issuer,
                line(&me.device.name, 80)
            ));
        })
    }
}
