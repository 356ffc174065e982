//! Pages and incidents, in chat.

use std::time::Duration;

use super::words::{self, done, incident_saying, listed, paged, plain, refused};
use super::{Chat, Error, Speaker, refusing};
use crate::chat::{Reply, Which, Whom};
use crate::db;
use crate::id::UserId;
use crate::identity::chat::messages;
use crate::identity::{self, ChatIdentity, Handle, Nobody, User, UserRef, Who};
use crate::paging::{Deed, Done, Filter, Page, Phase, Reference, Refusal, State, To, Until, Urgency, View};

/// So many incidents are listed at once.
const LISTED: u32 = 10;

/// So many of those that ring are taken by one line.
const TAKEN: u32 = 100;

/// So many are acted on by one line.
const AT_ONCE: usize = 20;

impl Speaker {
    pub(super) fn actor(&self) -> Who {
        Who::User(UserRef::Id(self.user.id))
    }
}

fn found<'a>(view: &'a View, ids: &[UserId]) -> Vec<&'a User> {
    ids.iter().filter_map(|id| view.responders.iter().find(|user| user.id == *id)).collect()
}

impl Chat {
    /// Whom a line names, or what is said to somebody who names nobody.
    pub(super) async fn meant(&self, speaker: &Speaker, whom: Vec<Whom>) -> Result<Result<Vec<To>, Reply>, Error> {
        let mut meant = Vec::with_capacity(whom.len());
        for one in whom {
            meant.push(match one {
                Whom::User(user) => To::from(user),
                Whom::Mention(user) => {
                    let by = &speaker.said.by;
                    let identity = ChatIdentity { platform: by.platform.clone(), workspace: by.workspace.clone(), user };
                    To::Person(Who::Chat(identity))
                }
                Whom::Team(name) => To::Team(name),
                Whom::Schedule(name) => To::Schedule(name),
                Whom::Service(name) => To::Service(name),
                Whom::Bare(name) => match self.bare(name).await? {
                    Ok(to) => to,
                    Err(reply) => return Ok(Err(reply)),
                },
            });
        }
        Ok(Ok(meant))
    }

    /// The person whom a name means.
    pub(super) async fn person(&self, who: &Who) -> Result<Result<User, Reply>, Error> {
        let who = who.clone();
        let found: db::Result<Result<User, Nobody>> =
            self.store.read(move |db| Box::pin(async move { identity::person_meant(db, &who).await })).await;
        Ok(found?.map_err(|nobody| refusing::nobody(&nobody)))
    }

    /// The one thing that has a bare name.
    async fn bare(&self, name: Handle) -> Result<Result<To, Reply>, Error> {
        let all = self.paging.named(name.clone()).await?;
        Ok(match all.as_slice() {
            [one] => Ok(one.clone()),
            [] => Err(refused(format!(
                "I know no service, schedule or team {}. For a person put an @ before the handle: @{}.",
                name.as_str(),
                name.as_str()
            ))),
            several => {
                let all: Vec<_> = several.iter().map(To::to_string).collect();
                Err(refused(format!("{} could be {}: say which.", name.as_str(), listed(&all))))
            }
        })
    }

    pub(super) async fn page(&self, speaker: &Speaker, to: Vec<Whom>, title: String) -> Result<Reply, Error> {
        let mut to = match self.meant(speaker, to).await? {
            Ok(to) => to,
            Err(reply) => return Ok(reply),
        };
        if to.is_empty() {
            to.extend(speaker.room.service.clone().map(To::Service));
        }
        let page = Page {
            title: crate::text::line(&title, 500),
            to,
            details: None,
            links: Vec::new(),
            urgency: Urgency::High,
            actor: Some(speaker.actor()),
        };
        let call = speaker.once("page", None);
        let sent = match self.paging.page(&call, page).await {
            Ok(sent) => sent,
            Err(failure) => return refusing::paging(speaker, failure),
        };
        let view = match self.paging.find_changed(&speaker.call(), sent.reference.clone()).await {
            Ok(view) => view,
            Err(failure) => return refusing::paging(speaker, failure),
        };
        let (rung, missed, outside) = (found(&view, &sent.paged), found(&view, &sent.unreachable), found(&view, &sent.outside));
        Ok(incident_saying(&view, &self.issuer, paged(&sent.reference, &rung, &missed, &outside)))
    }

