//! ChatOps RPC, version 3: the protocol of bots that know nothing. They fetch a listing of what can be said, and post what was said to
//! the path that the listing gives, signed with a key of the bot.
//!
//! Pure: what is signed, and what a call and its reply look like. The key, the time and the nonce are `identity`'s, the routes `http`'s.

mod call;
mod listing;
mod signing;

pub use call::{Call, Reply};
pub use listing::{LINE, Listing};
pub use signing::{NotASignature, Signature, message};
