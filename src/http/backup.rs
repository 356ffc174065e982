//! `/v1/backup`: the whole database, for the server's operator alone.

use aide::axum::ApiRouter;
use axum::body::Body;
use axum::extract::State as Extract;
use axum::http::header;
use axum::response::{IntoResponse, Response};
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
    let unread = |error: std::io::Error| db::Error::Unavailable(error.to_string());
    let path = app.scratch.join(format!("{}.sqlite", b64u(random::<16>())));
    let copied = app.store.backup(path.clone()).await;
    let opened = tokio::fs::File::open(&path).await;
    // Open, it stays readable; without a name it goes away with the last byte.
    let removed = tokio::fs::remove_file(&path).await;
    copied?;
    let file = opened.map_err(unread)?;
    removed.map_err(unread)?;
    let length = file.metadata().await.map_err(unread)?.len();
    let head = [(header::CONTENT_TYPE, "application/vnd.sqlite3".to_owned()), (header::CONTENT_LENGTH, length.to_string())];
    Ok((head, Body::from_stream(ReaderStream::new(file))).into_response())
}
