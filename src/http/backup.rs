//! `/v1/backup`: the whole database, for the server's operator alone.

use aide::axum::ApiRouter;
use axum::body::Body;
use axum::extract::State as Extract;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use super::State;
use super::caller::Read;
use super::problem::Problem;
use crate::db::{self, Engine};
use crate::identity::{CallRefusal, Caller};
use crate::secret::{b64u, random};

/// Not in the API's description: it is served on the Unix socket only, to `phoneops backup`.
pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new().route("/v1/backup", axum::routing::get(backup))
}

async fn backup(Extract(app): Extract<State>, Read(call): Read) -> Result<Response, Problem> {
    if !matches!(call.caller, Caller::Operator) {
        return Err(CallRefusal::Forbidden("only the operator may do this, through the server's Unix socket").into());
    }
    if app.store.engine() == Engine::Pg {
        let detail = "a PostgreSQL database is backed up with pg_dump";
        return Err(Problem::new(axum::http::StatusCode::CONFLICT, "not_sqlite", detail));
    }
    // Detached: whoever hangs up meanwhile must not leave a copy behind.
    let copying = tokio::spawn(async move { copy(&app).await }).await;
    let file = copying.map_err(|error| db::Error::Failed(error.to_string()))??;
    let length = file.metadata().await.map_err(|error| db::Error::Unavailable(error.to_string()))?.len();
    let head = [(header::CONTENT_TYPE, "application/vnd.sqlite3".to_owned()), (header::CONTENT_LENGTH, length.to_string())];
    Ok((head, Body::from_stream(ReaderStream::new(file))).into_response())
}

/// A copy that has no name any more: open, it stays readable, and it goes away with its last reader.
async fn copy(app: &State) -> db::Result<File> {
    let unread = |error: std::io::Error| db::Error::Unavailable(error.to_string());
    let path = app.scratch.join(format!("{}.sqlite", b64u(random::<16>())));
    let copied = app.store.backup(path.clone()).await;
    let opened = File::open(&path).await;
    let removed = tokio::fs::remove_file(&path).await;
    copied?;
    removed.map_err(unread)?;
    opened.map_err(unread)
}
