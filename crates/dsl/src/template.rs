//! Data fields: JSON in which a whole string `${ … }` is an expression.

use std::sync::Arc;

use model::{Data, Value};

use crate::expr::{Budget, EvalError, Expr, Vars};

/// JSON with compiled expressions in it. Constant parts are shared, not copied.
#[derive(Debug, Clone)]
pub enum Template {
    /// No expression inside.
    Constant(Value),
    /// A whole string `${ … }`.
    Expr(Expr),
    /// A list with an expression somewhere inside.
    Array(Vec<Template>),
    /// An object with an expression somewhere inside.
    Object(Vec<(Arc<str>, Template)>),
}

impl Template {
    /// Puts the values of all expressions in place. `input` is `.`.
    pub fn eval(&self, input: &Value, vars: &Vars<'_>, budget: &mut Budget) -> Result<Value, EvalError> {
        Ok(match self {
            Template::Constant(value) => value.clone(),
            Template::Expr(expr) => expr.eval(input, vars, budget)?,
            Template::Array(items) => {
                let items: Result<Vec<_>, _> = items.iter().map(|t| t.eval(input, vars, budget)).collect();
                Value::new(Data::Array(Arc::new(items?)))
            }
            Template::Object(members) => {
                let mut map = model::value::Map::with_capacity(members.len());
                for (name, template) in members {
                    map.insert(name.clone(), template.eval(input, vars, budget)?);
                }
                Value::new(Data::Object(Arc::new(map)))
            }
        })
    }
}
