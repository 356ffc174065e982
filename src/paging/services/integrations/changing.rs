//! Integrations made and revoked, and their next keys.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::changing::kept;
use super::{Integration, IntegrationKind, IntegrationSettings, store};
use crate::clock::Timestamp;
use crate::db::{self, Tx};
use crate::id::IntegrationId;
use crate::identity::{Call, Handle};
use crate::jobs::Kind;
use crate::paging::Paging;
use crate::paging::setup::{self, SetupError, SetupRefused, field, within};
use crate::secret::{Secret, b64u, random};

/// The longest that a key works beside the next one.
pub const MAX_KEY_OVERLAP: Duration = Duration::from_hours(24);

/// More of one service are a mistake.
const MAX: usize = 100;

/// An integration to be made.
#[derive(Clone, Debug)]
pub struct NewIntegration {
    /// Its name.
    pub name: Handle,
    /// What it speaks.
    pub kind: IntegrationKind,
    /// What that kind needs to know.
    pub settings: IntegrationSettings,
}

/// An integration, as administrators see it.
#[derive(Clone, Debug)]
pub struct IntegrationView {
    /// The integration.
    pub integration: Integration,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when the key before the newest works; in the past when it does not.
    pub previous_key_until: Option<Timestamp>,
    /// When it beat last, where it is a heartbeat.
    pub beat_at: Option<Timestamp>,
}

/// What is kept of a call that drew a key, under its idempotency key: which integration, and which call it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Drawn {
    integration: IntegrationId,
    call: String,
}

impl Drawn {
    fn new(integration: IntegrationId) -> Self {
        Self { integration, call: b64u(random::<16>()) }
    }
}

impl IntegrationSettings {
    /// Whether these are settings of that kind.
    fn check(&self, kind: IntegrationKind) -> Result<(), SetupRefused> {
        use IntegrationKind as Kind;
        match (kind, self) {
            (Kind::Heartbeat, IntegrationSettings::Beats(beats)) => {
                within("every_seconds", beats.every_seconds, 1..=2_678_400)?;
                within("grace_seconds", beats.grace_seconds, 0..=604_800)
            }
            (Kind::Generic, IntegrationSettings::Mapping(mapping)) => {
                let fits = |count: usize| count <= 50;
                if fits(mapping.severity.values.len()) && fits(mapping.action.values.len()) {
                    return Ok(());
                }
                Err(field("mapping", "may give a meaning to at most 50 texts"))
            }
            (Kind::Events | Kind::Alertmanager | Kind::Grafana, IntegrationSettings::Nothing) => Ok(()),
            (Kind::Heartbeat, _) => Err(field("every_seconds", "a heartbeat needs the seconds from one beat to the next")),
            (_, IntegrationSettings::Beats(_)) => Err(field("every_seconds", "is for heartbeats")),
            (_, IntegrationSettings::Mapping(_)) => Err(field("mapping", "is for generic hooks")),
            (Kind::Generic, IntegrationSettings::Nothing) => Err(field("mapping", "is missing")),
        }
    }
}

