//! Numbers and sums of money as people write them: `25.00 EUR`, `€25`, `25,00 €`, `1.234,56 EUR`, `$1,234.50`.

use std::sync::LazyLock;

use regex::Regex;

/// Largest amount that is read.
const AMOUNT_MAX: f64 = 1e12;

/// Codes that may be written small, beside a number.
const CODES: [&str; 26] = [
    "EUR", "USD", "GBP", "CHF", "JPY", "CAD", "AUD", "NZD", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "RON",
    "BGN", "CNY", "INR", "BRL", "MXN", "ZAR", "SGD", "HKD", "AED", "ILS", "KRW",
];
/// Codes that are also words, or rare: only in capitals.
const CODES_CAPITAL: [&str; 10] = ["TRY", "THB", "KWD", "BHD", "OMR", "JOD", "TND", "UAH", "ISK", "SAR"];
/// Three decimals: a single separator before three digits reads two ways.
const MILLS: [&str; 5] = ["KWD", "BHD", "OMR", "JOD", "TND"];
const NAMES: [(&str, &str); 14] = [
    ("€", "EUR"),
    ("US$", "USD"),
    ("$", "USD"),
    ("£", "GBP"),
    ("¥", "JPY"),
    ("₹", "INR"),
    ("zł", "PLN"),
    ("₩", "KRW"),
    ("euro", "EUR"),
    ("euros", "EUR"),
    ("dollar", "USD"),
    ("dollars", "USD"),
    ("pounds", "GBP"),
    ("yen", "JPY"),
];

/// A number in a text, with the currency beside it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Number {
    /// First byte of the number or its currency, and the byte after the last.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The digits alone.
    pub(crate) digits: (usize, usize),
    pub(crate) currency: Option<String>,
    /// The value, when it reads one way only.
    pub(crate) value: Option<f64>,
    /// True for digits without any separator.
    pub(crate) plain: bool,
}

static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[0-9](?:[0-9.,'’]*[0-9])?").expect("the pattern is a constant that the tests compile")
});

/// Every number that is not part of a word, with its currency.
pub(crate) fn numbers(text: &str) -> Vec<Number> {
    NUMBER.find_iter(text).filter_map(|found| read(text, found.start(), found.end())).collect()
}

/// The code of a currency that is written as a code, symbol or name.
pub(crate) fn currency(word: &str) -> Option<&'static str> {
    let upper = word.to_uppercase();
    CODES
        .iter()
        .find(|code| **code == upper)
        .or_else(|| CODES_CAPITAL.iter().find(|code| **code == word))
        .copied()
        .or_else(|| {
            NAMES
                .iter()
                .find(|(name, _)| *name == word.to_lowercase() || *name == upper)
                .map(|(_, code)| *code)
        })
}

fn read(text: &str, start: usize, end: usize) -> Option<Number> {
    let (left, right) = (&text[..start], &text[end..]);
    let before = currency_before(left);
    let after = currency_after(right);
    let joined = |c: char| c.is_alphanumeric() || c == '_' || c == '#';
    let joins_left =
        left.chars().next_back().is_some_and(joined) && before.as_ref().is_none_or(|(_, at)| *at == start);
    let joins_right = right.chars().next().is_some_and(|c| joined(c) || c == '-') && after.is_none();
    // `AB-7` is a name, `10-25` a range.
    let hyphened = left.strip_suffix('-').is_some_and(|l| l.ends_with(char::is_alphanumeric));
    if joins_left || joins_right || hyphened {
        return None;
    }
    // A sign, a hyphen in a name, or a group of digits before: what this number is cannot be said.
    let from = before.as_ref().map_or(start, |(_, at)| *at);
    let odd =
        text[..from].ends_with(['-', '−', '/', '.', ',']) || split_group(left, &text[start..end], &after);
    let currency = match (&before, &after) {
        (Some((a, _)), Some((b, _))) if a != b => return Some(number((from, end), (start, end), None, None)),
        (Some((code, _)), _) | (None, Some((code, _))) => Some(*code),
        (None, None) => None,
    };
    let value = parse(&text[start..end], currency).filter(|value| !odd && *value <= AMOUNT_MAX);
    let to = after.map_or(end, |(_, length)| end + length);
    Some(number((from, to), (start, end), currency, value).plain(&text[start..end]))
}

