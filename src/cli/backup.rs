//! `phoneops backup`: a copy of the database while the server goes on.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::connect::Operator;
use super::{Failure, Out, Outcome};

/// Copy the database of the running server into a file
///
/// The copy is one moment of the database, whatever is written meanwhile. It holds no secret that opens without the master key: keep that
/// apart, for without it a backup is of no use. `phoneops restore` takes it back. On PostgreSQL use `pg_dump`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  phoneops backup /backup/phoneops-$(date +%F).sqlite")]
pub(super) struct Backup {
    #[command(flatten)]
    operator: Operator,
    /// The file to write; it must not be there yet
    file: PathBuf,
}

impl Backup {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let client = self.operator.connect()?;
        // Under another name until it is whole: half a backup must not look like one.
        let partial = PathBuf::from(format!("{}.partial", self.file.display()));
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Failure::File { path, source }
        };
        if self.file.exists() {
            return Err(failed(&self.file)(std::io::ErrorKind::AlreadyExists.into()));
        }
        let options = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).clone();
        let mut file = options.open(&partial).map_err(failed(&partial))?;
        let done = client.download("/v1/backup", &mut file, |came, of| out.progress(progress(came, of))).await;
        out.clear_progress();
        let bytes = match done {
            Ok(bytes) => bytes,
            Err(error) => {
                let _ = std::fs::remove_file(&partial);
                return Err(error.into());
            }
        };
        std::fs::rename(&partial, &self.file).map_err(failed(&self.file))?;
        let folder = self.file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(folder))?;
        out.line(format_args!("Backed up {} to {}", size(bytes), self.file.display()));
        out.note("Keep the master key too, apart from it: without the key the backup cannot be restored.");
        Ok(Outcome::Done)
    }
}

fn progress(came: u64, of: u64) -> String {
    let part = (came * 20).checked_div(of).unwrap_or(20).min(20);
    let (done, left) = ("#".repeat(usize::try_from(part).unwrap_or(20)), usize::try_from(20 - part).unwrap_or_default());
    format!("[{done}{}] {} of {}", " ".repeat(left), size(came), size(of))
}

/// In units that people read.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{}.{} kB", bytes / 1_000, bytes % 1_000 / 100),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_a_bar_with_figures() {
        assert_eq!(progress(0, 2_000_000), "[                    ] 0 bytes of 2.0 MB");
        assert_eq!(progress(1_500_000, 2_000_000), "[###############     ] 1.5 MB of 2.0 MB");
        assert_eq!(progress(4_300, 4_300), "[####################] 4.3 kB of 4.3 kB");
    }
}
