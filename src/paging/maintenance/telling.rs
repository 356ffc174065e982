//! What a line of chat silences is told on phones: a bot whose key was stolen may have said it in somebody's name.

use std::time::Duration;

use super::{Maintained, MaintenanceWindow};
use crate::clock::Timestamp;
use crate::db::{self, Tx};
use crate::delivery::{Content, Notice, Words};
use crate::id::TeamId;
use crate::identity::{self, Call, Caller};
use crate::paging::Parts;
use crate::push::Category;

/// How long it is news.
const NEWS: Duration = Duration::from_hours(24);

/// Tells the person in whose name a bot planned a window, and the team that is not woken meanwhile. Whoever plans one on their own device
/// knows, and is who they are.
pub(super) async fn planned(
    tx: &mut Tx<'_>,
    parts: &Parts,
    call: &Call,
    window: &MaintenanceWindow,
    (name, team): (&str, TeamId),
    now: Timestamp,
) -> db::Result<()> {
    let (Caller::Bot(bot), Some(heard)) = (&call.caller, &call.heard) else { return Ok(()) };
    let what = match window.of {
        Maintained::Service(_) => name.to_owned(),
        Maintained::Team(_) => format!("team {name}"),
    };
    let title = format!("Nobody is paged about {what} for {}", long(now.max(window.from).until(window.until)));
    let content = |category, words| Content {
        category,
        high: category == Category::Acted,
        words,
        full: None,
        path: "/admin/maintenance".to_owned(),
        subject: window.id.to_string(),
        reference: None,
    };
    let person = heard.by.id;
    let mut notices = vec![(
        person,
        content(
            Category::Acted,
            Words {
                title: title.clone(),
                body: format!("As you via {}. Not you? Say so to an administrator, who can end it", bot.name.as_str()),
            },
        ),
    )];
    for member in identity::team_members(tx.db(), team).await?.into_iter().filter(|member| member.id != person) {
        let body = format!("{} via {}", heard.by.name.as_str(), bot.name.as_str());
        notices.push((member.id, content(Category::Notice, Words { title: title.clone(), body })));
    }
    for (user, content) in notices {
        let notice = Notice { user, subject: window.id.0, round: 1, content, expires_at: now.after(NEWS), replaces: None };
        parts.delivery.notify(tx, notice, now).await?;
    }
    Ok(())
}

/// `90 min`, `2 h`
fn long(time: Duration) -> String {
    let minutes = time.as_secs().div_ceil(60);
    if minutes.is_multiple_of(60) { format!("{} h", minutes / 60) } else { format!("{minutes} min") }
}
