//! Parse, print, parse: the same document, with every comment, for the specification's examples, our own, and mutilated ones.

use std::path::{Path, PathBuf};

use dsl::format::format;

/// Documents of a folder and below it, by path.
fn documents(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            documents(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") {
            let text =
                std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            found.push((path, text));
        }
    }
}

/// The documents inside the feature files of a folder.
fn scenarios(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.flatten().map(|entry| entry.path()) {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        found.extend(crate::kit::definitions(&text).into_iter().map(|document| (path.clone(), document)));
    }
}

/// Comments of a text in which `#` stands nowhere else after a space.
fn remarks(text: &str) -> usize {
    text.lines().filter(|line| line.trim_start().starts_with("# ")).count()
}

#[track_caller]
fn check(path: &Path, text: &str) {
    let Ok(meaning) = dsl::data::read(text) else {
        assert!(format(text).is_err(), "{}: what cannot be read cannot be printed", path.display());
        return;
    };
    let written = format(text).unwrap_or_else(|problems| panic!("{}: {problems:#?}", path.display()));
    let again =
        dsl::data::read(&written).unwrap_or_else(|problems| panic!("{}: {problems:#?}", path.display()));
    // As texts: the order counts.
    assert_eq!(again.to_json().to_string(), meaning.to_json().to_string(), "{}", path.display());
    assert_eq!(remarks(&written), remarks(text), "{}: comments\n{written}", path.display());
    assert_eq!(format(&written).as_deref(), Ok(&*written), "{}: twice", path.display());
}

#[test]
fn our_own_documents_survive() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    documents(&root.join("examples"), &mut found);
    documents(&root.join("crates/conformance/openapi"), &mut found);
    scenarios(&root.join("tests/features"), &mut found);
    assert!(found.len() > 100, "{} documents", found.len());
    found.iter().for_each(|(path, text)| check(path, text));
}

#[test]
fn the_specifications_documents_survive() {
    let Some(folder) = crate::agreement::spec() else { return };
    let mut found = Vec::new();
    documents(&folder.join("examples"), &mut found);
    documents(&folder.join("schema"), &mut found);
    scenarios(&folder.join("ctk"), &mut found);
    println!("{} documents", found.len());
    assert!(!found.is_empty());
    found.iter().for_each(|(path, text)| check(path, text));
}

/// Lines doubled, dropped, indented and commented by seed: whatever can still be read keeps its meaning.
#[test]
fn mutilated_documents_survive_or_are_refused() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    documents(&root.join("examples"), &mut found);
    let (mut seed, mut read) = (0x9e37_79b9_7f4a_7c15_u64, 0);
    let mut next = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below.max(1) as u64).unwrap_or(0)
    };
    for round in 0..2_000 {
        let (path, text) = &found[round % found.len()];
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for _ in 0..=next(3) {
            let at = next(lines.len());
            match next(6) {
                0 => lines[at].push_str(" # beside"),
                1 => lines.insert(at, "    # above".to_owned()),
                2 => lines.insert(at, String::new()),
                3 => lines[at].insert_str(0, "  "),
                4 => drop(lines.remove(at)),
                _ => {
                    let line = lines[at].replace(": ", ": |\n          ");
                    lines[at] = line;
                }
            }
        }
        let text = lines.join("\n");
        read += usize::from(dsl::data::read(&text).is_ok());
        check(path, &text);
    }
    assert!(read > 500, "only {read} could be read at all");
}
