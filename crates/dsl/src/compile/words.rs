//! Compiles `governed`, which lists what a document needs, and `verify`, which checks that something is so.
//!
//! Both are made of what the language has: `governed` gives on what it gets, and `verify` is a `try` that asks a probe and raises
//! an error as long as the answer is not as it must be.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{Data, EffectKind, Value};

use crate::codes;
use crate::compile::Compiler;
use crate::compile::expression::{Place, Scope};
use crate::compile::saga::{WORDS, bare};
use crate::document::node::{Node, NodeData};
use crate::document::report::nearest;
use crate::expr::Expr;
use crate::plan::{Backoff, Input, Output, RaiseError, Retry, Task, TaskKind, TaskList, Then, Try};
use crate::template::Template;

/// The type of the error of a check that does not hold.
const POSTCONDITION: &str = "https://omnihub.dev/errors/postcondition";
/// How often a probe asks, and for how long, when nothing is written.
const EVERY: &str = "PT5S";
/// As [`EVERY`].
const WITHIN: &str = "PT1M";
/// Rounds of one check at the most.
const ROUNDS_MAX: u128 = 10_000;

impl Compiler<'_, '_> {
    /// `call: governed:1.0.0`: the first task, which lists the words that the document uses.
    pub fn governed(&mut self, node: &Node, function: &Node) -> Option<TaskKind> {
        self.only(node, function, &["needs"]);
        let path = node.path.to_string();
        if !path.starts_with("/do/0/") || path.matches('/').count() != 3 {
            self.report
                .node(codes::WORD_ARGUMENTS, function, "`governed` must be the first task of the workflow")
                .hint("a runtime that does not know it must fault before anything happens");
        }
        let needs = node.get("with").and_then(|with| with.get("needs"));
        let Some(NodeData::Array(items)) = needs.map(|needs| &needs.data) else {
            self.report
                .node(codes::WORD_ARGUMENTS, needs.unwrap_or(function), "`governed` needs a list of `needs`")
                .hint("write for example `with: { needs: [ 'verify:1.0.0', 'checkpoint:1.0.0' ] }`");
            return None;
        };
        let mut listed = BTreeSet::new();
        for item in items {
            let text = item.text().unwrap_or_default();
            if WORDS.contains(&bare(text)) {
                listed.insert(bare(text).to_owned());
                continue;
            }
            let near = nearest(text, WORDS).map(|near| format!("did you mean `{near}`?"));
            self.report
                .node(codes::WORD_ARGUMENTS, item, format!("`{text}` is not in force on this server"))
                .hint(near.unwrap_or_else(|| format!("known here: `{}`", WORDS.join("`, `"))));
        }
        self.governed = Some((node.clone(), listed));
        // An empty list gives on what it gets.
        let pointer = Arc::from(format!("{path}/with/needs"));
        Some(TaskKind::Do(TaskList { pointer, tasks: Vec::new() }))
    }

    /// Tells of words that are used and not listed.
    pub fn needs_listed(&mut self) {
        let Some((node, listed)) = self.governed.take() else { return };
        for word in std::mem::take(&mut self.words) {
            if word != "governed:1.0.0" && !listed.contains(&word) {
                self.report
                    .node(
                        codes::WORD_ARGUMENTS,
                        &node,
                        format!("the document calls `{word}`, which `needs` does not list"),
                    )
                    .hint(format!("add `{word}` to `needs`"));
            }
        }
    }

