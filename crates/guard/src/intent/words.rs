//! Words of a text: where they stand, what they are without their endings, and which of them say nothing.

/// One word of a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    pub(crate) stem: String,
    /// First byte in the text.
    pub(crate) start: usize,
    /// Byte after the last.
    pub(crate) end: usize,
}

/// Words that carry no meaning of their own.
const STOP: [&str; 62] = [
    "a", "an", "the", "of", "to", "for", "on", "in", "at", "by", "with", "from", "and", "or", "is", "are",
    "was", "be", "please", "kindly", "can", "could", "would", "you", "i", "we", "me", "my", "our", "us",
    "want", "like", "need", "it", "that", "this", "as", "because", "since", "so", "hi", "hello", "bitte",
    "der", "die", "das", "den", "dem", "ein", "eine", "fur", "und", "von", "mit", "le", "la", "les", "el",
    "de", "por", "pour", "amount",
];
/// Words that turn a request around when they stand before it.
const NEGATIONS: [&str; 18] = [
    "not", "don't", "dont", "never", "no", "without", "stop", "cannot", "can't", "won't", "nicht", "kein",
    "keine", "nie", "pas", "jamais", "nunca", "avoid",
];

/// Splits into runs of letters, digits, `_`, `'` and `-`.
pub(crate) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        let part = c.is_alphanumeric() || matches!(c, '_' | '\'' | '\u{2019}' | '-');
        match (part, start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                let word = &text[from..at];
                found.push(Token { text: word, stem: stem(word), start: from, end: at });
                start = None;
            }
            _ => {}
        }
    }
    found
}

/// True when some word has this stem.
pub(crate) fn holds(words: &[Token<'_>], stem: &str) -> bool {
    words.iter().any(|word| word.stem == stem)
}

/// A word in lower case, without accents, without the commonest endings.
pub(crate) fn stem(word: &str) -> String {
    let plain: String = word.to_lowercase().chars().map(fold).collect();
    if plain.bytes().any(|b| b.is_ascii_digit()) {
        return plain;
    }
    for (ending, keep) in
        [("ations", 3), ("ation", 3), ("ings", 4), ("ing", 4), ("ies", 3), ("ed", 4), ("es", 4), ("s", 3)]
    {
        if let Some(base) = plain.strip_suffix(ending)
            && base.chars().count() >= keep
            && !(ending == "s" && base.ends_with('s'))
        {
            return trim_vowel(base);
        }
    }
    trim_vowel(&plain)
}

/// `create`, `creates` and `creating` meet at `creat`; `copy` and `copies` at `cop`.
fn trim_vowel(base: &str) -> String {
    if base.chars().count() > 3 { base.trim_end_matches(['e', 'y']).to_owned() } else { base.to_owned() }
}

/// True for words that carry no meaning of their own.
pub(crate) fn is_stop(word: &str) -> bool {
    let plain: String = word.to_lowercase().chars().map(fold).collect();
    STOP.contains(&plain.as_str())
}

/// True for a word that turns a request around.
pub(crate) fn is_negation(word: &str) -> bool {
    let plain: String = word.to_lowercase().chars().map(fold).collect();
    NEGATIONS.contains(&plain.as_str())
}

fn fold(c: char) -> char {
    match c {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' => 'a',
        'è' | 'é' | 'ê' | 'ë' => 'e',
        'ì' | 'í' | 'î' | 'ï' => 'i',
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' => 'o',
        'ù' | 'ú' | 'û' | 'ü' => 'u',
        'ç' => 'c',
        'ñ' => 'n',
        '\u{2019}' => '\'',
        other => other,
    }
}