    pub(super) async fn list(&self, speaker: &Speaker, mine: bool) -> Result<Reply, Error> {
        let (service, team) = if mine { (None, None) } else { (speaker.room.service.clone(), speaker.room.team.clone()) };
        let filter = Filter { phase: Phase::Open, mine, service: service.clone(), team: team.clone(), urgency: None };
        let (views, more) = match self.paging.list(&speaker.call(), filter, None, LISTED).await {
            Ok(listed) => listed,
            Err(failure) => return refusing::paging(speaker, failure),
        };
        let of = match (&service, &team) {
            (Some(service), _) => format!(" of service {}", service.as_str()),
            (None, Some(team)) => format!(" of team {}", team.as_str()),
            (None, None) if mine => " of yours".to_owned(),
            (None, None) => String::new(),
        };
        if views.is_empty() {
            return Ok(plain(format!("No incident{of} is open.")));
        }
        let mut lines: Vec<_> = views.iter().map(|view| words::in_a_list(view, speaker.now)).collect();
        if more {
            lines.push(format!("There are more: {}/", self.issuer));
        }
        Ok(plain(lines.join("\n")))
    }

    pub(super) async fn show(&self, speaker: &Speaker, reference: Reference) -> Result<Reply, Error> {
        match self.paging.find(&speaker.call(), reference).await {
            Ok(view) => Ok(words::incident(&view, &self.issuer, speaker.now)),
            Err(failure) => refusing::paging(speaker, failure),
        }
    }

    pub(super) async fn acknowledge(&self, speaker: &Speaker, which: Which) -> Result<Reply, Error> {
        let references = match which {
            Which::These(references) => references,
            Which::Mine => match self.paging.acknowledge_all(&speaker.once("act", None), Some(speaker.actor())).await {
                Ok(taken) if taken.is_empty() => return Ok(plain("Nothing rings for you.")),
                Ok(taken) => return Ok(done(format!("Acknowledged {}", listed(&texts(&taken))))),
                Err(failure) => return refusing::paging(speaker, failure),
            },
            Which::All => match self.ringing(speaker).await? {
                Ok(references) if references.is_empty() => return Ok(plain("Nothing rings.")),
                Ok(references) => return self.all_of(speaker, references).await,
                Err(reply) => return Ok(reply),
            },
        };
        self.each(speaker, references, &Deed::Acknowledge).await
    }

    /// What rings, the newest first.
    async fn ringing(&self, speaker: &Speaker) -> Result<Result<Vec<Reference>, Reply>, Error> {
        let filter = Filter { phase: Phase::Triggered, mine: false, service: None, team: None, urgency: None };
        let views = match self.paging.list(&speaker.call(), filter, None, TAKEN).await {
            Ok((views, _)) => views,
            Err(failure) => return refusing::paging(speaker, failure).map(Err),
        };
        let ringing: Vec<Reference> = views.into_iter().map(|view| view.incident.reference).collect();
        // A front that sends the line again means what rang the first time, not what nobody has seen yet.
        let kept = speaker.once("all", None).write(&self.store, speaker.now, move |_| Box::pin(async move { Ok(ringing) })).await;
        match kept {
            Ok(ringing) => Ok(Ok(ringing)),
            Err(failure) => refusing::paging(speaker, failure).map(Err),
        }
    }

    /// Takes all that the speaker may take.
    async fn all_of(&self, speaker: &Speaker, references: Vec<Reference>) -> Result<Reply, Error> {
        let (mut taken, mut others) = (Vec::new(), 0_usize);
        for reference in references {
            let call = speaker.once(&format!("act:{reference}"), None);
            match self.paging.act(&call, reference.clone(), Some(speaker.actor()), Deed::Acknowledge).await {
                Ok(_) => taken.push(reference),
                Err(crate::identity::Failure::Refused(crate::paging::Refused::NotAResponder(_))) => others += 1,
                // Somebody resolved it meanwhile.
                Err(crate::identity::Failure::Refused(crate::paging::Refused::Machine(_))) => {}
                Err(failure) => return refusing::paging(speaker, failure),
            }
        }
        let rest = match others {
            0 => String::new(),
            1 => "\nOne more rings that is not for you to act on.".to_owned(),
            many => format!("\n{many} more ring that are not for you to act on."),
        };
        if taken.is_empty() {
            return Ok(plain(format!("Nothing rings that is for you to act on.{rest}")));
        }
        Ok(done(format!("Acknowledged {}{rest}", listed(&texts(&taken)))))
    }

