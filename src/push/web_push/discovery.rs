//! Whether an endpoint is one of `UnifiedPush` (server specification 1.2.0): asked once, when a device registers it.
//!
//! Browsers' push services do not answer this; a push server that somebody runs at home does, and a mistyped address does not.

use reqwest::header::{ACCEPT, HeaderValue};
use serde::Deserialize;

use super::{WebPush, check_url};
use crate::push::Subscription;
use crate::push::answer::{REPLY_MAX_BYTES, beginning};
use crate::push::guard::Forbidden;

/// Why an endpoint is not taken for one of `UnifiedPush`. Tells nothing that was learnt by calling it, nor by looking its name up: whoever
/// registers a device could search our network for names, ports and services with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotUnifiedPush {
    /// It must not be called, as is written in it.
    #[error("is not called: {0}")]
    Forbidden(Forbidden),
    /// Asked, it did not say that it is one.
    #[error("is none of UnifiedPush: it did not answer {{\"unifiedpush\":{{\"version\":1}}}}")]
    Another,
}

#[derive(Deserialize)]
struct Answer {
    unifiedpush: About,
}

#[derive(Deserialize)]
struct About {
    version: u32,
}

impl WebPush {
    /// Asks the endpoint whether it is one of `UnifiedPush`, once, as guarded as a push.
    ///
    /// # Errors
    /// Why it is not taken for one.
    pub async fn discover(&self, subscription: &Subscription) -> Result<(), NotUnifiedPush> {
        let endpoint = subscription.endpoint();
        check_url(endpoint, self.allow_private_networks).map_err(NotUnifiedPush::Forbidden)?;
        let request = self.client.get(endpoint.clone()).header(ACCEPT, HeaderValue::from_static("application/json"));
        let mut response = request.send().await.map_err(|_| NotUnifiedPush::Another)?;
        let body = beginning(&mut response, REPLY_MAX_BYTES).await;
        let found = response.status().is_success().then(|| serde_json::from_slice(&body).ok()).flatten();
        match found {
            Some(Answer { unifiedpush: About { version: 1 } }) => Ok(()),
            _ => Err(NotUnifiedPush::Another),
        }
    }
}
