//! What a line of chat asks for. A closed list: whatever a front can do, it does by saying one of these.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::approvals::Action;
use crate::clock::Timestamp;
use crate::identity::chat::ChatId;
use crate::identity::{Handle, UserRef};
use crate::paging::Reference;

/// Stands for the name of a label where a line says the value alone: `show me only production events`.
pub const ANY_LABEL: &str = "*";

/// A line, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `page @yannick All your apps are down`; also `trigger`.
    Page {
        /// Whom. At least one.
        to: Vec<Whom>,
        /// What is wrong.
        title: String,
    },
    /// `incidents`, `incidents mine`: what is open.
    Incidents {
        /// Only those that ring for, or are taken by, whoever asks.
        mine: bool,
    },
    /// `incident P7K3M2X`
    Incident(Reference),
    /// `ack`, `ack mine`, `ack all`, `ack!`, `ack P7K3M2X PAAAAAA`
    Acknowledge(Which),
    /// `resolve P7K3M2X`
    Resolve(Vec<Reference>),
    /// `escalate P7K3M2X to @ys, I need some help`
    Escalate {
        /// Which; the last incident of this room when none is named.
        incident: Option<Reference>,
        /// To whom; to the next step when nobody is named.
        to: Vec<Whom>,
        /// What they are told.
        message: Option<String>,
    },
    /// `snooze P7K3M2X 2h`
    Snooze(Reference, Duration),
    /// `reassign P7K3M2X @ys`
    Reassign(Reference, Vec<Whom>),
    /// `note P7K3M2X the database is full`
    Note(Reference, String),
    /// `merge P7K3M2X into PAAAAAA`
    Merge {
        /// What ends.
        from: Reference,
        /// What goes on.
        into: Reference,
    },
    /// `who's on call`, `who's on call for api`
    OnCall(Option<Handle>),
    /// `am I on call`
    AmIOnCall,
    /// `take api 60`: the pager, for so long.
    Take(Handle, Duration),
    /// `override api @ys from 2027-01-10T08:00Z to 2027-01-10T20:00Z`
    Override {
        /// Which schedule.
        schedule: Handle,
        /// Who is on call instead.
        by: Whom,
        /// From when; from now on when it is not said.
        from: Option<Timestamp>,
        /// Until when.
        until: Timestamp,
    },
    /// `maintenance api 60`
    Maintenance(Handle, Duration),
    /// `deploy api/new_auth to production`, and whatever else an administrator declared.
    Gated(Gated),
    /// `request R7K2`: what became of it.
    Request(String),
    /// `cancel R7K2`
    Cancel(String),
    /// `link me`
    LinkMe,
    /// `test me`
    TestMe,
    /// `show me only production events`: for this room, what has these labels. A value without the name of its label stands under
    /// [`ANY_LABEL`]. None of them: everything again.
    ShowOnly(BTreeMap<String, String>),
    /// `help`, `help page`
    Help(Option<String>),
}

/// Which incidents are acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// These.
    These(Vec<Reference>),
    /// All that ring for whoever asks: `ack` and `ack mine`.
    Mine,
    /// All that ring and that whoever asks may act on: `ack all` and `ack!`.
    All,
}

/// Whom a line names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// `@yannick` or `usr_…`
    User(UserRef),
    /// `<@U012AB3CD>`: the chat's own mention, by its id in the workspace of the line.
    Mention(ChatId),
    /// `team:api`
    Team(Handle),
    /// `schedule:api`
    Schedule(Handle),
    /// `service:api`
    Service(Handle),
    /// `api`: a service, a schedule or a team; an error where two have the name.
    Bare(Handle),
}

/// A line that is a gated action: nothing happens unless it is approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gated {
    /// The command's name: `deploy`.
    pub name: String,
    /// What is asked.
    pub action: Action,
    /// What is said once it is allowed: `you are deploying api/new_auth to production`.
    pub success: String,
    /// The line, with single spaces and plain quotation marks: said again it means the same.
    pub line: String,
}
