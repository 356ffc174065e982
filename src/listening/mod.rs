//! Who hears what: the journal as a stream of events, and events sent to webhooks.
//!
//! An event is a sealed entry of the journal, and its number is the cursor of whoever reads. Every node follows the journal once
//! and keeps the last events in memory; listeners look there, and whoever is further behind reads from the database.
//!
//! **Invariants**
//! - Everybody hears what concerns them and nothing else (`audience`): a person what names them or what they were told of, a bot
//!   what became of its own approvals and incidents, an administrator everything.
//! - Whoever reads holds a cursor and no events: a slow reader costs no memory.
//! - Whoever stopped being trusted hears nothing more within five seconds, on every node; a node that cannot find out who is
//!   trusted tells nobody anything.

mod audience;
mod delivering;
mod filter;
mod store;
mod stream;
mod webhooks;

pub use audience::Viewer;
pub use filter::{Filter, NotAFilter};
pub use stream::{Event, ListenError, Listener, Listening, Poll};
pub use webhooks::{MAX_OVERLAP, NewWebhook, Refusal, Webhook, Webhooks};
