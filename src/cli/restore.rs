//! `phoneops restore`: a backup in the place of the database.

use std::path::PathBuf;

use clap::Args;

use super::connect::ConfigFile;
use super::{Failure, Out, Outcome};
use crate::clock::Clock;
use crate::server::{self, Restored};

/// Put a backup in the place of the database, while no server runs
///
/// The master key of the backed-up installation must be there. Requests that were pending in the backup and grants that were not redeemed
/// are void afterwards: they may have been answered or redeemed since. Incidents ring on. Whatever was removed, revoked, rotated or unlinked
/// since the backup is back (people, bots and their old tokens, devices, passkeys, chat identities, keys of integrations, addresses of
/// calendars): remove it again.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  phoneops restore /backup/phoneops-2026-11-22.sqlite --replace")]
pub(super) struct Restore {
    #[command(flatten)]
    config: ConfigFile,
    /// The backup
    #[arg(required_unless_present = "dump_restored")]
    file: Option<PathBuf>,
    /// Set aside the database that is there
    #[arg(long)]
    replace: bool,
    /// On PostgreSQL, after a dump was restored into it: void what the dump revived. No server starts on it before that
    #[arg(long, conflicts_with_all = ["file", "replace"])]
    dump_restored: bool,
}

impl Restore {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let config = self.config.load()?;
        let clock = Clock::system();
        let restored = match (&self.file, config.database_url.is_some()) {
            (None, true) => server::void_dump(&config, &clock).await?,
            (None, false) => return Err(Failure::Usage("--dump-restored is for PostgreSQL: give the backup's file".into())),
            (Some(_), true) => {
                let how = "restore the dump with pg_restore, then run `phoneops restore --dump-restored`";
                return Err(Failure::Usage(format!("the database is PostgreSQL: {how}")));
            }
            (Some(_), false) if server::is_occupied(&config) && !self.replace => {
                let there = config.data_dir.join(server::DATABASE);
                return Err(Failure::Usage(format!("{} is there: --replace sets it aside", there.display())));
            }
            (Some(file), false) => server::restore(&config, file, &clock).await?,
        };
        tell(out, &restored);
        Ok(Outcome::Done)
    }
}

fn tell(out: &mut Out, restored: &Restored) {
    let Restored { voided, revived, journal, set_aside } = restored;
    out.line(format_args!("Restored, with the journal up to entry {journal}"));
    out.line(format_args!("Void now: {} pending requests, {} grants that were not redeemed", voided.approvals, voided.grants));
    out.line(format_args!(
        "Working as they did then: {} keys of integrations, {} addresses of calendars",
        revived.integration_keys, revived.calendars
    ));
    if let Some(path) = set_aside {
        out.line(format_args!("The database that was there is {}", path.display()));
    }
    out.note(
        "What was removed, revoked, rotated or unlinked since the backup is back (people, bots and their old tokens, devices, passkeys, chat \
         identities, keys of integrations, addresses of calendars): remove it again before the server starts to matter. `phoneops doctor` \
         names the restore for 30 days.",
    );
}
