//! `phoneops rules`: how I want to be paged.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::connect::Operator;
use super::reply::read;
use super::{Failure, Out, Outcome};
use crate::identity::{Handle, UserRef};
use crate::paging::Urgency;
use crate::paging::rules::{After, Only, QuietHours, Rules, Urge, Way};
use crate::text::line;

/// Show and set how you want to be paged
///
/// As the person who is logged in (`phoneops login`).
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Command {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Show your rules, or somebody's as an administrator
    #[command(after_help = "Example:\n  phoneops rules show --user @yannick")]
    Show(Show),
    /// Say what comes when, for incidents of one urgency: push, loud or email, after so many minutes
    #[command(after_help = "Example:\n  phoneops rules set high loud email:5\n  phoneops rules set low push:10 --once")]
    Set(Set),
    /// Say when nothing of low urgency is to be told, or --none
    #[command(
        after_help = "Example:\n  phoneops rules quiet \"mon-sun 22:00-07:00\" --zone Europe/Paris\n  phoneops rules quiet --none"
    )]
    Quiet(Quiet),
    /// Be paged only for what fits, or for --everything; further filters are added with --or
    #[command(
        after_help = "Example:\n  phoneops rules only --service api --label env=production\n  phoneops rules only --everything"
    )]
    Only(Filter),
}

#[derive(Debug, Args)]
struct Show {
    #[command(flatten)]
    operator: Operator,
    /// Whose: @handle or usr_… [default: yours]
    #[arg(long, value_name = "@HANDLE")]
    user: Option<UserRef>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Set {
    #[command(flatten)]
    operator: Operator,
    /// Of which incidents: high or low
    #[arg(value_parser = urgency)]
    urgency: Urgency,
    /// What, and after how many minutes: loud, push:10, email:5
    #[arg(required = true, value_name = "WAY[:MINUTES]", value_parser = after)]
    ways: Vec<After>,
    /// Minutes from one push to its repetition [default: at every ring]
    #[arg(long, value_name = "MINUTES", conflicts_with = "once")]
    repeat: Option<u32>,
    /// Repeat nothing
    #[arg(long)]
    once: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Quiet {
    #[command(flatten)]
    operator: Operator,
    /// Hours of the week, like "mon-fri 22:00-07:00" or "sat 00:00 - mon 07:00"
    #[arg(required_unless_present = "none", conflicts_with = "none")]
    hours: Vec<String>,
    /// By whose wall clock, like Europe/Paris
    #[arg(long, required_unless_present = "none", conflicts_with = "none")]
    zone: Option<String>,
    /// No quiet hours
    #[arg(long)]
    none: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Filter {
    #[command(flatten)]
    operator: Operator,
    /// Of this team; of any of several
    #[arg(long = "team", value_name = "NAME")]
    teams: Vec<Handle>,
    /// Of this service; of any of several
    #[arg(long = "service", value_name = "NAME")]
    services: Vec<Handle>,
    /// Of this urgency: high or low
    #[arg(long, value_parser = urgency)]
    urgency: Option<Urgency>,
    /// With this label; with all of several
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Beside what you have asked for before
    #[arg(long)]
    or: bool,
    /// For everything, which is how it is for whoever has said nothing
    #[arg(long, conflicts_with_all = ["teams", "services", "urgency", "labels", "or"])]
    everything: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn urgency(text: &str) -> Result<Urgency, &'static str> {
    match text {
        "high" => Ok(Urgency::High),
        "low" => Ok(Urgency::Low),
        _ => Err("expected high or low"),
    }
}

fn after(text: &str) -> Result<After, &'static str> {
    let (way, minutes) = text.split_once(':').unwrap_or((text, "0"));
    let way = match way {
        "push" => Way::Push,
        "loud" => Way::Loud,
        "email" => Way::Email,
        _ => return Err("expected push, loud or email, and minutes behind a colon: loud, email:5"),
    };
    Ok(After { after_minutes: minutes.parse().map_err(|_| "expected minutes behind the colon: email:5")?, way })
}

fn label(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Command {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        match self.act {
            Act::Show(show) => show.run(out).await,
            Act::Set(Set { operator, urgency, ways, repeat, once, json }) => {
                let urge = Urge { ways, repeat_minutes: repeat.unwrap_or_default(), once };
                let set = |rules: &mut Rules| match urgency {
                    Urgency::High => rules.high = urge,
                    Urgency::Low => rules.low = urge,
                };
                change(&operator, json, set, out).await
            }
            Act::Quiet(Quiet { operator, hours, zone, none: _, json }) => {
                let quiet_hours = zone.map(|zone| QuietHours { zone, hours });
                change(&operator, json, |rules| rules.quiet_hours = quiet_hours, out).await
            }
            Act::Only(filter) => filter.run(out).await,
        }
    }
}

const MINE: &str = "/v1/me/paging-rules";

/// Changes something of one's own rules.
async fn change(operator: &Operator, json: bool, how: impl FnOnce(&mut Rules), out: &mut Out) -> Result<Outcome, Failure> {
    let client = operator.connect()?;
    let mut rules: Rules = read(&client.get(MINE).await?.body)?;
    how(&mut rules);
    let reply = client.put(MINE, &json!(rules)).await?;
    print(&reply.body, json, out)
}

fn print(body: &Value, json: bool, out: &mut Out) -> Result<Outcome, Failure> {
    if json {
        out.json(body);
    } else {
        out.lines(sentences(&read(body)?));
    }
    Ok(Outcome::Done)
}

impl Show {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let path = self.user.map_or_else(|| MINE.to_owned(), |user| format!("/v1/users/{user}/paging-rules"));
        let reply = self.operator.connect()?.get(&path).await?;
        print(&reply.body, self.json, out)
    }
}

impl Filter {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let Self { operator, teams, services, urgency, labels, or, everything, json } = self;
        let only = Only { teams, services, urgency, labels: labels.into_iter().collect() };
        let set = |rules: &mut Rules| {
            if !or {
                rules.only.clear();
            }
            if !everything {
                rules.only.push(only);
            }
        };
        change(&operator, json, set, out).await
    }
}

