//! The plain words behind a disguise.

/// Encoded runs that are opened in one text at the most.
const RUNS_MAX: usize = 16;
/// Shortest run that is taken for an encoding, in bytes.
const RUN_MIN: usize = 20;
/// Invisible characters that an honest text may hold: joiners in emoji and some scripts.
const INVISIBLE_MAX: usize = 16;

/// The rule that hidden or control characters break, if any.
pub(super) fn hidden(text: &str) -> Option<&'static str> {
    let mut invisible = 0;
    for c in text.chars() {
        match c {
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => return Some("shape.direction-override"),
            '\u{e0000}'..='\u{e007f}' => return Some("shape.hidden-characters"),
            '\t' | '\n' | '\r' => {}
            c if c.is_control() => return Some("shape.control-characters"),
            c if is_invisible(c) => invisible += 1,
            _ => {}
        }
    }
    (invisible > INVISIBLE_MAX).then_some("shape.hidden-characters")
}

/// The folded text, the text with its accents and scripts, the text with spaced-out words joined, and what is encoded
/// in it. Repeated variants are left out.
pub(super) fn variants(text: &str) -> Vec<String> {
    let folded = fold(text);
    let mut found = vec![folded.clone()];
    let mut add = |variant: Option<String>| {
        if let Some(variant) = variant.filter(|v| !found.contains(v)) {
            found.push(variant);
        }
    };
    if !text.is_ascii() {
        add(Some(squeeze(text.chars().filter(|c| !is_invisible(*c)).flat_map(char::to_lowercase))));
    }
    add(joined(&folded));
    add(unleet(&folded));
    if text.contains('%') {
        add(percent(text).map(|t| fold(&t)));
    }
    for run in text
        .split(|c: char| !(c.is_ascii_alphanumeric() || "+/=_-".contains(c)))
        .filter(|r| r.len() >= RUN_MIN)
        .take(RUNS_MAX)
    {
        add(base64(run).map(|t| fold(&t)));
        add(hex(run).map(|t| fold(&t)));
    }
    found
}

/// Lower case, Latin look-alikes, no accents, no invisible characters, single spaces.
pub(super) fn fold(text: &str) -> String {
    squeeze(text.chars().filter(|c| !is_invisible(*c)).flat_map(char::to_lowercase).map(letter))
}

fn squeeze(chars: impl Iterator<Item = char>) -> String {
    let mut out = String::new();
    for c in chars {
        if c.is_whitespace() {
            if !out.ends_with(' ') {
                out.push(' ');
            }
        } else {
            out.push(c);
        }
    }
    out
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{300}'..='\u{36f}' | '\u{e0000}'..='\u{e01ef}')
}

/// The Latin letter that a character looks like.
fn letter(c: char) -> char {
    match c {
        'à'..='å' | 'ā' | 'ă' | 'ą' | 'а' | 'α' => 'a',
        'ç' | 'ć' | 'č' | 'с' | 'ϲ' => 'c',
        'è'..='ë' | 'ē' | 'ę' | 'ě' | 'е' | 'ε' => 'e',
        'ì'..='ï' | 'ī' | 'ı' | 'і' | 'ι' => 'i',
        'ñ' | 'ń' | 'ň' | 'η' | 'п' => 'n',
        'ò'..='ö' | 'ø' | 'ō' | 'ő' | 'о' | 'ο' | 'σ' => 'o',
        'ù'..='ü' | 'ū' | 'ů' | 'ű' | 'υ' => 'u',
        'ý' | 'ÿ' | 'у' => 'y',
        'ѕ' | 'ś' | 'š' => 's',
        'ј' => 'j',
        'к' | 'κ' => 'k',
        'м' => 'm',
        'р' | 'ρ' => 'p',
        'т' | 'τ' => 't',
        'в' => 'b',
        'х' | 'χ' => 'x',
        'ԁ' => 'd',
        'ɡ' => 'g',
        'һ' => 'h',
        'ν' => 'v',
        'ԝ' => 'w',
        'ż' | 'ź' | 'ž' => 'z',
        '\u{2018}' | '\u{2019}' => '\'',
        '\u{201c}' | '\u{201d}' => '"',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c).to_ascii_lowercase(),
        '\u{1d400}'..='\u{1d6a3}' => styled(u32::from(c) - 0x1d400),
        '\u{24d0}'..='\u{24e9}' => at(u32::from(c) - 0x24d0),
        other => other,
    }
}

/// Mathematical alphabets: 26 capitals, then 26 small letters, again and again.
fn styled(offset: u32) -> char {
    at(offset % 26)
}

fn at(offset: u32) -> char {
    u8::try_from(offset).ok().and_then(|o| b'a'.checked_add(o)).map_or(' ', char::from)
}

/// `i g n o r e  a l l` and `i.g.n.o.r.e`: runs of at least four single letters become words.
fn joined(folded: &str) -> Option<String> {
    let parts: Vec<&str> = folded.split(|c: char| !c.is_alphanumeric()).filter(|p| !p.is_empty()).collect();
    let mut out = String::new();
    let mut any = false;
    for run in parts.chunk_by(|a, b| a.chars().count() == 1 && b.chars().count() == 1) {
        if run.len() >= 4 {
            any = true;
            out.push_str(&run.concat());
        } else {
            out.push_str(&run.join(" "));
        }
        out.push(' ');
    }
    any.then(|| spaced(&out))
}

/// Joined letters have lost their spaces: put them back around the words that matter.
fn spaced(text: &str) -> String {
    let mut out = text.to_owned();
    for word in [
        "ignore",
        "disregard",
        "forget",
        "override",
        "previous",
        "prior",
        "system",
        "your",
        "all",
        "instructions",
        "prompt",
        "rules",
    ] {
        out = out.replace(word, &format!(" {word} "));
    }
    squeeze(out.chars())
}

/// `1gn0re` and `pr3v10us`: digits between letters read as the letters they look like.
fn unleet(folded: &str) -> Option<String> {
    let mixed = |word: &str| {
        word.chars().any(|c| c.is_ascii_digit() || matches!(c, '@' | '$'))
            && word.chars().any(char::is_alphabetic)
    };
    if !folded.split(' ').any(mixed) {
        return None;
    }
    let read = |c: char| match c {
        '0' => 'o',
        '1' | '!' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    };
    let words: Vec<String> = folded
        .split(' ')
        .map(|w| if mixed(w) { w.chars().map(read).collect() } else { w.to_owned() })
        .collect();
    Some(words.join(" "))
}

fn readable(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    let plain =
        text.chars().filter(|c| c.is_alphanumeric() || c.is_whitespace() || c.is_ascii_punctuation()).count();
    (plain * 10 >= text.chars().count() * 9).then_some(text)
}

fn base64(run: &str) -> Option<String> {
    let mut out = Vec::with_capacity(run.len() * 3 / 4);
    let (mut held, mut bits) = (0u32, 0);
    for byte in run.trim_end_matches('=').bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        held = (held << 6 | u32::from(six)) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push(u8::try_from(held >> bits & 0xff).unwrap_or_default());
        }
    }
    readable(out)
}

fn hex(run: &str) -> Option<String> {
    readable(::hex::decode(run).ok()?)
}

fn percent(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let decoded = (bytes[i] == b'%')
            .then(|| text.get(i + 1..i + 3))
            .flatten()
            .and_then(|h| u8::from_str_radix(h, 16).ok());
        out.push(decoded.unwrap_or(bytes[i]));
        i += if decoded.is_some() { 3 } else { 1 };
    }
    readable(out)
}
