//! Doing what was said, after Slack was answered: through `Chat::say`, and the reply where it was said.
//!
//! **Invariants**
//! - A call ends once its reply was shown, or whoever said it was told why not; else it is tried again.
//! - What a button does is done once it was said: only showing the answer may be lost, for the card follows what happened anyway.
//! - A message that was posted says what holds by the time it is posted.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::blocks;
use super::{ApiError, By, Kept, LEASE, Line, Patience, Slack, Us, heard, store, too_late};
use crate::chat::{self, About, PlaceId, Reply, Said, Tone};
use crate::db;
use crate::id::SlackCallId;
use crate::identity::{Call, Caller, ChatIdentity, Place};

/// How long a call is worked on: less than its lease.
const WORK: Duration = Duration::from_secs(50);

/// How long Slack is asked again to show an answer: less than that.
const SHOWING: Duration = Duration::from_secs(40);

/// The pause before a call that failed is tried again, times how often it was.
const PAUSE: Duration = Duration::from_secs(5);

/// How often a message is brought up to date that changed while it was being posted.
const SETTLE: u32 = 5;

const STRANGER: &str = "You are a member of another organisation, and I act for people of the workspace that I belong to alone: I did \
                        nothing. Ask one of them.";

const IN_VAIN: &str = "I could not answer this within ten minutes, so I let it be. Look what holds (`incidents`, `request …`) before you say \
                       it again.";

const MAY_NOT: &str =
    "I am not allowed to do that, so nothing was done. An administrator has to make me a bot with the scope for it.";

/// Why a call is not done yet, for the log.
struct Later(String);

