//! Personal data and secrets, found and masked: for logs, audit records, prompts and everything that is shown widely.
//!
//! E-mail addresses, phone numbers, IBANs (by checksum), payment cards (by Luhn), US social security numbers, network
//! addresses, tokens, keys and passwords become a word in brackets. Order numbers, UUIDs, digests, amounts and
//! timestamps stay. One scan over the bytes decides which searches are worth making; text without anything suspicious
//! is returned as it is, without an allocation.

mod checks;

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// Deepest nesting that [`redact_json`] follows; what lies deeper is masked whole.
pub const DEPTH_MAX: usize = 128;
/// What a value under a sensitive name becomes.
const SECRET: &str = "[secret]";

/// Masks what is personal or secret in a text. Linear in its length.
pub fn redact(text: &str) -> Cow<'_, str> {
    let hints = Hints::of(text);
    if hints.nothing() {
        return Cow::Borrowed(text);
    }
    let mut spans: Vec<(usize, usize, &'static str)> = Vec::new();
    for rule in &*RULES {
        if (rule.when)(&hints) {
            rule.find(text, &mut spans);
        }
    }
    if spans.is_empty() {
        return Cow::Borrowed(text);
    }
    // The earliest and then the longest find wins; what overlaps it is inside the mask already.
    spans.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (start, end, label) in spans {
        if start < done {
            // The tail of an overlapping find is still private.
            done = done.max(end);
            continue;
        }
        out.push_str(&text[done..start]);
        out.push_str(label);
        done = end;
    }
    out.push_str(&text[done..]);
    Cow::Owned(out)
}

/// Masks every text in a document, member names included; values under names such as `password` are masked whole.
pub fn redact_json(json: &serde_json::Value) -> serde_json::Value {
    redact_level(json, 0)
}

fn redact_level(json: &serde_json::Value, depth: usize) -> serde_json::Value {
    use serde_json::Value as Json;
    match json {
        _ if depth > DEPTH_MAX => Json::from(SECRET),
        Json::String(text) => Json::from(redact(text)),
        Json::Array(items) => items.iter().map(|item| redact_level(item, depth + 1)).collect(),
        Json::Object(members) => Json::Object(
            members
                .iter()
                .map(|(name, value)| {
                    let hide = sensitive(name) && !matches!(value, Json::Null | Json::Bool(_));
                    let value = if hide { Json::from(SECRET) } else { redact_level(value, depth + 1) };
                    (redact(name).into_owned(), value)
                })
                .collect(),
        ),
        Json::Number(number) => match number.as_u64() {
            Some(n) if n >= 100_000_000_000 && checks::is_card(&n.to_string()) => Json::from("[card]"),
            _ => json.clone(),
        },
        Json::Null | Json::Bool(_) => json.clone(),
    }
}

/// Names whose values are secret whatever they look like.
fn sensitive(name: &str) -> bool {
    if name.len() > 24 {
        return false;
    }
    let plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    matches!(
        plain.as_str(),
        "password"
            | "passwd"
            | "passphrase"
            | "secret"
            | "clientsecret"
            | "apikey"
            | "accesskey"
            | "secretkey"
            | "privatekey"
            | "token"
            | "accesstoken"
            | "refreshtoken"
            | "idtoken"
            | "authorization"
            | "proxyauthorization"
            | "cookie"
            | "setcookie"
            | "cardnumber"
            | "cvv"
            | "cvc"
            | "ssn"
            | "pin"
    )
}

/// What one look at the bytes shows.
#[derive(Default)]
struct Hints {
    at: bool,
    dash_block: bool,
    token: bool,
    word: bool,
    dotted: bool,
    colons: usize,
    digits: usize,
    plus: bool,
}

impl Hints {
    fn of(text: &str) -> Self {
        let mut hints = Self::default();
        let bytes = text.as_bytes();
        let mut dots = 0usize;
        for (i, byte) in bytes.iter().enumerate() {
            match byte {
                b'0'..=b'9' => hints.digits += 1,
                b'@' => hints.at = true,
                b'+' => hints.plus = true,
                b'.' => dots += 1,
                b':' => {
                    hints.colons += 1;
                    hints.word = true;
                }
                b'=' => hints.word = true,
                b'-' if !hints.dash_block => hints.dash_block = bytes[i..].starts_with(b"-----BEGIN"),
                b's' | b'p' | b'r' | b'g' | b'x' | b'A' | b'e' | b'o' if !hints.token => {
                    hints.token = TOKEN_STARTS.iter().any(|start| bytes[i..].starts_with(start.as_bytes()));
                }
                b'B' | b'b' if !hints.word => {
                    hints.word = bytes[i..].get(..5).is_some_and(|w| {
                        w.eq_ignore_ascii_case(b"beare") || w.eq_ignore_ascii_case(b"basic")
                    });
                }
                _ => {}
            }
        }
        hints.dotted = dots >= 3 && hints.digits >= 4;
        hints
    }

