//! The calculator against a slow and obvious one, and against tables of the days on which clocks change.

use jiff::Span as CivilSpan;
use jiff::civil::{DateTime, Time, Weekday, date};
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::schedule::instant;
use super::*;
use crate::clock::Timestamp;

const ZONES: [&str; 6] =
    ["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "America/Sao_Paulo"];

const HOUR: i64 = 3_600_000_000;

/// Who is on call at an instant, as one would find out with a calendar and a pencil: write down every turn from the first one on, and
/// look at the clock on the wall for the hours.
fn slow(schedule: &Schedule<u8>, at: Timestamp) -> Covered<u8> {
    let zone = &schedule.zone;
    let mut covered = Covered::Gap;
    for (place, layer) in schedule.layers.iter().enumerate() {
        let ended = layer.until.is_some_and(|until| instant(zone, until) <= at);
        if ended || !layer.hours.as_ref().is_none_or(|hours| slow_hours(zone, hours, at)) {
            continue;
        }
        if let Some(who) = slow_turn(zone, &layer.rotation, at) {
            covered = Covered::By(who, Why::Layer(place));
        }
    }
    for (place, over) in schedule.overrides.iter().enumerate() {
        if over.span.from <= at && at < over.span.until {
            let below = if let Covered::By(who, _) = covered { Some(who) } else { None };
            if over.instead_of.is_none() || over.instead_of == below {
                covered = Covered::By(over.who, Why::Override(place));
            }
        }
    }
    covered
}

fn slow_turn(zone: &TimeZone, rotation: &Rotation<u8>, at: Timestamp) -> Option<u8> {
    let (mut wall, mut begins, mut found) = (rotation.first, instant(zone, rotation.first), None);
    for person in rotation.people.iter().cycle() {
        if begins > at {
            return found;
        }
        found = Some(*person);
        match rotation.length {
            Length::Hours(hours) => begins = Timestamp::from_micros(begins.as_micros() + i64::from(hours) * HOUR),
            Length::Days(days) => wall = wall.checked_add(CivilSpan::new().days(days)).unwrap(),
            Length::Weeks(weeks) => wall = wall.checked_add(CivilSpan::new().weeks(weeks)).unwrap(),
        }
        if !matches!(rotation.length, Length::Hours(_)) {
            begins = instant(zone, wall);
        }
    }
    unreachable!("people take turns for ever")
}

/// Every occurrence of the last weeks, one by one.
fn slow_hours(zone: &TimeZone, hours: &Hours, at: Timestamp) -> bool {
    let today = zone.to_datetime(jiff::Timestamp::from_microsecond(at.as_micros()).unwrap()).date();
    (-15..=8).any(|days: i64| {
        let day = today.checked_add(CivilSpan::new().days(days)).unwrap();
        hours.parts().iter().filter(|part| part.from.0 == day.weekday()).any(|part| {
            let mut end = day.to_datetime(part.until.1);
            while end.date().weekday() != part.until.0 || end <= day.to_datetime(part.from.1) {
                end = end.checked_add(CivilSpan::new().days(1)).unwrap();
            }
            instant(zone, day.to_datetime(part.from.1)) <= at && at < instant(zone, end)
        })
    })
}

fn a_time() -> impl Strategy<Value = Time> {
    (0..24i8, prop::sample::select(vec![0i8, 1, 15, 30, 59])).prop_map(|(hour, minute)| Time::new(hour, minute, 0, 0).unwrap())
}

fn a_day() -> impl Strategy<Value = Weekday> {
    (0..7i8).prop_map(|day| Weekday::from_monday_zero_offset(day).unwrap())
}

fn some_hours() -> impl Strategy<Value = Option<Hours>> {
    let part = (a_day(), a_time(), a_day(), a_time())
        .prop_map(|(from, at, until, end)| WeekSpan { from: (from, at), until: (until, end) });
    prop::collection::vec(part, 0..4).prop_map(Hours::new)
}

fn a_wall_time(years: std::ops::Range<i16>) -> impl Strategy<Value = DateTime> {
    (years, 1..=12i8, 1..=28i8, a_time()).prop_map(|(year, month, day, time)| date(year, month, day).to_datetime(time))
}

fn a_layer() -> impl Strategy<Value = Layer<u8>> {
    let length =
        prop_oneof![(1..60u16).prop_map(Length::Hours), (1..10u16).prop_map(Length::Days), (1..3u16).prop_map(Length::Weeks),];
    let until = prop::option::weighted(0.2, a_wall_time(2011..2012));
    (prop::collection::vec(0..6u8, 1..4), length, a_wall_time(2010..2012), some_hours(), until).prop_map(
        |(people, length, first, hours, until)| Layer {
            name: "layer".into(),
            rotation: Rotation { people, length, first },
            hours,
            until,
        },
    )
}

fn a_schedule() -> impl Strategy<Value = Schedule<u8>> {
    let over = (0..6u8, 0..400i64, 1..200i64, prop::option::of(0..6u8));
    let zone = prop::sample::select(&ZONES[..]);
    (zone, prop::collection::vec(a_layer(), 0..4), prop::collection::vec(over, 0..4)).prop_map(|(zone, layers, overrides)| {
        let start = Timestamp::from_seconds(1_324_000_000);
        let later = |hours: i64| Timestamp::from_micros(start.as_micros() + hours * HOUR);
        let over = |(who, from, length, instead_of)| Override {
            who,
            span: Span::new(later(from), later(from + length)).unwrap(),
            instead_of,
        };
        Schedule { zone: TimeZone::get(zone).unwrap(), layers, overrides: overrides.into_iter().map(over).collect() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// December 2011, in which Samoa had no 30th, and the months around the changes of clocks.
    #[test]
    fn it_says_what_the_slow_calculator_says(
        schedule in a_schedule(), day in 0..120i64, hours in 1..500i64, looks in prop::collection::vec(0..60_000i64, 12),
    ) {
        let from = Timestamp::from_seconds(1_317_000_000 + day * 86_400);
        let within = Span::new(from, Timestamp::from_micros(from.as_micros() + hours * HOUR)).unwrap();
        let shifts = schedule.shifts(within);
        // One after the other, without holes; neighbours differ.
        prop_assert_eq!((shifts[0].span.from, shifts[shifts.len() - 1].span.until), (within.from, within.until));
        for pair in shifts.windows(2) {
            prop_assert_eq!(pair[0].span.until, pair[1].span.from);
            prop_assert_ne!(&pair[0].covered, &pair[1].covered);
        }
        // At the edges of every shift, and anywhere.
        let edges = shifts.iter().flat_map(|shift| [shift.span.from, Timestamp::from_micros(shift.span.until.as_micros() - 1)]);
        let anywhere = looks.iter().map(|minutes| Timestamp::from_micros(from.as_micros() + minutes * HOUR / 60));
        for at in edges.chain(anywhere.filter(|at| within.contains(*at))) {
            let expected = slow(&schedule, at);
            prop_assert_eq!(schedule.at(at), expected.clone(), "at {}", at);
            let shift = shifts.iter().find(|shift| shift.span.contains(at)).unwrap();
            prop_assert_eq!(&shift.covered, &expected, "the shift at {}", at);
        }
    }
}

fn daily(zone: &str, first: &str) -> Schedule<&'static str> {
    let rotation = Rotation { people: vec!["yannick", "ys"], length: Length::Days(1), first: first.parse().unwrap() };
    let layer = Layer { name: "primary".into(), rotation, hours: None, until: None };
    Schedule { zone: TimeZone::get(zone).unwrap(), layers: vec![layer], overrides: Vec::new() }
}

/// The hand-overs around a day on which clocks change, and how long the shifts are.
#[test]
fn hand_overs_stay_at_their_time_when_clocks_change() {
    for (zone, first, begins, minutes) in [
        // Spring: an hour is missing. 02:30 does not exist on the 29th and is taken an hour later.
        ("Europe/Paris", "2026-03-27T09:00", ["2026-03-28T08:00:00Z", "2026-03-29T07:00:00Z"], 23 * 60),
        ("Europe/Paris", "2026-03-27T02:30", ["2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z"], 24 * 60),
        // Autumn: an hour comes twice, and its first is meant.
        ("Europe/Paris", "2026-10-23T09:00", ["2026-10-24T07:00:00Z", "2026-10-25T08:00:00Z"], 25 * 60),
        ("Europe/Paris", "2026-10-23T02:30", ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z"], 24 * 60),
        ("America/New_York", "2026-03-06T09:00", ["2026-03-07T14:00:00Z", "2026-03-08T13:00:00Z"], 23 * 60),
        ("America/New_York", "2026-10-30T09:00", ["2026-10-31T13:00:00Z", "2026-11-01T14:00:00Z"], 25 * 60),
        // Half an hour.
        ("Australia/Lord_Howe", "2026-04-03T09:00", ["2026-04-03T22:00:00Z", "2026-04-04T22:30:00Z"], 24 * 60 + 30),
        ("Australia/Lord_Howe", "2026-10-02T09:00", ["2026-10-02T22:30:00Z", "2026-10-03T22:00:00Z"], 24 * 60 - 30),
        // Never.
        ("Asia/Kathmandu", "2026-03-27T09:00", ["2026-03-28T03:15:00Z", "2026-03-29T03:15:00Z"], 24 * 60),
    ] {
        let schedule = daily(zone, first);
        let [second, third]: [Timestamp; 2] = begins.map(|at| at.parse().unwrap());
        let within = Span::new(second, Timestamp::from_micros(third.as_micros() + HOUR)).unwrap();
        let shifts: Vec<_> = schedule.shifts(within).into_iter().map(|shift| (shift.span.from, shift.covered)).collect();
        let by = |who| Covered::By(who, Why::Layer(0));
        assert_eq!(shifts, [(second, by("ys")), (third, by("yannick"))], "{zone} {first}");
        assert_eq!(second.until(third).as_secs(), minutes * 60, "{zone} {first}");
    }
}

#[test]
fn a_day_that_is_skipped_skips_a_turn() {
    // Samoa had no 30th of December 2011: its turn has no length.
    let schedule = daily("Pacific/Apia", "2011-12-28T09:00");
    let within = Span::new("2011-12-28T19:00:00Z".parse().unwrap(), "2011-12-31T19:00:00Z".parse().unwrap()).unwrap();
    let turns: Vec<_> = schedule.shifts(within).into_iter().map(|shift| (shift.span.from.to_string(), shift.covered)).collect();
    let by = |at: &str, who| (at.to_owned(), Covered::By(who, Why::Layer(0)));
    assert_eq!(turns, [by("2011-12-28T19:00:00Z", "yannick"), by("2011-12-29T19:00:00Z", "ys")]);
}

#[test]
fn layers_hours_overrides_and_swaps_lie_above_each_other() {
    let text = r#"
        zone = "Europe/Paris"
        [[layers]]
        name = "always"
        people = ["@ann"]
        shift = "1 week"
        first = "2026-11-02T00:00"
        until = "2026-11-08T00:00"
        [[layers]]
        name = "working hours"
        people = ["@yannick", "@ys"]
        shift = "1 day"
        first = "2026-11-02T09:00"
        hours = ["mon-fri 09:00-18:00"]
        [[overrides]]
        who = "@bea"
        from = "2026-11-03T12:00"
        until = "2026-11-03T13:00"
        [[overrides]]
        who = "@cyd"
        from = "2026-11-04T00:00:00Z"
        until = "2026-11-06T00:00"
        instead_of = "@ys"
    "#;
    let schedule = read(text).unwrap();
    let on = |at: &str| match schedule.at(at.parse().unwrap()) {
        Covered::By(who, _) => who,
        Covered::Gap => "nobody".into(),
    };
    for (at, who) in [
        ("2026-11-01T22:59:59Z", "nobody"),
        ("2026-11-01T23:00:00Z", "@ann"),
        ("2026-11-02T08:00:00Z", "@yannick"),
        ("2026-11-02T17:00:00Z", "@ann"),
        ("2026-11-03T10:59:59Z", "@ys"),
        ("2026-11-03T11:00:00Z", "@bea"),
        ("2026-11-03T12:00:00Z", "@ys"),
        // The swap is for the turns of @ys alone.
        ("2026-11-04T12:00:00Z", "@yannick"),
        ("2026-11-05T12:00:00Z", "@cyd"),
        ("2026-11-05T20:00:00Z", "@ann"),
        ("2026-11-07T22:59:59Z", "@ann"),
        ("2026-11-07T23:00:00Z", "nobody"),
        ("2026-11-09T09:00:00Z", "@ys"),
    ] {
        assert_eq!(on(at), who, "{at}");
    }
    let week = Span::new("2026-11-07T00:00:00Z".parse().unwrap(), "2026-11-10T00:00:00Z".parse().unwrap()).unwrap();
    let gaps: Vec<_> = schedule.gaps(week).into_iter().map(|gap| format!("{} {}", gap.from, gap.until)).collect();
    assert_eq!(gaps, ["2026-11-07T23:00:00Z 2026-11-09T08:00:00Z", "2026-11-09T17:00:00Z 2026-11-10T00:00:00Z"]);
}

#[test]
fn what_is_wrong_in_a_schedule_is_named() {
    let layer = |member: &str| format!("zone = \"UTC\"\n[[layers]]\nname = \"a\"\n{member}");
    let good = "people = [\"@ys\"]\nshift = \"1 week\"\nfirst = \"2026-11-23T09:00\"\n";
    assert!(read(&layer(good)).is_ok());
    for (text, said) in [
        ("zone = \"Mars/Olympus\"\nlayers = []".to_owned(), "zone: is not a time zone"),
        ("zone = \"UTC\"\nlayers = []".to_owned(), "layers: is empty"),
        (layer(&good.replace("[\"@ys\"]", "[]")), "layers[0].people: is empty"),
        (layer(&good.replace("1 week", "0 weeks")), "layers[0].shift: is not a length"),
        (layer(&good.replace("1 week", "weekly")), "layers[0].shift: is not a length"),
        (layer(&good.replace("T09:00", " at nine")), "layers[0].first: is not a time"),
        (layer(&format!("{good}until = \"2026-11-23T09:00\"")), "layers[0].until: is not after"),
        (layer(&format!("{good}hours = [\"mon 09:00-17:00\", \"whenever\"]")), "layers[0].hours[1]: are not hours"),
        (layer(&format!("{good}hours = [\"mon 24:00-25:00\"]")), "layers[0].hours[0]: are not hours"),
        (layer(&format!("{good}sound = true")), "unknown field `sound`"),
        (
            layer(&format!("{good}[[overrides]]\nwho = \"@ys\"\nfrom = \"2026-11-23T09:00\"\nuntil = \"2026-11-23T09:00\"")),
            "overrides[0].until: is not after",
        ),
    ] {
        let error = read(&text).unwrap_err().to_string();
        assert!(error.contains(said), "{said}: {error}");
    }
}

#[test]
fn hours_are_written_as_people_say_them() {
    let (monday, saturday) = (Weekday::Monday, Weekday::Saturday);
    let at = |day, hour| (day, Time::new(hour, 0, 0, 0).unwrap());
    let parts = |text: &str| text.parse::<Hours>().map(|hours| hours.parts().to_vec());
    assert_eq!(parts("mon-fri 09:00-18:00").unwrap().len(), 5);
    assert_eq!(parts("fri 18:00 - mon 09:00").unwrap(), [WeekSpan { from: at(Weekday::Friday, 18), until: at(monday, 9) }]);
    assert_eq!(parts("sun 22:00-06:00").unwrap(), [WeekSpan { from: at(Weekday::Sunday, 22), until: at(monday, 6) }]);
    assert_eq!(parts("Sat 00:00-24:00").unwrap(), [WeekSpan { from: at(saturday, 0), until: at(Weekday::Sunday, 0) }]);
    for bad in ["", "mon", "mon 9-17", "mon 09:00", "day 09:00-17:00", "mon 09:60-17:00", "mon 24:00-06:00", "mon -1:00-02:00"] {
        assert_eq!(parts(bad), Err(NotHours), "{bad}");
    }
}
