//! Chat: words in, words out. The bot there knows nothing; commands, help, permissions and wording live here.
//!
//! A *front* (ChatOps RPC, Slack, the demo's prompt) vouches for who said what where ([`Said`]), gets a [`Reply`], and shows it. What a
//! message is about goes on: whoever follows it is told what it says now.
//!
//! **Invariants**
//! - One grammar: every front's lines are understood by the same function, and every command's reply is worded in one place.
//! - Chat asks and acts; it never approves. What it does, it does through the services, as the bot that brought the line and for the
//!   person that the identity is linked to, so that no rule is decided here.
//! - An identity that is nobody's may learn how to link itself, and nothing else.

pub mod chatops_rpc;
mod command;
mod doing;
mod following;
mod gated;
mod grammar;
mod reply;
mod rooms;
mod said;
pub mod slack;
mod understanding;

pub use crate::identity::Place;
pub use command::{ANY_LABEL, Command, Gated, Which, Whom};
pub use doing::{Chat, Error, Ground};
pub use following::{Post, Posts, Workspace};
pub use gated::{Entry, Vocabulary};
pub use grammar::{NotUnderstood, VERBS, Verb, VerbHelp, parse, render};
pub use reply::{About, Button, Reply, Tone};
pub use rooms::{Hears, NewSubscription, Refused as RoomRefused, Room, RoomError, RoomView, Subscription};
pub use said::{NotAPlaceId, PlaceId, Said};
