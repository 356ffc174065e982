//! What the house does for those who use it, told as stories by real clients over real HTTP, on both engines; and what it does with
//! strangers, garbage and crowds. One program: each file is a module of it, so a story is found by its file's name, as in
//! `scripts/test --test stories policies::`.

#[path = "../support/mod.rs"]
mod support;
#[path = "../world/mod.rs"]
mod world;

mod alerts;
mod apps;
mod bot_limits;
mod chat;
mod chat_commands;
mod chat_identities;
mod chatops;
mod concurrency;
mod delivery;
mod devices;
mod events;
mod fatigue;
mod garbage;
mod grants;
mod incidents;
mod logins;
mod loops;
mod policies;
mod receipts;
mod refusals;
mod retention;
mod rules;
mod schedules;
mod services;
mod slack;
mod webhooks;
