//! Programs: run in the sandbox, and say what the result means for the effect.
//!
//! A sandboxed program reaches nothing outside its directory, which is thrown away: one that did not end well has
//! done nothing that lasts, and may be refused rather than lost.

use model::effect::{Answer, ProcessOutput, ProcessRequest};
use model::problem::WorkflowError;
use model::{Data, Label, Value};
use sandbox::{Engine, Killed, Limits, ProcessResult, Sandbox, SandboxError};

use super::extract;

/// Performs one program. When `cancelled` turns true, it and everything it started are ended; `may_start` is asked at
/// the last moment.
///
/// The output carries [`Label::EXTERNAL`]. `stdout` and `stderr` are the text exactly as it was written.
pub async fn perform(
    sandbox: &Sandbox,
    request: &ProcessRequest,
    limits: Limits,
    cancelled: impl Fn() -> bool + Send + 'static,
    may_start: impl Fn() -> bool + Send + 'static,
) -> Performed {
    performed(request, sandbox.run_while(request, limits, cancelled, may_start).await)
}

/// As [`perform`], by an engine of containers, under this name.
pub async fn contain(
    engine: &Engine,
    name: &str,
    request: &ProcessRequest,
    limits: Limits,
    cancelled: impl Fn() -> bool + Send + 'static,
    may_start: impl Fn() -> bool + Send + 'static,
) -> Performed {
    performed(request, engine.run_while(name, request, limits, cancelled, may_start).await)
}

fn performed(request: &ProcessRequest, run: Result<Option<ProcessResult>, SandboxError>) -> Performed {
    match run {
        Ok(Some(result)) => {
            let killed = result.killed == Some(Killed::Cancelled);
            Performed::Answered { answer: judge(request.output, &result), killed }
        }
        Ok(None) => Performed::NotStarted,
        Err(error) => Performed::Answered { answer: failed(&error), killed: false },
    }
}

/// What became of a program.
pub enum Performed {
    /// The right to start it was withdrawn.
    NotStarted,
    /// It ran, or could not be run.
    Answered {
        /// What that means for the effect.
        answer: Answer,
        /// It was ended because nobody wants it any more.
        killed: bool,
    },
}

fn judge(output: ProcessOutput, result: &ProcessResult) -> Answer {
    if let Some(killed) = result.killed {
        return ended(killed, result);
    }
    let cut = match output {
        ProcessOutput::Stdout => result.stdout_truncated,
        ProcessOutput::Stderr => result.stderr_truncated,
        ProcessOutput::All => result.stdout_truncated || result.stderr_truncated,
        ProcessOutput::Code | ProcessOutput::None => false,
    };
    let asks_for_success = match output {
        ProcessOutput::Stdout | ProcessOutput::Stderr | ProcessOutput::None => true,
        ProcessOutput::Code | ProcessOutput::All => false,
    };
    if asks_for_success && result.code != 0 {
        let detail = format!("the program ended with code {}: {}", result.code, extract(&result.stderr));
        return refused(WorkflowError::standard("runtime", 500, "program failed", detail), false);
    }
    if cut {
        let detail =
            "the program wrote more than may be kept; write less, or write to a file and print a part";
        return refused(WorkflowError::standard("runtime", 500, "output too large", detail), false);
    }
    let code = Value::new(Data::Int(i64::from(result.code)));
    let output = match output {
        ProcessOutput::Stdout => Value::string(&result.stdout),
        ProcessOutput::Stderr => Value::string(&result.stderr),
        ProcessOutput::Code => code,
        ProcessOutput::All => Value::object([
            ("code", code),
            ("stdout", Value::string(&result.stdout)),
            ("stderr", Value::string(&result.stderr)),
        ]),
        ProcessOutput::None => Value::NULL,
    };
    Answer::Done { output: output.with_label_everywhere(Label::EXTERNAL) }
}