fn number(
    span: (usize, usize),
    digits: (usize, usize),
    currency: Option<&str>,
    value: Option<f64>,
) -> Number {
    Number { start: span.0, end: span.1, digits, currency: currency.map(str::to_owned), value, plain: false }
}

impl Number {
    fn plain(mut self, digits: &str) -> Self {
        self.plain = digits.bytes().all(|b| b.is_ascii_digit());
        self
    }
}

/// `1 234,56 EUR`: digits, a space and then exactly three digits before a currency could be one number or two.
fn split_group(left: &str, digits: &str, after: &Option<(&'static str, usize)>) -> bool {
    let group = digits.split(['.', ',']).next().is_some_and(|whole| whole.len() == 3);
    group
        && after.is_some()
        && left
            .strip_suffix([' ', '\u{a0}', '\u{202f}'])
            .is_some_and(|l| l.ends_with(|c: char| c.is_ascii_digit()))
}

fn currency_before(left: &str) -> Option<(&'static str, usize)> {
    let trimmed = left.strip_suffix([' ', '\u{a0}']).unwrap_or(left);
    let symbol =
        NAMES.iter().find(|(name, _)| !name.chars().all(char::is_alphabetic) && trimmed.ends_with(name));
    if let Some((name, code)) = symbol {
        return Some((code, trimmed.len() - name.len()));
    }
    let word = trimmed.rsplit(|c: char| !c.is_alphabetic()).next().filter(|word| !word.is_empty())?;
    currency(word).filter(|_| word.len() == 3).map(|code| (code, trimmed.len() - word.len()))
}

/// The code and how many bytes it takes, the space included.
fn currency_after(right: &str) -> Option<(&'static str, usize)> {
    let trimmed = right.strip_prefix([' ', '\u{a0}']).unwrap_or(right);
    let space = right.len() - trimmed.len();
    if let Some((name, code)) =
        NAMES.iter().find(|(name, _)| !name.chars().all(char::is_alphabetic) && trimmed.starts_with(name))
    {
        // `25 $5`: the sign belongs to the number behind it.
        let taken = trimmed[name.len()..].starts_with(|c: char| c.is_ascii_digit());
        return (!taken).then_some((*code, space + name.len()));
    }
    let word = trimmed.split(|c: char| !c.is_alphabetic()).next().filter(|word| !word.is_empty())?;
    let digit_follows =
        trimmed[word.len()..].starts_with(|c: char| c.is_ascii_digit() || c == '_' || c == '-');
    currency(word).filter(|_| !digit_follows).map(|code| (code, space + word.len()))
}

/// Reads a number; nothing when it reads two ways or is not a number.
fn parse(digits: &str, currency: Option<&str>) -> Option<f64> {
    let last = digits.rfind(['.', ',', '\'', '’']);
    let Some(last) = last else { return digits.parse().ok() };
    let mark = digits[last..].chars().next()?;
    let (whole, tail) = (&digits[..last], &digits[last + mark.len_utf8()..]);
    let single = !whole.contains(['.', ',', '\'', '’']);
    let mills = currency.is_some_and(|code| MILLS.contains(&code));
    let groups = digits.matches(mark).count() > 1
        || matches!(mark, '\'' | '’')
        || (single && tail.len() == 3 && !mills);
    if single && tail.len() == 3 && mills {
        return None;
    }
    if groups {
        return grouped(digits, mark)?.parse().ok();
    }
    if tail.is_empty() || tail.len() > if mills { 3 } else { 2 } && currency.is_some() {
        return None;
    }
    let other = whole.chars().find(|c| !c.is_ascii_digit());
    let whole = match other {
        Some(mark) => grouped(whole, mark)?,
        None => whole.to_owned(),
    };
    format!("{whole}.{tail}").parse().ok()
}

/// The digits of `1.234.567`, when every group but the first has three.
fn grouped(digits: &str, mark: char) -> Option<String> {
    let groups: Vec<&str> = digits.split(mark).collect();
    let (first, rest) = groups.split_first()?;
    let fine = (1..=3).contains(&first.len())
        && !first.starts_with('0')
        && rest.iter().all(|group| group.len() == 3)
        && groups.iter().all(|group| group.bytes().all(|b| b.is_ascii_digit()));
    fine.then(|| groups.concat())
}
