//! Firebase Cloud Messaging, HTTP v1: Android phones with a native app.

mod installation;

pub use installation::{Installation, NotAnInstallation};