    pub(super) async fn resolve(&self, speaker: &Speaker, references: Vec<Reference>) -> Result<Reply, Error> {
        self.each(speaker, references, &Deed::Resolve).await
    }

    /// Does the same to each; a card where it is one.
    async fn each(&self, speaker: &Speaker, references: Vec<Reference>, deed: &Deed) -> Result<Reply, Error> {
        if references.len() > AT_ONCE {
            return Ok(refused(format!("That is {} incidents: name at most {AT_ONCE} at once.", references.len())));
        }
        let mut replies = Vec::new();
        for reference in references {
            replies.push(self.simple(speaker, reference, deed.clone()).await?);
        }
        if replies.len() == 1 {
            return Ok(replies.remove(0));
        }
        let worst = replies.iter().any(|reply| reply.about.is_none());
        let text: Vec<_> = replies.into_iter().map(|reply| reply.text).collect();
        let text = text.join("\n");
        Ok(if worst { refused(text) } else { done(text) })
    }

    /// Acknowledges or resolves; says who did when somebody had.
    async fn simple(&self, speaker: &Speaker, reference: Reference, deed: Deed) -> Result<Reply, Error> {
        let word = if matches!(deed, Deed::Resolve) { "resolved" } else { "acknowledged" };
        let call = speaker.once(&format!("act:{reference}"), None);
        let acted = self.paging.act(&call, reference.clone(), Some(speaker.actor()), deed).await;
        let view = match self.paging.find_changed(&speaker.call(), reference.clone()).await {
            Ok(view) => view,
            Err(failure) => return refusing::paging(speaker, failure),
        };
        let over = matches!(view.incident.state, State::Resolved { .. });
        if let Err(failure) = acted {
            // What is over tells whoever presses its button who ended it.
            return match failure {
                crate::identity::Failure::Refused(crate::paging::Refused::Machine(_)) if over => Ok(self.already(speaker, &view)),
                failure => refusing::paging(speaker, failure),
            };
        }
        let own = view.incident.state.act().is_some_and(|act| act.person() == Some(speaker.user.id) && act.at >= speaker.now);
        if !own {
            return Ok(self.already(speaker, &view));
        }
        Ok(incident_saying(&view, &self.issuer, format!("Incident {reference} {word}")))
    }

    /// What is over tells whoever acts on it who ended it; anything else is refused as ever.
    async fn too_late(&self, speaker: &Speaker, reference: &Reference, failure: crate::paging::Error) -> Result<Reply, Error> {
        let over = matches!(
            failure,
            crate::identity::Failure::Refused(crate::paging::Refused::Machine(Refusal::Resolved(_) | Refusal::Merged(_)))
        );
        if over && let Ok(view) = self.paging.find_changed(&speaker.call(), reference.clone()).await {
            return Ok(self.already(speaker, &view));
        }
        refusing::paging(speaker, failure)
    }

    /// Who had done it, and when.
    fn already(&self, speaker: &Speaker, view: &View) -> Reply {
        let stands = words::stands(view, speaker.now);
        let mut letters = stands.chars();
        let lower: String = letters.next().into_iter().flat_map(char::to_lowercase).chain(letters).collect();
        let (first, rest) = lower.split_once(' ').unwrap_or((&lower, ""));
        let text = match view.incident.state {
            State::Triggered { .. } => format!("Incident {} rings again: {stands}", view.incident.reference),
            _ => format!("Incident {} was {first} already {rest}", view.incident.reference),
        };
        incident_saying(view, &self.issuer, text)
    }

