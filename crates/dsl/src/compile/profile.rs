//! What the language has and this server refuses: by profile, or because it is not built yet.

use crate::codes;
use crate::compile::Compiler;
use crate::document::node::Node;

/// How the version begins that has what was added after 1.0.3: `catch.then`, lists in `for.in`, `schedule.read`.
const NEWER: &str = "1.1.";

/// Words of the governed profile that have no implementation yet.
const GOVERNED: &[&str] = &[
    "approval",
    "checkpoint",
    "on-rollback",
    "rollback",
    "release",
    "verify",
    "agent",
    "consensus",
    "declassify",
    "governed",
];

impl Compiler<'_, '_> {
    /// Looks at the parts outside the tasks.
    pub fn profile(&mut self) {
        let root = self.root;
        if let Some(dsl) = root.get("document").and_then(|d| d.get("dsl"))
            && dsl.text().is_some_and(|t| !t.starts_with("1.0.") && !t.starts_with(NEWER))
        {
            self.report
                .node(codes::DSL_VERSION, dsl, "this version of the language is not supported")
                .hint("write `dsl: '1.0.3'`");
        }
        if let Some(evaluate) = root.get("evaluate") {
            self.evaluate(evaluate);
        }
        let Some(uses) = root.get("use") else { return };
        if let Some(extensions) = uses.get("extensions") {
            self.report
                .node(codes::EXTENSIONS, extensions, "extensions are not allowed")
                .hint("write the tasks before and after where they belong");
        }
        if let Some(catalogs) = uses.get("catalogs") {
            self.report
                .node(codes::CATALOGS, catalogs, "other catalogues are not allowed")
                .hint("publish the action here and call it by `name:version`");
        }
    }

    fn evaluate(&mut self, node: &Node) {
        if let Some(language) = node.get("language").filter(|l| l.text().is_some_and(|t| t != "jq")) {
            self.report
                .node(codes::EXPRESSION_LANGUAGE, language, "expressions are jq")
                .hint("write `language: jq`, or remove it");
        }
        if let Some(mode) = node.get("mode").filter(|m| m.text().is_some_and(|t| t != "strict")) {
            self.report
                .node(codes::LOOSE, mode, "only strict mode is allowed")
                .hint("write `mode: strict`, or remove it; expressions stand in `${ }`");
        }
    }

    /// True for documents of the version that has what was added after 1.0.3.
    pub fn is_newer(&self) -> bool {
        let version = self.root.get("document").and_then(|head| head.text_of("dsl"));
        version.is_some_and(|version| version.starts_with(NEWER))
    }

    /// Refuses what documents of 1.0 do not have.
    pub fn newer(&mut self, node: &Node, what: &str) {
        if !self.is_newer() {
            self.report
                .node(codes::NEWER, node, format!("{what} is of version 1.1.0 of the language"))
                .hint("write `dsl: '1.1.0'`, which changes nothing else but the default of `schedule.read`");
        }
    }

    /// Refuses what is not built.
    pub fn not_built(&mut self, node: &Node, what: &str) {
        self.report
            .node(codes::NOT_BUILT, node, format!("{what} is not built yet"))
            .hint("this version cannot publish it; leave it out or do it another way");
    }

    /// True for `approval:1.0.0` and its like.
    pub fn is_governed(function: &str) -> bool {
        function.split_once(':').is_some_and(|(name, _)| GOVERNED.contains(&name))
    }
}
