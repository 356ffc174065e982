//! `phoneops enroll`: a code for a person's next phone.

use std::fs::{OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::connect::Operator;
use super::qr;
use super::reply::read;
use super::words::span;
use super::{Failure, Out, Outcome};
use crate::clock::{Clock, Timestamp};
use crate::identity::UserRef;

/// Print a link, a code and a QR code for a person's next phone
///
/// Whoever opens the link first gets the phone enrolled as this person: give it to nobody else. Where the person has a phone that works,
/// that one has to confirm the new one. Where they had one and have none left, the new one decides nothing until the recovery wait is
/// over.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  phoneops enroll @yannick")]
pub(super) struct Enroll {
    #[command(flatten)]
    operator: Operator,
    /// Whose phone: @handle or usr_…
    #[arg(value_name = "@HANDLE")]
    user: UserRef,
    #[command(flatten)]
    show: Show,
}

/// How a code is shown.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// Write the QR code to this file, readable by you alone
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print no QR code
    #[arg(long)]
    no_qr: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `/v1/enrollments` answers.
#[derive(Deserialize)]
struct Code {
    code: String,
    link: String,
    expires_at: Timestamp,
}

impl Enroll {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let body = json!({"user": self.user.to_string()});
        let reply = self.operator.connect()?.post("/v1/enrollments", &body).await?;
        self.show.code(&reply.body, &self.user, out)
    }
}

impl Show {
    /// Prints a code that the server made for `user`.
    pub(super) fn code(&self, body: &Value, user: &UserRef, out: &mut Out) -> Result<Outcome, Failure> {
        let code: Code = read(body)?;
        if let Some(path) = &self.svg {
            save(path, &qr::svg(&code.link)?)?;
        }
        if self.json {
            out.json(body);
            return Ok(Outcome::Done);
        }
        if !self.no_qr {
            out.line(qr::terminal(&code.link, out.is_terminal())?);
        }
        // To the nearest minute: a moment after the code was made, its ten minutes are still ten.
        let left = Clock::system().now().until(code.expires_at) + Duration::from_secs(30);
        out.line(format_args!("Link:  {}", code.link));
        out.line(format_args!("Code:  {}", code.code));
        out.line(format_args!("Valid: until {} ({}), once, for {user}", local(code.expires_at), span(left)));
        Ok(Outcome::Done)
    }
}

/// The instant in the time zone of whoever reads it: `14:32 CEST`.
fn local(instant: Timestamp) -> String {
    let zoned = jiff::Timestamp::from_microsecond(instant.as_micros()).map(|at| at.to_zoned(jiff::tz::TimeZone::system()));
    zoned.map_or_else(|_| instant.to_string(), |at| at.strftime("%H:%M %Z").to_string())
}

/// Writes what whoever reads it can enrol with.
fn save(path: &Path, svg: &str) -> Result<(), Failure> {
    let file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| {
        // A file that was there has the mode it was made with.
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(svg.as_bytes())
    });
    written.map_err(|source| Failure::File { path: path.to_owned(), source })
}
