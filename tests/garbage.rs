//! Garbage in, problems out: never an internal error, never an empty answer, and the field is named.

#[path = "garbage/bodies.rs"]
mod bodies;
#[path = "garbage/routes.rs"]
mod routes;
mod support;
#[path = "garbage/wire.rs"]
mod wire;
mod world;
