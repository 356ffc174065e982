//! The file, and where in it something stands.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::house::{House, Noun, Thing};
use crate::cli::Failure;
use crate::oncall;

/// A file that was read.
pub(super) struct File {
    path: PathBuf,
    text: String,
    pub(super) house: House,
}

impl File {
    /// Reads a file, or stdin when it is `-`.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let failed = |source| Failure::File { path: path.to_owned(), source };
        let text = if path.as_os_str() == "-" {
            std::io::read_to_string(std::io::stdin()).map_err(failed)?
        } else {
            std::fs::read_to_string(path).map_err(failed)?
        };
        Self::of(path.to_owned(), text)
    }

    fn of(path: PathBuf, text: String) -> Result<Self, Failure> {
        let mut file = Self { path, text, house: House::default() };
        let broken = |error: &toml::de::Error| {
            let line = error.span().map_or(1, |span| line_of(&file.text, span.start));
            Failure::Usage(format!("{}:{line}: {}", file.path.display(), error.message()))
        };
        let reader = toml::Deserializer::parse(&file.text).map_err(|error| broken(&error))?;
        let house: House = serde_path_to_error::deserialize(reader).map_err(|error| {
            let (key, inner) = (error.path().to_string(), error.into_inner());
            let line = inner.span().map_or(1, |span| line_of(&file.text, span.start));
            Failure::Usage(format!("{}:{line}: {key}: {}", file.path.display(), inner.message()))
        })?;
        file.house = house.in_order();
        file.check()?;
        Ok(file)
    }

    /// What can be seen without a server.
    fn check(&self) -> Result<(), Failure> {
        let things = self.house.things();
        for (at, thing) in things.iter().enumerate() {
            if things[..at].iter().any(|before| (before.noun, &before.name) == (thing.noun, &thing.name)) {
                return Err(self.wrong(thing, thing.noun.key(), &format!("there are two of the name {}", thing.name)));
            }
        }
        let schedules = things.iter().filter(|thing| thing.noun == Noun::Schedule);
        for (thing, schedule) in schedules.zip(&self.house.schedule) {
            match oncall::layered(&schedule.zone, schedule.layers.clone()) {
                Ok(_) => {}
                Err(oncall::NotASchedule::Key { key, why }) => return Err(self.wrong(thing, &key, &why)),
                Err(other) => return Err(self.wrong(thing, "layers", &other.to_string())),
            }
        }
        Ok(())
    }

    /// That something makes no sense: file, line and key, and why.
    pub(super) fn wrong(&self, thing: &Thing, key: &str, why: &str) -> Failure {
        let (table, place) = (thing.noun.table(), thing.place);
        let line = self.line(table, place, key);
        Failure::Usage(format!("{}:{line}: {table}[{place}].{key}: {why}", self.path.display()))
    }

    /// The line of a key, or of the nearest above it that stands in the file.
    fn line(&self, table: &str, place: usize, key: &str) -> usize {
        let Ok(document) = DeTable::parse(&self.text) else { return 1 };
        let things = document.get_ref().get(table).map(toml::Spanned::get_ref);
        let Some(thing) = things.and_then(DeValue::as_array).and_then(|all| all.get(place)) else { return 1 };
        let mut at = thing;
        let mut start = at.span().start;
        for part in key.split(['.', '[', ']']).filter(|part| !part.is_empty()) {
            let below = match at.get_ref() {
                DeValue::Table(table) => table.get_key_value(part).map(|(key, value)| (key.span().start, value)),
                DeValue::Array(list) => {
                    part.parse::<usize>().ok().and_then(|place| list.get(place)).map(|value| (value.span().start, value))
                }
                _ => None,
            };
            let Some((found, value)) = below else { break };
            (start, at) = (found, value);
        }
        line_of(&self.text, start)
    }
}

/// The line, from 1, of a byte.
fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        match File::of("house.toml".into(), text.to_owned()) {
            Err(Failure::Usage(why)) => why,
            Err(other) => panic!("{other}"),
            Ok(file) => panic!("{:?}", file.house),
        }
    }

    #[test]
    fn what_is_wrong_is_named_by_file_line_and_key() {
        let team = "[[team]]\nname = \"api\"\n";
        for (text, expected) in [
            ("[[team]\n", "house.toml:1: "),
            ("[[team]]\nname = \"A B\"\n", "house.toml:2: team[0].name: a handle has"),
            ("[[team]]\nname = \"api\"\nlead = \"@ys\"\n", "house.toml:3: team[0].lead: unknown field `lead`"),
            ("[[team]]\nmembers = []\n", "house.toml:1: team[0]: missing field `name`"),
            ("[[teams]]\nname = \"api\"\n", "house.toml:1: teams: unknown field `teams`"),
            ("\n[[bot]]\nname = \"loki\"\nscopes = [\"admin\"]\n", "house.toml:4: bot[0].scopes[0]: unknown variant `admin`"),
        ] {
            let why = refused(text);
            assert!(why.starts_with(expected), "{why} instead of {expected}");
        }
        let twice = refused(&format!("{team}\n{team}"));
        assert_eq!(twice, "house.toml:5: team[1].name: there are two of the name api");
        let limit = "[[bot_limit]]\nbot = \"loki\"\n";
        let twice = refused(&format!("{limit}{limit}"));
        assert_eq!(twice, "house.toml:4: bot_limit[1].bot: there are two of the name loki");
        let heard = "[[room]]\nbot = \"loki\"\nplatform = \"irc\"\nworkspace = \"example\"\nroom = \"#ops\"\nhears = [\n  {of = \"pages\"},\n]\n";
        let unknown = refused(heard);
        assert!(unknown.starts_with("house.toml:7: room[0].hears[0].of: unknown variant `pages`"), "{unknown}");
        let step = |to: &str| {
            format!("[[escalation_policy]]\nname = \"api\"\nsteps = [\n  {{to = [\"{to}\"], escalate_after_minutes = 5}},\n]\n")
        };
        let cycle = refused(&step("service:api"));
        assert!(cycle.starts_with("house.toml:4: escalation_policy[0].steps[0].to[0]: service:api: a step names"), "{cycle}");
        let layer = "[[schedule]]\nname = \"nights\"\nzone = \"Europe/Paris\"\n[[schedule.layers]]\nname = \"all\"\npeople = [\"@ys\"]\nshift = \"0 days\"\nfirst = \"2026-11-23T09:00\"\n";
        let shift = refused(layer);
        assert!(shift.starts_with("house.toml:7: schedule[0].layers[0].shift: "), "{shift}");
    }

    #[test]
    fn the_nearest_line_above_is_named_when_a_key_is_not_there() {
        let text = "[[service]]\nname = \"api\"\nteam = \"backend\"\n\n[[service]]\nname = \"web\"\nteam = \"front\"\n[service.settings]\nurgency = \"low\"\n";
        let file = File::of("house.toml".into(), text.to_owned()).unwrap();
        let at = |key: &str| file.line("service", 1, key);
        assert_eq!((at("team"), at("settings.urgency"), at("policy")), (7, 9, 5));
    }
}