pub(super) fn ended(killed: Killed, result: &ProcessResult) -> Answer {
    let after = format!("after {} ms", result.duration_ms);
    let runtime = |title, detail| WorkflowError::standard("runtime", 500, title, detail);
    let error = match killed {
        Killed::Timeout => WorkflowError::standard(
            "timeout",
            408,
            "program ran too long",
            format!("the program was ended {after}"),
        ),
        Killed::Cancelled => runtime("program cancelled", format!("the program was cancelled {after}")),
        Killed::Memory => {
            runtime("out of memory", format!("the program used more memory than allowed {after}"))
        }
        Killed::Disk => runtime("out of disk", format!("the program wrote more files than allowed {after}")),
    };
    refused(error, false)
}

pub(super) fn failed(error: &SandboxError) -> Answer {
    let text = error.to_string();
    match error {
        SandboxError::Language(_) | SandboxError::Invalid(_) => {
            refused(WorkflowError::standard("configuration", 400, "program cannot be run", text), false)
        }
        SandboxError::NotInForce(_) => {
            refused(WorkflowError::governed("not-allowed", 403, "sandbox not in force", text), false)
        }
        SandboxError::Unusable { .. } | SandboxError::System(_) => {
            refused(WorkflowError::standard("runtime", 503, "sandbox unavailable", text), true)
        }
    }
}

fn refused(error: WorkflowError, transient: bool) -> Answer {
    Answer::Refused { error, transient, retry_after_ms: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(code: i32) -> ProcessResult {
        ProcessResult {
            code,
            stdout: "out\n".to_owned(),
            stderr: "err\n".to_owned(),
            stdout_truncated: false,
            stderr_truncated: false,
            duration_ms: 5,
            killed: None,
        }
    }

    fn word(answer: &Answer) -> String {
        match answer {
            Answer::Done { output } => output.to_string(),
            Answer::Refused { error, transient, .. } => format!("refused {} {transient}", error.status),
            Answer::Lost { .. } | Answer::Stored { .. } | Answer::Child(_) => "another".to_owned(),
        }
    }

    #[test]
    fn results_become_the_asked_output() {
        let all = "{\"code\":3,\"stdout\":\"out\\n\",\"stderr\":\"err\\n\"}";
        let table = [
            (ProcessOutput::Stdout, 0, "\"out\\n\""),
            (ProcessOutput::Stderr, 0, "\"err\\n\""),
            (ProcessOutput::None, 0, "null"),
            (ProcessOutput::Code, 3, "3"),
            (ProcessOutput::All, 3, all),
            (ProcessOutput::Stdout, 3, "refused 500 false"),
            (ProcessOutput::Stderr, 3, "refused 500 false"),
            (ProcessOutput::None, 3, "refused 500 false"),
        ];
        for (output, code, expected) in table {
            let judged = judge(output, &result(code));
            assert_eq!(word(&judged), expected, "{output:?} {code}");
            if let Answer::Done { output } = judged {
                assert!(output.provenance().iter().all(|(_, label)| label.untrusted()));
            }
        }
    }

    #[test]
    fn a_cut_or_ended_program_is_no_success() {
        let cut = ProcessResult { stdout_truncated: true, ..result(0) };
        assert_eq!(word(&judge(ProcessOutput::Stdout, &cut)), "refused 500 false");
        assert_eq!(word(&judge(ProcessOutput::Code, &cut)), "0");
        let late = ProcessResult { killed: Some(Killed::Timeout), ..result(0) };
        assert_eq!(word(&judge(ProcessOutput::All, &late)), "refused 408 false");
        assert_eq!(word(&failed(&SandboxError::System("x".to_owned()))), "refused 503 true");
        assert_eq!(word(&failed(&SandboxError::Language("cobol".to_owned()))), "refused 400 false");
    }

    #[test]
    fn extracts_are_short_and_on_one_line() {
        assert_eq!(extract("a\nb\n"), "a b");
        assert!(extract(&"ä".repeat(1000)).len() < 520);
    }
}
