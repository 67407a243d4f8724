//! Seeded bugs stay in step: each has a place in the code, a line in the list, and no way into what is shipped.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::run;

/// Where the bugs are named.
const NAMED: &str = "crates/model/src/sabotage.rs";
/// Where they are listed for people.
const LISTED: &str = "docs/seeded-bugs.md";
/// The only manifests that may know the feature.
const MANIFESTS: [&str; 2] = ["crates/model/Cargo.toml", "crates/sim/Cargo.toml"];
/// Bugs that there must be at the least.
const BUGS_MIN: usize = 40;

/// Compares the names with the code and with the list, and looks at every manifest.
pub fn check(breaches: &mut Vec<String>) -> Result<()> {
    let root = run::root();
    let bugs = names(&run::read(&root.join(NAMED))?);
    if bugs.len() < BUGS_MIN {
        breaches.push(format!("{NAMED}: {} seeded bugs, and there must be {BUGS_MIN}", bugs.len()));
    }
    let mut places: BTreeMap<&str, usize> = bugs.iter().map(|bug| (bug.as_str(), 0)).collect();
    for file in run::files(&root.join("crates"), ".rs")? {
        let shown = run::shown(&file);
        if shown == NAMED || shown.starts_with("crates/sim/") || shown.contains("/tests/") {
            continue;
        }
        let text = run::read(&file)?;
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for name in lines.flat_map(|line| line.split("Bug::").skip(1)) {
            let end = name.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(name.len());
            if let Some(count) = places.get_mut(&name[..end]) {
                *count += 1;
            }
        }
    }
    for (bug, _) in places.iter().filter(|(_, count)| **count == 0) {
        breaches.push(format!("{NAMED}: `{bug}` has no place in the code, so it breaks nothing"));
    }
    let list = run::read(&root.join(LISTED)).unwrap_or_default();
    let rows = listed(&list);
    for bug in bugs.iter().filter(|bug| !rows.contains(bug)) {
        breaches.push(format!("{LISTED}: `{bug}` is missing; run `cargo xtask sim prove --write`"));
    }
    for row in rows.iter().filter(|row| !bugs.contains(row)) {
        breaches.push(format!("{LISTED}: there is no bug `{row}`; run `cargo xtask sim prove --write`"));
    }
    for manifest in run::files(&root, "Cargo.toml")? {
        check_manifest(&run::shown(&manifest), &run::read(&manifest)?, breaches);
    }
    Ok(())
}

fn check_manifest(shown: &str, text: &str, breaches: &mut Vec<String>) {
    let code = || text.lines().map(|line| line.split('#').next().unwrap_or_default());
    if code().any(|line| line.contains("sabotage")) && !MANIFESTS.contains(&shown) {
        breaches.push(format!("{shown}: only the prober may be built with seeded bugs"));
    }
    if code().any(|line| line.contains("sabotage") && line.trim_start().starts_with("default")) {
        breaches.push(format!("{shown}: seeded bugs are never part of a default"));
    }
}

/// `        AckEarly: "what it does", "the promise";`
fn names(source: &str) -> Vec<String> {
    let name = |line: &str| {
        let (name, rest) = line.strip_prefix("        ")?.split_once(": \"")?;
        let named = name.starts_with(|c: char| c.is_ascii_uppercase()) && rest.ends_with("\";");
        (named && name.chars().all(|c| c.is_ascii_alphanumeric())).then(|| name.to_owned())
    };
    source.lines().filter_map(name).collect()
}

/// `| area | `AckEarly` | …`
fn listed(list: &str) -> Vec<String> {
    let name = |line: &str| {
        let cell = line.strip_prefix("| ")?.split(" | ").nth(1)?;
        Some(cell.strip_prefix('`')?.strip_suffix('`')?.to_owned())
    };
    list.lines().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_source_and_list() {
        let source = "    \"commit\" {\n        AckEarly: \"does\", \"breaks\";\n        other: \"x\", \"y\";\n    }\n";
        assert_eq!(names(source), ["AckEarly"]);
        assert_eq!(
            listed("| area | bug | what |\n| --- | --- | --- |\n| commit | `AckEarly` | does |\n"),
            ["AckEarly"]
        );
    }

    #[test]
    fn no_default_has_seeded_bugs_and_no_other_crate_knows_them() {
        let found = |shown: &str, text: &str| {
            let mut breaches = Vec::new();
            check_manifest(shown, text, &mut breaches);
            breaches.len()
        };
        assert_eq!(found("crates/sim/Cargo.toml", "sabotage = [\"model/sabotage\"]"), 0);
        assert_eq!(found("crates/sim/Cargo.toml", "default = [\"sabotage\"]"), 1);
        assert_eq!(
            found("crates/cli/Cargo.toml", "model = { workspace = true, features = [\"sabotage\"] }"),
            1
        );
    }
}
