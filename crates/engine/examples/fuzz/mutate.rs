//! Documents and expressions to begin with, and what is made of them by a seed.

use std::path::Path;

use serde_json::Value as Json;

/// A sequence of numbers that follows from a seed and a case.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64, case: u64) -> Self {
        let mut dice = Self(
            seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
                ^ case.wrapping_add(1).wrapping_mul(0xd134_2543_de82_ef95)
                | 1,
        );
        for _ in 0..4 {
            dice.next();
        }
        dice
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from((self.next() >> 11) % (limit.max(1) as u64)).unwrap_or(0)
    }

    pub fn word(&mut self, words: &[&'static str]) -> &'static str {
        words[self.below(words.len())]
    }

    pub fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

/// What mutations begin with.
pub struct Seeds {
    pub documents: Vec<String>,
    pub trees: Vec<Json>,
    pub expressions: Vec<String>,
}

/// What is checked.
pub enum Subject {
    Document(String),
    Expression { text: String, input: Json },
}

impl Subject {
    pub fn text(&self) -> &str {
        match self {
            Self::Document(text) | Self::Expression { text, .. } => text,
        }
    }
}

const TOKENS: &[&str] = &[
    ".",
    "..",
    "|",
    ",",
    "//",
    "=",
    "|=",
    "+=",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ":",
    ";",
    "?",
    "as",
    "def",
    "if",
    "then",
    "else",
    "elif",
    "end",
    "reduce",
    "foreach",
    "try",
    "catch",
    "label",
    "break",
    "and",
    "or",
    "not",
    "$x",
    "$__loc__",
    "@base64",
    "\"",
    "\\(",
    "\\u0000",
    "\\ud800",
    "1e999",
    "-1",
    "0",
    "9223372036854775807",
    "null",
    "nan",
    "infinite",
    "#",
    "range",
    "recurse",
    "limit",
    "until",
    "repeat",
    "splits",
    "gsub",
    "tojson",
    "fromjson",
    "implode",
    "explode",
    "setpath",
    "getpath",
    "paths",
    "walk",
    "env",
    "input",
    "error",
    "empty",
    "first",
    "ltrimstr",
    "group_by",
    "é",
    "\u{10ffff}",
    "\0",
    "?//",
    "%",
    "*",
    "<=",
];

const LINES: &[&str] = &[
    "  then: exit",
    "  then: nowhere",
    "  if: ${ . }",
    "- a:",
    "    set:",
    "do:",
    "  timeout: { after: PT1S }",
    "? x",
    "&a b",
    "*a",
    "!!str x",
    "---",
    "...",
    "%YAML 1.2",
    "  |",
    "  >-",
    "'",
    "\"",
    "{",
    "}",
    "[",
    "]",
    "\t",
    "# x",
    "<<: {}",
    ": ",
    "- - -",
];

impl Seeds {
    pub fn gather() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut documents = Vec::new();
        features(&root.join("tests/features"), &mut documents);
        for folder in
            std::iter::once(root.join("examples")).chain(std::env::var_os("OMNIHUB_SPEC_DIR").map(Into::into))
        {
            yaml(&folder, &mut documents);
        }
        documents.sort();
        let trees = documents
            .iter()
            .filter_map(|text| dsl::data::read(text).ok())
            .map(|value| value.to_json())
            .collect();
        let table =
            std::fs::read_to_string(root.join("crates/dsl/tests/jq_expressions.txt")).unwrap_or_default();
        let expressions = table.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
        Self { documents, trees, expressions }
    }
}

fn features(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        for block in text.split("\"\"\"yaml\n").skip(1) {
            let block = block.split("\"\"\"").next().unwrap_or_default();
            let lines: Vec<&str> = block.lines().collect();
            let indent = |line: &&&str| line.len() - line.trim_start().len();
            let least = lines
                .iter()
                .filter(|line| !line.trim().is_empty())
                .map(|line| indent(&line))
                .min()
                .unwrap_or(0);
            found.push(
                lines.iter().map(|line| format!("{}\n", line.get(least..).unwrap_or_default())).collect(),
            );
        }
    }
}

fn yaml(folder: &Path, found: &mut Vec<String>) {
    for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        match path.is_dir() {
            true => yaml(&path, found),
            false if path.extension().is_some_and(|ending| ending == "yaml") => {
                found.extend(std::fs::read_to_string(&path).ok());
            }
            false => {}
        }
    }
}

/// A third of the cases are expressions by themselves; the others are documents, mostly with the structure of a document.
pub fn subject(seeds: &Seeds, dice: &mut Dice) -> Subject {
    match dice.below(6) {
        0 | 1 => {
            let input = dice.of(&seeds.trees).clone();
            Subject::Expression { text: expression(seeds, dice), input }
        }
        2 => Subject::Document(lines(seeds, dice)),
        3 => Subject::Document(bytes(seeds, dice)),
        _ => Subject::Document(tree(seeds, dice)),
    }
}

