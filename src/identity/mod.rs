//! Who is this? People, bots and devices; the keys, proofs, tokens and names by which they are known.
//!
//! **Invariants**
//! - Everything that arrives signed is parsed strictly and checked whole before any of it is believed.
//! - Each kind of signature has a `typ` or a tag of its own, so that none is accepted in the place of another.
//! - Verification is pure: the time, the keys and the expected values are passed in. The one-time ids (`jti_sha256`) that it hands
//!   back are consumed in the transaction of the change they allowed ([`Call::write`]).
//! - A revoked device, a removed person and a revoked bot stop working with the next call on any node: every call looks them up.
//! - Bots never hold rights of administration.
//! - A person's next device, and their next passkey, take a signature of what they have already.

pub mod access_token;
pub mod assertion;
pub mod attestation;
mod bot_keys;
mod call;
pub mod chat;
pub mod code;
pub mod device_key;
mod devices;
pub mod dpop;
mod email;
mod enrollment;
pub mod handle;
pub mod issuer;
pub mod jws;
mod keys;
pub mod members;
mod model;
pub mod once;
mod passkeys;
mod proof_key;
mod roles;
mod rotation;
mod service;
mod store;
pub mod strict_json;
mod teams;
pub mod webauthn;

#[cfg(test)]
pub(crate) mod vectors;

pub use bot_keys::{BotKey, KeyName, NewBotKey, NotAKeyName, NotAnRsaKey, RsaPublicKey, SignedCall, SignedRefusal};
pub use call::{Call, CallRefusal, Caller, Failure, Once, Person, UsedProof};
pub use chat::{About, ChatIdentity, Heard, Nobody, Place, Who, person_meant};
pub use device_key::DeviceKey;
pub use devices::{
    Asking, Bell, CodeToOpen, Confirmation, DeviceChallenge, Devices, DrawnCode, MatchNumber, News, NotAMatchNumber, OpenedCode,
    Purpose as CodePurpose, Signature, Via, WAITING_LIFE, WaitingDevice, open_code, verify_confirmation,
};
pub use email::mail_address;
pub use enrollment::{CODE_LIFE, Claim, Claimed, ClaimedDevice, NewCode};
pub use handle::{Handle, PersonName};
pub use issuer::{IssuerKey, IssuerKeys};
pub use keys::{Purpose, SigningKey, load_or_create};
pub use model::{Bot, ConfirmedWith, Device, NotAUser, Passkey, Platform, Role, Scope, User, UserRef};
pub use passkeys::{BoundElsewhere, Offered as OfferedPasskey};
pub use proof_key::ProofKey;
pub use roles::set_role;
pub use rotation::MAX_OVERLAP;
pub use service::{
    Error, Ground, Identity, Refusal, active_bot, active_device, active_user, add_user, admins, handle_taken, known_bot,
    known_user, name_of_bot, name_of_user, trusted_bot,
};
pub use store::{StoredPasskey, held_passkeys, passkey_used, usable_passkey_ids, usable_passkeys};
pub use teams::{Reach, Team, add_member, find_team, known_team, reach, remove_member, team_members, teams_of};
pub use webauthn::{Credential, RelyingParty, WebauthnRefusal, credential_id};
