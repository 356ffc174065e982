//! The carriers against the simulators of their providers: whatever goes wrong, what was to be shown is shown, once.

mod support;

#[path = "carriers/apns.rs"]
mod apns;
#[path = "carriers/fcm.rs"]
mod fcm;
#[path = "carriers/mail.rs"]
mod mail;
#[path = "carriers/provider_tokens.rs"]
mod provider_tokens;
#[path = "carriers/web_push.rs"]
mod web_push;