impl From<db::Error> for Later {
    fn from(error: db::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<chat::Error> for Later {
    fn from(error: chat::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<ApiError> for Later {
    fn from(error: ApiError) -> Self {
        Self(error.to_string())
    }
}

/// Where an answer goes, and for how long it is tried.
struct Asked<'a> {
    line: &'a Line,
    until: Patience,
}

/// What this node works on, until it is dropped.
struct AtWork<'a>(&'a Slack, SlackCallId);

impl<'a> AtWork<'a> {
    /// None while this node works on it already.
    fn on(slack: &'a Slack, id: SlackCallId) -> Option<Self> {
        let fresh = slack.at_work().insert(id);
        fresh.then(|| Self(slack, id))
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.at_work().remove(&self.1);
    }
}

impl Slack {
    /// Works on a call that this node holds, unless it does already.
    pub(super) async fn work(&self, kept: Kept) {
        let Some(_mine) = AtWork::on(self, kept.id) else { return };
        let _place = self.places.acquire().await;
        let worked = tokio::select! {
            () = self.stop.cancelled() => Err(None),
            worked = tokio::time::timeout(WORK, self.attempt(&kept)) => match worked {
                Ok(Ok(())) => Ok(()),
                Ok(Err(Later(why))) => Err(Some(why)),
                Err(_) => Err(Some("it takes too long".to_owned())),
            },
        };
        if let Err(why) = worked {
            let now = self.clock.now();
            let due_at = if why.is_some() { now.after((PAUSE * kept.tries).min(LEASE)) } else { now };
            if let Some(why) = why {
                tracing::warn!(call = %kept.id, tries = kept.tries, why, "what was said in Slack is tried again");
            }
            let (id, tries) = (kept.id, kept.tries);
            let released = self.store.write(move |tx| Box::pin(store::release(tx, id, tries, due_at))).await;
            if let Err(error) = released {
                tracing::warn!(%error, "what was said in Slack is tried again when its lease runs out");
            }
        }
    }

    async fn attempt(&self, kept: &Kept) -> Result<(), Later> {
        let Some((vouched, line)) = self.opened(kept) else {
            tracing::error!(call = %kept.id, "what Slack sent does not open with this master key");
            return self.finish(kept).await;
        };
        let asked = Asked { line: &line, until: Patience::Until(Instant::now() + SHOWING) };
        if self.clock.now() > too_late(kept.received_at) {
            tracing::error!(call = %kept.id, "what was said in Slack was not done in time");
            self.say_privately(&asked, IN_VAIN).await;
            return self.finish(kept).await;
        }
        let us = self.us().await;
        if is_stranger(&line, &us) {
            tracing::info!(user = line.user, home = line.home, "a member of another organisation is refused in Slack");
            self.say_privately(&asked, STRANGER).await;
            return self.finish(kept).await;
        }
        let Some(call) = self.chat.bot(self.bot.clone()).await? else {
            let text =
                format!("There is no bot {} in PhoneOps, so nothing was done. An administrator makes it.", self.bot.as_str());
            self.say_privately(&asked, &text).await;
            return self.finish(kept).await;
        };
        if let Caller::Bot(bot) = &call.caller {
            self.begin(bot.id, us.workspace()).await?;
        }
        let said = match said(&line, &us, &vouched) {
            Ok(said) => said,
            Err(why) => {
                tracing::error!(call = %kept.id, why, "Slack sent an id that is none");
                return self.finish(kept).await;
            }
        };
        let place = said.place();
        let reply = match self.chat.say(&call, said).await {
            Ok(reply) => reply,
            Err(chat::Error::Db(error)) => return Err(error.into()),
            Err(chat::Error::Call(refusal)) => {
                tracing::error!(bot = self.bot.as_str(), %refusal, "the bot that speaks in Slack may not");
                self.say_privately(&asked, MAY_NOT).await;
                return self.finish(kept).await;
            }
        };
        metrics::counter!("phoneops_slack_lines_total", "by" => line.by.as_str()).increment(1);
        if line.by == By::Button {
            self.finish(kept).await?;
            self.answer_press(&asked, &call, &place, &reply).await;
            return Ok(());
        }
        self.answer(&asked, &call, &place, &reply).await?;
        self.finish(kept).await
    }

    async fn finish(&self, kept: &Kept) -> Result<(), Later> {
        let (id, tries, now) = (kept.id, kept.tries, self.clock.now());
        self.store.write(move |tx| Box::pin(store::done(tx, id, tries, now))).await?;
        Ok(())
    }

    /// Shows what a line brought about: in the channel, or to whoever said it where it is of use to nobody else.
    async fn answer(&self, asked: &Asked<'_>, call: &Call, place: &Place, reply: &Reply) -> Result<(), Later> {
        let line = asked.line;
        // First, because it is not said twice: whoever is shown the rest at the second try has it.
        if let Some(whisper) = &reply.whisper {
            self.say_privately(asked, whisper).await;
        }
        if reply.about.is_none() && reply.tone == Tone::Alarm {
            self.say_privately(asked, &reply.text).await;
        } else {
            let shown = blocks::message(reply);
            match self.api.post(&line.channel, line.thread.as_deref(), &shown, asked.until).await {
                Ok(message) => self.follows(asked, call, place, (reply, &message)).await?,
                Err(ApiError::Later { why, .. }) => return Err(Later(why)),
                Err(error) => self.answer_elsewhere(asked, reply, &error).await?,
            }
        }
        Ok(())
    }

    /// Writes down which message says it, and lets it say what holds now.
    async fn follows(
        &self,
        asked: &Asked<'_>,
        call: &Call,
        place: &Place,
        (reply, message): (&Reply, &str),
    ) -> Result<(), Later> {
        let Some(about) = reply.about else { return Ok(()) };
        let Ok(id) = message.parse::<PlaceId>() else { return Ok(()) };
        self.chat.posted(call, about, place, &id).await?;
        self.settle(asked, about, (message, reply.clone())).await
    }

    /// Brings a message up to date that says `shown`: what changed before it was known has been told to nobody.
    async fn settle(&self, asked: &Asked<'_>, about: About, (message, mut shown): (&str, Reply)) -> Result<(), Later> {
        for _ in 0..SETTLE {
            let now = self.chat.now(about).await?;
            if (&now.title, now.tone, &now.buttons) == (&shown.title, shown.tone, &shown.buttons) {
                return Ok(());
            }
            self.api.update(&asked.line.channel, message, &blocks::message(&now), asked.until).await?;
            shown = now;
        }
        Ok(())
    }

    /// Where the bot may not write: as Slack's answer to the command, which follows nothing.
    async fn answer_elsewhere(&self, asked: &Asked<'_>, reply: &Reply, error: &ApiError) -> Result<(), Later> {
        tracing::warn!(channel = asked.line.channel, %error, "a reply cannot be posted in Slack");
        let Some(url) = &asked.line.response_url else { return Ok(()) };
        let mut shown = blocks::message(reply);
        if reply.about.is_some() {
            let invite = "\nI cannot write here, so this does not change any more: `/invite` me.";
            let text = format!("{}{invite}", shown["text"].as_str().unwrap_or_default());
            shown["text"] = json!(text);
        }
        shown["response_type"] = json!("in_channel");
        self.api.respond(url, &shown, asked.until).await?;
        Ok(())
    }

    /// Whoever pressed a button hears what came of it; the card says it to everybody. Nothing here is tried again.
    async fn answer_press(&self, asked: &Asked<'_>, call: &Call, place: &Place, reply: &Reply) {
        self.say_privately(asked, &reply.text).await;
        if let Some(whisper) = &reply.whisper {
            self.say_privately(asked, whisper).await;
        }
        let Some(about) = reply.about else { return };
        // A card that missed something, or is not known any more, is put right.
        let mended = async {
            let now = self.chat.now(about).await?;
            self.api.update(&asked.line.channel, &asked.line.message, &blocks::message(&now), asked.until).await?;
            self.follows(asked, call, place, (&now, &asked.line.message)).await
        };
        if let Err(Later(why)) = mended.await {
            tracing::warn!(why, "a card in Slack is not brought up to date");
        }
    }

    /// Says something to whoever said the line, and nobody else.
    async fn say_privately(&self, asked: &Asked<'_>, text: &str) {
        let Asked { line, until } = asked;
        let text = blocks::text(text);
        let said = self.api.whisper(&line.channel, line.thread.as_deref(), &line.user, &text, *until).await;
        let Err(error) = said else { return };
        let answered = match &line.response_url {
            Some(url) => {
                let body = json!({"response_type": "ephemeral", "replace_original": false, "text": text});
                self.api.respond(url, &body, *until).await
            }
            None => Err(error),
        };
        if let Err(error) = answered {
            tracing::error!(channel = line.channel, user = line.user, %error, "somebody in Slack cannot be told something");
        }
    }
}

impl By {
    fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Button => "button",
            Self::Message => "message",
        }
    }
}

