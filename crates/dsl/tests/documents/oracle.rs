//! The specification's own example documents, when they are at hand.

use std::path::PathBuf;

use crate::support::{compile, render};

/// Codes by which a sound document may be refused: not built, refused by profile, or a function of another catalogue.
fn known(code: &str) -> bool {
    code.starts_with("OH-11") || code == "OH-1050"
}

#[test]
fn examples_are_accepted_or_refused_by_a_known_code() {
    let Some(folder) = std::env::var_os("OMNIHUB_OPENWORKFLOW_DIR") else {
        println!("skipped: OMNIHUB_OPENWORKFLOW_DIR is not set");
        return;
    };
    let folder = PathBuf::from(folder).join("examples");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "yaml"));
    paths.sort();
    let (mut accepted, mut wrong) = (0, String::new());
    for path in &paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let compiled = compile(&text);
        let codes: Vec<&str> = compiled.problems.iter().map(|p| p.code.as_str()).collect();
        println!(
            "{name}: {}",
            if compiled.definition.is_some() { "accepted".to_owned() } else { codes.join(" ") }
        );
        accepted += usize::from(compiled.definition.is_some());
        if !codes.iter().all(|c| known(c)) {
            wrong.push_str(&format!("{name}\n{}", render(&compiled.problems)));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(accepted > 0 && !paths.is_empty(), "no example was accepted of {}", paths.len());
}

#[test]
fn the_conformance_kit_is_accepted_or_refused_by_a_known_code() {
    let Some(folder) = std::env::var_os("OMNIHUB_OPENWORKFLOW_DIR") else {
        println!("skipped: OMNIHUB_OPENWORKFLOW_DIR is not set");
        return;
    };
    let folder = PathBuf::from(folder).join("ctk");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
    paths.sort();
    let (mut accepted, mut wrong) = (0, String::new());
    for path in &paths {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        for scenario in definitions(&text) {
            let compiled = compile(&scenario);
            accepted += usize::from(compiled.definition.is_some());
            if !compiled.problems.iter().all(|p| known(&p.code)) {
                wrong.push_str(&format!("{}\n{scenario}\n{}", path.display(), render(&compiled.problems)));
            }
        }
    }
    println!("{accepted} scenarios accepted");
    assert!(wrong.is_empty(), "{wrong}");
    assert!(accepted > 0, "no scenario was accepted");
}

/// The documents of `Given a workflow with definition:`, without their indentation.
pub fn definitions(feature: &str) -> Vec<String> {
    let parts = feature.split("Given a workflow with definition:").skip(1);
    parts.filter_map(|part| part.split("\"\"\"").nth(1)).map(dedent).collect()
}

fn dedent(block: &str) -> String {
    // The first line is the media type.
    let lines: Vec<&str> = block.lines().skip(1).collect();
    let indent = |l: &&&str| l.len() - l.trim_start().len();
    let least = lines.iter().filter(|l| !l.trim().is_empty()).map(|l| indent(&l)).min().unwrap_or(0);
    lines.iter().map(|l| format!("{}\n", l.get(least..).unwrap_or_default())).collect()
}
