//! Schedules: daylight saving over ten years, months of unequal length, leap days, and documents that are refused.

use dsl::schedule::{CatchUp, Overlap, Schedule, When, interval};
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use model::{Label, Timestamp, Value};
use serde_json::json;

/// Last Sundays of March and October: when clocks of the European Union change, 2026 to 2035.
const CHANGES: [(i16, i8, i8); 10] = [
    (2026, 29, 25),
    (2027, 28, 31),
    (2028, 26, 29),
    (2029, 25, 28),
    (2030, 31, 27),
    (2031, 30, 26),
    (2032, 28, 31),
    (2033, 27, 30),
    (2034, 26, 29),
    (2035, 25, 28),
];

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("an RFC 3339 moment")
}

fn schedule(when: When, zone: &str) -> Schedule {
    let input = Value::from_json(&json!({}), Label::DEFINITION);
    Schedule::new(when, zone, Overlap::Skip, CatchUp::One, input).expect("a schedule")
}

fn cron(pattern: &str, zone: &str) -> Schedule {
    schedule(When::cron(pattern).expect("a pattern"), zone)
}

fn every(text: &str, zone: &str) -> Schedule {
    let span = interval(&Value::from_json(&json!(text), Label::DEFINITION)).expect("an interval");
    schedule(When::Every(span), zone)
}

fn texts(moments: Vec<Timestamp>) -> Vec<String> {
    moments.into_iter().map(|m| m.to_rfc3339().replace(":00.000Z", "Z")).collect()
}

/// What a job at half past two has to do on this day, in UTC.
fn wanted(day: Date) -> String {
    let change = CHANGES.iter().find(|(year, ..)| *year == day.year()).expect("a year of the table");
    let (spring, autumn) = (date(day.year(), 3, change.1), date(day.year(), 10, change.2));
    let hour = if day == spring {
        "01:00" // half past two does not exist: at once when the gap ends, at three
    } else if day > spring && day <= autumn {
        "00:30" // on the day of the autumn change this is the first of two
    } else {
        "01:30"
    };
    format!("{day}T{hour}:00.000Z")
}

#[test]
fn a_job_at_half_past_two_runs_once_on_every_day_of_ten_years() {
    let nightly = cron("30 2 * * *", "Europe/Madrid");
    let mut moment = at("2025-12-31T12:00:00Z");
    let mut day = date(2026, 1, 1);
    while day < date(2036, 1, 1) {
        moment = nightly.next(moment, moment).expect("a next night");
        assert_eq!(moment.to_rfc3339(), wanted(day));
        day = day.tomorrow().expect("a day");
    }
}

#[test]
fn a_job_of_every_quarter_follows_elapsed_time_through_the_changes() {
    let quarters = cron("*/15 * * * *", "Europe/Madrid");
    let madrid = TimeZone::get("Europe/Madrid").expect("a zone");
    for (year, spring, autumn) in CHANGES {
        for (month, day, count) in [(3, spring, 92), (10, autumn, 100), (6, 1, 96)] {
            let midnight = date(year, month, day).to_zoned(madrid.clone()).expect("midnight");
            let end = midnight.tomorrow().expect("a day").start_of_day().expect("midnight");
            let (from, to) =
                (midnight.timestamp().as_millisecond() - 1, end.timestamp().as_millisecond() - 1);
            let (all, dropped) = quarters.between(Timestamp(from), Timestamp(from), Timestamp(to), 1000);
            assert_eq!((all.len(), dropped), (count, 0), "{year}-{month}-{day}");
            assert!(all.windows(2).all(|pair| pair[1].0 - pair[0].0 == 900_000), "{year}-{month}-{day}");
        }
    }
}

#[test]
fn intervals_of_the_calendar_are_counted_from_the_start() {
    let since = at("2027-01-31T08:00:00Z");
    assert_eq!(
        texts(every("P1M", "UTC").upcoming(since, since, 5)),
        [
            "2027-02-28T08:00Z",
            "2027-03-31T08:00Z",
            "2027-04-30T08:00Z",
            "2027-05-31T08:00Z",
            "2027-06-30T08:00Z"
        ],
        "the 31st comes back where there is one"
    );
    let leap = at("2028-02-29T08:00:00Z");
    assert_eq!(
        texts(every("P1Y", "UTC").upcoming(leap, leap, 4)),
        ["2029-02-28T08:00Z", "2030-02-28T08:00Z", "2031-02-28T08:00Z", "2032-02-29T08:00Z"]
    );
    // A day is a day of the zone; twenty-four hours are twenty-four hours.
    let before = at("2026-03-28T07:00:00Z");
    assert_eq!(
        texts(every("P1D", "Europe/Madrid").upcoming(before, before, 2)),
        ["2026-03-29T06:00Z", "2026-03-30T06:00Z"]
    );
    assert_eq!(
        texts(every("PT24H", "Europe/Madrid").upcoming(before, before, 2)),
        ["2026-03-29T07:00Z", "2026-03-30T07:00Z"]
    );
}

#[test]
fn leap_days_and_patterns_that_never_come() {
    let start = at("2026-11-20T00:00:00Z");
    assert_eq!(
        texts(cron("0 0 29 2 *", "UTC").upcoming(start, start, 3)),
        ["2028-02-29T00:00Z", "2032-02-29T00:00Z", "2036-02-29T00:00Z"]
    );
    // Day of month or day of week, when both are given: as every cron has it.
    assert_eq!(
        texts(cron("0 12 1 * MON", "UTC").upcoming(start, start, 3)),
        ["2026-11-23T12:00Z", "2026-11-30T12:00Z", "2026-12-01T12:00Z"]
    );
    let input = Value::from_json(&json!({}), Label::DEFINITION);
    let never = When::cron("0 0 30 2 *").expect("a pattern");
    let told = Schedule::new(never, "UTC", Overlap::Skip, CatchUp::One, input).expect_err("never comes");
    assert!(told.contains("no day fits"), "{told}");
}

