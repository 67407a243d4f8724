//! Which crate may use which, how deep it gets, and what must never lie under a pure crate.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde_json::Value as Json;

use crate::run;

/// Crates that read no clock, environment, file, socket or random number.
pub const PURE: &[&str] = &["model", "dsl", "engine", "guard", "audit"];
/// What must not lie under them, at any depth.
const IMPURE: &[&str] =
    &["tokio", "async-std", "mio", "hyper", "axum", "rusqlite", "libsqlite3-sys", "tokio-postgres", "rustls"];
/// Levels of our own crates at the most.
const DEPTH_MAX: usize = 6;

/// Allowed uses. Views hold plain data of `store`, `dsl` and `audit`, so whoever shows views may name these types.
const ALLOWED: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("dsl", &["model"]),
    ("guard", &["model"]),
    ("audit", &["model"]),
    ("engine", &["model", "dsl"]),
    ("pages", &[]),
    ("crash", &[]),
    ("store", &["model", "audit", "pages", "crash"]),
    ("sandbox", &["model"]),
    ("egress", &["model", "crash"]),
    ("identity", &["model", "egress"]),
    ("app", &["model", "dsl", "engine", "guard", "audit", "store", "identity", "crash"]),
    ("worker", &["model", "app", "sandbox", "egress", "crash"]),
    ("gateway", &["model", "app", "dsl", "audit", "store"]),
];
/// These wire everything together and may use anything.
const FREE: &[&str] = &["omnihub", "testkit", "faulty-disk", "sim", "conformance"];

/// Compares what cargo knows with the rules.
pub fn check(breaches: &mut Vec<String>) -> Result<()> {
    let text = run::cargo_output(&["metadata", "--format-version", "1", "--locked"])?;
    let metadata: Json = serde_json::from_str(&text).context("cargo metadata is not JSON")?;
    let graph = Graph::of(&metadata);
    for (name, uses) in graph.ours() {
        if name == "xtask" {
            for used in uses {
                breaches.push(format!("xtask uses `{used}`: it must build when nothing of ours does"));
            }
        } else if let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == name) {
            for used in uses.iter().filter(|used| !allowed.contains(&used.as_str())) {
                breaches.push(format!("`{name}` uses `{used}`, which its place in the house does not allow"));
            }
        } else if !FREE.contains(&name.as_str()) {
            breaches.push(format!("`{name}` has no place in the house; add it to the directions on purpose"));
        }
    }
    if graph.features.get("crash").is_some_and(|on| on.contains("points")) {
        breaches.push(
            "`crash` has its points without being asked: no default may enable `crash-points`".to_owned(),
        );
    }
    for pure in PURE {
        for impure in graph.under(pure).iter().filter(|name| IMPURE.contains(&name.as_str())) {
            breaches.push(format!("`{impure}` lies under the pure crate `{pure}`"));
        }
    }
    let depth = graph.depth("omnihub", 0);
    if depth > DEPTH_MAX {
        breaches.push(format!("our crates are {depth} levels deep; {DEPTH_MAX} is the limit"));
    }
    Ok(())
}

/// Who uses whom when the program is built (tests and build scripts left out).
struct Graph {
    members: BTreeSet<String>,
    uses: BTreeMap<String, BTreeSet<String>>,
    /// Features that are on when nobody asks for one.
    features: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn of(metadata: &Json) -> Self {
        let list =
            |value: &Json, name: &str| value.get(name).and_then(Json::as_array).cloned().unwrap_or_default();
        let text =
            |value: &Json, name: &str| value.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        let packages = list(metadata, "packages");
        let names: BTreeMap<String, String> =
            packages.iter().map(|package| (text(package, "id"), text(package, "name"))).collect();
        let name = |id: &str| names.get(id).cloned().unwrap_or_else(|| id.to_owned());
        let members = list(metadata, "workspace_members")
            .iter()
            .filter_map(Json::as_str)
            .map(name)
            .collect::<BTreeSet<String>>();
        let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut features: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for node in metadata.get("resolve").map(|resolve| list(resolve, "nodes")).unwrap_or_default() {
            let on = list(&node, "features").iter().filter_map(Json::as_str).map(str::to_owned).collect();
            features.insert(name(&text(&node, "id")), on);
            let into = uses.entry(name(&text(&node, "id"))).or_default();
            for used in list(&node, "deps") {
                if list(&used, "dep_kinds").iter().any(|kind| kind.get("kind").is_none_or(Json::is_null)) {
                    into.insert(name(&text(&used, "pkg")));
                }
            }
        }
        Self { members, uses, features }
    }

    /// Our crates, each with those of ours that it uses.
    fn ours(&self) -> Vec<(String, BTreeSet<String>)> {
        let used = |name: &String| self.uses.get(name).map(|uses| uses & &self.members).unwrap_or_default();
        self.members.iter().map(|name| (name.clone(), used(name))).collect()
    }

    /// Everything under a crate, at any depth.
    fn under(&self, name: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut waiting = vec![name.to_owned()];
        while let Some(next) = waiting.pop() {
            for used in self.uses.get(&next).into_iter().flatten() {
                if found.insert(used.clone()) {
                    waiting.push(used.clone());
                }
            }
        }
        found
    }

    /// Levels of our own crates under and with this one. Cargo refuses circles, so this ends.
    fn depth(&self, name: &str, above: usize) -> usize {
        let used = self.uses.get(name).map(|uses| uses & &self.members).unwrap_or_default();
        used.iter().map(|inner| self.depth(inner, above + 1)).max().unwrap_or(above + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::Graph;

    #[test]
    fn only_what_is_built_into_the_program_counts() {
        let metadata = serde_json::json!({
            "packages": [{"id": "a 1", "name": "a"}, {"id": "b 1", "name": "b"}, {"id": "tokio 1", "name": "tokio"}],
            "workspace_members": ["a 1", "b 1"],
            "resolve": {"nodes": [
                {"id": "a 1", "deps": [{"pkg": "b 1", "dep_kinds": [{"kind": null}]},
                    {"pkg": "tokio 1", "dep_kinds": [{"kind": "dev"}]}]},
                {"id": "b 1", "deps": [], "features": ["points"]}
            ]}
        });
        let graph = Graph::of(&metadata);
        assert_eq!(graph.under("a").into_iter().collect::<Vec<_>>(), ["b"]);
        assert_eq!(graph.depth("a", 0), 2);
        assert!(graph.features["b"].contains("points") && graph.features["a"].is_empty());
    }
}
