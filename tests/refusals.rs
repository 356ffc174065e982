//! What must be refused is refused, each thing with its own code, and changes nothing.

#[path = "refusals/answers.rs"]
mod answers;
#[path = "refusals/grants.rs"]
mod grants;
#[path = "refusals/proofs.rs"]
mod proofs;
#[path = "refusals/scopes.rs"]
mod scopes;
mod support;
mod world;
