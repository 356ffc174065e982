//! Garbage in, problems out: never an internal error, never an empty answer, and the field is named.

mod bodies;
mod routes;
mod wire;
