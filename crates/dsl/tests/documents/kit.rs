//! Documents inside the feature files of a conformance kit.

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
