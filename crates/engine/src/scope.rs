//! What an expression sees at a place of the flow.

use std::time::Duration;

use dsl::expr::{Budget, EvalError, Expr, Vars};
use dsl::plan::{Schema, Task, TaskKind};
use dsl::template::Template;
use model::problem::WorkflowError;
use model::{Label, Timestamp, Value};

use crate::meter::Meter;
use crate::state::{Doing, Execution, Frame};
use crate::tasks::TaskVar;

/// Variables of one evaluation.
pub(crate) struct Scope<'a> {
    pairs: Vec<(&'a str, &'a Value)>,
    /// `$task`, which comes after the others and is only made when something is evaluated.
    task: Option<(&'a TaskVar, &'a Task)>,
    document: &'a Value,
    meter: &'a Meter,
}

impl<'a> Scope<'a> {
    pub(crate) fn with(mut self, name: &'a str, value: &'a Value) -> Self {
        if name == "task" {
            self.task = None;
        }
        self.pairs.push((name, value));
        self
    }

    /// As [`Scope::with`], `$task` of another task than the one on top.
    pub(crate) fn with_task(mut self, var: &'a TaskVar, task: &'a Task) -> Self {
        self.task = Some((var, task));
        self
    }

    /// Looks at everything that holds.
    fn vars<T>(&self, look: impl FnOnce(Vars<'_>) -> T) -> T {
        let Some((var, task)) = self.task else { return look(Vars(&self.pairs)) };
        let mut pairs = Vec::with_capacity(self.pairs.len() + 1);
        pairs.extend_from_slice(&self.pairs);
        pairs.push(("task", var.value(self.document, task)));
        look(Vars(&pairs))
    }

    /// Evaluates with a fresh budget, which the step's own is charged with.
    fn metered(
        &self,
        eval: impl FnOnce(&Vars<'_>, &mut Budget) -> Result<Value, EvalError>,
    ) -> Result<Value, WorkflowError> {
        let mut budget = Budget::default();
        let result = self.vars(|vars| eval(&vars, &mut budget));
        self.meter.count(&budget);
        result.map_err(|e| expression_error(&e))
    }

    /// The values of an expression's variables, to take along. Origins stay behind: what is decided by them comes from outside.
    pub(crate) fn captured(&self, expr: &Expr) -> Value {
        self.vars(|vars| {
            let found = expr.variables().filter_map(|name| {
                let value = vars.0.iter().rev().find(|(given, _)| *given == name)?;
                Some((name, Value::from_json(&value.1.to_json(), Label::DEFINITION)))
            });
            Value::object(found)
        })
    }

    pub(crate) fn eval(&self, expr: &Expr, input: &Value) -> Result<Value, WorkflowError> {
        self.metered(|vars, budget| expr.eval(input, vars, budget))
    }

    /// A condition: only `true` is true; anything but a boolean is an error.
    pub(crate) fn test(&self, expr: &Expr, input: &Value) -> Result<bool, WorkflowError> {
        let value = self.eval(expr, input)?;
        match value.data {
            model::Data::Bool(b) => Ok(b),
            model::Data::Null => Ok(false),
            _ => Err(WorkflowError::standard(
                "expression",
                400,
                "Expression Error",
                format!(
                    "the condition `{}` gave a {} and must give true or false",
                    expr.text(),
                    value.kind()
                ),
            )),
        }
    }

    pub(crate) fn fill(&self, template: &Template, input: &Value) -> Result<Value, WorkflowError> {
        match template {
            Template::Constant(value) => Ok(value.clone()),
            Template::Expr(_) | Template::Array(_) | Template::Object(_) => {
                self.metered(|vars, budget| template.eval(input, vars, budget))
            }
        }
    }

    pub(crate) fn duration(&self, template: &Template, input: &Value) -> Result<Duration, WorkflowError> {
        dsl::duration::of(&self.fill(template, input)?)
            .map_err(|detail| WorkflowError::standard("validation", 400, "Validation Error", detail))
    }

    pub(crate) fn text(&self, template: &Template, input: &Value) -> Result<String, WorkflowError> {
        let value = self.fill(template, input)?;
        value.as_str().map(str::to_owned).ok_or_else(|| {
            WorkflowError::standard(
                "expression",
                400,
                "Expression Error",
                format!("a {} stands where text is needed", value.kind()),
            )
        })
    }
}

impl Execution {
    /// Variables that hold at the top of the stack. `input` is `$input`.
    pub(crate) fn scope<'a>(&'a self, input: &'a Value) -> Scope<'a> {
        self.scope_of(&self.live.stack, input)
    }

    /// Variables that hold for the task at `position`, whatever stands above it.
    pub(crate) fn scope_at<'a>(&'a self, position: usize, input: &'a Value) -> Scope<'a> {
        self.scope_of(&self.live.stack[..=position], input)
    }

    fn scope_of<'a>(&'a self, stack: &'a [Frame], input: &'a Value) -> Scope<'a> {
        let mut pairs: Vec<(&str, &Value)> = Vec::with_capacity(8);
        pairs.extend([
            ("context", &self.live.context),
            ("input", input),
            ("workflow", &self.workflow_var),
            ("runtime", &self.runtime_var),
        ]);
        let outer = self.ancestors();
        let own = stack.iter().enumerate().map(|(position, frame)| (position + 1 < stack.len(), frame));
        // Whatever stands on top of an outer thread is around this one.
        let around = outer.iter().flat_map(|thread| &thread.stack).map(|frame| (true, frame));
        for (inside, frame) in around.chain(own) {
            let Frame::Task(frame) = frame else { continue };
            match (&frame.doing, &frame.task.kind) {
                (Doing::For { item_var, index_var, .. }, TaskKind::For(task)) => {
                    pairs.push((&task.each, item_var));
                    pairs.push((&task.at, index_var));
                }
                // The task itself, which listens for more, does not see the event that its `foreach` works on.
                (Doing::Listen(listening), TaskKind::Listen(listen)) if inside => {
                    if let (Some(each), Some((item, index))) = (&listen.each, &listening.vars) {
                        pairs.push((&each.item, item));
                        pairs.push((&each.at, index));
                    }
                }
                (Doing::Try(trying), TaskKind::Try(task)) if !trying.error_var.is_null() => {
                    pairs.push((&task.error_as, &trying.error_var));
                }
                _ => {}
            }
        }
        let top = stack.iter().rev().find_map(|frame| match frame {
            Frame::Task(task) => Some((&task.var, &*task.task)),
            Frame::List(_) => None,
        });
        Scope { pairs, task: top, document: &self.definition.document, meter: &self.meter }
    }

