//! `phoneops on-call`: who is on call now, who is next, and when nobody is.

use clap::Args;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::connect::Anybody;
use super::noun::tell;
use super::reply::Person;
use super::schedule::{wall, zone};
use super::words::table;
use super::{Failure, Out, Outcome};
use crate::clock::Timestamp;
use crate::identity::Handle;
use crate::text::line;

/// Gaps that are told one by one.
const GAPS: usize = 3;

/// Show who is on call, who is next, and when nobody is in the next seven days
///
/// As the bot whose token is in `PHONEOPS_TOKEN` or in the file that `PHONEOPS_TOKEN_FILE` names; without a token as the operator of the
/// server on this machine, or as the person who is signed in. Times are by the clock of the schedule's zone.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  phoneops on-call --team ops")]
pub(super) struct OnCall {
    #[command(flatten)]
    reach: Anybody,
    /// By this schedule alone
    #[arg(long, value_name = "NAME")]
    schedule: Option<Handle>,
    /// By the schedules of this team alone
    #[arg(long, value_name = "TEAM")]
    team: Option<Handle>,
    /// At this time, like 2026-12-24T18:00:00Z; now when absent
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A schedule, as `/v1/on-call` shows it.
#[derive(Deserialize)]
struct On {
    schedule: String,
    zone: String,
    now: Option<Duty>,
    next: Option<Next>,
    gaps: Vec<Gap>,
}

#[derive(Deserialize)]
struct Duty {
    who: Person,
    layer: Option<String>,
    made_by: Option<String>,
    until: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Next {
    who: Person,
    from: Timestamp,
}

#[derive(Deserialize)]
struct Gap {
    from: Timestamp,
    until: Timestamp,
}

impl OnCall {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.schedule.as_ref().map(|name| ("schedule", name.as_str())));
        query.extend_pairs(self.team.as_ref().map(|name| ("team", name.as_str())));
        query.extend_pairs(self.at.map(|at| ("at", at.to_string())));
        let reply = self.reach.connect()?.get(&format!("/v1/on-call?{}", query.finish())).await?;
        tell(out, self.json, &reply.body["schedules"], |out, all: Vec<On>| {
            let rows: Vec<_> = all.iter().flat_map(|on| rows(on, &zone(&on.zone).unwrap_or(TimeZone::UTC))).collect();
            out.lines(table(&rows));
            if rows.is_empty() {
                out.note("There is no schedule: `phoneops schedule create NAME FILE` makes one");
            }
        })
    }
}

/// `nights  @ann until Mon 23 Nov 09:00 (primary), then @ys`, and the gaps below it.
fn rows(on: &On, zone: &TimeZone) -> Vec<Vec<String>> {
    let time = |at: Timestamp| wall(zone, at).strftime("%a %d %b %H:%M").to_string();
    let handle = |person: &Person| format!("@{}", line(&person.handle, 40));
    let now = match &on.now {
        None => "nobody".to_owned(),
        Some(duty) => {
            let until = duty.until.map(|until| format!(" until {}", time(until))).unwrap_or_default();
            let by = duty.made_by.as_ref().map(|by| format!("override by {by}"));
            let why = duty.layer.clone().or(by).map(|why| format!(" ({})", line(&why, 80))).unwrap_or_default();
            format!("{}{until}{why}", handle(&duty.who))
        }
    };
    let gap_follows = |next: &Next| on.now.as_ref().is_none_or(|duty| duty.until != Some(next.from));
    let next = on.next.as_ref().map(|next| {
        let from = if gap_follows(next) { format!(" from {}", time(next.from)) } else { String::new() };
        format!(", then {}{from}", handle(&next.who))
    });
    let mut rows = vec![vec![line(&on.schedule, 40), format!("{now}{}", next.unwrap_or_default())]];
    let told = on.gaps.iter().take(GAPS).map(|gap| format!("!! nobody from {} until {}", time(gap.from), time(gap.until)));
    rows.extend(told.map(|gap| vec![String::new(), gap]));
    if let Some(more) = on.gaps.len().checked_sub(GAPS).filter(|more| *more > 0) {
        rows.push(vec![String::new(), format!("!! and {more} more times within seven days")]);
    }
    rows
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_is_on_call_is_a_line_and_so_is_each_gap() {
        let person = |handle: &str| json!({"id": "usr_1", "handle": handle, "name": handle});
        let gap = |day: u8| json!({"from": format!("2027-01-{day}T17:00:00Z"), "until": format!("2027-01-{day}T18:00:00Z")});
        let mut body = json!({"schedule": "nights", "zone": "UTC", "policies": [],
            "now": {"who": person("ann"), "layer": "primary", "until": "2027-01-15T09:00:00Z"},
            "next": {"who": person("ys"), "from": "2027-01-15T09:00:00Z"}, "gaps": [gap(16), gap(17), gap(18), gap(19)]});
        let said = |body: &serde_json::Value| table(&rows(&serde_json::from_value(body.clone()).unwrap(), &TimeZone::UTC));
        assert_eq!(
            said(&body),
            [
                "nights  @ann until Fri 15 Jan 09:00 (primary), then @ys",
                "        !! nobody from Sat 16 Jan 17:00 until Sat 16 Jan 18:00",
                "        !! nobody from Sun 17 Jan 17:00 until Sun 17 Jan 18:00",
                "        !! nobody from Mon 18 Jan 17:00 until Mon 18 Jan 18:00",
                "        !! and 1 more times within seven days",
            ]
        );
        body["now"] = json!(null);
        body["gaps"] = json!([]);
        assert_eq!(said(&body), ["nights  nobody, then @ys from Fri 15 Jan 09:00"]);
    }
}