impl Paging {
    /// Makes an integration of a service. Its key is returned once and stored as a digest; a repeated call learns which integration it
    /// made and no key.
    ///
    /// # Errors
    /// Only administrators may; [`SetupRefused`].
    pub async fn create_integration(
        &self,
        call: &Call,
        service: Handle,
        new: NewIntegration,
    ) -> Result<(IntegrationView, Option<Secret>), SetupError> {
        call.admin()?;
        new.settings.check(new.kind)?;
        let (now, parts, actor, key) = (self.clock.now(), self.parts.clone(), call.actor(None), draw());
        let (ours, digest) = (Drawn::new(IntegrationId::new(now)), key.hash());
        let drawn = ours.clone();
        let made = call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let service = kept(tx, &service).await?.id;
                if store::list(tx.db(), service).await?.len() >= MAX {
                    return Err(field("name", format!("would be the {}th of this service: at most {MAX} may be", MAX + 1)).into());
                }
                let NewIntegration { name, kind, settings } = new;
                let integration = Integration { id: drawn.integration, service, name, kind, settings };
                if !store::insert(tx, &integration, digest, now).await? {
                    return Err(SetupRefused::NameTaken(integration.name).into());
                }
                let data = json!({"service": service, "name": integration.name, "kind": kind});
                setup::record(tx, &parts, now, actor, ("integration.created", integration.id), data).await?;
                Ok::<_, SetupError>(drawn)
            })
        });
        let made = made.await?;
        Ok((self.integration_view(made.integration).await?, (made == ours).then_some(key)))
    }

    /// Gives an integration other settings; those of its kind when nothing is said. What a heartbeat's next beat has time for counts from its
    /// last.
    ///
    /// # Errors
    /// Only administrators may; [`SetupRefused`].
    pub async fn put_integration(
        &self,
        call: &Call,
        service: Handle,
        name: Handle,
        settings: Option<IntegrationSettings>,
    ) -> Result<IntegrationView, SetupError> {
        call.admin()?;
        let (now, parts, actor) = (self.clock.now(), self.parts.clone(), call.actor(None));
        let done = call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let found = find(tx, &service, &name).await?;
                let settings = settings.unwrap_or_else(|| IntegrationSettings::of_nothing_said(found.kind));
                settings.check(found.kind)?;
                if settings == found.settings {
                    return Ok::<_, SetupError>(found.id);
                }
                if !store::change(tx, found.id, &settings).await? {
                    return Err(none(&name).into());
                }
                if let IntegrationSettings::Beats(beats) = &settings
                    && let Some(due_at) = store::await_beat(tx, found.id, beats.patience()).await?
                {
                    parts.queue.enqueue(tx, Kind::Heartbeat, found.id.0, due_at).await?;
                }
                let data = json!({"name": name, "settings": settings.stored()});
                setup::record(tx, &parts, now, actor, ("integration.changed", found.id), data).await?;
                Ok(found.id)
            })
        });
        self.integration_view(done.await?).await
    }

    /// Gives an integration its next key, returned once. The newest until now works for `overlap` more; the one before it ends now.
    ///
    /// # Errors
    /// Only administrators may; [`SetupRefused`].
    pub async fn rotate_integration(
        &self,
        call: &Call,
        service: Handle,
        name: Handle,
        overlap: Duration,
    ) -> Result<(IntegrationView, Option<Secret>), SetupError> {
        call.admin()?;
        if overlap > MAX_KEY_OVERLAP {
            return Err(field("overlap_seconds", "must be at most 86400, which is a day").into());
        }
        let (now, parts, actor, key) = (self.clock.now(), self.parts.clone(), call.actor(None), draw());
        let (until, digest, call_name) = (now.after(overlap), key.hash(), b64u(random::<16>()));
        let ours = call_name.clone();
        let done = call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let found = find(tx, &service, &name).await?;
                if !store::rotate(tx, found.id, digest, until).await? {
                    return Err(none(&name).into());
                }
                let data = json!({"name": name, "previous_key_until": until});
                setup::record(tx, &parts, now, actor, ("integration.rotated", found.id), data).await?;
                Ok::<_, SetupError>(Drawn { integration: found.id, call: call_name })
            })
        });
        let done = done.await?;
        Ok((self.integration_view(done.integration).await?, (done.call == ours).then_some(key)))
    }

    /// Ends an integration: its keys do not work any more. What it reported goes on.
    ///
    /// # Errors
    /// Only administrators may; [`SetupRefused::NotFound`].
    pub async fn revoke_integration(&self, call: &Call, service: Handle, name: Handle) -> Result<(), SetupError> {
        call.admin()?;
        let (now, parts, actor) = (self.clock.now(), self.parts.clone(), call.actor(None));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let found = find(tx, &service, &name).await?;
                if !store::revoke(tx, found.id, now).await? {
                    return Err(none(&name).into());
                }
                Ok(setup::record(tx, &parts, now, actor, ("integration.revoked", found.id), json!({"name": name})).await?)
            })
        })
        .await
    }

    /// The integrations of a service that were not revoked, by name.
    ///
    /// # Errors
    /// Only administrators may see them; [`SetupRefused::NotFound`].
    pub async fn integrations(&self, call: &Call, service: Handle) -> Result<Vec<IntegrationView>, SetupError> {
        call.admin()?;
        self.store
            .read(move |db| {
                Box::pin(async move {
                    let found = super::super::find(db, &service).await?;
                    let service = found.ok_or_else(|| SetupRefused::NotFound(format!("service {service}")))?;
                    Ok(store::list(db, service.id).await?)
                })
            })
            .await
    }

    async fn integration_view(&self, id: IntegrationId) -> Result<IntegrationView, SetupError> {
        let found: Option<IntegrationView> = self.store.look(move |db| Box::pin(store::view(db, id))).await?;
        Ok(found.ok_or_else(|| db::Error::inconsistent("integrations", id, "made and not there"))?)
    }
}

