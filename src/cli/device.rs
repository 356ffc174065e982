//! `phoneops device`: people's phones, browsers and command lines, and their passkeys.

use clap::{Args, Subcommand};
use serde::Deserialize;

use super::connect::Operator;
use super::noun::tell;
use super::words::table;
use super::{Failure, Out, Outcome};
use crate::id::DeviceId;
use crate::identity::UserRef;
use crate::text::line;

/// List and revoke people's devices
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Command {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// List the devices and passkeys of a person, and when each was used last
    #[command(after_help = "Example:\n  phoneops device list @yannick")]
    List(List),
    /// Trust a device no more: its sessions, passkeys and pushes end at once. One that waits is rejected
    #[command(after_help = "Example:\n  phoneops device revoke dev_018bcfe568007000800000000000000a")]
    Revoke(Revoke),
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    operator: Operator,
    /// Whose: @handle or usr_…
    #[arg(value_name = "@HANDLE")]
    user: UserRef,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Revoke {
    #[command(flatten)]
    operator: Operator,
    /// Which: dev_…
    #[arg(value_name = "DEVICE")]
    device: DeviceId,
}

/// What `/v1/users/{user}/devices` answers.
#[derive(Deserialize)]
struct All {
    devices: Vec<Device>,
    passkeys: Vec<Passkey>,
}

#[derive(Deserialize)]
struct Device {
    id: String,
    name: String,
    platform: String,
    state: String,
    approves_from: Option<String>,
    last_used_at: Option<String>,
}

#[derive(Deserialize)]
struct Passkey {
    id: String,
    name: String,
    last_used_at: Option<String>,
}

impl Command {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        match self.act {
            Act::List(list) => list.run(out).await,
            Act::Revoke(revoke) => revoke.run(out).await,
        }
    }
}

impl List {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let reply = self.operator.connect()?.get(&format!("/v1/users/{}/devices", self.user)).await?;
        tell(out, self.json, &reply.body, |out, all: All| {
            let rows: Vec<_> = all.devices.into_iter().map(device).chain(all.passkeys.into_iter().map(passkey)).collect();
            out.lines(table(&rows));
            if rows.is_empty() {
                out.note(format_args!("{} has no device: phoneops enroll {}", self.user, self.user));
            }
        })
    }
}

fn device(device: Device) -> Vec<String> {
    let standing = match (device.state.as_str(), device.approves_from) {
        ("waiting", _) => "waits to be confirmed".to_owned(),
        (_, Some(from)) => format!("decides from {from} on"),
        _ => used(device.last_used_at),
    };
    vec![device.id, line(&device.name, 80), device.platform, standing]
}

fn passkey(passkey: Passkey) -> Vec<String> {
    vec![passkey.id, line(&passkey.name, 80), "passkey".to_owned(), used(passkey.last_used_at)]
}

/// When something was used last, in words.
pub(super) fn used(at: Option<String>) -> String {
    at.map_or_else(|| "not used yet".to_owned(), |at| format!("used {at}"))
}

impl Revoke {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        self.operator.connect()?.delete(&format!("/v1/devices/{}", self.device)).await?;
        out.line(format_args!("Revoked {}", self.device));
        Ok(Outcome::Done)
    }
}
