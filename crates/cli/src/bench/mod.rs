//! Measurements, each beside the limit of this machine measured in the same run.

mod doors;
mod fairness;
mod house;
mod limit;
mod listen;
mod overload;
mod raw;
mod served;
mod steps;
mod stop;
mod waiting;

use serde_json::{Value as Json, json};

use crate::commands::bench::BenchArgs;
use crate::exit::Failure;
use crate::screen::Screen;

/// One figure.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) group: &'static str,
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// The limit that it is compared with, and what that is.
    pub(crate) limit: Option<(f64, &'static str)>,
}

/// Measures the groups that were asked for and prints them.
pub(crate) async fn run(args: &BenchArgs, screen: Screen) -> Result<(), Failure> {
    let wanted = |group: &str| args.only.is_empty() || args.only.iter().any(|only| only == group);
    let mut figures = Vec::new();
    let each = std::time::Duration::from_secs(args.seconds);
    let mut limits = [0.0; 3];
    if wanted("limit") || wanted("steps") {
        screen.say("measuring the limit of this machine");
        let measured = limit::measure(each).await?;
        for (limit, figure) in limits.iter_mut().zip(&measured) {
            *limit = figure.value;
        }
        figures.extend(measured);
    }
    if wanted("steps") {
        screen.say("measuring durable steps");
        figures.extend(steps::measure(each, limits).await?);
    }
    if wanted("goals") {
        screen.say("measuring POST /goals");
        let in_process = figures.iter().find(|figure| figure.name == steps::EXECUTIONS_64).map(|f| f.value);
        figures.extend(doors::goals(each, in_process).await?);
    }
    if wanted("policy") {
        screen.say("measuring policy decisions");
        figures.extend(doors::policy(each)?);
    }
    if wanted("fairness") {
        screen.say("measuring one tenant beside a flood of another");
        figures.extend(fairness::measure(each).await?);
    }
    if wanted("overload") {
        screen.say("offering three times what can be done");
        figures.extend(overload::measure(each).await?);
    }
    if wanted("stop") {
        screen.say("stopping 1,000 executions in full motion");
        figures.extend(stop::measure().await?);
    }
    if wanted("listen") {
        screen.say("waking 10,000 executions that listen");
        figures.extend(listen::measure().await?);
    }
    if wanted("waiting") {
        screen.say(format!("measuring what waits, with {} executions stored", args.stored));
        figures.extend(waiting::measure(args.stored).await?);
    }
    let document = json!({ "figures": figures.iter().map(Figure::json).collect::<Vec<Json>>() });
    screen.data(&document, || {
        screen.table(
            &["group", "figure", "value", "unit", "limit", "share"],
            figures.iter().map(Figure::row).collect(),
        )
    })
}

impl Figure {
    fn json(&self) -> Json {
        json!({"group": self.group, "name": self.name, "value": self.value, "unit": self.unit,
            "limit": self.limit.map(|(value, what)| json!({"value": value, "what": what}))})
    }

    fn row(&self) -> Vec<String> {
        let (limit, share) = match self.limit {
            Some((value, what)) if value > 0.0 => {
                (format!("{} ({what})", number(value)), format!("{:.0} %", self.value * 100.0 / value))
            }
            _ => (String::new(), String::new()),
        };
        vec![self.group.to_owned(), self.name.clone(), number(self.value), self.unit.to_owned(), limit, share]
    }
}

/// Three significant places, thousands apart.
fn number(value: f64) -> String {
    if value >= 1_000.0 {
        let whole = format!("{value:.0}");
        let mut out = String::new();
        for (index, digit) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index).is_multiple_of(3) {
                out.push(',');
            }
            out.push(digit);
        }
        out
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            (number(1_234_567.4), number(12.34), number(0.1234)),
            ("1,234,567".into(), "12.3".into(), "0.123".into())
        );
    }
}