#[test]
fn any_multiple_is_found_from_anywhere() {
    let since = at("2024-02-29T23:59:59Z");
    for text in ["PT1S", "PT7M", "P1D", "P1W", "P1M", "P3M", "P1Y", "P1M1DT1H"] {
        let schedule = every(text, "America/New_York");
        let mut moment = since;
        for _ in 0..200 {
            let next = schedule.next(since, moment).expect("a next moment");
            assert!(next > moment, "{text}");
            // The same answer from everywhere in between.
            let middle = Timestamp(moment.0 + (next.0 - moment.0) / 2);
            assert_eq!(schedule.next(since, middle), Some(next), "{text} from {middle}");
            assert_eq!(schedule.next(since, Timestamp(next.0 - 1)), Some(next), "{text}");
            moment = next;
        }
        let far = at("2090-06-15T12:00:00Z");
        assert!(schedule.next(since, far).is_some_and(|next| next > far), "{text}");
    }
}

#[test]
fn the_latest_of_very_many_are_found_without_counting_all() {
    let since = at("2026-01-01T00:00:00Z");
    let (latest, dropped) = every("PT1S", "UTC").between(since, since, at("2027-01-01T00:00:00Z"), 3);
    assert_eq!(texts(latest), ["2026-12-31T23:59:58.000Z", "2026-12-31T23:59:59.000Z", "2027-01-01T00:00Z"]);
    assert!(dropped >= 9_000, "{dropped}");
}

#[test]
fn a_document_tells_what_is_wrong_with_its_schedule() {
    let told = |schedule: &str, metadata: &str| {
        let text = format!(
            "document: {{ dsl: '1.0.3', namespace: a, name: b, version: '1.0.0'{metadata} }}\nschedule: {schedule}\n\
             input: {{ schema: {{ document: {{ type: object, maxProperties: 1 }} }} }}\ndo: [ {{ one: {{ set: {{ a: 1 }} }} }} ]\n"
        );
        let compiled = dsl::compile(&text, &Nothing);
        compiled
            .problems
            .iter()
            .map(|p| format!("{} {} {}", p.code, p.message, p.hint.as_deref().unwrap_or_default()))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let omnihub = |inner: &str| format!(", metadata: {{ omnihub: {{ {inner} }} }}");
    for (schedule, metadata, wanted) in [
        ("{ cron: '30 2 * *' }", String::new(), "OH-1043 `30 2 * *` has 4 fields"),
        ("{ cron: '0 0 2 * * *' }", String::new(), "6 fields"),
        ("{ cron: '61 * * * *' }", String::new(), "OH-1043"),
        ("{ cron: '@daily' }", String::new(), "write `0 0 * * *`"),
        ("{ cron: '0 0 L * *' }", String::new(), "`L` is not a field"),
        ("{ cron: '0 0 30 2 *' }", String::new(), "no day fits"),
        ("{ every: PT0S }", String::new(), "a second at the least"),
        ("{ every: P0.5M }", String::new(), "fraction"),
        ("{ every: often }", String::new(), "OH-1043 `often` is not an interval"),
        ("{ every: PT1M, after: PT1M }", String::new(), "OH-1015"),
        ("{ every: PT1M }", omnihub("timeZone: Mars/Olympus"), "`Mars/Olympus` is not a time zone"),
        ("{ every: PT1M }", omnihub("schedule: { overlap: maybe }"), "OH-1041"),
        ("{ every: PT1M }", omnihub("schedule: { input: { a: 1, b: 2 } }"), "does not fit"),
        ("{ on: { all: [ { with: { type: a } }, { with: { type: b } } ] } }", String::new(), "OH-1100"),
        ("{ on: { any: [] } }", String::new(), "OH-1043 it names 0 events"),
        ("{ on: { one: { with: { type: a, data: '${ $context.a }' } } } }", String::new(), "OH-1021"),
        (
            "{ on: { one: { with: { type: a }, correlate: { x: { from: .x, expect: '1' } } } } }",
            String::new(),
            "no execution yet",
        ),
        ("{ on: { one: { with: { type: a, omnihubexecution: b } } } }", String::new(), "no execution yet"),
        ("{ on: { one: { with: { type: a } } } }", omnihub("schedule: { overlap: skip }"), "OH-1043"),
    ] {
        let problems = told(schedule, &metadata);
        assert!(problems.contains(wanted), "{schedule}{metadata}: {problems}");
    }
    for (schedule, metadata) in [
        ("{ cron: '*/5 8-18 * * MON-FRI' }", omnihub("timeZone: Europe/Madrid")),
        ("{ every: P1M }", omnihub("schedule: { overlap: queue, catchUp: none, input: { a: 1 } }")),
        ("{ every: { days: 1, hours: 2 } }", String::new()),
        ("{ after: PT5M }", String::new()),
        ("{ on: { one: { with: { type: a, data: '${ .n > 1 }' } } } }", String::new()),
        ("{ on: { any: [ { with: { type: a } }, { with: { type: b, subject: s } } ] } }", String::new()),
    ] {
        assert_eq!(told(schedule, &metadata), "", "{schedule}");
    }
}

struct Nothing;

impl dsl::Catalogue for Nothing {
    fn action(&self, _: &model::ActionRef) -> Option<std::sync::Arc<dsl::plan::Action>> {
        None
    }
    fn actions(&self) -> Vec<model::ActionRef> {
        Vec::new()
    }
}
