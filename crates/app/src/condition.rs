//! Conditions that are looked at where messages arrive, outside of any execution.

use dsl::expr::{Budget, Expr, Vars};
use model::call::Condition;
use model::{Data, Value};

/// A condition, ready to be looked at.
pub struct Test {
    expression: Expr,
    variables: Vec<(String, Value)>,
}

impl Test {
    /// Reads a condition. The error says what is wrong.
    pub fn new(condition: &Condition) -> Result<Self, String> {
        let expression = Expr::parse(&condition.expression).map_err(|error| error.to_string())?;
        let variables = match &condition.variables.data {
            Data::Object(members) => {
                members.iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
            }
            _ => Vec::new(),
        };
        Ok(Self { expression, variables })
    }

    /// Whether it holds; `.` is `input`. Anything but true, false and null is an error, as in a workflow.
    pub fn holds(&self, input: &Value) -> Result<bool, String> {
        let pairs: Vec<(&str, &Value)> =
            self.variables.iter().map(|(name, value)| (name.as_str(), value)).collect();
        let found = self.expression.eval(input, &Vars(&pairs), &mut Budget::default());
        let found = found.map_err(|error| error.to_string())?;
        match found.data {
            Data::Bool(holds) => Ok(holds),
            Data::Null => Ok(false),
            _ => Err(format!(
                "the condition `{}` gave a {} and must give true or false",
                self.expression.text(),
                found.kind()
            )),
        }
    }
}
