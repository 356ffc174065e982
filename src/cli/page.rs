//! `phoneops page`: ring people until somebody answers.

use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::json;

use super::connect::At;
use super::reply::{Person, read};
use super::words::names;
use super::{Failure, Out, Outcome};
use crate::identity::Who;
use crate::paging::To;

/// Page people: their phones ring until somebody acknowledges
///
/// As the bot whose token is in `PHONEOPS_TOKEN` or in the file that `PHONEOPS_TOKEN_FILE` names, or as the person who is signed in. Exits with 1 when nobody has a phone that
/// rings; the incident is open even then.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  phoneops page @yannick,@ys \"All your apps are down\" --link https://status.example.com")]
pub(super) struct Page {
    #[command(flatten)]
    at: At,
    /// Who: @handle, usr_…, platform:workspace:user, team:NAME, schedule:NAME or one service:NAME, several with commas
    #[arg(value_name = "@USER[,team:NAME…]", value_delimiter = ',', required = true)]
    to: Vec<To>,
    /// What is wrong, in a line
    title: String,
    /// More of it
    #[arg(long, value_name = "TEXT")]
    details: Option<String>,
    /// Where to look; can be given more than once
    #[arg(long = "link", value_name = "URL")]
    links: Vec<String>,
    /// How loud
    #[arg(long, value_enum, default_value_t = Urgency::High)]
    urgency: Urgency,
    /// The person you page for
    #[arg(long, value_name = "PERSON")]
    actor: Option<Who>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Urgency {
    /// Wakes people
    High,
    /// Can wait for the morning
    Low,
}

impl Urgency {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Low => "low",
        }
    }
}

/// What a page answers.
#[derive(Deserialize)]
struct Paged {
    r#ref: String,
    paged: Vec<Person>,
    unreachable: Vec<Person>,
    #[serde(default)]
    outside: Vec<Person>,
}

impl Page {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let urgency = self.urgency.as_str();
        let mut body = json!({"to": self.to, "title": self.title, "links": self.links, "urgency": urgency});
        if let Some(details) = &self.details {
            body["details"] = json!(details);
        }
        if let Some(actor) = &self.actor {
            body["actor"] = json!(actor);
        }
        let reply = self.at.somebody()?.post("/v1/incidents", &body).await?;
        let paged: Paged = read(&reply.body)?;
        if self.json {
            out.json(&reply.body);
        } else {
            out.lines(sentences(&paged));
        }
        Ok(if paged.paged.is_empty() { Outcome::Failed } else { Outcome::Done })
    }
}

fn sentences(paged: &Paged) -> Vec<String> {
    let first = match paged.paged.as_slice() {
        [] => format!("Nobody was paged, but incident {} is open", paged.r#ref),
        people => format!("Paged {}: Incident {}", names(people), paged.r#ref),
    };
    let unreachable = match paged.unreachable.as_slice() {
        [] => None,
        people => Some(format!("Unreachable, with no phone that rings: {}", names(people))),
    };
    let outside = match paged.outside.as_slice() {
        [] => None,
        people => Some(format!("Of another team: {}", names(people))),
    };
    [first].into_iter().chain(unreachable).chain(outside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_who_was_rung_and_who_could_not_be() {
        let person = |name: &str| Person { id: "usr_1".into(), handle: "zoe".into(), name: name.into() };
        let said = |paged: &[&str], unreachable: &[&str]| {
            let people = |names: &[&str]| names.iter().map(|name| person(name)).collect();
            sentences(&Paged {
                r#ref: "P7K3M2X".into(),
                paged: people(paged),
                unreachable: people(unreachable),
                outside: Vec::new(),
            })
            .join(" | ")
        };
        assert_eq!(said(&["Yannick Schutz"], &[]), "Paged Yannick Schutz: Incident P7K3M2X");
        assert_eq!(
            said(&["Yannick Schutz", "Ada Byron"], &["Zoë Lang"]),
            "Paged Yannick Schutz and Ada Byron: Incident P7K3M2X | Unreachable, with no phone that rings: Zoë Lang"
        );
        assert_eq!(
            said(&[], &["Zoë Lang"]),
            "Nobody was paged, but incident P7K3M2X is open | Unreachable, with no phone that rings: Zoë Lang"
        );
    }
}
