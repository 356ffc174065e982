//! The talk, to try at home: a server on SQLite, people with simulated phones, and a prompt that speaks its lines.
//!
//! **Invariants**
//! - Nothing is staged: the bot and the phones talk HTTP, keys and signatures are real, and the bot redeems a grant before it deploys.
//! - Everything is in a temporary directory and gone afterwards.

mod grammar;
mod prompt;
mod script;
mod stage;

pub use prompt::interactive;
pub use script::scripted;

/// What can go wrong before the curtain rises, or on stage.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum Error {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Config(#[from] crate::config::Error),
    #[error("{0}")]
    Server(#[from] crate::server::Error),
    #[error("the database: {0}")]
    Database(#[from] crate::db::Error),
    #[error("the bot: {0}")]
    Bot(#[from] crate::client::Error),
    #[error("a phone: {0}")]
    Phone(#[from] crate::sim::phone::Error),
    #[error("there is no {0} on stage; there are yannick and ys")]
    Nobody(String),
    #[error("the server's reply has no {0}")]
    Reply(&'static str),
}