/// Rules, in plain sentences.
fn sentences(rules: &Rules) -> Vec<String> {
    let quiet = match &rules.quiet_hours {
        None => "No quiet hours".to_owned(),
        Some(quiet) => format!("Quiet for what can wait: {} ({})", line(&quiet.hours.join(", "), 200), line(&quiet.zone, 64)),
    };
    let only = match rules.only.as_slice() {
        [] => vec!["Paged for everything".to_owned()],
        all => all.iter().map(|only| format!("Paged for {}", line(&what(only), 300))).collect(),
    };
    [format!("High: {}", urge(&rules.high)), format!("Low: {}", urge(&rules.low)), quiet].into_iter().chain(only).collect()
}

fn urge(urge: &Urge) -> String {
    let way = |after: &After| {
        let way = match after.way {
            Way::Push => "a push",
            Way::Loud => "a loud push",
            Way::Email => "an e-mail",
        };
        if after.after_minutes == 0 { format!("{way} at once") } else { format!("{way} after {} min", after.after_minutes) }
    };
    let ways: Vec<_> = urge.ways.iter().map(way).collect();
    let again = match (urge.once, urge.repeat_minutes) {
        (true, _) => "not repeated".to_owned(),
        (false, 0) => "repeated at every ring".to_owned(),
        (false, minutes) => format!("repeated every {minutes} min"),
    };
    format!("{}; {again}", ways.join(", "))
}

fn what(only: &Only) -> String {
    let names = |word: &str, names: &[Handle]| {
        let names: Vec<_> = names.iter().map(Handle::as_str).collect();
        (!names.is_empty()).then(|| format!("{word} {}", names.join(" or ")))
    };
    let urgency = only.urgency.map(|urgency| match urgency {
        Urgency::High => "high urgency".to_owned(),
        Urgency::Low => "low urgency".to_owned(),
    });
    let labels = only.labels.iter().map(|(name, value)| format!("{name}={value}"));
    let parts = [names("service", &only.services), names("team", &only.teams), urgency];
    parts.into_iter().flatten().chain(labels).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_told_in_sentences() {
        assert_eq!(
            sentences(&Rules::default()),
            [
                "High: a loud push at once, an e-mail after 5 min; repeated at every ring",
                "Low: a push at once; not repeated",
                "No quiet hours",
                "Paged for everything",
            ]
        );
        let only = json!({"services": ["api", "web"], "urgency": "high", "labels": {"env": "production"}});
        let rules: Rules = serde_json::from_value(json!({
            "quiet_hours": {"zone": "Europe/Paris", "hours": ["mon-sun 22:00-07:00"]}, "only": [only]}))
        .unwrap();
        let said = sentences(&rules);
        assert_eq!(said[2], "Quiet for what can wait: mon-sun 22:00-07:00 (Europe/Paris)");
        assert_eq!(said[3], "Paged for service api or web, high urgency, env=production");
    }

    #[test]
    fn ways_are_read_with_their_minutes() {
        assert_eq!(after("loud"), Ok(After { after_minutes: 0, way: Way::Loud }));
        assert_eq!(after("email:5"), Ok(After { after_minutes: 5, way: Way::Email }));
        for not in ["", "sms", "push:soon", "push:-1"] {
            assert!(after(not).is_err(), "{not}");
        }
    }
}
