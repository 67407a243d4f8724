//! When executions of a workflow begin by themselves: cron patterns, intervals, pauses after an end, and events.
//!
//! Everything here is a function of its arguments: the time zones are compiled in, and nobody asks for the time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Zoned;
use jiff::tz::TimeZone;
use model::{Data, Timestamp, Value};

use crate::plan::{EventFilter, Read};
use crate::template::Template;

/// Shortest interval: what begins more often than this is a loop, not a schedule.
const SHORTEST: Duration = Duration::from_secs(1);
/// Multiples of an interval that are tried from the estimate on: months differ by three days at the most.
const TRIES_MAX: i64 = 64;
/// Moments that are listed at once.
pub const LISTED_MAX: usize = 1000;
/// Moments that are counted one by one.
pub const COUNTED_MAX: u32 = 10_000;

/// When executions begin by themselves.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// The rule.
    pub when: When,
    /// Name of the time zone that days and hours are counted in, for example `Europe/Madrid`.
    pub zone: Arc<str>,
    /// What happens when it is time and the last execution has not ended.
    pub overlap: Overlap,
    /// What happens to moments that passed while nothing could begin.
    pub catch_up: CatchUp,
    /// The input of every execution.
    pub input: Value,
    /// How much of the event that begins an execution is its input.
    pub read: Read,
    time_zone: TimeZone,
}

/// The rule of a schedule.
#[derive(Debug, Clone)]
pub enum When {
    /// Whenever the clock on the wall fits a cron pattern of five fields.
    Cron(Box<Cron>),
    /// At the beginning plus 1, 2, 3 … times an interval.
    Every(jiff::Span),
    /// At once, and then so long after each end.
    After(jiff::Span),
    /// Whenever an event comes that fits one of these.
    On(Arc<[EventFilter]>),
}

/// What happens when it is time and the last execution has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlap {
    /// Nothing begins; the moment is counted as skipped.
    #[default]
    Skip,
    /// One begins when the last one has ended, however many moments passed meanwhile.
    Queue,
    /// One begins beside the last one.
    Allow,
}

/// What happens to moments that passed while nothing could begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CatchUp {
    /// One execution stands for all of them.
    #[default]
    One,
    /// They are counted as missed.
    None,
    /// Each gets its execution.
    All,
}

impl Overlap {
    /// `skip queue allow`
    pub const NAMES: [&str; 3] = ["skip", "queue", "allow"];

    /// By name.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "skip" => Self::Skip,
            "queue" => Self::Queue,
            "allow" => Self::Allow,
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Queue => "queue",
            Self::Allow => "allow",
        }
    }
}

impl CatchUp {
    /// `one none all`
    pub const NAMES: [&str; 3] = ["one", "none", "all"];

    /// By name.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "one" => Self::One,
            "none" => Self::None,
            "all" => Self::All,
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::None => "none",
            Self::All => "all",
        }
    }
}

impl When {
    /// The rule for people: `cron 30 2 * * *`, `every P1M`, `after PT5M`.
    pub fn text(&self) -> String {
        match self {
            Self::Cron(cron) => format!("cron {}", cron.as_str()),
            Self::Every(span) => format!("every {span}"),
            Self::After(span) => format!("after {span}"),
            Self::On(filters) => {
                let names: Vec<&str> = filters.iter().map(|filter| filter.name().unwrap_or("*")).collect();
                format!("on {}", names.join(", "))
            }
        }
    }

    /// Reads a cron pattern of five fields. Errors say what to write instead.
    pub fn cron(text: &str) -> Result<Self, String> {
        let hint =
            "write five fields: minute, hour, day of month, month, day of week; for example `30 2 * * *`";
        if let Some(name) = text.trim().strip_prefix('@') {
            let (known, instead) = match name {
                "hourly" => (true, "0 * * * *"),
                "daily" | "midnight" => (true, "0 0 * * *"),
                "weekly" => (true, "0 0 * * 0"),
                "monthly" => (true, "0 0 1 * *"),
                "yearly" | "annually" => (true, "0 0 1 1 *"),
                _ => (false, ""),
            };
            let hint = if known { format!("write `{instead}`") } else { hint.to_owned() };
            return Err(format!("`{text}` is a nickname; {hint}"));
        }
        let fields = text.split_whitespace().count();
        if fields != 5 {
            return Err(format!("`{text}` has {fields} fields; {hint}"));
        }
        if let Some(odd) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !" \t*,-/".contains(*c)) {
            return Err(format!("`{odd}` is not allowed in a cron pattern; {hint}"));
        }
        if let Some(odd) = text.split_whitespace().find(|field| !is_standard(field)) {
            return Err(format!(
                "`{odd}` is not a field of a cron pattern; write numbers, names such as MON or JAN, `*`, `,`, `-` and `/`"
            ));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|e| format!("`{text}` is not a cron pattern ({e}); {hint}"))?;
        Ok(Self::Cron(Box::new(cron)))
    }
}