    /// Variables of the permit gate's and workflow's own expressions, outside any task.
    pub(crate) fn outer_scope(&self) -> Scope<'_> {
        Scope {
            pairs: vec![
                ("context", &self.live.context),
                ("workflow", &self.workflow_var),
                ("runtime", &self.runtime_var),
            ],
            task: None,
            document: &self.definition.document,
            meter: &self.meter,
        }
    }
}

pub(crate) fn expression_error(error: &EvalError) -> WorkflowError {
    WorkflowError::standard("expression", 400, "Expression Error", error.to_string())
}

/// Checks a value against a schema; the detail names the first place that is wrong.
pub(crate) fn check_schema(schema: &Schema, value: &Value, what: &str) -> Result<(), WorkflowError> {
    let json = value.to_json();
    match schema.validator.iter_errors(&json).next() {
        None => Ok(()),
        Some(error) => {
            let place = error.instance_path().to_string();
            let place = if place.is_empty() { "/".to_owned() } else { place };
            Err(WorkflowError::standard(
                "validation",
                400,
                "Validation Error",
                format!("{what} is wrong at `{place}`: {error}"),
            ))
        }
    }
}

/// A moment as the language shows it: `{iso8601, epoch: {seconds, milliseconds}}`.
pub(crate) fn moment(at: Timestamp) -> Value {
    let int = |i: i64| Value::new(model::Data::Int(i));
    Value::object([
        ("iso8601", Value::string(at.to_rfc3339())),
        ("epoch", Value::object([("seconds", int(at.0.div_euclid(1000))), ("milliseconds", int(at.0))])),
    ])
}

/// An error as `$error` shows it. It tells of the outside, so it is labelled so.
pub(crate) fn error_value(error: &WorkflowError) -> Value {
    let json = serde_json::to_value(error).unwrap_or_default();
    Value::from_json(&json, Label::EXTERNAL)
}
