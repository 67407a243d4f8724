//! The expression language: a subset of jq, evaluated by our own machine with budgets and labels.
//!
//! **Hostile until proven otherwise.** The text is bounded in length and nesting before it is walked. Every step,
//! every level, every byte and every gathered value is counted; passing a limit is an ordinary [`EvalError`] that
//! names the budget and cannot be caught by the expression. There is no clock, environment, randomness, module,
//! second input or side channel. Regular expressions run in linear time.
//!
//! **Labels** (where a value came from) follow each value:
//! - a *part* has its own label joined with the own label of each container it is taken from and of the key;
//! - *construction* keeps the members' labels; literal nodes and new containers are [`model::Label::DEFINITION`],
//!   except that a computed key's label goes onto the object's node;
//! - *computing* a scalar joins the labels of everything it was computed from, deeply;
//! - a value *chosen* by a condition (`if`, `select`, `//`, `until`, `sort_by`, `any` …) gets the condition's label on
//!   its own node; a container's label covers everything in it, because parts inherit it;
//! - what decides *how many* values come, or which paths are set (`select`, `.[]`, `empty`, `limit`, `?`, `break` …),
//!   labels the node of whatever gathers them: `[…]`, `reduce`, `//`, an assignment, the whole expression;
//! - a value that came although something *could have failed* (`?`, `try`, `//`) has the labels of that.
//!
//! Labels never disappear except where a literal replaces the value.
//!
//! The reading of the language is jq's own grammar (precedence of `as`, surrogate pairs, `?//`), so the parser is
//! ours as well: it counts its own nesting, and tells where and what to write instead.

mod assign;
mod ast;
mod bindings;
mod budget;
mod error;
mod functions;
mod generators;
mod json;
mod lex;
mod machine;
mod native;
mod ops;
mod parse;
mod paths;
mod regexes;
mod strings;

use std::sync::Arc;

use model::{Data, Label, Value};

pub use budget::{Budget, Limits};
pub use error::{ErrorKind, EvalError, ParseError};

use machine::{Env, Item, Machine};

/// The version of the machine's results; part of plan digests. It changes when any expression could give another
/// result than before.
pub const VERSION: &str = "1";

/// A compiled expression; cheap to clone.
#[derive(Debug, Clone)]
pub struct Expr {
    program: Arc<ast::Program>,
}

/// The variables an expression sees, without their `$`.
#[derive(Debug, Clone, Copy)]
pub struct Vars<'a>(pub &'a [(&'a str, &'a Value)]);

impl Expr {
    /// Reads an expression of at most 64 KiB.
    pub fn parse(text: &str) -> Result<Expr, ParseError> {
        Ok(Expr { program: Arc::new(parse::parse(text)?) })
    }

    /// The text as it was written.
    pub fn text(&self) -> &str {
        &self.program.text
    }

    /// The names (without `$`) of the variables that must be given, in order of first use.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.program.globals.iter().map(|name| &**name)
    }

    /// The members that the result has for certain because they are written out: those of an object, and of objects
    /// that are added or merged into another. In order of their names.
    pub fn members_set(&self) -> std::collections::BTreeSet<Arc<str>> {
        let mut names = std::collections::BTreeSet::new();
        self.program.root.members_set(&mut names);
        names
    }

    /// Evaluates to exactly one value; none or more than one is an error. `input` is `.`.
    pub fn eval(&self, input: &Value, vars: &Vars<'_>, budget: &mut Budget) -> Result<Value, EvalError> {
        let globals = self.program.globals.iter().map(|name| {
            // The innermost is given last.
            let found = vars.0.iter().rev().find(|(given, _)| **given == **name).map(|(_, value)| *value);
            found.ok_or_else(|| EvalError {
                message: format!("the variable `${name}` is not available here"),
                kind: ErrorKind::Variable(name.to_string()),
            })
        });
        let globals = globals.collect::<Result<Vec<_>, _>>()?;
        let mut machine = Machine {
            budget,
            program: &self.program,
            globals,
            regexes: regexes::Regexes::default(),
            labels: 0,
            decided: Label::DEFINITION,
            seen: Label::DEFINITION,
        };
        let depth = machine.budget.mark();
        let root = &self.program.root;
        let result = if root.single {
            machine.one(root, &Env::ROOT, input.clone()).map_err(EvalError::from)
        } else {
            exactly_one(&mut machine, root, input)
        };
        budget.reset(depth);
        result
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Expr) -> bool {
        self.text() == other.text()
    }
}

fn exactly_one(machine: &mut Machine<'_>, root: &ast::Node, input: &Value) -> Result<Value, EvalError> {
    let (mut found, mut many) = (None, false);
    let stop = machine.fresh_label();
    let done = machine.run(root, &Env::ROOT, Item::plain(input.clone()), &mut |_, item| {
        if found.is_some() {
            many = true;
            return Err(error::Stop::Break(stop));
        }
        found = Some(item.value);
        Ok(())
    });
    if many {
        return Err(not_one("the expression gave more than one value; wrap it in `[…]` or use `first(…)`"));
    }
    done?;
    let found = found.map(|value| machine::chosen(value, machine.decided));
    found.ok_or_else(|| not_one("the expression gave no value; add `// null` or another default"))
}

fn not_one(message: &str) -> EvalError {
    EvalError { message: message.to_owned(), kind: ErrorKind::NotOne }
}

/// True unless the value is `null` or `false`, as conditions see it.
pub fn is_true(value: &Value) -> bool {
    !matches!(value.data, Data::Null | Data::Bool(false))
}
