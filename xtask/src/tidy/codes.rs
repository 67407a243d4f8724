//! Every error code that a source can answer has a page, and every page belongs to a code.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use crate::run;

/// Compares codes in sources with pages in `docs/errors`.
pub fn check(breaches: &mut Vec<String>) -> Result<()> {
    let root = run::root();
    let mut used: BTreeMap<u16, String> = BTreeMap::new();
    for file in run::files(&root.join("crates"), ".rs")? {
        let shown = run::shown(&file);
        if shown.contains("/tests/") || shown.ends_with("tests.rs") {
            continue;
        }
        let text = run::read(&file)?;
        let source = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        for code in written(source).into_iter().chain(numeric(source)) {
            used.entry(code).or_insert_with(|| shown.clone());
        }
    }
    let mut pages = BTreeSet::new();
    for page in run::files(&root.join("docs/errors"), ".md")? {
        let name = page.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if let Some(code) = name.strip_prefix("OH-").and_then(|digits| digits.parse().ok()) {
            pages.insert(code);
            if !run::read(&page)?.starts_with(&format!("# OH-{code:04}: ")) {
                breaches
                    .push(format!("docs/errors/{name}.md: the first line must be `# OH-{code:04}: <title>`"));
            }
        }
    }
    for (code, file) in used.iter().filter(|(code, _)| !pages.contains(*code)) {
        breaches.push(format!("OH-{code:04} ({file}) has no page in docs/errors"));
    }
    for code in pages.iter().filter(|code| !used.contains_key(code)) {
        breaches.push(format!("docs/errors/OH-{code:04}.md: no source has this code"));
    }
    Ok(())
}

/// Codes written out: `OH-nnnn`.
fn written(source: &str) -> Vec<u16> {
    source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split("OH-").skip(1))
        .filter_map(four_digits)
        .collect()
}

/// Codes as numbers: the second argument of `Problem::new(`, the first of `Code(`, of `code(` and of `find(`.
fn numeric(source: &str) -> Vec<u16> {
    let second = source.split("Problem::new(").skip(1).filter_map(|rest| {
        let (_, after) = rest.split_once(',')?;
        four_digits(after.trim_start())
    });
    let first = ["Code(", "code(", ".find("]
        .into_iter()
        .flat_map(|name| source.split(name).skip(1))
        .filter_map(|rest| four_digits(rest.trim_start()));
    second.chain(first).collect()
}

fn four_digits(text: &str) -> Option<u16> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    if digits.len() == 4 { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_however_they_are_written() {
        assert_eq!(written("x(\"OH-2900\")\n/// OH-1111\n\"OH-nnnn\" OH-12345"), [2900]);
        assert_eq!(
            numeric(
                "Problem::new(\n    503,\n    3001, \"kill\") Code(4040) Problem::new(status, code) found.find(\n 5042, x"
            ),
            [3001, 4040, 5042]
        );
    }
}
