//! A copy of a live SQLite database.

use std::path::{Path, PathBuf};

use super::open::Backend;
use super::read::open_reader;
use super::{Error, Result, Sql, Store};

impl Store {
    /// Writes one consistent snapshot into the new file `to`, compact, synced, and with no log beside it. Writers go on meanwhile.
    ///
    /// # Errors
    /// On PostgreSQL, which has tools of its own for this; when `to` is there already; storage errors.
    pub async fn backup(&self, to: PathBuf) -> Result<()> {
        let Backend::Lite { readers, .. } = &self.backend else {
            return Err(Error::Failed("a PostgreSQL database is backed up with pg_dump".into()));
        };
        let readers = readers.clone();
        let copying = tokio::task::spawn_blocking(move || copy(readers.path(), &to));
        copying.await.map_err(|error| Error::Failed(error.to_string()))?
    }

    /// Has SQLite look through the whole file; PostgreSQL looks after its own.
    ///
    /// # Errors
    /// [`Error::Failed`] with the first thing that is damaged; storage errors.
    pub async fn check(&self) -> Result<()> {
        let found: String = self
            .scan(|db| Box::pin(db.query(Sql::either("pragma integrity_check(1)", "select 'ok' as integrity_check")).one()))
            .await?;
        if found == "ok" { Ok(()) } else { Err(Error::Failed(format!("the file is damaged: {found}"))) }
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let path = to.to_str().ok_or_else(|| Error::Failed(format!("{} is not UTF-8", to.display())))?;
    let unwritten = |error: std::io::Error| Error::Unavailable(format!("{}: {error}", to.display()));
    // SQLite fills a file that is there only when it is empty; made by us, nobody else can read it.
    private().create_new(true).open(to).map_err(unwritten)?;
    open_reader(from)?.execute("vacuum into $1", [path])?;
    private().open(to).and_then(|file| file.sync_all()).map_err(unwritten)
}

fn private() -> std::fs::OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).mode(0o600);
    options
}
