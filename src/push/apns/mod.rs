//! Apple Push Notification service: iPhones and iPads with a native app.

mod device_token;

pub use device_token::{DeviceToken, NotADeviceToken};
