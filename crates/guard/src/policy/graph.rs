//! Which rule mentions which: no function may reach itself, and chains stay short.
//!
//! The interpreter recurses on the thread's stack and only notices a cycle of rules, not one of functions. A stack
//! that overflows ends the process, so this is refused before a bundle goes live. Names are compared by their last
//! part and every mention counts as a use, which refuses a little too much and never too little.

use std::collections::{BTreeMap, BTreeSet};

use regorus::Engine;
use regorus::unstable::{Lexer, Rule, RuleHead, Source, TokenKind};

use crate::policy::{PolicyError, lint};

/// Longest chain of rules and functions that use each other.
pub const CHAIN_MAX: usize = 32;
/// Rules of one bundle at the most, counted by name.
pub const RULES_MAX: usize = 2_000;

/// Refuses functions that reach themselves and chains longer than [`CHAIN_MAX`].
pub(crate) fn check(engine: &mut Engine, files: &[(&str, &str)]) -> Result<(), PolicyError> {
    let rules = declared(engine);
    if rules.len() > RULES_MAX {
        return Err(PolicyError::of(
            &rules[0].file,
            format!("the bundle has more than {RULES_MAX} rules: split it"),
        ));
    }
    let mut graph: BTreeMap<&str, Node> = BTreeMap::new();
    for rule in &rules {
        let node =
            graph.entry(&rule.name).or_insert_with(|| Node { rule, function: false, uses: BTreeSet::new() });
        node.function |= rule.function;
    }
    for (path, text) in files {
        add_uses(&mut graph, &rules, path, text)?;
    }
    let mut walk = Walk { graph: &graph, depths: BTreeMap::new(), path: Vec::new() };
    graph.keys().try_for_each(|name| walk.depth(name).map(drop))
}

struct Declared {
    name: String,
    file: String,
    function: bool,
    line: u32,
    column: u32,
    /// Where the rule begins and where its head's name ends, in bytes.
    start: u32,
    head_end: u32,
}

struct Node<'a> {
    rule: &'a Declared,
    function: bool,
    uses: BTreeSet<&'a str>,
}

fn declared(engine: &mut Engine) -> Vec<Declared> {
    let mut rules = Vec::new();
    for module in engine.get_modules() {
        for rule in &module.policy {
            let (refr, function) = match rule.as_ref() {
                Rule::Spec { head: RuleHead::Func { refr, .. }, .. } => (refr, true),
                Rule::Spec { head: RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. }, .. } => {
                    (refr, false)
                }
                Rule::Default { refr, args, .. } => (refr, !args.is_empty()),
            };
            let path = lint::path_of(refr).unwrap_or_default();
            let span = rule.span();
            rules.push(Declared {
                name: path.rsplit('.').next().unwrap_or_default().to_owned(),
                file: module.package.span.source.get_path().clone(),
                function,
                line: span.line,
                column: span.col,
                start: span.start.min(refr.span().start),
                head_end: refr.span().end,
            });
        }
    }
    rules
}

/// Every name or literal text between a rule's head and the next rule is a use, unless it belongs to the input.
fn add_uses<'a>(
    graph: &mut BTreeMap<&'a str, Node<'a>>,
    rules: &'a [Declared],
    path: &str,
    text: &str,
) -> Result<(), PolicyError> {
    let mut own: Vec<&Declared> = rules.iter().filter(|rule| rule.file == path).collect();
    own.sort_by_key(|rule| rule.start);
    let fail = |e: String| PolicyError::from_text(path, &e);
    let source =
        Source::from_contents(path.to_owned(), text.to_owned()).map_err(|e| fail(format!("{e:#}")))?;
    let mut lexer = Lexer::new(&source);
    let (mut dotted, mut of_input) = (false, false);
    loop {
        let token = lexer.next_token().map_err(|e| fail(format!("{e:#}")))?;
        let word = token.1.text();
        match token.0 {
            TokenKind::Eof => return Ok(()),
            TokenKind::Ident if !dotted => of_input = word == "input",
            TokenKind::Ident | TokenKind::String | TokenKind::RawString => {}
            _ => {
                dotted = word == ".";
                continue;
            }
        }
        let in_input = dotted && of_input;
        dotted = false;
        let rule = own.partition_point(|rule| rule.start <= token.1.start).checked_sub(1).map(|i| own[i]);
        let Some(rule) = rule.filter(|rule| !in_input && token.1.start >= rule.head_end) else { continue };
        let word = word.trim_matches(['"', '`']);
        let Some((&used, _)) = graph.get_key_value(word) else { continue };
        if let Some(node) = graph.get_mut(rule.name.as_str()) {
            node.uses.insert(used);
        }
    }
}

struct Walk<'a> {
    graph: &'a BTreeMap<&'a str, Node<'a>>,
    /// The longest chain that begins at a name, once known.
    depths: BTreeMap<&'a str, usize>,
    path: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    /// Recursion is bounded by [`CHAIN_MAX`] through `path`.
    fn depth(&mut self, name: &'a str) -> Result<usize, PolicyError> {
        if let Some(known) = self.depths.get(name) {
            return Ok(*known);
        }
        let Some(node) = self.graph.get(name) else { return Ok(0) };
        if let Some(at) = self.path.iter().position(|seen| *seen == name) {
            // A cycle through a rule is found by the interpreter, which answers with an error.
            let only_functions =
                self.path[at..].iter().all(|n| self.graph.get(n).is_some_and(|n| n.function));
            let message = format!("`{name}` reaches itself: Rego has no recursion");
            return if only_functions { Err(error(node.rule, message)) } else { Ok(0) };
        }
        if self.path.len() >= CHAIN_MAX {
            return Err(error(
                node.rule,
                format!("`{name}` ends a chain of more than {CHAIN_MAX} rules: shorten it"),
            ));
        }
        self.path.push(name);
        let mut deepest = 0;
        for used in &node.uses {
            deepest = deepest.max(self.depth(used)?);
        }
        self.path.pop();
        if self.path.len() + deepest + 1 > CHAIN_MAX {
            return Err(error(
                node.rule,
                format!("`{name}` begins a chain of more than {CHAIN_MAX} rules: shorten it"),
            ));
        }
        self.depths.insert(name, deepest + 1);
        Ok(deepest + 1)
    }
}

fn error(rule: &Declared, message: String) -> PolicyError {
    PolicyError { file: rule.file.clone(), line: rule.line, column: rule.column, message }
}
