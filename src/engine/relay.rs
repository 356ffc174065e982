//! Waking those who wait on other nodes: PostgreSQL's LISTEN and NOTIFY, coalesced and outside every transaction.
//!
//! **Invariants**
//! - A lost notification costs the rest of somebody's long poll, never an answer: whoever waits looks again at the end.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::db::Store;
use crate::hub::Hub;

/// How long wake-ups gather before they are sent: NOTIFY takes a lock that all of PostgreSQL's commits share.
const GATHER: Duration = Duration::from_millis(10);

/// Carries wake-ups both ways until stopped.
pub(super) async fn run(store: Store, hub: Hub, stop: CancellationToken) {
    let listening = async {
        loop {
            let hub = hub.clone();
            if let Err(error) = store.listen(move |subject| hub.wake_here(subject)).await {
                tracing::warn!(%error, "wake-ups from other nodes are not heard");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    };
    let telling = async {
        loop {
            let subjects = hub.woken().await;
            if let Err(error) = store.notify(&subjects).await {
                tracing::warn!(%error, "other nodes are not woken");
            }
            tokio::time::sleep(GATHER).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = listening => {}
        () = telling => {}
    }
}
