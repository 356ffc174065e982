//! Simulators: phones with real keys, and the push service that reaches them. For tests, for `phoneops demo`, and for
//! developers of apps and bots.
//!
//! - [`phone`]: what a phone does, written from `api-spec/device-protocol.md` alone.
//! - [`authenticator`]: the passkeys of such a phone, with misbehaviour on demand.
//! - [`apns`]: Apple's service: TLS and HTTP/2 with a frame layer that misbehaves on demand, provider tokens, devices.
//! - [`fcm`]: Google's: access tokens, messages, installations.
//! - [`push_service`]: a Web Push service that checks everything, and fails on demand.
//! - [`slack`]: Slack's Web API, Socket Mode, and calls that it signs.
//! - [`smtp`]: a mail server that takes what is mail, and nothing in the clear that is a secret.
//!
//! **Invariants**
//! - They speak HTTP or SMTP and nothing else: nothing here imports the server, not even its ids. What the phone needs and the
//!   protocol document does not say is a fault of the document.
//! - Every check is an implementation of its own, so a mistake shared with the server cannot hide.
//! - Instants come from the injected clock; how long to wait for the network is real time.

pub mod apns;
pub mod authenticator;
mod cbor;
pub mod fcm;
mod gate;
mod http1;
mod http2;
mod journal;
mod jwt;
mod key;
pub mod phone;
mod plain;
pub mod push_service;
mod screen;
mod script;
pub mod slack;
pub mod smtp;
mod tls;
