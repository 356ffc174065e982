//! PostgreSQL's LISTEN and NOTIFY. SQLite has one node and needs neither.

use sqlx::postgres::PgListener;
use uuid::Uuid;

use super::open::Backend;
use super::{Result, Store};

const CHANNEL: &str = "phoneops";

/// A notification carries at most 8000 bytes; a UUID takes 33.
const A_MESSAGE: usize = 200;

impl Store {
    /// Calls `heard` for every subject another node wakes. Returns only with an error; on SQLite it never returns.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn listen(&self, heard: impl Fn(Uuid) + Send) -> Result<()> {
        let Backend::Pg { workers, .. } = &self.backend else { return std::future::pending().await };
        // Beside the turns that others take: it is held for ever.
        let mut listener = PgListener::connect_with(&workers.pool).await?;
        listener.listen(CHANNEL).await?;
        loop {
            let message = listener.recv().await?;
            message.payload().split(',').filter_map(|text| text.parse().ok()).for_each(&heard);
        }
    }

    /// Wakes `subjects` on all nodes.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn notify(&self, subjects: &[Uuid]) -> Result<()> {
        let Backend::Pg { workers, .. } = &self.backend else { return Ok(()) };
        let _turn = workers.turn().await?;
        for some in subjects.chunks(A_MESSAGE) {
            let payload = some.iter().map(|subject| subject.simple().to_string()).collect::<Vec<_>>().join(",");
            sqlx::query("select pg_notify($1, $2)").bind(CHANNEL).bind(payload).execute(&workers.pool).await?;
        }
        Ok(())
    }
}