    fn nothing(&self) -> bool {
        let Self { at, dash_block, token, word, dotted, colons, digits, plus: _ } = *self;
        !(at || dash_block || token || word || dotted || colons >= 2 || digits >= 7)
    }
}

const TOKEN_STARTS: [&str; 16] = [
    "eyJ",
    "sk_",
    "sk-",
    "pk_",
    "rk_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xox",
    "AKIA",
    "AIza",
    "omn_",
];

struct Rule {
    regex: Regex,
    label: &'static str,
    when: fn(&Hints) -> bool,
    /// Answers the part of the match that is masked, or nothing; the arguments are the text and the match.
    check: fn(&str, usize, usize) -> Option<(usize, usize)>,
}

impl Rule {
    fn find(&self, text: &str, spans: &mut Vec<(usize, usize, &'static str)>) {
        for found in self.regex.captures_iter(text) {
            // A group marks the secret part when the pattern needs words around it.
            let Some(part) = found.get(1).or_else(|| found.get(0)) else { continue };
            if let Some((start, end)) = (self.check)(text, part.start(), part.end()) {
                spans.push((start, end, self.label));
            }
        }
    }
}

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let rule = |pattern: &str, label, when, check| Rule {
        regex: Regex::new(pattern).expect("the pattern is a constant that the tests compile"),
        label,
        when,
        check,
    };
    let always: fn(&str, usize, usize) -> Option<(usize, usize)> = |_, start, end| Some((start, end));
    [
        rule(
            r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)",
            "[private-key]",
            |h| h.dash_block,
            always,
        ),
        rule(
            r"(?:eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?)",
            "[token]",
            |h| h.token,
            checks::alone,
        ),
        rule(
            r"(?:[spr]k_(?:live|test)_[A-Za-z0-9]{10,}|sk-[A-Za-z0-9_-]{20,}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}|xox[abprs]-[A-Za-z0-9-]{10,}|AIza[0-9A-Za-z_-]{30,}|omn_[A-Za-z0-9_-]{16,})",
            "[key]",
            |h| h.token,
            checks::alone,
        ),
        rule(r"(?i-u)\b(?:bearer|basic)\s+([A-Za-z0-9._~+/=-]{8,})", "[token]", |h| h.word, checks::credential),
        rule(
            r#"(?i)\b(?:password|passwd|passphrase|secret|api[_-]?key|access[_-]?token|client[_-]?secret|private[_-]?key|token|authorization)["']?\s*[:=]\s*["']?((?:bearer |basic )?[^\s"',;&]{4,})"#,
            "[secret]",
            |h| h.word,
            always,
        ),
        rule(r"(?-u)[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,253}\.[A-Za-z]{2,24}", "[email]", |h| h.at, always),
        rule(r"(?i-u)\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}", "[iban]", |h| h.digits >= 7, checks::iban),
        rule(r"(?-u)[2-6][0-9](?:[ -]?[0-9]){10,17}", "[card]", |h| h.digits >= 12, checks::card),
        rule(r"(?-u)[0-8][0-9]{2}-[0-9]{2}-[0-9]{4}", "[ssn]", |h| h.digits >= 9, checks::ssn),
        rule(r"(?-u)\+[1-9](?:[ ().-]{0,2}[0-9]){7,14}", "[phone]", |h| h.plus && h.digits >= 7, checks::phone),
        rule(r"(?-u)00[1-9][0-9](?:[ /-]?[0-9]){8,12}", "[phone]", |h| h.digits >= 10, checks::phone),
        rule(
            r"(?-u)(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[.-])[0-9]{3}[ .-][0-9]{4}",
            "[phone]",
            |h| h.digits >= 10,
            checks::phone,
        ),
        rule(r"(?-u)\(?0[1-9][0-9]{1,4}\)?[ /][0-9]{3,8}(?:[ -][0-9]{2,5}){0,4}", "[phone]", |h| h.digits >= 9, checks::phone),
        rule(r"(?-u)0[1-9](?:[ .][0-9]{2}){4}", "[phone]", |h| h.digits >= 10, checks::phone),
        rule(r"(?-u)(?:[0-9]{1,3}\.){3}[0-9]{1,3}", "[ip]", |h| h.dotted, checks::ipv4),
        rule(r"(?-u)[0-9A-Fa-f:]{2,39}(?:\.[0-9.]{6,12})?", "[ip]", |h| h.colons >= 2, checks::ipv6),
    ]
    .into_iter()
    .collect()
});

#[cfg(test)]
mod tests;