/// True for letters only where they name a month or a day: `L`, `W` and `#` mean something else in every product.
fn is_standard(field: &str) -> bool {
    const NAMES: [&str; 19] = [
        "SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL",
        "AUG", "SEP", "OCT", "NOV", "DEC",
    ];
    field.split([',', '-', '/']).all(|part| {
        part == "*"
            || (!part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
            || NAMES.iter().any(|name| name.eq_ignore_ascii_case(part))
    })
}

/// Reads an interval: ISO 8601, years and months included, or the object form. Errors say what to write instead.
pub fn interval(value: &Value) -> Result<jiff::Span, String> {
    let span = match &value.data {
        Data::String(text) => calendar(text)?,
        _ => {
            let fixed = crate::duration::of(value)?;
            let days = value.get("days").and_then(|days| days.to_json().as_i64()).unwrap_or(0);
            let rest = i64::try_from(fixed.as_millis()).unwrap_or(i64::MAX) - days * 86_400_000;
            jiff::Span::new()
                .try_days(days)
                .and_then(|s| s.try_milliseconds(rest))
                .map_err(|e| e.to_string())?
        }
    };
    let start = jiff::Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
    let end = start.checked_add(span).map_err(|e| format!("the interval is too long: {e}"))?;
    if end.timestamp() < start.timestamp() + SHORTEST {
        return Err("an interval is a second at the least".to_owned());
    }
    Ok(span)
}

fn calendar(text: &str) -> Result<jiff::Span, String> {
    let wrong = || format!("`{text}` is not an interval; write for example `PT15M`, `P1D` or `P1M`");
    let date = text.strip_prefix('P').ok_or_else(wrong)?.split('T').next().unwrap_or_default();
    if date.contains(['.', ',']) {
        return Err(format!(
            "`{text}` has a fraction of a day, week, month or year; write whole ones, or hours"
        ));
    }
    text.parse::<jiff::Span>().map_err(|_| wrong())
}

impl Schedule {
    /// A schedule in a zone. Errors name what is wrong with the zone, or with a pattern that never comes.
    pub fn new(
        when: When,
        zone: &str,
        overlap: Overlap,
        catch_up: CatchUp,
        input: Value,
    ) -> Result<Self, String> {
        let time_zone = match zone {
            "UTC" => TimeZone::UTC,
            zone => TimeZone::get(zone).map_err(|_| {
                format!("`{zone}` is not a time zone; write for example `Europe/Madrid` or `UTC`")
            })?,
        };
        let read = Read::Envelope;
        let schedule = Self { when, zone: zone.into(), overlap, catch_up, input, read, time_zone };
        let start = Timestamp(0);
        if matches!(schedule.when, When::Cron(_)) && schedule.next(start, start).is_none() {
            return Err("no day fits this pattern: February has no 30th".to_owned());
        }
        Ok(schedule)
    }

    /// The first moment after `after`, of a schedule that was set at `since`. None when there is none, as for a pause
    /// after an end that has not come.
    pub fn next(&self, since: Timestamp, after: Timestamp) -> Option<Timestamp> {
        let start = zoned(after, &self.time_zone)?;
        let found = match &self.when {
            When::Cron(cron) => cron.find_next_occurrence(&start, false).ok()?,
            When::Every(span) => next_multiple(&zoned(since, &self.time_zone)?, *span, &start)?,
            When::After(_) | When::On(_) => return None,
        };
        Some(moment(&found))
    }

    /// Whether this event begins an execution. What cannot be evaluated on what somebody sent does not.
    pub fn begins_on(&self, event: &Value) -> bool {
        let When::On(filters) = &self.when else { return false };
        let member = |name: &str| event.get(name).unwrap_or(&Value::NULL).clone();
        let nothing = crate::expr::Vars(&[]);
        let filled = |template: &Template, input: &Value| {
            template.eval(input, &nothing, &mut crate::expr::Budget::default()).ok()
        };
        let equal = |name: &str, template: &Template| filled(template, event) == Some(member(name));
        let fits = |filter: &EventFilter| {
            let data = match &filter.data {
                None => true,
                Some(template @ Template::Expr(_)) => filled(template, &member("data"))
                    .is_some_and(|held| matches!(held.data, Data::Bool(true))),
                Some(template) => equal("data", template),
            };
            data && filter.attributes.iter().all(|(name, template)| equal(name, template))
        };
        filters.iter().any(fits)
    }

    /// When it begins again after an execution ended at `ended`; only for a pause after an end.
    pub fn after_end(&self, ended: Timestamp) -> Option<Timestamp> {
        let When::After(span) = &self.when else { return None };
        zoned(ended, &self.time_zone)?.checked_add(*span).ok().map(|at| moment(&at))
    }

    /// Moments after `from` and up to `to`, in order: the latest `max` of them (at most [`LISTED_MAX`]), and how many there
    /// were before those, which is exact up to [`COUNTED_MAX`] moments and a lower bound beyond.
    pub fn between(
        &self,
        since: Timestamp,
        from: Timestamp,
        to: Timestamp,
        max: usize,
    ) -> (Vec<Timestamp>, u64) {
        let mut latest = VecDeque::new();
        let (mut at, mut dropped, mut counted) = (from, 0, 0u32);
        while let Some(next) = self.next(since, at).filter(|next| *next <= to) {
            at = next;
            latest.push_back(next);
            if latest.len() > max.min(LISTED_MAX) {
                latest.pop_front();
                dropped += 1;
            }
            counted += 1;
            if counted == COUNTED_MAX {
                // The rest is not counted one by one: what is wanted of it are its last moments.
                let mean = at.since(from) / COUNTED_MAX;
                let tail =
                    mean.saturating_mul(2 * (u32::try_from(max).unwrap_or(u32::MAX).saturating_add(1)));
                at = Timestamp(
                    at.0.max(to.0.saturating_sub(i64::try_from(tail.as_millis()).unwrap_or(i64::MAX))),
                );
            } else if counted > 2 * COUNTED_MAX {
                break;
            }
        }
        (latest.into(), dropped)
    }

    /// The next `count` moments.
    pub fn upcoming(&self, since: Timestamp, after: Timestamp, count: usize) -> Vec<Timestamp> {
        let step = |at: &Timestamp| self.next(since, *at);
        std::iter::successors(step(&after), step).take(count.min(LISTED_MAX)).collect()
    }
}

/// The first `start + n × span` after `after`. Counted from the start, so that the 31st stays the 31st where there is one.
fn next_multiple(start: &Zoned, span: jiff::Span, after: &Zoned) -> Option<Zoned> {
    let length = span.total((jiff::Unit::Second, start)).ok()?;
    let elapsed = after.timestamp().duration_since(start.timestamp()).as_secs_f64();
    // A little early, because months and days differ in length: the loop below finds the exact one.
    #[expect(clippy::cast_possible_truncation, reason = "seconds of thousands of years fit")]
    let estimate = ((elapsed / length * 0.97).floor() as i64 - 3).max(1);
    let mut n = estimate;
    let mut tries = 0;
    loop {
        let at = start.checked_add(span.checked_mul(n).ok()?).ok()?;
        if at > *after {
            return Some(at);
        }
        let behind = after.timestamp().duration_since(at.timestamp()).as_secs_f64();
        #[expect(clippy::cast_possible_truncation, reason = "seconds of thousands of years fit")]
        let jump = ((behind / length * 0.97).floor() as i64).max(1);
        n += jump;
        tries += 1;
        if tries > TRIES_MAX {
            return None;
        }
    }
}

fn zoned(at: Timestamp, zone: &TimeZone) -> Option<Zoned> {
    jiff::Timestamp::from_millisecond(at.0).ok().map(|at| at.to_zoned(zone.clone()))
}

fn moment(at: &Zoned) -> Timestamp {
    Timestamp(at.timestamp().as_millisecond())
}
