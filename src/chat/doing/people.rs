//! Who is on call, the pager taken over, quiet for a service, a test of one's own phone, what a room is told, and help.

use std::collections::BTreeMap;
use std::time::Duration;

use super::words::{done, listed, name, plain, refused, when};
use super::{Chat, Error, Speaker, refusing};
use crate::chat::{ANY_LABEL, Reply, Whom};
use crate::clock::Timestamp;
use crate::identity::{Failure, Handle, Scope};
use crate::oncall::Span;
use crate::paging::maintenance::{MaintenanceFor, NewWindow, Until};
use crate::paging::schedules::{Asked, Because, NewOverride, OnCall, Until as Ends};
use crate::paging::To;
use crate::text::line;

/// So far ahead one's own next shift is looked for.
const AHEAD: Duration = Duration::from_hours(24 * 31);

impl Chat {
    pub(super) async fn on_call(&self, speaker: &Speaker, of: Option<Handle>) -> Result<Reply, Error> {
        let everything = Asked::default();
        let asked = match (&of, &speaker.room.team) {
            (None, Some(team)) => Asked { team: Some(team.clone()), ..everything },
            (None, None) => everything,
            (Some(handle), _) => match self.paging.named(handle.clone()).await? {
                all if all.iter().any(|to| matches!(to, To::Schedule(_))) => Asked { schedule: of.clone(), ..everything },
                all if all.iter().any(|to| matches!(to, To::Team(_))) => Asked { team: of.clone(), ..everything },
                all if all.iter().any(|to| matches!(to, To::Service(_))) => everything,
                _ => return Ok(refused(format!("I know no schedule, team or service {}.", handle.as_str()))),
            },
        };
        let narrow = match &of {
            Some(handle) if asked.schedule.is_none() && asked.team.is_none() => match self.paging.service(&speaker.call(), handle.clone()).await {
                Ok(view) => view.policy,
                Err(failure) => return refusing::setup(failure),
            },
            _ => None,
        };
        let (now, mut all) = match self.schedules.on_call(&speaker.call(), asked).await {
            Ok(found) => found,
            Err(failure) => return refusing::schedules(failure),
        };
        if let Some(policy) = &narrow {
            all.retain(|on_call| on_call.policies.contains(policy));
        }
        if all.is_empty() {
            let of = of.map(|handle| format!(" for {}", handle.as_str())).unwrap_or_default();
            return Ok(plain(format!("There is no schedule{of}. An administrator makes one: `phoneops schedule set`.")));
        }
        Ok(plain(all.iter().map(|on_call| duty(on_call, now)).collect::<Vec<_>>().join("\n")))
    }

    pub(super) async fn am_i_on_call(&self, speaker: &Speaker) -> Result<Reply, Error> {
        let now = speaker.now;
        let Some(ahead) = Span::new(now, now.after(AHEAD)) else { return Ok(plain("You are not on call.")) };
        let shifts = match self.schedules.my_shifts(&speaker.call(), ahead).await {
            Ok(shifts) => shifts,
            Err(failure) => return refusing::schedules(failure),
        };
        let on: Vec<_> = shifts
            .iter()
            .filter(|own| own.shift.span.from <= now && now < own.shift.span.until)
            .map(|own| format!("for {} until {}", own.schedule.as_str(), bare(own.shift.span.until, now)))
            .collect();
        if !on.is_empty() {
            return Ok(plain(format!("Yes, you are on call {}.", listed(&on))));
        }
        Ok(plain(match shifts.iter().find(|own| own.shift.span.from > now) {
            Some(next) => {
                format!("No. Your next shift, for {}, begins {}.", next.schedule.as_str(), when(next.shift.span.from, now))
            }
            None => "No, and you have no shift in the next 31 days.".to_owned(),
        }))
    }

    pub(super) async fn take(&self, speaker: &Speaker, schedule: Handle, time: Duration) -> Result<Reply, Error> {
        let until = Ends::For(format!("{}s", time.as_secs()));
        let new = NewOverride { user: Some(speaker.user.id.to_string()), instead_of: None, from: None, until };
        match self.schedules.override_it(&speaker.once("take", None), schedule.clone(), new).await {
            Ok(over) => {
                let until = bare(over.span.until, speaker.now);
                Ok(done(format!("You have the pager of {} until {until}.", schedule.as_str())))
            }
            Err(failure) => refusing::schedules(failure),
        }
    }

