//! What a grant stands for: whose key it is bound to, with which token it is redeemed, and whether anybody approved it at all.

#[path = "grants/bound.rs"]
mod bound;
#[path = "grants/break_glass.rs"]
mod break_glass;
#[path = "grants/dump.rs"]
mod dump;
#[path = "receipts/python.rs"]
mod python;
#[path = "grants/rotation.rs"]
mod rotation;
mod support;
mod world;