fn expression(seeds: &Seeds, dice: &mut Dice) -> String {
    let mut text = dice.of(&seeds.expressions).clone();
    for _ in 0..=dice.below(4) {
        let at = boundary(&text, dice);
        match dice.below(8) {
            0 => text.insert_str(at, dice.word(TOKENS)),
            1 => {
                let to = boundary(&text, dice);
                text.replace_range(at.min(to)..at.max(to), "");
            }
            2 => {
                let other = dice.of(&seeds.expressions).clone();
                text = format!(
                    "({text}) {} ({other})",
                    dice.word(&["|", ",", "+", "//", "*", "and", "==", "|=", "as $x |"])
                );
            }
            3 => text = format!("[{text}] | map({})", dice.of(&seeds.expressions)),
            4 => {
                text = format!(
                    "def f: {text}; f | {}",
                    dice.word(&["f", ".", "[f, f]", "reduce f as $y (0; f)"])
                )
            }
            5 => text = format!("{} as $x | {text}", dice.of(&seeds.expressions)),
            6 => {
                let word = text.split_whitespace().nth(dice.below(6)).unwrap_or(".").to_owned();
                text = text.replacen(&word, dice.word(TOKENS), 1);
            }
            _ => text = format!("try ({text}) catch ({})", dice.of(&seeds.expressions)),
        }
        if text.len() > 20_000 {
            break;
        }
    }
    text
}

/// A place between two characters.
fn boundary(text: &str, dice: &mut Dice) -> usize {
    let at = dice.below(text.len() + 1);
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

fn lines(seeds: &Seeds, dice: &mut Dice) -> String {
    let mut lines: Vec<String> = dice.of(&seeds.documents).lines().map(str::to_owned).collect();
    for _ in 0..=dice.below(5) {
        if lines.is_empty() {
            break;
        }
        let at = dice.below(lines.len());
        match dice.below(6) {
            0 => lines.insert(at, dice.word(LINES).to_owned()),
            1 => drop(lines.remove(at)),
            2 => {
                let line = lines[at].clone();
                lines.insert(at, line);
            }
            3 => lines[at].insert_str(0, dice.word(&["  ", " ", "\t", "    "])),
            4 => {
                let other =
                    dice.of(&seeds.documents).lines().nth(dice.below(20)).unwrap_or_default().to_owned();
                lines.insert(at, other);
            }
            _ => {
                let line = lines[at].clone();
                lines[at] = line.replacen(
                    ": ",
                    &format!(": '${{ {} }}' #", expression(seeds, dice).replace('\'', "''")),
                    1,
                );
            }
        }
    }
    lines.join("\n")
}

fn bytes(seeds: &Seeds, dice: &mut Dice) -> String {
    let mut text = dice.of(&seeds.documents).clone();
    for _ in 0..=dice.below(8) {
        let at = boundary(&text, dice);
        match dice.below(3) {
            0 => text.insert_str(at, dice.word(TOKENS)),
            1 => text.insert_str(at, dice.word(LINES)),
            _ => {
                let to = boundary(&text, dice);
                let (from, to) = (at.min(to), at.max(to).min(at.min(to) + 40));
                let to = (from..=to).rev().find(|to| text.is_char_boundary(*to)).unwrap_or(from);
                text.replace_range(from..to, "");
            }
        }
    }
    text
}

/// Parts of other documents, expressions and odd values in the places of a document.
fn tree(seeds: &Seeds, dice: &mut Dice) -> String {
    let mut tree = dice.of(&seeds.trees).clone();
    for _ in 0..=dice.below(4) {
        let other = dice.of(&seeds.trees).clone();
        let expression = expression(seeds, dice);
        let mut places = Vec::new();
        walk(&tree, String::new(), &mut places);
        let place = dice.of(&places).clone();
        let mut donors = Vec::new();
        walk(&other, String::new(), &mut donors);
        let donor = dice.of(&donors).clone();
        let new = match dice.below(8) {
            0 => Json::Null,
            1 => Json::from(-1),
            2 => Json::from("x".repeat(dice.below(2_000))),
            3 | 4 => Json::from(format!("${{ {expression} }}")),
            5 => Json::from(expression),
            _ => other.pointer(&donor).cloned().unwrap_or_default(),
        };
        if let Some(value) = tree.pointer_mut(&place) {
            match (value, dice.below(3)) {
                (Json::Array(items), 0) => items.push(new),
                (Json::Object(members), 0) => {
                    let name = donor.rsplit('/').next().unwrap_or("x").to_owned();
                    members.insert(name, new);
                }
                (value, _) if !place.is_empty() => *value = new,
                _ => {}
            }
        }
    }
    tree.to_string()
}

fn walk(json: &Json, at: String, found: &mut Vec<String>) {
    match json {
        Json::Object(members) => {
            for (name, value) in members {
                walk(value, format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Json::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                walk(value, format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
    found.push(at);
}
