//! What a policy may call: nothing that reads a clock, a network, the environment or a random number, and nothing
//! that does not exist. Checked in the text before a bundle goes live, and shadowed at run time besides, because a
//! reference can be written in ways that a look at the tokens does not see.

use std::collections::BTreeSet;

use regorus::Engine;
use regorus::unstable::{BUILTINS, Expr, Lexer, Source, TokenKind};

use crate::policy::PolicyError;

/// Builtins that are refused, with the number of their arguments and why.
const FORBIDDEN: [(&str, u8, &str); 9] = [
    ("time.now_ns", 0, "reads the clock: two evaluations of one input must agree"),
    ("rand.intn", 2, "draws a random number: two evaluations of one input must agree"),
    ("opa.runtime", 0, "reads the environment"),
    ("http.send", 1, "opens a connection"),
    ("net.lookup_ip_addr", 1, "opens a connection"),
    ("uuid.rfc4122", 1, "draws a random number: two evaluations of one input must agree"),
    ("trace", 1, "writes to a log"),
    // These two make gigabytes of a few characters in one call, which no timer interrupts.
    ("numbers.range_step", 3, "can fill the memory: use `numbers.range`"),
    ("bits.lsh", 2, "can fill the memory: multiply instead"),
];
/// Longest range that a policy may build.
const RANGE_MAX: i64 = 10_000;
/// Longest text that a replacement may make, in bytes.
const REPLACED_BYTES_MAX: usize = 1024 * 1024;
const KEYWORDS: [&str; 15] = [
    "in", "not", "if", "as", "with", "else", "contains", "some", "every", "default", "import", "package",
    "true", "false", "null",
];

/// Refuses forbidden references and calls of functions that are neither builtin nor in `functions`.
pub(crate) fn check(files: &[(&str, &str)], functions: &BTreeSet<String>) -> Result<(), PolicyError> {
    files.iter().try_for_each(|(path, text)| check_file(path, text, functions))
}

/// Replaces the refused builtins by failures, and bounds those that amplify.
pub(crate) fn shadow_builtins(engine: &mut Engine) -> Result<(), String> {
    for (name, arguments, why) in FORBIDDEN {
        let message = format!("`{name}` is not available to policies: it {why}");
        engine
            .add_extension(name.to_owned(), arguments, Box::new(move |_| Ok(Err(Refused(message.clone()))?)))
            .map_err(|e| e.to_string())?;
    }
    engine
        .add_extension("numbers.range".to_owned(), 2, Box::new(|args| Ok(range(&args)?)))
        .map_err(|e| e.to_string())?;
    engine
        .add_extension("replace".to_owned(), 3, Box::new(|args| Ok(replace(&args)?)))
        .map_err(|e| e.to_string())
}

/// `a.b.c` of a reference that is written with names or literal strings only.
pub(crate) fn path_of(refr: &Expr) -> Option<String> {
    match refr {
        Expr::Var { span, .. } => Some(span.text().to_owned()),
        Expr::RefDot { refr, field, .. } => Some(format!("{}.{}", path_of(refr)?, field.0.text())),
        Expr::RefBrack { refr, index, .. } => match index.as_ref() {
            Expr::String { value, .. } => Some(format!("{}.{}", path_of(refr)?, value.as_string().ok()?)),
            _ => path_of(refr),
        },
        _ => None,
    }
}

fn check_file(path: &str, text: &str, functions: &BTreeSet<String>) -> Result<(), PolicyError> {
    let fail = |e: String| PolicyError::from_text(path, &e);
    let source =
        Source::from_contents(path.to_owned(), text.to_owned()).map_err(|e| fail(format!("{e:#}")))?;
    let mut lexer = Lexer::new(&source);
    let mut chain = Chain::default();
    loop {
        let token = lexer.next_token().map_err(|e| fail(format!("{e:#}")))?;
        let (span, word) = (&token.1, token.1.text());
        match token.0 {
            TokenKind::Eof => return Ok(()),
            TokenKind::Ident if chain.dotted => chain.extend(word, span.end),
            TokenKind::Ident => chain = Chain::start(word, span.line, span.col, span.end),
            TokenKind::Symbol if word == "." && !chain.path.is_empty() => chain.dotted = true,
            TokenKind::Symbol if word == "(" && span.start == chain.end => {
                chain.check_call(path, functions)?;
                chain = Chain::default();
            }
            _ => chain = Chain::default(),
        }
        if let Some((name, _, why)) =
            FORBIDDEN.iter().find(|(name, _, _)| chain.path == *name && name.contains('.'))
        {
            return Err(chain.error(path, format!("`{name}` is not available to policies: it {why}")));
        }
    }
}

/// Names joined by dots, and where they began.
#[derive(Default)]
struct Chain {
    path: String,
    line: u32,
    column: u32,
    end: u32,
    dotted: bool,
}

impl Chain {
    fn start(word: &str, line: u32, column: u32, end: u32) -> Self {
        Self { path: word.to_owned(), line, column, end, dotted: false }
    }

    fn extend(&mut self, word: &str, end: u32) {
        self.path.push('.');
        self.path.push_str(word);
        self.end = end;
        self.dotted = false;
    }

    fn error(&self, file: &str, message: String) -> PolicyError {
        PolicyError { file: file.to_owned(), line: self.line, column: self.column, message }
    }

    fn check_call(&self, file: &str, functions: &BTreeSet<String>) -> Result<(), PolicyError> {
        let path = self.path.as_str();
        if let Some((name, _, why)) = FORBIDDEN.iter().find(|(name, _, _)| path == *name) {
            return Err(self.error(file, format!("`{name}` is not available to policies: it {why}")));
        }
        let last = path.rsplit('.').next().unwrap_or(path);
        let known = path.is_empty()
            || path == "print"
            || KEYWORDS.contains(&path)
            || BUILTINS.contains_key(path)
            || functions.iter().any(|f| f == path || f.rsplit('.').next() == Some(last));
        if known {
            Ok(())
        } else {
            Err(self.error(file, format!("`{path}` is not a function: define it or remove the call")))
        }
    }
}

/// A builtin that says no.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

/// Replacing each letter of a text by the text squares its size, so the result is measured before it is made.
fn replace(args: &[regorus::Value]) -> Result<regorus::Value, Refused> {
    let text = |at: usize| args.get(at).and_then(|v| v.as_string().ok());
    let (Some(whole), Some(old), Some(new)) = (text(0), text(1), text(2)) else {
        return Err(Refused("`replace` needs three texts".to_owned()));
    };
    let found = whole.matches(&**old).count();
    if whole.len().saturating_add(found.saturating_mul(new.len())) > REPLACED_BYTES_MAX {
        return Err(Refused(format!("`replace` is limited to {REPLACED_BYTES_MAX} bytes")));
    }
    Ok(regorus::Value::from(whole.replace(&**old, new)))
}

fn range(args: &[regorus::Value]) -> Result<regorus::Value, Refused> {
    let bounds = (args.first().and_then(|v| v.as_i64().ok()), args.get(1).and_then(|v| v.as_i64().ok()));
    let (Some(from), Some(to)) = bounds else {
        return Err(Refused("`numbers.range` needs two whole numbers".to_owned()));
    };
    if from.abs_diff(to) >= RANGE_MAX.unsigned_abs() {
        return Err(Refused(format!("`numbers.range` is limited to {RANGE_MAX} numbers")));
    }
    let numbers: Vec<regorus::Value> = if from <= to {
        (from..=to).map(regorus::Value::from).collect()
    } else {
        (to..=from).rev().map(regorus::Value::from).collect()
    };
    Ok(regorus::Value::from(numbers))
}