    pub(super) async fn escalate(
        &self,
        speaker: &Speaker,
        incident: Option<Reference>,
        to: Vec<Whom>,
        message: Option<String>,
    ) -> Result<Reply, Error> {
        let reference = match incident {
            Some(reference) => reference,
            None => match self.last_here(speaker).await? {
                Some(reference) => reference,
                None => {
                    return Ok(refused(
                        "No incident was spoken of here: say which, as in `escalate P7K3M2X to @ys`. `incidents` lists those that are open.",
                    ));
                }
            },
        };
        let to = match self.meant(speaker, to).await? {
            Ok(to) => to,
            Err(reply) => return Ok(reply),
        };
        let message = message.map(|message| crate::text::line(&message, 500)).filter(|message| !message.is_empty());
        self.hand_on(speaker, reference, Deed::Escalate { to, message }, "escalated").await
    }

    pub(super) async fn reassign(&self, speaker: &Speaker, reference: Reference, to: Vec<Whom>) -> Result<Reply, Error> {
        match self.meant(speaker, to).await? {
            Ok(to) => self.hand_on(speaker, reference, Deed::Reassign(to), "handed over").await,
            Err(reply) => Ok(reply),
        }
    }

    async fn hand_on(&self, speaker: &Speaker, reference: Reference, deed: Deed, word: &str) -> Result<Reply, Error> {
        let Done { paged: rung, unreachable, outside } =
            match self.paging.act(&speaker.once("act", None), reference.clone(), Some(speaker.actor()), deed).await {
                Ok(done) => done,
                Err(failure) => return self.too_late(speaker, &reference, failure).await,
            };
        let view = match self.paging.find_changed(&speaker.call(), reference.clone()).await {
            Ok(view) => view,
            Err(failure) => return refusing::paging(speaker, failure),
        };
        let text = if rung.is_empty() && unreachable.is_empty() {
            format!("Incident {reference} {word}: {}", words::stands(&view, speaker.now))
        } else {
            paged(&reference, &found(&view, &rung), &found(&view, &unreachable), &found(&view, &outside))
        };
        Ok(incident_saying(&view, &self.issuer, text))
    }

    /// The incident that was spoken of last in the room.
    async fn last_here(&self, speaker: &Speaker) -> Result<Option<Reference>, Error> {
        let (bot, place) = (speaker.bot, speaker.place.clone());
        let found: db::Result<_> =
            self.store.read(move |db| Box::pin(async move { messages::last_incident(db, bot, &place).await })).await;
        let Some(id) = found? else { return Ok(None) };
        Ok(self.paging.known(id).await?.map(|view| view.incident.reference))
    }

    pub(super) async fn snooze(&self, speaker: &Speaker, reference: Reference, time: Duration) -> Result<Reply, Error> {
        let deed = Deed::Snooze(Until::For(time));
        if let Err(failure) = self.paging.act(&speaker.once("act", None), reference.clone(), Some(speaker.actor()), deed).await {
            return self.too_late(speaker, &reference, failure).await;
        }
        match self.paging.find_changed(&speaker.call(), reference.clone()).await {
            Ok(view) => {
                let text = format!("Incident {reference} snoozed for {}", words::long(time));
                Ok(incident_saying(&view, &self.issuer, text))
            }
            Err(failure) => refusing::paging(speaker, failure),
        }
    }

    pub(super) async fn note(&self, speaker: &Speaker, reference: Reference, text: String) -> Result<Reply, Error> {
        match self.paging.note(&speaker.once("note", None), reference.clone(), Some(speaker.actor()), text).await {
            Ok(()) => Ok(done(format!("Noted on incident {reference}"))),
            Err(failure) => refusing::paging(speaker, failure),
        }
    }

    pub(super) async fn merge(&self, speaker: &Speaker, from: Reference, into: Reference) -> Result<Reply, Error> {
        if let Err(failure) =
            self.paging.merge(&speaker.once("merge", None), from.clone(), Some(speaker.actor()), into.clone()).await
        {
            return refusing::paging(speaker, failure);
        }
        match self.paging.find_changed(&speaker.call(), into.clone()).await {
            Ok(view) => Ok(incident_saying(&view, &self.issuer, format!("Incident {from} merged into {into}"))),
            Err(failure) => refusing::paging(speaker, failure),
        }
    }
}

fn texts(references: &[Reference]) -> Vec<String> {
    references.iter().map(Reference::to_string).collect()
}
