//! `OMNIHUB_CRASH_AT`: where a build for tests is to crash. What is shipped refuses the variable.

use std::collections::BTreeMap;

use crate::config::environment::CRASH_AT;
use crate::exit::Failure;

/// The plan of the environment; an error when it is none, or when this program has no crash points.
pub(crate) fn planned(variables: &BTreeMap<String, String>) -> Result<Option<crash::Plan>, Failure> {
    let Some(text) = variables.get(CRASH_AT) else { return Ok(None) };
    if !crash::BUILT_IN {
        return Err(not_built_in());
    }
    crash::Plan::parse(text).map(Some).ok_or_else(|| {
        let names: Vec<&str> = crash::Point::ALL.into_iter().map(crash::Point::name).collect();
        Failure::usage(format!("`{CRASH_AT}` is `{text}`; write `<point>` or `<point>:<count>`"))
            .code("OH-5012")
            .hint(format!("the points are {}", names.join(", ")))
    })
}

/// Lets this process crash as planned.
pub(crate) fn arm(plan: crash::Plan) -> Result<(), Failure> {
    crash::arm(plan).map_err(|crash::NotBuiltIn| not_built_in())
}

fn not_built_in() -> Failure {
    Failure::usage(format!("`{CRASH_AT}` is set, and this build has no crash points")).code("OH-5012").hint(
        format!("unset `{CRASH_AT}`; only a build with the feature `crash-points` can crash on purpose"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Result<Option<crash::Plan>, Option<String>> {
        planned(&BTreeMap::from([(CRASH_AT.to_owned(), text.to_owned())])).map_err(|failure| failure.code)
    }

    #[test]
    fn a_plan_that_cannot_be_kept_is_refused() {
        assert_eq!(planned(&BTreeMap::new()), Ok(None));
        assert_eq!(code("nowhere"), Err(Some("OH-5012".to_owned())));
        assert_eq!(code("sent:0"), Err(Some("OH-5012".to_owned())));
        let kept = crash::Plan { point: crash::Point::Sent, count: 3 };
        let expected = if crash::BUILT_IN { Ok(Some(kept)) } else { Err(Some("OH-5012".to_owned())) };
        assert_eq!(code("sent:3"), expected);
    }
}
