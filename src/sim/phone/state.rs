//! What a phone remembers, and the file it survives restarts in.
//!
//! **Invariants**
//! - The file holds private keys and is readable by its owner alone, from its first byte on.
//! - It is replaced as a whole: a crash leaves the old one or the new one.
//! - A signature counter never goes back: whoever changes a phone that others use too holds its [`Lock`].

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicI64;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::super::authenticator::Authenticator;
use super::super::key::Key;
use super::Phone;
use super::error::Error;
use super::native::Provider;
use super::receipts::Receipts;
use super::screen::Screen;
use crate::clock::Clock;
use crate::secret::{b64u, random};

/// What an enrolment gives.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Device {
    pub(super) id: String,
    pub(super) user_id: String,
    /// 65 bytes in base64url.
    pub(super) vapid_public_key: String,
}

/// A subscription at the push service.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Subscription {
    pub(super) id: String,
    pub(super) endpoint: String,
    pub(super) key: Key,
    /// 16 bytes in base64url.
    pub(super) auth: String,
}

/// What changes in a phone's life.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    pub(super) device: Option<Device>,
    pub(super) authenticator: Authenticator,
    pub(super) subscription: Option<Subscription>,
    /// What a native app is known by at its provider.
    #[serde(default)]
    pub(super) installation: Option<String>,
    pub(super) screen: Screen,
    #[serde(skip)]
    pub(super) receipts: Receipts,
}

#[derive(Serialize)]
struct Saved<'a> {
    issuer: &'a str,
    provider: Provider,
    push_service: &'a str,
    device_key: &'a Key,
    state: &'a State,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Loaded {
    issuer: String,
    #[serde(default)]
    provider: Provider,
    push_service: String,
    device_key: Key,
    state: State,
}

/// Keeps other processes from changing the phone behind a state file. Released when dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "closing the file releases the lock")] File);

impl Lock {
    /// Waits until nobody else holds the lock of this state file, which is a file beside it.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn acquire(path: &Path) -> Result<Self, Error> {
        let beside = beside(path, "lock");
        let locked = private().create(true).truncate(false).open(&beside);
        let file = locked.map_err(|source| file_error(&beside, source))?;
        file.lock().map_err(|source| file_error(&beside, source))?;
        Ok(Self(file))
    }
}

impl Phone {
    /// Writes the phone into a state file, readable by its owner alone.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let text = {
            let state = self.state();
            let Self { issuer, provider, push_service, device_key, .. } = self;
            let saved = Saved { issuer, provider: *provider, push_service, device_key, state: &state };
            serde_json::to_vec_pretty(&saved).map_err(|cause| file_error(path, cause.into()))?
        };
        replace(path, &Zeroizing::new(text)).map_err(|source| file_error(path, source))
    }

    /// The phone from a state file.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::State`].
    pub fn load(http: reqwest::Client, clock: Clock, path: &Path) -> Result<Self, Error> {
        let text = fs::read(path).map_err(|source| file_error(path, source))?;
        let text = Zeroizing::new(text);
        let loaded: Loaded =
            serde_json::from_slice(&text).map_err(|cause| Error::State { path: path.to_owned(), line: cause.line() })?;
        Ok(Self {
            clock,
            http,
            issuer: loaded.issuer,
            provider: loaded.provider,
            push_service: loaded.push_service,
            device_key: loaded.device_key,
            state: Mutex::new(loaded.state),
            token: tokio::sync::Mutex::default(),
            offset_micros: AtomicI64::new(0),
        })
    }

    /// Writes what was received into the state file and leaves all else there as other processes left it. The caller does
    /// not hold the [`Lock`].
    ///
    /// # Errors
    /// As [`Phone::load`].
    pub fn save_received(&self, path: &Path) -> Result<(), Error> {
        let _lock = Lock::acquire(path)?;
        let stored = Self::load(self.http.clone(), self.clock.clone(), path)?;
        {
            let (ours, mut theirs) = (self.state(), stored.state());
            let id = |state: &State| {
                let subscription = state.subscription.as_ref().map(|known| known.id.clone());
                (subscription, state.installation.clone())
            };
            if id(&ours) == id(&theirs) {
                theirs.screen.last = ours.screen.last;
                theirs.screen.shown.clone_from(&ours.screen.shown);
            }
        }
        stored.save(path)
    }
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = beside(path, &b64u(random::<8>()));
    let mut file = private().create_new(true).open(&new)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        fs::remove_file(&new)?;
    }
    written
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

fn file_error(path: &Path, source: io::Error) -> Error {
    Error::File { path: path.to_owned(), source }
}