fn none(name: &Handle) -> SetupRefused {
    SetupRefused::NotFound(format!("integration {name}"))
}

async fn find(tx: &mut Tx<'_>, service: &Handle, name: &Handle) -> Result<Integration, SetupError> {
    let service = kept(tx, service).await?.id;
    let all = store::list(tx.db(), service).await?;
    let found = all.into_iter().map(|view| view.integration).find(|integration| integration.name == *name);
    found.ok_or_else(|| none(name).into())
}

/// How long a key is: what Events v2's clients expect of a routing key.
const KEY_LENGTH: usize = 32;

/// The characters of a key.
const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// A key: 32 letters and digits, 165 random bits.
fn draw() -> Secret {
    let mut key = String::with_capacity(KEY_LENGTH);
    while key.len() < KEY_LENGTH {
        // The largest multiple of 36 that a byte holds: above it some characters would be likelier than others.
        let fair = random::<48>().into_iter().filter(|byte| *byte < 252).map(|byte| char::from(ALPHABET[usize::from(byte % 36)]));
        key.extend(fair.take(KEY_LENGTH - key.len()));
    }
    Secret::new(key)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{Beats, Mapping};
    use super::*;

    #[test]
    fn a_key_is_32_letters_and_digits_and_all_of_them_occur() {
        let keys: Vec<_> = (0..200).map(|_| draw().expose().to_owned()).collect();
        assert!(keys.iter().all(|key| key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_alphanumeric())));
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 200);
        assert_eq!(keys.iter().flat_map(|key| key.bytes()).collect::<BTreeSet<_>>().len(), 36);
    }

    #[test]
    fn settings_go_with_their_kind() {
        use IntegrationKind as Kind;
        let refused = |kind, settings: IntegrationSettings| match settings.check(kind) {
            Ok(()) => None,
            Err(SetupRefused::Field { field, .. }) => Some(field),
            Err(other) => panic!("{other}"),
        };
        let beats = |every_seconds, grace_seconds| IntegrationSettings::Beats(Beats { every_seconds, grace_seconds });
        let mapping = IntegrationSettings::Mapping(Mapping::default());
        for kind in [Kind::Events, Kind::Alertmanager, Kind::Grafana] {
            assert_eq!(refused(kind, IntegrationSettings::Nothing), None);
            assert_eq!(refused(kind, mapping.clone()).as_deref(), Some("mapping"));
            assert_eq!(refused(kind, beats(60, 0)).as_deref(), Some("every_seconds"));
        }
        assert_eq!(refused(Kind::Generic, mapping), None);
        assert_eq!(refused(Kind::Heartbeat, beats(60, 0)), None);
        assert_eq!(refused(Kind::Heartbeat, beats(0, 0)).as_deref(), Some("every_seconds"));
        assert_eq!(refused(Kind::Heartbeat, beats(60, 604_801)).as_deref(), Some("grace_seconds"));
        assert_eq!(refused(Kind::Heartbeat, IntegrationSettings::Nothing).as_deref(), Some("every_seconds"));
    }
}
