//! What a pattern cannot say: checksums, ranges, and what stands around a find.

use std::net::{Ipv4Addr, Ipv6Addr};

type Span = Option<(usize, usize)>;

/// Lengths of IBANs by country; other countries are tried whole.
const IBAN_LENGTHS: [(&str, usize); 34] = [
    ("AD", 24),
    ("AE", 23),
    ("AT", 20),
    ("BE", 16),
    ("BG", 22),
    ("CH", 21),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DK", 18),
    ("EE", 20),
    ("ES", 24),
    ("FI", 18),
    ("FR", 27),
    ("GB", 22),
    ("GR", 27),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IS", 26),
    ("IT", 27),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("MC", 27),
    ("MT", 31),
    ("NL", 18),
    ("NO", 15),
    ("PL", 28),
    ("PT", 25),
    ("RO", 24),
    ("SE", 24),
    ("SI", 19),
];

/// The find does not continue a longer word.
pub(super) fn alone(text: &str, start: usize, end: usize) -> Span {
    let before = text[..start].bytes().next_back();
    (!before.is_some_and(|b| b.is_ascii_alphanumeric())).then_some((start, end))
}

/// A credential after `Bearer` or `Basic`: an ordinary word is not one.
pub(super) fn credential(text: &str, start: usize, end: usize) -> Span {
    let word = &text[start..end];
    let mixed = word.bytes().any(|b| b.is_ascii_digit() || matches!(b, b'=' | b'_' | b'+' | b'/'))
        || word.len() >= 24
        || (word.bytes().any(|b| b.is_ascii_uppercase())
            && word.bytes().skip(1).any(|b| b.is_ascii_uppercase()));
    mixed.then_some((start, end))
}

pub(super) fn iban(text: &str, start: usize, end: usize) -> Span {
    let country = text[start..start + 2].to_ascii_uppercase();
    let known = IBAN_LENGTHS.iter().find(|(code, _)| *code == country).map(|(_, length)| *length);
    let mut compact = String::new();
    let mut last = start;
    for (i, c) in text[start..end].char_indices().filter(|(_, c)| *c != ' ') {
        if known.is_some_and(|length| compact.len() == length) {
            break;
        }
        compact.push(c.to_ascii_uppercase());
        last = start + i + 1;
    }
    let whole = !text[last..].bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    (whole && known.is_none_or(|length| compact.len() == length) && mod_97(&compact) == 1)
        .then_some((start, last))
}

fn mod_97(iban: &str) -> u32 {
    let (head, tail) = iban.split_at(4);
    tail.chars().chain(head.chars()).fold(0, |rest, c| match c.to_digit(36) {
        Some(digit @ 0..=9) => (rest * 10 + digit) % 97,
        Some(letter) => (rest * 100 + letter) % 97,
        None => rest,
    })
}

pub(super) fn card(text: &str, start: usize, end: usize) -> Span {
    let digits: String = text[start..end].chars().filter(char::is_ascii_digit).collect();
    (free(text, start, end) && is_card(&digits)).then_some((start, end))
}

/// Luhn's checksum and a length and first digit that card issuers use.
pub(super) fn is_card(digits: &str) -> bool {
    let length_fine = matches!(digits.len(), 12..=19) && matches!(digits.as_bytes()[0], b'2'..=b'6');
    // Twelve and thirteen digits are order numbers and times far more often than cards.
    let length_fine = length_fine && (digits.len() >= 14 || digits.len() == 13 && digits.starts_with('4'));
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(i, b)| {
            let digit = u32::from(b - b'0');
            let doubled = digit * 2;
            if i % 2 == 0 { digit } else { doubled / 10 + doubled % 10 }
        })
        .sum();
    length_fine && sum.is_multiple_of(10)
}

pub(super) fn ssn(text: &str, start: usize, end: usize) -> Span {
    let part = &text[start..end];
    let fine = free(text, start, end)
        && !part.starts_with("000")
        && !part.starts_with("666")
        && &part[4..6] != "00"
        && &part[7..] != "0000";
    fine.then_some((start, end))
}

pub(super) fn phone(text: &str, start: usize, end: usize) -> Span {
    let part = &text[start..end];
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    // `+1234567.50` is an amount: a number with two decimals and no other separator.
    let amount = part.starts_with('+')
        && part
            .rsplit_once('.')
            .is_some_and(|(whole, cents)| cents.len() == 2 && whole[1..].bytes().all(|b| b.is_ascii_digit()));
    (free(text, start, end) && (8..=15).contains(&digits) && !amount).then_some((start, end))
}

pub(super) fn ipv4(text: &str, start: usize, end: usize) -> Span {
    let address: Ipv4Addr = text[start..end].parse().ok()?;
    let shown = address.is_loopback() || address.is_unspecified();
    // A port may follow, a fifth number may not.
    let more = &text.as_bytes()[end..];
    let longer = more.first().is_some_and(u8::is_ascii_alphanumeric)
        || (more.first() == Some(&b'.') && more.get(1).is_some_and(u8::is_ascii_digit));
    let before = text[..start]
        .bytes()
        .next_back()
        .is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    (!shown && !longer && !before).then_some((start, end))
}

pub(super) fn ipv6(text: &str, start: usize, end: usize) -> Span {
    let end = start + text[start..end].trim_end_matches('.').len();
    let part = &text[start..end];
    if !part.bytes().any(|b| b.is_ascii_digit()) || part.len() < 6 || !alone_in_names(text, start, end) {
        return None;
    }
    let address: Ipv6Addr =
        part.strip_suffix(':').filter(|p| !p.ends_with(':')).unwrap_or(part).parse().ok()?;
    (!address.is_loopback() && !address.is_unspecified()).then_some((start, end))
}

fn alone_in_names(text: &str, start: usize, end: usize) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    !text[..start].bytes().next_back().is_some_and(word) && !text[end..].bytes().next().is_some_and(word)
}

/// Digits that are not part of a longer number, name, path, UUID, digest or date.
fn free(text: &str, start: usize, end: usize) -> bool {
    let joins = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let before = &text.as_bytes()[..start];
    let after = &text.as_bytes()[end..];
    let number_before = matches!(before, [.., d, b'.' | b',' | b':' | b'/'] if d.is_ascii_digit());
    let number_after = matches!(after, [b'.' | b',' | b':' | b'/', d, ..] if d.is_ascii_digit());
    !before.last().copied().is_some_and(|b| joins(b) || b == b'#')
        && !after.first().copied().is_some_and(joins)
        && !number_before
        && !number_after
}
