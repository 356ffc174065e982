//! Telling people of their devices: what waits, what joined, who is being recovered.

use futures_util::future::BoxFuture;

use super::service::{Content, Delivery, Notice, Words};
use crate::clock::Timestamp;
use crate::db::{Result, Tx};
use crate::id::{DeviceId, UserId};
use crate::identity::{self, Bell, Device, News, Via, WaitingDevice};
use crate::push::Category;

/// How long it is news that a device joined.
const JOINED_LIFE: std::time::Duration = std::time::Duration::from_hours(24);

impl Bell for Delivery {
    fn ring<'a>(&'a self, tx: &'a mut Tx<'_>, news: News, now: Timestamp) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            match news {
                News::Waits(waiting) => self.waits(tx, &waiting, now).await,
                News::Decided { device, name, confirmed, by } => {
                    let title = if confirmed { "Confirmed" } else { "Rejected" };
                    let words = Words { title: title.into(), body: format!("{name}: nothing left to do") };
                    self.withdraw(tx, device.0, by, &content(Category::Answered, device, words), now).await
                }
                News::Joined(device) => self.joined(tx, &device, now).await,
                News::Recovers { device, who, until } => self.recovers(tx, &device, &who, until, now).await,
            }
        })
    }
}

impl Delivery {
    async fn waits(&self, tx: &mut Tx<'_>, waiting: &WaitingDevice, now: Timestamp) -> Result<()> {
        let from = waiting.address.map(|address| format!(" (from {address})")).unwrap_or_default();
        let body = format!("{}{from} wants to be yours: type its number here, or reject it", waiting.name);
        let title = match waiting.via {
            Via::Code => "A new device waits",
            Via::Login => "Somebody signs in as you",
        };
        let words = Words { title: title.into(), body };
        let content = content(Category::Device, waiting.id, words);
        self.tell(tx, (waiting.user, waiting.id), 1, content, waiting.expires_at, now).await
    }

    async fn joined(&self, tx: &mut Tx<'_>, device: &Device, now: Timestamp) -> Result<()> {
        let body = format!("{} is yours from now on. If it is not, revoke it", device.name);
        let content = content(Category::Device, device.id, Words { title: "A new device joined".into(), body });
        self.tell(tx, (device.user, device.id), 2, content, now.after(JOINED_LIFE), now).await
    }

    async fn recovers(&self, tx: &mut Tx<'_>, device: &Device, who: &str, until: Timestamp, now: Timestamp) -> Result<()> {
        let title = format!("{who} is being recovered");
        let body = format!("{} decides for them from {until} on. If that is not right, revoke it before", device.name);
        let content = content(Category::Device, device.id, Words { title, body });
        let mut people = identity::admins(tx.db()).await?;
        people.retain(|admin| *admin != device.user);
        people.push(device.user);
        for user in people {
            self.tell(tx, (user, device.id), 3, content.clone(), until, now).await?;
        }
        Ok(())
    }

    /// Tells a person about `device`, on every device of theirs but that.
    async fn tell(
        &self,
        tx: &mut Tx<'_>,
        (user, device): (UserId, DeviceId),
        round: u32,
        content: Content,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<()> {
        let (ways, _) = self.ways(tx.db(), user, None).await?;
        let devices: Vec<_> = ways.into_iter().filter_map(|way| way.device).filter(|other| *other != device).collect();
        let notice = Notice { user, subject: device.0, round, content, expires_at, replaces: None };
        self.notify_on(tx, notice, &devices, now).await
    }
}

fn content(category: Category, device: DeviceId, words: Words) -> Content {
    let high = category == Category::Device;
    Content { category, high, words, full: None, path: "/devices".into(), subject: device.to_string(), reference: None }
}
