//! Who is this? The keys, proofs, tokens and names by which people, devices and bots are known.
//!
//! **Invariants**
//! - Everything that arrives signed is parsed strictly and checked whole before any of it is believed.
//! - Each kind of signature has a `typ` or a tag of its own, so that none is accepted in the place of another.
//! - Verification is pure: the time, the keys and the expected values are passed in, and nothing is stored here. Who
//!   calls it remembers the one-time ids (`jti_sha256`) that it hands back.

pub mod access_token;
pub mod assertion;
pub mod code;
pub mod device_key;
pub mod dpop;
pub mod handle;
pub mod jws;
pub mod once;
pub mod strict_json;
pub mod webauthn;

#[cfg(test)]
mod vectors;