/// Whether somebody is of another organisation, or may be.
fn is_stranger(line: &Line, us: &Us) -> bool {
    let ours = |id: &str| id == us.team || us.enterprise.as_deref() == Some(id);
    let heard_here = line.team.as_deref().is_some_and(ours) || line.enterprise.as_deref().is_some_and(ours);
    let at_home = |home: &str| ours(home) || line.team.as_deref() == Some(home);
    !(heard_here && line.home.as_deref().is_some_and(at_home))
}

/// What was said, as Slack vouches for it; or which id is odd.
fn said(line: &Line, us: &Us, vouched: &str) -> Result<Said, String> {
    let odd = |name: &str, error: &dyn std::fmt::Display| format!("{name}: {error}");
    let id = |name: &str, text: &str| text.parse::<PlaceId>().map_err(|error| odd(name, &error));
    Ok(Said {
        by: ChatIdentity {
            platform: "slack".parse().map_err(|error| odd("platform", &error))?,
            workspace: us.workspace().parse().map_err(|error| odd("workspace", &error))?,
            user: line.user.parse().map_err(|error| odd("user", &error))?,
        },
        name: line.name.clone(),
        room: id("channel", &line.channel)?,
        thread: line.thread.as_deref().map(|thread| id("thread", thread)).transpose()?,
        message: Some(id("message", &line.message)?),
        line: match line.by {
            By::Button => line.text.clone(),
            By::Command | By::Message => heard::addressed(&heard::plain(&line.text), &us.user),
        },
        key: Some(vouched.to_owned()),
        pressed: line.by == By::Button,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn us() -> Us {
        Us { team: "T1".into(), enterprise: None, user: "UBOT".into(), team_name: "Example".into(), scopes: None }
    }

    fn line(team: Option<&str>, enterprise: Option<&str>, home: Option<&str>) -> Line {
        Line {
            user: "U1".into(),
            name: None,
            team: team.map(str::to_owned),
            enterprise: enterprise.map(str::to_owned),
            home: home.map(str::to_owned),
            channel: "C1".into(),
            thread: None,
            message: "1.2".into(),
            text: "<@UBOT> page <@U2|ys> a &amp; b".into(),
            by: By::Message,
            response_url: None,
        }
    }

    #[test]
    fn a_stranger_is_whoever_is_not_surely_of_ours() {
        let alone = us();
        let grid = Us { enterprise: Some("E1".into()), ..us() };
        for (us, team, enterprise, home, stranger) in [
            (&alone, Some("T1"), None, Some("T1"), false),
            (&alone, Some("T1"), None, Some("T2"), true),
            (&alone, Some("T2"), None, Some("T2"), true),
            (&alone, Some("T2"), None, Some("T1"), true),
            (&alone, Some("T1"), None, None, true),
            (&alone, None, None, Some("T1"), true),
            (&alone, Some("T2"), Some("E1"), Some("T2"), true),
            (&grid, Some("T1"), Some("E1"), Some("T1"), false),
            (&grid, Some("T2"), Some("E1"), Some("T2"), false),
            (&grid, Some("T2"), Some("E1"), Some("E1"), false),
            (&grid, Some("T1"), Some("E1"), Some("T9"), true),
            (&grid, Some("T9"), Some("E9"), Some("T9"), true),
            (&grid, None, Some("E1"), Some("T9"), true),
        ] {
            assert_eq!(is_stranger(&line(team, enterprise, home), us), stranger, "{team:?} {enterprise:?} {home:?}");
        }
    }

    #[test]
    fn who_speaks_is_known_by_organisation_or_workspace_and_user() {
        let heard = said(&line(Some("T1"), None, Some("T1")), &us(), "app token").unwrap();
        assert_eq!((heard.by.to_string().as_str(), heard.line.as_str()), ("slack:T1:U1", "page <@U2> a & b"));
        let grid = Us { enterprise: Some("E1".into()), ..us() };
        let pressed = Line { by: By::Button, text: "ack <@UBOT>".into(), ..line(Some("T1"), Some("E1"), Some("T1")) };
        let heard = said(&pressed, &grid, "app token").unwrap();
        assert_eq!((heard.by.to_string().as_str(), heard.line.as_str(), heard.pressed), ("slack:E1:U1", "ack <@UBOT>", true));
        let odd = Line { channel: "C\u{202e}".into(), ..pressed };
        assert!(said(&odd, &grid, "app token").unwrap_err().starts_with("channel: "));
    }

    #[test]
    fn work_ends_before_another_may_begin_it() {
        assert!(SHOWING < WORK && WORK < LEASE);
        let began = Timestamp::from_seconds(1_000);
        assert!(too_late(began) > began.after(LEASE));
    }
}
