//! How a command ends: stable exit codes, and the failure that carries one.

use std::fmt;

/// Exit codes that scripts may rely on; documented in `docs/guide/cli.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It failed, or the answer is no.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// There is no such thing.
    NotFound = 3,
    /// Refused: not signed in, not permitted, or a control is in force.
    Refused = 4,
    /// Conflicts with what is there, for example a stale digest.
    Conflict = 5,
    /// It waits for an approval, and the time to wait is over.
    Waiting = 6,
    /// It ended, and nobody knows whether its effects are real.
    Unknown = 7,
    /// The server cannot be reached.
    Unreachable = 8,
    /// The server or this program failed.
    Internal = 70,
}

/// A command that did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// `OH-nnnn`, when there is one.
    pub(crate) code: Option<String>,
    pub(crate) message: String,
    /// Further lines: wrong fields, candidates, what to do.
    pub(crate) hints: Vec<String>,
    /// The whole problem document, for `--output json`.
    pub(crate) problem: Option<serde_json::Value>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, code: None, message: message.into(), hints: Vec::new(), problem: None }
    }

    /// The command line or configuration is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Something on this machine failed.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(Exit::Internal, message)
    }

    /// A part that is planned.
    pub(crate) fn not_built(what: &str) -> Self {
        Self::new(Exit::Refused, format!("{what} is planned and not built yet")).code("OH-2900")
    }

    #[must_use]
    pub(crate) fn code(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Reads the problem document of an answer.
    pub(crate) fn of_problem(status: u16, problem: serde_json::Value) -> Self {
        let text = |name: &str| problem.get(name).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
        let code = text("code");
        let detail = if text("detail").is_empty() { text("title") } else { text("detail") };
        let message = if detail.is_empty() { format!("the server answered {status}") } else { detail };
        let mut failure = Self::new(exit_of(status, &code), message);
        failure.code = (!code.is_empty()).then_some(code);
        failure.hints = hints_of(&problem);
        failure.problem = Some(problem);
        failure
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(code) = &self.code {
            write!(f, "{code}: ")?;
        }
        f.write_str(&self.message)
    }
}

fn exit_of(status: u16, code: &str) -> Exit {
    match status {
        404 => Exit::NotFound,
        401 | 403 | 501 => Exit::Refused,
        // Governance refuses with 503 while a control is in force; other 503s are a server that is not ready.
        503 if code.starts_with("OH-3") => Exit::Refused,
        503 => Exit::Unreachable,
        409 | 412 => Exit::Conflict,
        400..=499 => Exit::Failed,
        _ => Exit::Internal,
    }
}

/// What the problem's own members say, one line each; at most 20 of each.
fn hints_of(problem: &serde_json::Value) -> Vec<String> {
    let mut hints = Vec::new();
    let list = |name: &str| problem.get(name).and_then(|v| v.as_array()).cloned().unwrap_or_default();
    let text = |v: &serde_json::Value, name: &str| {
        v.get(name).and_then(|m| m.as_str()).unwrap_or_default().to_owned()
    };
    for field in list("fields").iter().take(20) {
        hints.push(format!("{}: {}", text(field, "field"), text(field, "message")));
    }
    for found in list("problems").iter().take(20) {
        let at = |name: &str| found.get(name).and_then(serde_json::Value::as_u64).unwrap_or_default();
        let hint = text(found, "hint");
        let more = if hint.is_empty() { String::new() } else { format!(" ({hint})") };
        hints.push(format!("{}:{}: {}{more}", at("line"), at("column"), text(found, "message")));
    }
    for candidate in list("candidates").iter().chain(list("nearest").iter()).take(20) {
        hints.push(format!("candidate: {}", candidate_line(candidate)));
    }
    hints
}

/// `shop/refund-order:1.0.0 Refund an order, for example "refund order 1042, 25.00 EUR"`.
fn candidate_line(candidate: &serde_json::Value) -> String {
    let text = |pointer: &str| candidate.pointer(pointer).and_then(|v| v.as_str()).unwrap_or_default();
    if text("/workflow/name").is_empty() {
        return one_line(candidate);
    }
    let mut line =
        format!("{}/{}:{}", text("/workflow/namespace"), text("/workflow/name"), text("/workflow/version"));
    if !text("/title").is_empty() {
        line = format!("{line}  {}", text("/title"));
    }
    if !text("/example").is_empty() {
        line = format!("{line}, for example \"{}\"", text("/example"));
    }
    line
}

fn one_line(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Object(map) => {
            let parts: Vec<String> = map
                .iter()
                .filter(|(_, v)| !v.is_null())
                .map(|(k, v)| v.as_str().map_or_else(|| format!("{k} {v}"), str::to_owned))
                .collect();
            parts.join(" · ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_their_exit_codes() {
        let exit = |status, code: &str| Failure::of_problem(status, serde_json::json!({ "code": code })).exit;
        assert_eq!(exit(404, "OH-4040"), Exit::NotFound);
        assert_eq!(exit(401, "OH-4010"), Exit::Refused);
        assert_eq!(exit(503, "OH-3001"), Exit::Refused);
        assert_eq!(exit(503, "OH-5000"), Exit::Unreachable);
        assert_eq!(exit(409, "OH-3010"), Exit::Conflict);
        assert_eq!(exit(422, "OH-1000"), Exit::Failed);
        assert_eq!(exit(500, "OH-5000"), Exit::Internal);
    }

    #[test]
    fn problems_are_told_line_by_line() {
        let failure = Failure::of_problem(
            422,
            serde_json::json!({"code": "OH-1000", "detail": "the document has 1 problem",
                "problems": [{"line": 3, "column": 5, "message": "unknown key `dos`", "hint": "write `do`"}],
                "fields": [{"field": "/input/amount", "message": "must be a number"}]}),
        );
        assert_eq!(failure.to_string(), "OH-1000: the document has 1 problem");
        assert_eq!(failure.hints, ["/input/amount: must be a number", "3:5: unknown key `dos` (write `do`)"]);
    }
}
