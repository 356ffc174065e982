//! What must be refused is refused, each thing with its own code, and changes nothing.

mod answers;
mod grants;
mod proofs;
mod scopes;