    pub(super) async fn override_it(
        &self,
        speaker: &Speaker,
        schedule: Handle,
        by: Whom,
        (from, until): (Option<Timestamp>, Timestamp),
    ) -> Result<Reply, Error> {
        let to = match self.meant(speaker, vec![by]).await? {
            Ok(to) => to,
            Err(reply) => return Ok(reply),
        };
        let user = match to.into_iter().next() {
            Some(To::Person(who)) => match self.person(&who).await? {
                Ok(user) => user,
                Err(reply) => return Ok(reply),
            },
            _ => return Ok(refused("Only a person takes the pager: `override api @ys until 2027-01-10T20:00Z`.")),
        };
        let until = Ends::At(until.to_string());
        let new = NewOverride {
            user: Some(user.id.to_string()),
            instead_of: None,
            from: from.map(|from| from.to_string()),
            until,
        };
        match self.schedules.override_it(&speaker.once("override", None), schedule.clone(), new).await {
            Ok(over) => Ok(done(format!(
                "{} has the pager of {} from {} until {}.",
                name(&over.user),
                schedule.as_str(),
                bare(over.span.from, speaker.now),
                bare(over.span.until, speaker.now)
            ))),
            Err(failure) => refusing::schedules(failure),
        }
    }

    pub(super) async fn maintenance(&self, speaker: &Speaker, service: Handle, time: Duration) -> Result<Reply, Error> {
        let reason = format!("{} in chat: {}", speaker.user.full_name(), line(&speaker.said.line, 300));
        let new = NewWindow { of: MaintenanceFor::Service(service.clone()), from: None, until: Until::For(time), reason };
        match self.paging.plan_maintenance(&speaker.once("maintenance", None), new).await {
            Ok(view) => Ok(done(format!(
                "Nobody is paged about {} until {}. End it early with `phoneops maintenance end {}`.",
                service.as_str(),
                bare(view.window.until, speaker.now),
                view.window.id
            ))),
            Err(failure) => refusing::setup(failure),
        }
    }

    pub(super) async fn test(&self, speaker: &Speaker) -> Result<Reply, Error> {
        match self.delivery.test(&speaker.once("test", None)).await {
            Ok(0) => Ok(refused(format!(
                "None of your phones can be reached. Open {} on your phone and switch notifications on.",
                self.issuer
            ))),
            Ok(1) => Ok(done("Your phone rings now. If it does not, open PhoneOps on it: Me says why.")),
            Ok(many) => Ok(done(format!("Your {many} devices ring now. If one does not, open PhoneOps on it: Me says why."))),
            Err(Failure::Call(refusal)) => refusing::call(refusal),
            Err(Failure::Refused(refusal)) => Ok(refused(format!("Not done: {refusal}."))),
            Err(Failure::Db(error)) => Err(error.into()),
        }
    }

    pub(super) async fn show_only(&self, speaker: &Speaker, labels: BTreeMap<String, String>) -> Result<Reply, Error> {
        // What a room hears of is as much as what its people may look at.
        if let Err(refusal) = speaker.call().bot(Scope::IncidentsRead) {
            return refusing::call(refusal);
        }
        let label = |(name, value): (&String, &String)| if name == ANY_LABEL { value.clone() } else { format!("{name}={value}") };
        let said: Vec<_> = labels.iter().map(label).collect();
        let hears = self.set_filter(speaker, labels).await?;
        let none = if hears { "" } else { " This room is not told of anything unasked yet: an administrator adds that with `phoneops room subscribe`." };
        Ok(done(if said.is_empty() {
            format!("This room is told of everything it hears of again.{none}")
        } else {
            format!("This room is told only of what has {} from now on.{none} Say `show me everything` for the rest.", listed(&said))
        }))
    }
}

/// As [`when`], after "until".
fn bare(at: Timestamp, now: Timestamp) -> String {
    let said = when(at, now);
    said.strip_prefix("at ").or(said.strip_prefix("on ")).unwrap_or(&said).replace(" at ", " ")
}

fn duty(on_call: &OnCall, now: Timestamp) -> String {
    let schedule = on_call.schedule.as_str();
    let next = || on_call.next.as_ref().map(|(user, from)| format!(", then {} from {}", name(user), bare(*from, now))).unwrap_or_default();
    match &on_call.now {
        None => format!("{schedule}: nobody{}", next()),
        Some(duty) => {
            let until = duty.until.map(|until| format!(" until {}", bare(until, now))).unwrap_or_default();
            let why = match &duty.why {
                Because::Layer(_) => String::new(),
                Because::Override { instead_of: Some(user), .. } => format!(" in place of {}", name(user)),
                Because::Override { instead_of: None, .. } => " by an override".to_owned(),
            };
            format!("{schedule}: {}{why}{until}{}", name(&duty.who), next())
        }
    }
}
