//! Days and addresses in a text.

use std::sync::LazyLock;

use jiff::civil::Date;
use regex::Regex;

/// A day in a text; `value` is `2026-11-20`, or nothing when it reads two ways or is no day at all.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Day {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) value: Option<String>,
}

static EMAIL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,8}\.[A-Za-z]{2,24}")
        .expect("the pattern is a constant that the tests compile")
});
static DAY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"\b(?:(?P<y>[0-9]{4})-(?P<m>[0-9]{2})-(?P<d>[0-9]{2})",
        r"|(?P<gd>[0-9]{1,2})\.(?P<gm>[0-9]{1,2})\.(?P<gy>[0-9]{4})",
        r"|(?P<sa>[0-9]{1,2})/(?P<sb>[0-9]{1,2})/(?P<sy>[0-9]{4})",
        r"|(?P<nd>[0-9]{1,2})(?:st|nd|rd|th|\.)? (?P<nm>[A-Za-zäé]{3,9}) (?P<ny>[0-9]{4})",
        r"|(?P<am>[A-Za-z]{3,9}) (?P<ad>[0-9]{1,2})(?:st|nd|rd|th)?,? (?P<ay>[0-9]{4}))\b",
    ))
    .expect("the pattern is a constant that the tests compile")
});
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Every address: first byte and the byte after the last.
pub(crate) fn emails(text: &str) -> Vec<(usize, usize)> {
    EMAIL.find_iter(text).map(|found| (found.start(), found.end())).collect()
}

/// Every day that is written out.
pub(crate) fn days(text: &str) -> Vec<Day> {
    let mut found = Vec::new();
    for captures in DAY.captures_iter(text) {
        let Some(whole) = captures.get(0) else { continue };
        let part = |name: &str| captures.name(name).and_then(|m| m.as_str().parse::<i16>().ok());
        let word = |name: &str| captures.name(name).and_then(|m| month(m.as_str()));
        let value = if let (Some(y), Some(m), Some(d)) = (part("y"), part("m"), part("d")) {
            day(y, m, d)
        } else if let (Some(y), Some(m), Some(d)) = (part("gy"), part("gm"), part("gd")) {
            day(y, m, d)
        } else if let (Some(y), Some(a), Some(b)) = (part("sy"), part("sa"), part("sb")) {
            // 03/04/2026 is a day in March or in April; 25/12/2026 is only one.
            match (day(y, a, b), day(y, b, a)) {
                (Some(one), Some(other)) if one != other => None,
                (one, other) => one.or(other),
            }
        } else if let (Some(y), Some(d)) = (part("ny").or(part("ay")), part("nd").or(part("ad"))) {
            match word("nm").or(word("am")) {
                Some(m) => day(y, m, d),
                // `order 12 cups 2026` is not a day.
                None => continue,
            }
        } else {
            None
        };
        found.push(Day { start: whole.start(), end: whole.end(), value });
    }
    found
}

fn day(year: i16, month: i16, day: i16) -> Option<String> {
    let date = Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    Some(date.to_string())
}

fn month(word: &str) -> Option<i16> {
    let lower = word.to_lowercase();
    let lower = match lower.as_str() {
        "januar" => "jan",
        "februar" => "feb",
        "märz" => "mar",
        "mai" => "may",
        "juni" => "jun",
        "juli" => "jul",
        "oktober" => "oct",
        "dezember" => "dec",
        other => other,
    };
    const FULL: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let at = MONTHS.iter().position(|m| *m == lower).or_else(|| FULL.iter().position(|m| *m == lower))?;
    i16::try_from(at + 1).ok()
}