    /// `call: verify:1.0.0`
    pub fn verify(&mut self, node: &Node, function: &Node, scope: &Scope) -> Option<TaskKind> {
        self.only(node, function, &["probe", "that", "every", "within"]);
        let with = node.get("with");
        let member = |name: &str| with.and_then(|with| with.get(name));
        let (probe, that) = (member("probe"), member("that"));
        let called =
            probe.and_then(|probe| probe.get("call")).and_then(|call| call.text().map(|text| (call, text)));
        for (name, missing) in
            [("probe: { call }", called.is_none()), ("that", that.and_then(Node::text).is_none())]
        {
            if missing {
                self.report
                    .node(codes::WORD_ARGUMENTS, with.unwrap_or(function), format!("`verify` needs `{name}`"))
                    .hint("write `with: { probe: { call: 'refund-read:1.0.0', with: { … } }, that: '.status == \"settled\"' }`");
            }
        }
        let (probe, that, (call, text)) = (probe?, that?, called?);
        for (name, member) in probe.members().into_iter().flatten() {
            if !matches!(&**name, "call" | "with") {
                self.report
                    .member(codes::WORD_ARGUMENTS, member, format!("a probe does not take `{name}`"))
                    .hint("it takes `call` and `with`");
            }
        }
        let arguments = probe.get("with").map(|with| self.data(with, Place::Task, scope));
        let arguments = arguments.unwrap_or_else(|| Template::Constant(Value::object::<&str>([])));
        let action = self.function("verify", call, text)?;
        self.arguments(probe, &action, &arguments);
        if self.actions.get(&action).is_some_and(|action| action.contract.effect != EffectKind::Read) {
            self.report
                .node(codes::PROBE_NOT_READ, call, format!("`{action}` is not a read"))
                .hint("let `probe` call an action with `effect: read`");
        }
        let condition = self.expression(that, Place::TaskOutput, scope)?;
        let every = self.span(member("every"), EVERY, scope)?;
        let within = self.span(member("within"), WITHIN, scope)?;
        let here = node.path.to_string();
        // `$input` of the check is what the word got, so the check stands where the probe's answer is shaped.
        let both = format!("{{answer: ., holds: ({}\n)}}", condition.text());
        let shape = Expr::parse(&both).map(Template::Expr).ok()?;
        let asks =
            task("probe", format!("{here}/with/probe"), None, TaskKind::Action { action, with: arguments });
        let asks = Arc::new(Task {
            output: Output { transform: Some(shape), schema: None },
            ..Arc::into_inner(asks)?
        });
        let detail = format!("the check `{}` does not hold", condition.text());
        let failed = Expr::parse(".holds | not").ok()?;
        let raise = TaskKind::Raise(RaiseError {
            kind: Template::Constant(Value::string(POSTCONDITION)),
            status: Template::Constant(Value::new(Data::Int(412))),
            title: Some(Template::Constant(Value::string("Postcondition Failed"))),
            detail: Some(Template::Constant(Value::string(detail))),
            instance: Some(Template::Constant(Value::string(here.clone()))),
        });
        let holds = task("that", format!("{here}/with/that"), Some(failed), raise);
        let answer = TaskKind::Set(Template::Expr(Expr::parse(".answer").ok()?));
        let gives = task("answer", format!("{here}/with"), None, answer);
        Some(TaskKind::Try(Try {
            tasks: TaskList { pointer: Arc::from(format!("{here}/with")), tasks: vec![asks, holds, gives] },
            errors: Vec::new(),
            error_as: Arc::from("error"),
            when: None,
            except_when: None,
            retry: Some(Retry {
                when: None,
                except_when: None,
                count: rounds(&every, &within),
                delay: every,
                backoff: Backoff::Constant,
                attempt_limit: None,
                limit: Some(within),
                jitter: None,
            }),
            catch: None,
            then: None,
        }))
    }

    pub(super) fn span(&mut self, node: Option<&Node>, default: &str, scope: &Scope) -> Option<Template> {
        match node {
            Some(node) => self.duration(node, Place::Task, scope),
            None => Some(Template::Constant(Value::string(default))),
        }
    }
}

/// As many rounds as the time allows; none when that is not known yet, so that the platform's own maximum holds.
fn rounds(every: &Template, within: &Template) -> Option<u32> {
    let (Template::Constant(every), Template::Constant(within)) = (every, within) else { return None };
    let every = crate::duration::of(every).ok()?.as_millis().max(1);
    let within = crate::duration::of(within).ok()?.as_millis();
    u32::try_from((within / every).clamp(1, ROUNDS_MAX)).ok()
}

pub(super) fn task(name: &str, pointer: String, condition: Option<Expr>, kind: TaskKind) -> Arc<Task> {
    Arc::new(Task {
        name: Arc::from(name),
        pointer: Arc::from(pointer),
        condition,
        input: Input::default(),
        output: Output::default(),
        export: Output::default(),
        timeout: None,
        then: Then::Continue,
        metadata: Value::NULL,
        function: None,
        kind,
    })
}
