//! Refuses Rego that nests so deep that reading it would overflow the stack.
//!
//! The interpreter parses and walks rules recursively, and a process whose stack overflows is gone. So brackets,
//! chains of operators and chains of `else` are counted before it sees the text.

use guard::policy::PolicyError;

/// Brackets inside each other at the most. The interpreter reads every bracket as each thing that it could begin, so
/// each level doubles the time: measured 24 ms at 12 levels, and minutes at 24.
const BRACKETS_MAX: usize = 12;
/// Sum of 2 to the depth of every bracket of a file at the most: bounds the time of many deep expressions.
const WEIGHT_MAX: u64 = 4_000_000;
/// Operators, dots and `not`s of one expression at the most.
const CHAIN_MAX: usize = 256;
/// `else` branches of one rule at the most.
const ELSE_MAX: usize = 64;

/// Checks one file.
pub(super) fn check(path: &str, text: &str) -> Result<(), PolicyError> {
    let mut count = Count::default();
    let mut bytes = text.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        let fine = match byte {
            b'#' => {
                while bytes.next_if(|(_, next)| *next != b'\n').is_some() {}
                true
            }
            b'"' | b'`' => {
                skip_text(&mut bytes, byte);
                count.word("\"\"")
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => {
                let mut end = at + 1;
                while bytes.next_if(|(_, next)| next.is_ascii_alphanumeric() || *next == b'_').is_some() {
                    end += 1;
                }
                count.word(text.get(at..end).unwrap_or_default())
            }
            b'\n' => {
                count.line();
                true
            }
            other => count.sign(other),
        };
        if !fine {
            let before = text.get(..at).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let column = at - before.rfind('\n').map_or(0, |newline| newline + 1) + 1;
            let message = format!(
                "nested too deep: at most {BRACKETS_MAX} brackets inside each other (and few places as deep as that), {CHAIN_MAX} operators in an expression, {ELSE_MAX} `else` in a rule"
            );
            let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            return Err(PolicyError {
                file: path.to_owned(),
                line: number(line),
                column: number(column),
                message,
            });
        }
    }
    Ok(())
}

/// Reads to the end of a text that began with `quote`; only the one in double quotes has escapes.
fn skip_text(bytes: &mut impl Iterator<Item = (usize, u8)>, quote: u8) {
    while let Some((_, byte)) = bytes.next() {
        match byte {
            b'\\' if quote == b'"' => drop(bytes.next()),
            byte if byte == quote => return,
            _ => {}
        }
    }
}

#[derive(Default)]
struct Count {
    brackets: usize,
    weight: u64,
    chain: usize,
    branches: usize,
    /// The last thing read leaves an expression open.
    open: bool,
    /// A line began, and nothing of it was read yet.
    fresh: bool,
}

impl Count {
    fn word(&mut self, word: &str) -> bool {
        match word {
            "else" => {
                self.branches += 1;
                self.fresh = false;
                self.branches <= ELSE_MAX
            }
            "not" | "in" => self.link(),
            _ => {
                if std::mem::take(&mut self.fresh) && !self.open {
                    self.chain = 0;
                }
                // Outside of all brackets, a new line is a new rule.
                if self.brackets == 0 && self.chain == 0 && !self.open {
                    self.branches = 0;
                }
                self.open = false;
                true
            }
        }
    }

    fn sign(&mut self, sign: u8) -> bool {
        match sign {
            b'(' | b'[' | b'{' => {
                self.brackets += 1;
                self.weight += 1 << self.brackets.min(32);
                (self.fresh, self.open) = (false, false);
                // What stands in brackets may be one of a chain of brackets: `a[b][c]`.
                self.chain += usize::from(sign != b'{');
                self.brackets <= BRACKETS_MAX && self.weight <= WEIGHT_MAX && self.chain <= CHAIN_MAX
            }
            b')' | b']' | b'}' => {
                self.brackets = self.brackets.saturating_sub(1);
                (self.fresh, self.open) = (false, false);
                true
            }
            b';' | b',' => {
                (self.chain, self.fresh, self.open) = (0, false, false);
                true
            }
            b'.' | b'+' | b'-' | b'*' | b'/' | b'%' | b'&' | b'|' | b'=' | b'<' | b'>' | b'!' | b':' => {
                self.link()
            }
            _ => true,
        }
    }

    fn link(&mut self) -> bool {
        self.chain += 1;
        (self.fresh, self.open) = (false, true);
        self.chain <= CHAIN_MAX
    }

    fn line(&mut self) {
        self.fresh = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ships_and_what_people_write_passes() {
        for (path, text) in guard::policy::DEFAULT_FILES {
            assert_eq!(check(path, text), Ok(()));
        }
        let lines = "deny contains \"[[[[\" if input.a.b == 1 + 2 # ((((\nallow if `[[[` != \"\\\"[[\"\n"
            .repeat(2_000);
        assert_eq!(check("a.rego", &lines), Ok(()));
        let list = format!("x := {{{}}}", vec!["\"a-b\""; 5_000].join(", "));
        assert_eq!(check("a.rego", &list), Ok(()));
        let branches = "f := 1 if { a } else := 2 if { b } else := 3\n".repeat(500);
        assert_eq!(check("a.rego", &branches), Ok(()));
    }

    /// What passes is compiled in a bounded time; 200 places at the limit are about as slow as it gets.
    #[test]
    fn what_passes_can_be_compiled() {
        let places = vec![format!("{}1{}", "{\"a\": ".repeat(10), "}".repeat(10)); 200].join(",\n");
        let text = format!("package omnihub\nimport rego.v1\nx := [{places}]\nallow if x != 3\n");
        assert_eq!(check("a.rego", &text), Ok(()));
        guard::policy::Bundle::compile("a", &[("a.rego", &text)]).expect("it is Rego");
    }

    #[test]
    fn every_way_down_is_bounded() {
        let deep = |open: &str, close: &str| format!("x := {}1{}", open.repeat(5_000), close.repeat(5_000));
        let chain = |link: &str| format!("x := 1{}", link.repeat(5_000));
        let table = [
            deep("[", "]"),
            format!("x := {}1{}", "[".repeat(24), "]".repeat(24)),
            format!("x := [{}]", vec![format!("{}1{}", "[".repeat(11), "]".repeat(11)); 2_000].join(", ")),
            deep("(", ")"),
            deep("{\"a\": ", "}"),
            deep("[1 | ", "]"),
            deep("-", ""),
            deep("not ", ""),
            chain(" + 1"),
            chain(" +\n1"),
            chain("\n+ 1"),
            chain(".a"),
            chain("[0]"),
            chain(" | {1}"),
            format!("f := 1 if {{ a }}{}", " else := 2 if { b }".repeat(5_000)),
            format!("f := 1 if {{ a }}{}", "\nelse := 2 if { b }".repeat(5_000)),
        ];
        for text in table {
            let error = check("a.rego", &text).expect_err("it is too deep");
            assert!(error.line >= 1 && error.column >= 1, "{error:?}");
        }
    }
}
